"""Image folders: one folder a class, with or without train, validation and test folders above them.

Folders that ``synthaug generate`` wrote tell their classes themselves (`synthaug.data.sources.written`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from synthaug import storage
from synthaug.data.sources.base import Problem, Row, Source
from synthaug.data.sources.metadata import LOAD_WITH_TABLE, TABLES, refuse_other_labels
from synthaug.data.sources.selection import canonical_split, choose_split
from synthaug.data.sources.written import classes_of_folders, written_classes
from synthaug.errors import DataError, did_you_mean
from synthaug.storage import MANIFEST, METADATA

_IGNORED = {"__MACOSX", "Thumbs.db", "desktop.ini"}
ABOUT = {"README.md", METADATA, *TABLES}
"""Files at the top that tell of the images: what `synthaug generate --format imagefolder` and `datasets` write."""
_SHARDS = ".tar"


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
    top = _content(root)
    # Of a folder that tells its classes, one called "train" is a class.
    splits, unlabelled = ([], []) if written_classes(root) else _split_folders(root, top)
    if splits:
        chosen = choose_split([*splits, *unlabelled] if split is not None else splits, split, str(root))
        base, name = root / chosen, f"{name} ({chosen})"
        top = _content(base)
    elif split is not None:
        raise DataError(
            f"{root}: expected a folder for the split {split!r}, but it has none (train, validation, test)."
        )
    else:
        base = root
    # A class that one split lacks keeps its place, so that labels mean the same in all splits.
    classes = _in_one_order([_classes_of(root / part)[0] for part in splits] or [_classes_of(root)[0]])
    folders = _classes_of(base)[1]
    if not classes:
        raise _no_classes(base, top)
    refuse_other_labels(base, folders)
    _refuse_splits_below(base, folders)
    prefix = f"{base.name}/" if splits else ""
    problems = [
        Problem(prefix + entry.name, "not in a class folder, so it has no label") for entry in top if entry.is_file()
    ]
    problems += [
        Problem(f"{part}/", "a split without class folders, so its files have no labels") for part in unlabelled
    ]
    problems += [
        Problem(f"{folder}/", "a folder beside the splits, which is none (train, validation, test)")
        for folder in (_image_folders(root) if splits else ())
        if folder not in (*splits, *unlabelled)
    ]
    files: list[str] = []
    labels: list[int] = []
    listing = []
    position = {class_name: label for label, class_name in enumerate(classes)}
    known = {folder: position[class_name] for folder, class_name in folders.items() if class_name is not None}
    for folder, label in sorted(known.items(), key=lambda pair: pair[1]):
        before = len(files)
        for file, size, *times in _files_under(base / folder, f"{prefix}{folder}"):
            files.append(file)
            labels.append(label)
            listing.append(f"{file}\0{size}\0{times}\n")
        if len(files) == before and not splits:
            problems.append(Problem(f"{folder}/", "this class folder holds no files"))
    for folder in (folder for folder in folders if folder not in known):
        reason = f"{folder!r} is no class that {METADATA} or {MANIFEST} names.{did_you_mean(folder, classes)}"
        problems += [Problem(file, reason) for file, *_ in _files_under(base / folder, f"{prefix}{folder}")]
    text = "".join(listing).encode(errors="surrogatepass")
    fingerprint = storage.digest("folder", text, storage.canonical_json([str(problem) for problem in problems]))
    return FolderSource(name, root, classes, files, labels, fingerprint, problems)


def from_loose_files(root: Path, label: str) -> FolderSource:
    """List all files below a folder, whatever folders they are in, as images of one class."""
    name = root.resolve().name or str(root)
    listed = list(_files_under(root, "."))
    files = [file.removeprefix("./") for file, *_ in listed]
    text = "".join(f"{file}\0{size}\0{times}\n" for file, size, *times in listed).encode(errors="surrogatepass")
    return FolderSource(name, root, [label], files, [0] * len(files), storage.digest("loose files", text), [])


def _content(folder: Path) -> list[os.DirEntry[str]]:
    """Return the visible entries of a folder but those that tell of the others."""
    return [entry for entry in _visible(folder) if entry.name not in ABOUT]


def _classes_of(part: Path) -> tuple[list[str], dict[str, str | None]]:
    """Return the classes of a folder of class folders, in order, and each folder's class, None for no known one."""
    folders = [entry.name for entry in _content(part) if entry.is_dir()]
    classes = written_classes(part)
    if classes is None:
        return folders, dict(zip(folders, folders, strict=True))
    return classes, dict.fromkeys(folders) | classes_of_folders(folders, classes)


def _in_one_order(parts: Sequence[list[str]]) -> list[str]:
    """Return the classes of all splits: in the order of one that has them all, else sorted."""
    everything = set().union(*parts)
    return next((part for part in parts if set(part) == everything), sorted(everything))


def _no_classes(base: Path, top: Sequence[os.DirEntry[str]]) -> DataError:
    loose = [entry.name for entry in top if entry.is_file()]
    hint = ""
    if any((base / file).is_file() for file in TABLES):
        hint = f" {LOAD_WITH_TABLE}"
    if any(name.endswith(_SHARDS) for name in loose):
        hint = " WebDataset shards are not read: generate in the format imagefolder or parquet instead."
    return DataError(
        f"{base}: expected one folder a class, as in {base.name}/cat/1.png, but found no folders and {len(loose)} "
        f"files.{hint}"
    )


def holds_images(root: Path) -> bool:
    """Say whether there are image files in the folders below, by their names."""
    return any(True for _ in _image_folders(root))


def _image_folders(root: Path) -> Iterator[str]:
    """Yield the names of the folders that hold image files, by the files' names."""
    for inner in _visible(root):
        files = _files_under(Path(inner.path), inner.name) if inner.is_dir() else ()
        if any(Path(file).suffix.lower() in Image.registered_extensions() for file, *_ in files):
            yield inner.name


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


def _refuse_splits_below(base: Path, folders: Iterable[str]) -> None:
    """Check that no class folder holds splits, whose images would all be taken for training.

    Raises:
        DataError: If one does, which then is the dataset itself, or has class and split the wrong way round.
    """
    for folder in folders:
        inner = [entry.name for entry in _visible(base / folder) if entry.is_dir()]
        kinds = {name: kind for name in inner if (kind := canonical_split(name))}
        if "train" in kinds.values() and len(set(kinds.values())) > 1:
            raise DataError(
                f"{base}: expected {folder} to hold the images of one class, but it holds the folders "
                f"{', '.join(kinds)}. If these are the splits of a dataset, give {base / folder}; if {folder} is a "
                f"class, put it into the splits, as in {next(iter(kinds))}/{folder}/1.png."
            )


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
