"""Decoded images on disk: a folder named by content and options, with arrays and a description.

It holds ``images.npy``, ``labels.npy`` and ``dataset.json``.

Images are appended block by block to a plain ``.npy`` file whose header is rewritten at the end. So memory
stays flat, the number of usable images need not be known before, and a full disk raises an error (a memory
map of a sparse file would kill the process instead).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug import storage
from synthaug.data.decode import to_channels
from synthaug.data.sources.base import Problem
from synthaug.errors import DataError, FormatError

FORMAT_VERSION = 1
_HEADER_BYTES = 128
_BLOCK_BYTES = 1 << 22
_DAY = 86_400


class Stored:
    """Images, labels and classes of a whole dataset, in memory or in a cache folder.

    One in a folder opens its files when they are first asked for and pickles as the folder's path.
    """

    def __init__(
        self,
        images: NDArray[np.uint8] | None,
        labels: NDArray[np.int64] | None,
        classes: tuple[str, ...],
        folder: Path | None = None,
        digest: str | None = None,
    ) -> None:
        self.classes = classes
        self.folder = folder
        self._arrays = None if images is None or labels is None else (images, labels)
        self._digest = digest

    @functools.cached_property
    def images(self) -> NDArray[np.uint8]:
        """uint8 (N, H, W, C), a memory map when in a folder."""
        return self._arrays[0] if self._arrays is not None else self._read("images.npy", mmap_mode="r")

    @functools.cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """The same memory as a plain array: indexing `numpy.memmap` costs more than reading the image."""
        return np.asarray(self.images)

    @functools.cached_property
    def labels(self) -> NDArray[np.int64]:
        """int64 (N,)."""
        return self._arrays[1] if self._arrays is not None else self._read("labels.npy")

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of images, labels and classes, the same whether in memory or in a folder."""
        if self._digest is None:
            self._digest = content_digest(self.pixels, self.labels, self.classes)
        return self._digest

    def _read(self, name: str, **options: Any) -> Any:
        folder = self.folder or Path()
        try:
            return np.load(folder / name, allow_pickle=False, **options)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(
                f"expected decoded images in {folder}, but {name} cannot be read ({error}). "
                "The cache was emptied or damaged: load again, with refresh=True if it is damaged."
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        opened = ("images", "pixels", "labels")
        return {key: value for key, value in self.__dict__.items() if key not in opened}


def content_digest(images: NDArray[np.uint8], labels: NDArray[np.int64], classes: Sequence[str]) -> str:
    """Return the SHA-256 (hex) of images, labels and class names, reading the images block by block."""
    step = max(1, _BLOCK_BYTES // max(math.prod(images.shape[1:]), 1))
    blocks = (np.ascontiguousarray(images[start : start + step]).data for start in range(0, len(images), step))
    return _hash(images.shape, blocks, labels, classes)


def _hash(
    shape: Sequence[int],
    blocks: Iterable[bytes | memoryview],
    labels: NDArray[np.int64],
    classes: Sequence[str],
) -> str:
    description = storage.digest(storage.canonical_json([shape, classes]), labels.astype("<i8").tobytes())
    total = hashlib.sha256(description.encode())
    for block in blocks:
        total.update(block)
    return total.hexdigest()


def default_directory() -> Path:
    """Return ``$SYNTHAUG_CACHE``, else the platform's cache folder for synthaug."""
    if chosen := os.environ.get("SYNTHAUG_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    elif sys.platform == "darwin":
        home = "~/Library/Caches"
    else:
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "synthaug"


def key(fingerprint: str, options: Mapping[str, Any]) -> str:
    """Return the folder name for a source's content and the options that change what is decoded."""
    return storage.digest(str(FORMAT_VERSION), fingerprint, storage.canonical_json(options))[:40]


def find(folder: Path) -> tuple[Stored, tuple[Problem, ...]] | None:
    """Return what an earlier run put into ``folder``, or None where there is nothing, or not the whole of it."""
    try:
        values = storage.read_json(folder / "dataset.json")
        problems = tuple(Problem(path, reason) for path, reason in values["problems"])
        stored = Stored(None, None, tuple(values["classes"]), folder, values["digest"])
        whole = _HEADER_BYTES + values["count"] * math.prod(values["image_shape"])
        return (stored, problems) if (folder / "images.npy").stat().st_size == whole else None
    except (FormatError, FileNotFoundError, KeyError, TypeError, ValueError):
        return None


class Writer:
    """Collects blocks of images in a temporary folder that `publish` renames into place.

    Starts with one channel when ``channels`` is None, and goes over to three with the first image that has
    colour. Whoever makes one calls `close` in the end, published or not.
    """

    def __init__(self, directory: Path, size: tuple[int, int], channels: int | None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(directory)
        self._folder = Path(tempfile.mkdtemp(prefix=".decoding-", dir=directory))
        self._path = self._folder / "images.npy"
        self.size = size
        self.channels = channels or 1
        self.count = 0
        self._file = self._path.open("w+b")
        self._file.write(self._header())

    def append(self, images: NDArray[np.uint8]) -> None:
        """Add images, uint8 (n, H, W, C) of the writer's size."""
        if images.shape[3] > self.channels:
            self._widen()
        self._file.write(np.ascontiguousarray(to_channels(images, self.channels)).data)
        self.count += len(images)

    def close(self) -> None:
        """Delete the temporary folder, if it was not published."""
        self._file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def publish(
        self,
        folder: Path | None,
        labels: NDArray[np.int64],
        classes: tuple[str, ...],
        problems: Sequence[Problem],
    ) -> Stored:
        """Finish the files and rename them to ``folder`` (None: one named by the content)."""
        self._file.seek(0)
        self._file.write(self._header())
        self._file.close()
        np.save(self._folder / "labels.npy", labels)
        shape = (self.count, *self.size, self.channels)
        with self._path.open("rb") as file:  # read, not mapped: mapped pages would count as this process's memory
            file.seek(_HEADER_BYTES)
            digest = _hash(shape, iter(lambda: file.read(_BLOCK_BYTES), b""), labels, classes)
        description = {
            "format_version": FORMAT_VERSION,
            "classes": list(classes),
            "count": self.count,
            "image_shape": [self.channels, *self.size],
            "digest": digest,
            "problems": [[problem.path, problem.reason] for problem in problems],
        }
        storage.write_json(self._folder / "dataset.json", description)
        folder = folder or self._folder.with_name(digest[:40])
        self._folder.chmod(0o777 & ~storage.UMASK)
        _rename(self._folder, folder)
        return Stored(None, None, classes, folder, digest)

    def _header(self) -> bytes:
        """The npy header (version 1.0), padded so that any number of images fits in the same bytes."""
        shape = (self.count, *self.size, self.channels)
        text = repr({"descr": "|u1", "fortran_order": False, "shape": shape})
        return (
            b"\x93NUMPY\x01\x00"
            + (_HEADER_BYTES - 10).to_bytes(2, "little")
            + text.ljust(_HEADER_BYTES - 11).encode()
            + b"\n"
        )

    def _widen(self) -> None:
        """Write what is there again with three equal channels."""
        self._file.flush()
        grey = np.memmap(self._path, np.uint8, "r", _HEADER_BYTES, (self.count, *self.size, 1)) if self.count else None
        self.channels = 3
        wide = self._path.with_suffix(".rgb")
        with wide.open("wb") as stream:
            stream.write(self._header())
            for start in range(0, self.count, 256):
                if grey is not None:
                    stream.write(np.repeat(grey[start : start + 256], 3, axis=3).data)
        self._file.close()
        wide.replace(self._path)
        self._file = self._path.open("r+b")
        self._file.seek(0, os.SEEK_END)


def _rename(temporary: Path, folder: Path) -> None:
    """Put a finished folder in place; an old one, or another process's, makes way, and is deleted afterwards."""
    for _ in range(3):
        with tempfile.TemporaryDirectory(
            prefix=".decoding-old-", dir=folder.parent, ignore_cleanup_errors=True
        ) as aside:
            with contextlib.suppress(FileNotFoundError):  # nothing there
                folder.rename(Path(aside) / "old")
            with contextlib.suppress(OSError):  # another process came between
                temporary.rename(folder)
                return
    temporary.rename(folder)


def _remove_leftovers(directory: Path) -> None:
    """Delete temporary folders that a killed process left a day ago or more."""
    for leftover in directory.glob(".decoding-*"):
        try:
            if time.time() - leftover.stat().st_mtime > _DAY:
                shutil.rmtree(leftover, ignore_errors=True)
        except FileNotFoundError:
            continue
