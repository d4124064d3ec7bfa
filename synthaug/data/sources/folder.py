"""Image folders: one folder a class, with or without train, validation and test folders above them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from synthaug import storage
from synthaug.data.sources.base import Problem, Row, Source
from synthaug.data.sources.selection import canonical_split, choose_split
from synthaug.errors import DataError

_IGNORED = {"__MACOSX", "Thumbs.db", "desktop.ini"}
_ABOUT = {"README.md", "metadata.parquet", "metadata.csv", "metadata.jsonl"}
"""Files at the top that tell of the images: what `synthaug generate --format imagefolder` and `datasets` write."""


class FolderSource(Source):
    """The files under class folders; a million relative paths stay small."""

    def __init__(
        self,
        name: str,
        root: Path,
        classes: list[str],
        files: list[str],
        labels: list[int],
        fingerprint: str,
        problems: list[Problem],
    ) -> None:
        super().__init__(name, fingerprint, classes, len(files), problems)
        self._root, self._files, self._labels = str(root), files, labels

    def rows(self) -> Iterator[Row]:
        """Yield all files, class by class, in sorted order."""
        for file, label in zip(self._files, self._labels, strict=True):
            yield Row(file, label, os.path.join(self._root, file))  # noqa: PTH118 - a million Paths cost more


def from_folder(root: Path, split: str | None) -> FolderSource:
    """List an image folder; the fingerprint is made of relative paths, sizes and times of change.

    Raises:
        DataError: If there are no class folders, or the split is not there.
    """
    name = root.resolve().name or str(root)
    top = [entry for entry in _visible(root) if entry.name not in _ABOUT]
    splits, unlabelled = _split_folders(root, top)
    if splits:
        chosen = choose_split([*splits, *unlabelled] if split is not None else splits, split, str(root))
        # A class that one split lacks keeps its place, so that labels mean the same in all splits.
        names = sorted({entry.name for part in splits for entry in _visible(root / part) if entry.is_dir()})
        base, name = root / chosen, f"{name} ({chosen})"
        top = _visible(base)
    elif split is not None:
        raise DataError(
            f"{root}: expected a folder for the split {split!r}, but it has none (train, validation, test)."
        )
    else:
        base = root
        names = [entry.name for entry in top if entry.is_dir()]
    if not names:
        loose = sum(entry.is_file() for entry in top)
        raise DataError(
            f"{base}: expected one folder a class, as in {base.name}/cat/1.png, but found no folders and {loose} files."
        )
    prefix = f"{base.name}/" if splits else ""
    problems = [
        Problem(prefix + entry.name, "not in a class folder, so it has no label") for entry in top if entry.is_file()
    ]
    problems += [
        Problem(f"{part}/", "a split without class folders, so its files have no labels") for part in unlabelled
    ]
    files: list[str] = []
    labels: list[int] = []
    listing = []
    for label, class_name in enumerate(names):
        before = len(files)
        for file, size, *times in _files_under(base / class_name, f"{prefix}{class_name}"):
            files.append(file)
            labels.append(label)
            listing.append(f"{file}\0{size}\0{times}\n")
        if len(files) == before and not splits:
            problems.append(Problem(f"{class_name}/", "this class folder holds no files"))
    text = "".join(listing).encode("utf-8", errors="surrogateescape")
    fingerprint = storage.digest("folder", text, storage.canonical_json([str(problem) for problem in problems]))
    return FolderSource(name, root, names, files, labels, fingerprint, problems)


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, sorted by name, without hidden ones."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".") and entry.name not in _IGNORED]
    except PermissionError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}.") from error
    return sorted(found, key=lambda entry: entry.name)


def _split_folders(root: Path, top: list[os.DirEntry[str]]) -> tuple[list[str], list[str]]:
    """Return the folders that are splits, and those that are splits but without labels.

    Splits are folders so named that hold class folders, if train is among them or there are no other folders.

    Raises:
        DataError: If there are a train and a test folder, and neither holds class folders.
    """
    folders = [entry for entry in top if entry.is_dir()]
    named = [entry for entry in folders if canonical_split(entry.name)]
    nested = [entry.name for entry in named if any(inner.is_dir() for inner in _visible(Path(entry.path)))]
    flat = [entry.name for entry in named if entry.name not in nested]
    if any(canonical_split(name) == "train" for name in nested):
        return nested, flat
    kinds = {canonical_split(name) for name in flat}
    if not nested and len(flat) == len(folders) and {"train", "test"} <= kinds:
        raise DataError(
            f"{root}: expected one folder a class in {flat[0]}, as in {flat[0]}/cat/1.png, but {', '.join(flat)} hold "
            "files alone, so that nothing tells their labels. If these are the classes, name them otherwise."
        )
    return (nested, []) if nested and len(nested) == len(folders) else ([], [])


def _files_under(folder: Path, relative: str) -> Iterator[tuple[str, int, int, int]]:
    """Yield (relative path, size, times of modification and change in ns) of all files; links are followed once.

    The time of change tells of files that were swapped: archives give many files one time of modification.
    """
    waiting = [(str(folder), relative)] if folder.is_dir() else []
    seen: set[tuple[int, int]] = set()
    while waiting:
        path, prefix = waiting.pop()
        status = os.stat(path)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        deeper = []
        for entry in _visible(Path(path)):
            name = f"{prefix}/{entry.name}"
            if entry.is_dir():
                deeper.append((entry.path, name))
                continue
            try:
                status = entry.stat()
            except OSError:
                yield name, -1, 0, 0  # a dangling link: decoding says so
                continue
            yield name, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        waiting.extend(reversed(deeper))
