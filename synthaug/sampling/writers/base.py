"""What a writer is, and how one is found by the name of its format."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from synthaug.errors import ConfigError, did_you_mean
from synthaug.sampling.job import Block, Job, Shard


class Writer(Protocol):
    """Writes one output in one format.

    A shard that was not written to its end is written again, from its start: `write` must then leave the same bytes
    as if the first time had never been. `finish` may run twice for the same reason.
    """

    def __init__(self, folder: Path, job: Job) -> None:
        """Prepare ``folder``, which may hold the shards of an earlier run of the same job."""

    def write(self, shard: Shard, blocks: Iterable[Block]) -> None:
        """Write a shard, whose samples come in order, a block at a time."""

    def finish(self) -> None:
        """Write what is left once all shards are there."""


_WRITERS: dict[str, type[Writer]] = {}

WriterClass = TypeVar("WriterClass", bound=type[Writer])


def register_writer(name: str) -> Callable[[WriterClass], WriterClass]:
    """Register a `Writer` class under the name of its format."""

    def register(cls: WriterClass) -> WriterClass:
        _WRITERS[name] = cls
        return cls

    return register


@functools.cache
def _import_all() -> None:
    package = importlib.import_module("synthaug.sampling.writers")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


def list_formats() -> list[str]:
    """Return the names of all output formats, sorted."""
    _import_all()
    return sorted(_WRITERS)


def writer_class(name: str) -> type[Writer]:
    """Return the writer of format ``name``.

    Raises:
        ConfigError: If there is no such format.
    """
    _import_all()
    if name not in _WRITERS:
        raise ConfigError(
            f"format: expected one of {', '.join(list_formats())}, but got {name!r}.{did_you_mean(name, _WRITERS)}"
        )
    return _WRITERS[name]
