"""Tables beside image folders (``metadata.csv``, ``metadata.jsonl``), whose labels must not contradict the folders."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from synthaug.errors import DataError

TABLES = ("metadata.csv", "metadata.jsonl")
LOAD_WITH_TABLE = (
    'To take labels from the table: ImageDataset.load(datasets.load_dataset("imagefolder", data_dir=...)["train"]).'
)
_LABELS = ("label", "labels", "class", "class_name", "category")
_FILE = "file_name"


def refuse_other_labels(folder: Path, class_folders: Iterable[str]) -> None:
    """Refuse a folder of class folders beside a table that groups the same files otherwise.

    Args:
        folder: That holds the class folders.
        class_folders: Their names.

    Raises:
        DataError: If the table's labels are no other names for the folders.
    """
    known = set(class_folders)
    for name in TABLES:
        if not (folder / name).is_file():
            continue
        pairs = {(part, label) for part, label in _labels(folder / name) if part in known}
        folders, labels = {part for part, _ in pairs}, {label for _, label in pairs}
        if not len(folders) == len(labels) == len(pairs):
            raise DataError(
                f"{folder}: expected one folder a class, but {name} gives the files in them other labels "
                f"({len(folders)} folders, {len(labels)} labels). {LOAD_WITH_TABLE} To take the folders as the "
                "classes, move the table away."
            )


def _labels(table: Path) -> Iterator[tuple[str, str]]:
    """Yield the first folder of each file, and its label, where the table has such a column."""
    for row in _rows(table):
        column = next((name for name in _LABELS if row.get(name) is not None), None)
        file = str(row.get(_FILE) or "")
        if column is not None and "/" in file:
            yield file.removeprefix("./").split("/", 1)[0], str(row[column])


def _rows(table: Path) -> Iterator[dict[str, object]]:
    try:
        with table.open(encoding="utf-8", newline="") as stream:
            if table.suffix == ".csv":
                yield from csv.DictReader(stream)
            else:
                yield from (row for line in stream if line.strip() and isinstance(row := json.loads(line), dict))
    except (ValueError, csv.Error) as error:
        raise DataError(f"{table} cannot be read: {error}.") from error
