"""WebDataset shards: tar files with ``<sample>.png``, ``<sample>.cls`` and ``<sample>.json`` for each sample."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from synthaug.images import encode_pngs
from synthaug.sampling.card import write_card
from synthaug.sampling.columns import sample_keys
from synthaug.sampling.job import Block, Job, Shard
from synthaug.sampling.writers.base import register_writer
from synthaug.storage import new_file


@register_writer("webdataset")
class WebDatasetWriter:
    """Writes ``data-00000-of-0000N.tar``, a file a shard, with fixed times and owners so that bytes reproduce."""

    files: ClassVar[tuple[str, ...]] = ("data*-of-*",)

    def __init__(self, folder: Path, job: Job) -> None:
        self.folder, self.job = folder, job
        self._shards = len(job.shards())

    def write(self, shard: Shard, blocks: Iterable[Block]) -> None:
        """Write one tar file."""
        name = f"{self.job.stem}-{shard.number:05d}-of-{self._shards:05d}.tar"
        job = self.job
        common = {"seed": job.seed, "generator": job.generator, "family": job.family}
        with (
            new_file(self.folder / name) as temporary,
            tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            for block in blocks:
                labels = job.plan.labels[block.rows].tolist()
                indices = job.plan.indices[block.rows].tolist()
                keys = sample_keys(job, block.rows)
                pngs = encode_pngs(block.images)
                for key, label, index, png in zip(keys, labels, indices, pngs, strict=True):
                    facts = {"label": label, "class_name": job.classes[label], "index": index, **common}
                    _add(archive, f"{key}.png", png)
                    _add(archive, f"{key}.cls", b"%d" % label)
                    _add(archive, f"{key}.json", json.dumps(facts, ensure_ascii=False).encode())

    def finish(self) -> None:
        """Write the dataset card."""
        how = 'import datasets\n\ndata = datasets.load_dataset("webdataset", data_files="this/folder/*.tar")'
        write_card(self.folder, self.job, "*.tar", how)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
