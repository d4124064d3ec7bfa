"""The hidden folder in which an output grows: what it is to become, and which shards are finished."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from synthaug.errors import OutputExistsError
from synthaug.storage import LOCK, MANIFEST, locked, new_file, partial_path, read_json, write_json

_JOURNAL = ".done"


class JournaledFolder:
    """An output in the making.

    Attributes:
        path: The hidden folder.
        done: Numbers of the finished shards.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: set[int] = set()
        for leftover in path.glob(".*.tmp"):  # files that a killed run was writing
            leftover.unlink()
        journal = path / _JOURNAL
        if journal.is_file():
            whole, _, torn = journal.read_text(encoding="ascii").rpartition("\n")
            self.done = {int(line) for line in whole.split()}
            if torn:  # by a kill; what is appended next must not continue that line
                with new_file(journal) as temporary:
                    temporary.write_text("".join(f"{number}\n" for number in sorted(self.done)), encoding="ascii")

    @classmethod
    @contextlib.contextmanager
    def open(cls, target: Path, manifest: Mapping[str, Any], overwrite: bool) -> Iterator[JournaledFolder]:
        """Make the hidden folder of ``target``, or go on with the one that an earlier run left.

        Raises:
            OutputExistsError: If an earlier run with another manifest is unfinished there and ``overwrite`` is
                false, or if another process is at work on it.
        """
        path = partial_path(target)
        if path.is_dir() and any(path.iterdir()):
            with locked(path / LOCK):
                _take_over(path, target, manifest, overwrite)
        path.mkdir(parents=True, exist_ok=True)
        with locked(path / LOCK):
            if not (path / MANIFEST).is_file():
                write_json(path / MANIFEST, dict(manifest))
            yield cls(path)

    def mark_done(self, number: int) -> None:
        """Record a finished shard; one short append, so a kill leaves the line or an unended rest of it."""
        with (self.path / _JOURNAL).open("a", encoding="ascii") as stream:
            stream.write(f"{number}\n")
        self.done.add(number)

    @staticmethod
    def forget(target: Path) -> None:
        """Remove the traces of the making from a published output."""
        for name in (_JOURNAL, LOCK):
            (target / name).unlink(missing_ok=True)


def _take_over(path: Path, target: Path, manifest: Mapping[str, Any], overwrite: bool) -> None:
    found = read_json(path / MANIFEST) if (path / MANIFEST).is_file() else None
    if found == manifest:
        return
    if found is not None and not overwrite:
        raise _unfinished(path, target, _differing(found, manifest))
    for entry in path.iterdir():
        if entry.name == LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def refuse_unfinished(target: Path, manifest: Mapping[str, Any], further: str) -> None:
    """Refuse an output beside which another run waits, before anything is made for it.

    Args:
        target: The output.
        manifest: What of its manifest is known already.
        further: An entry that it will have, not known yet.

    Raises:
        OutputExistsError: If what waits there is no run with such a manifest.
    """
    path = partial_path(target)
    if (path / MANIFEST).is_file():
        found = read_json(path / MANIFEST)
        differing = _differing(found, manifest) + ([] if further in found else [further])
        if differing:
            raise _unfinished(path, target, differing)


def _differing(found: Any, manifest: Mapping[str, Any]) -> list[str]:
    return [key for key in manifest if not isinstance(found, dict) or found.get(key) != manifest[key]]


def _unfinished(path: Path, target: Path, differing: list[str]) -> OutputExistsError:
    return OutputExistsError(
        f"an unfinished run with other settings ({', '.join(differing)}) waits in {path}. Repeat its command "
        f"to finish {target}, choose another path, or pass overwrite=True (--overwrite) to throw it away."
    )
