"""What a writer is, and how one is found by the name of its format."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Protocol

from synthaug.registry import Registry
from synthaug.sampling.job import Block, Job, Shard


class Writer(Protocol):
    """Writes one output in one format.

    A shard that was not written to its end is written again, from its start: `write` must then leave the same bytes
    as if the first time had never been. `finish` may run twice for the same reason.

    Attributes:
        files: Names or patterns of what it writes; by these, earlier samples may be overwritten.
    """

    files: ClassVar[tuple[str, ...]]

    def __init__(self, folder: Path, job: Job) -> None:
        """Prepare ``folder``, which may hold the shards of an earlier run of the same job."""

    def write(self, shard: Shard, blocks: Iterable[Block]) -> None:
        """Write a shard, whose samples come in order, a block at a time."""

    def finish(self) -> None:
        """Write what is left once all shards are there."""


_WRITERS: Registry[type[Writer]] = Registry("format", "synthaug.sampling.writers")

register_writer = _WRITERS.register
"""Decorator that registers a `Writer` class under the name of its format."""

list_formats = _WRITERS.names
"""Return the names of all output formats, sorted."""

writer_class = _WRITERS.get
"""Return the writer of a format; `ConfigError` if there is none."""
