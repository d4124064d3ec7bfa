"""Parquet as Hugging Face `datasets` reads it: PIL images, class labels, and the provenance of each sample."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from synthaug.images import encode_pngs
from synthaug.sampling.card import write_card
from synthaug.sampling.columns import PROVENANCE, provenance_columns, sample_keys, schema
from synthaug.sampling.job import Block, Job, Shard
from synthaug.sampling.writers.base import register_writer
from synthaug.storage import new_file


@register_writer("parquet")
class ParquetWriter:
    """Writes ``data-00000-of-0000N.parquet``, a file a shard and a row group a block."""

    files: ClassVar[tuple[str, ...]] = ("data*-of-*",)

    def __init__(self, folder: Path, job: Job) -> None:
        import pyarrow as pa

        self.folder, self.job = folder, job
        self._shards = len(job.shards())
        self._image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        self._schema = schema({"image": (self._image_type, {"_type": "Image"})}, job.classes)

    def write(self, shard: Shard, blocks: Iterable[Block]) -> None:
        """Write one file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = f"{self.job.stem}-{shard.number:05d}-of-{self._shards:05d}.parquet"
        options = {
            # PNG bytes neither compress nor repeat; trying costs time.
            "compression": {"image.bytes": "none"} | dict.fromkeys(["image.path", "label", *PROVENANCE], "snappy"),
            "use_dictionary": ["label", "class_name", "seed", "generator", "family"],
            "write_statistics": ["label", "seed", "index"],
        }
        with (
            new_file(self.folder / name) as temporary,
            pq.ParquetWriter(temporary, self._schema, **options) as writer,
        ):
            for block in blocks:
                pngs = pa.array(encode_pngs(block.images), type=pa.binary())
                paths = pa.array([f"{key}.png" for key in sample_keys(self.job, block.rows)])
                image = pa.StructArray.from_arrays([pngs, paths], fields=list(self._image_type))
                columns = [image, *provenance_columns(self.job, block.rows)]
                writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def finish(self) -> None:
        """Write the dataset card."""
        write_card(
            self.folder,
            self.job,
            "*.parquet",
            'import datasets\n\ndata = datasets.load_dataset("this/folder")',
        )
