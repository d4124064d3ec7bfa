"""Outputs that appear whole or not at all, and digests that name their content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synthaug.errors import FormatError, OutputExistsError

PARTIAL_SUFFIX = ".partial"


def partial_path(path: Path) -> Path:
    """Return the hidden sibling under which ``path`` is built before it is renamed into place."""
    return path.with_name(f".{path.name}{PARTIAL_SUFFIX}")


def refuse_existing(path: Path, overwrite: bool, what: str) -> None:
    """Raise `OutputExistsError` when ``path`` holds something and ``overwrite`` is false."""
    if overwrite or not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    raise OutputExistsError(
        f"{what}: expected a new or empty path, but {path} already holds data. "
        "Choose another path, or pass overwrite=True (--overwrite) to replace it."
    )


def publish(partial: Path, path: Path) -> None:
    """Rename a finished folder into place, replacing what was there only once the new one is whole."""
    if path.is_dir() and any(path.iterdir()):
        old = path.with_name(f".{path.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
        partial.rename(path)
        shutil.rmtree(old)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            path.rmdir()
        elif path.exists():
            path.unlink()
        partial.rename(path)


def put_back(path: Path) -> None:
    """Bring back what `publish` had moved aside when it was killed, before the new folder was in its place."""
    old = path.with_name(f".{path.name}.old")
    if old.is_dir() and not path.exists():
        old.rename(path)


@contextlib.contextmanager
def new_directory(path: Path, *, overwrite: bool = False, what: str = "output folder") -> Iterator[Path]:
    """Yield a temporary folder that becomes ``path`` when the block ends without an error.

    Raises:
        OutputExistsError: If ``path`` holds data and ``overwrite`` is false.
    """
    refuse_existing(path, overwrite, what)
    if not path.name:
        raise OutputExistsError(
            f"{what}: expected a new folder, but got the current one ({path}), which cannot be replaced as a whole. "
            "Name a folder in it."
        )
    partial = path.with_name(f".{path.name}.new")  # another than that of a run that goes on after a kill
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    publish(partial, path)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it atomically when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with new_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        FormatError: If the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FormatError(f"expected the file {path.name} in {path.parent}, but it is missing.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not valid JSON: {error}") from error


def digest(*parts: bytes | str | Path) -> str:
    """Return the SHA-256 (hex) of byte strings, texts and the contents of files, in order.

    Each part is length-prefixed, so ``digest("ab", "c")`` and ``digest("a", "bc")`` differ.
    """
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            total.update(f"file {part.stat().st_size}\0".encode())
            with part.open("rb") as stream:
                while block := stream.read(1 << 20):
                    total.update(block)
        else:
            data = part.encode() if isinstance(part, str) else part
            total.update(f"bytes {len(data)}\0".encode() + data)
    return total.hexdigest()


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
