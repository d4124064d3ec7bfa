"""Image folders: a folder a class, as torchvision's ImageFolder and Hugging Face's imagefolder read them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from synthaug.images import encode_pngs
from synthaug.sampling.card import write_card
from synthaug.sampling.columns import provenance_columns, sample_keys, schema
from synthaug.sampling.folder_names import folder_names
from synthaug.sampling.job import Block, Job, Shard
from synthaug.sampling.writers.base import register_writer
from synthaug.storage import METADATA, new_file

_METADATA_ROWS = 65536


@register_writer("imagefolder")
class ImageFolderWriter:
    """Writes ``<class>/<sample>.png`` and ``metadata.parquet`` with label, class name and provenance of each file.

    Parquet rather than CSV for the metadata, because it alone tells `datasets` the order of the class labels.
    """

    files: ClassVar[tuple[str, ...]] = (METADATA, f"*/{'[0-9]' * 5}-{'[0-9]' * 8}-s*.png")

    def __init__(self, folder: Path, job: Job) -> None:
        self.folder, self.job = folder, job
        self._names = folder_names(job.classes)
        for label in set(job.plan.labels.tolist()):
            (folder / self._names[label]).mkdir(exist_ok=True)

    def _files(self, rows: slice) -> list[str]:
        labels = self.job.plan.labels[rows].tolist()
        keys = sample_keys(self.job, rows)
        return [f"{self._names[label]}/{key}.png" for label, key in zip(labels, keys, strict=True)]

    def write(self, shard: Shard, blocks: Iterable[Block]) -> None:
        """Write the files of a shard; one left half-written by a kill is written over."""
        for block in blocks:
            for name, png in zip(self._files(block.rows), encode_pngs(block.images), strict=True):
                (self.folder / name).write_bytes(png)

    def finish(self) -> None:
        """Write metadata and dataset card."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        job = self.job
        described = schema({"file_name": (pa.string(), {"dtype": "string", "_type": "Value"})}, job.classes)
        with (
            new_file(self.folder / METADATA) as temporary,
            pq.ParquetWriter(temporary, described) as writer,
        ):
            for start in range(0, len(job.plan), _METADATA_ROWS):
                rows = slice(start, min(start + _METADATA_ROWS, len(job.plan)))
                columns = [pa.array(self._files(rows)), *provenance_columns(job, rows)]
                writer.write_table(pa.Table.from_arrays(columns, schema=described))
        write_card(
            self.folder,
            job,
            "**",
            'import datasets, torchvision\n\ndata = datasets.load_dataset("this/folder")\n'
            'data = torchvision.datasets.ImageFolder("this/folder")',
        )
