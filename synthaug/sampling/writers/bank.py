"""The bank format: one preallocated array, each shard written into its place."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np

from synthaug.sampling.bank_files import IMAGES, LABELS, TABLE, write_all_but_images
from synthaug.sampling.job import Block, Job, Shard
from synthaug.sampling.writers.base import register_writer
from synthaug.storage import new_file


@register_writer("bank")
class BankWriter:
    """Writes the folder that `SampleBank.open` opens."""

    files: ClassVar[tuple[str, ...]] = (IMAGES, LABELS, TABLE)

    def __init__(self, folder: Path, job: Job) -> None:
        self.folder, self.job = folder, job
        channels, height, width = job.image_shape
        self._bytes_each = channels * height * width
        header = {
            "descr": "|u1",
            "fortran_order": False,
            "shape": (len(job.plan), height, width, channels),
        }
        path = folder / IMAGES
        if not path.is_file():
            with new_file(path) as temporary, temporary.open("wb") as stream:
                np.lib.format.write_array_header_1_0(stream, header)
                stream.truncate(stream.tell() + len(job.plan) * self._bytes_each)
        self._offset = path.stat().st_size - len(job.plan) * self._bytes_each

    def write(self, shard: Shard, blocks: Iterable[Block]) -> None:
        """Write a shard into its place.

        Plain writes rather than a memory map: on a full disk these raise an error, a map kills the process.
        """
        with (self.folder / IMAGES).open("r+b") as stream:
            stream.seek(self._offset + shard.start * self._bytes_each)
            for block in blocks:
                stream.write(np.ascontiguousarray(block.images).data)

    def finish(self) -> None:
        """Write labels, provenance and the header."""
        job = self.job
        write_all_but_images(
            self.folder,
            job.plan.labels,
            job.classes,
            job.image_shape,
            job.table(),
            job.provenance(),
            job.content_digest(),
            job.rejected(),
        )
