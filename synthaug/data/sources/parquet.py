"""Parquet files: one, several, or a folder of them, with the splits that their names tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from synthaug import storage
from synthaug.data.sources.base import Broken, Problem, Row, Source, shown_as
from synthaug.data.sources.selection import choose_split, split_in_path
from synthaug.data.sources.tables import Columns, features_of, integer_labels, is_text, table_rows, text_classes
from synthaug.errors import DataError, listed

_BATCH_BYTES = 1 << 23
_SUFFIXES = (".parquet", ".pq")


class ParquetSource(Source):
    """Rows of Parquet files, read a small batch at a time."""

    def __init__(
        self,
        name: str,
        fingerprint: str | None,
        classes: Sequence[str] | None,
        total: int,
        problems: Sequence[Problem],
        files: Sequence[tuple[str, Path]],
        columns: Columns,
        labels: Sequence[int] = (),
    ) -> None:
        super().__init__(name, fingerprint, classes, total, problems, labels)
        self._files, self._columns = files, columns

    def rows(self) -> Iterator[Row]:
        """Yield all rows, file by file."""
        wanted = list(dict.fromkeys([self._columns.image, self._columns.label]))
        for shown, path in self._files:
            number = 0
            try:
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches(_batch_rows(file.metadata), columns=wanted, use_threads=False):
                        yield from table_rows(batch, self._columns, shown, number, path.parent)
                        number += len(batch)
            except (pa.ArrowException, OSError) as error:
                # The label says nothing here, but a row needs one to get as far as its image.
                yield Row(f"{shown} from row {number}", 0, Broken(f"the file is damaged ({error})"))


def files_under(folder: Path) -> list[Path]:
    """Return the Parquet files in a folder and the folders below, sorted, without hidden ones.

    Those that only tell of an image folder's files (``metadata.parquet``) are none.
    """
    found = (path for suffix in _SUFFIXES for path in folder.rglob(f"*{suffix}") if path.name != storage.METADATA)
    return sorted(path for path in found if not _hidden(path.relative_to(folder)) and path.is_file())


def from_files(
    files: Sequence[Path], root: Path, split: str | None, image_column: str | None, label_column: str | None
) -> ParquetSource:
    """Choose the files of a split, the columns and the classes; the fingerprint is made of sizes and times.

    Raises:
        DataError: If a file lacks a column, none can be read, or the split is not there.
    """
    everything = [(shown_as(path.relative_to(root).as_posix()), path) for path in files]
    name = files[0].stem if len(files) == 1 else root.resolve().name
    chosen = everything
    splits: dict[str, list[tuple[str, Path]]] = {}
    unnamed = []
    for shown, path in everything:
        if found := split_in_path(shown):
            splits.setdefault(found, []).append((shown, path))
        else:
            unnamed.append(shown)
    if split is not None and not splits:
        raise DataError(f"{root}: expected files named after the split {split!r}, as in train.parquet, but found none.")
    if splits:
        if unnamed:
            raise DataError(
                f"{root}: expected all files to be named after a split, or none, but got {', '.join(splits)} beside "
                f"{listed(unnamed)}. Rename them, or give one kind "
                "alone, as in 'folder/cats-*.parquet'."
            )
        part = choose_split(splits, split, str(root))
        chosen = splits[part]
        name = f"{root.resolve().name} ({part})"
    readable, problems, schema, total, whole = [], [], None, 0, True
    for shown, path in chosen:
        try:
            metadata, own = pq.read_metadata(path), pq.read_schema(path)
        except (pa.ArrowException, OSError, UnicodeEncodeError) as error:  # the last: pyarrow wants names in UTF-8
            problems.append(Problem(shown, f"not a readable Parquet file ({error})"))
            continue
        if schema is None:
            schema = own
            columns = Columns(schema, features_of(schema), image_column, label_column, shown)
        elif missing := {columns.image, columns.label} - set(own.names):
            raise DataError(
                f"{shown}: expected the column {min(missing)!r} as in {readable[0][0]}, "
                f"but it has {', '.join(own.names)}."
            )
        elif difference := _other_labels(own, schema, columns):
            raise DataError(
                f"{shown}: expected labels as in {readable[0][0]}, but got {difference}: one label would mean several "
                "classes. Write both with the same names, or the classes' names as text."
            )
        readable.append((shown, path))
        total += metadata.num_rows
        whole = whole and _holds_images(metadata, own, columns.image)
    if schema is None:
        raise DataError(f"{root}: expected readable Parquet files, but found none. {problems[0]}")
    classes, labels = columns.classes, []
    if classes is None and (len(splits) > 1 or is_text(schema.field(columns.label).type)):
        # From all splits, so that a class that one of them lacks keeps its place.
        labels = _distinct([path for _, path in everything], columns.label)
        if is_text(schema.field(columns.label).type):
            classes, labels = text_classes(labels), []
    status = [(shown, path.stat().st_size, path.stat().st_mtime_ns, path.stat().st_ctime_ns) for shown, path in chosen]
    fingerprint: str | None = storage.digest("parquet", storage.canonical_json([status, columns.image, columns.label]))
    if not whole:
        fingerprint = None  # files that are named may change while these do not
    return ParquetSource(name, fingerprint, classes, total, problems, readable, columns, integer_labels(labels))


def _other_labels(own: pa.Schema, first: pa.Schema, columns: Columns) -> str | None:
    """Say how the labels of a file differ from those of the first one; None if they mean the same."""
    if is_text(own.field(columns.label).type) != is_text(first.field(columns.label).type):
        return f"labels of the type {own.field(columns.label).type}"
    names = features_of(own).get(columns.label, {}).get("names")
    if names is None or columns.classes is None or list(names) == columns.classes:
        return None
    return f"the classes {listed(names)}"


def _hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _holds_images(metadata: pq.FileMetaData, schema: pa.Schema, column: str) -> bool:
    """Say whether a file holds all its images, by its statistics, rather than names of image files."""
    if is_text(schema.field(column).type):
        return False
    parts = [
        metadata.row_group(group).column(number)
        for group in range(metadata.num_row_groups)
        for number in range(metadata.num_columns)
    ]
    encoded = [part.statistics for part in parts if part.path_in_schema == f"{column}.bytes"]
    return all(found is not None and found.null_count == 0 for found in encoded)


def _distinct(files: Sequence[Path], column: str) -> list[object]:
    found: set[object] = set()
    for path in files:
        try:
            found.update(pq.read_table(path, columns=[column]).column(0).unique().to_pylist())
        except (pa.ArrowException, OSError, IndexError, UnicodeEncodeError):
            continue  # a damaged file, or one of another table: reading its images says so
    return list(found)


def _batch_rows(metadata: pq.FileMetaData) -> int:
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    each = max(int(size) // max(int(metadata.num_rows), 1), 1)
    return min(max(_BATCH_BYTES // each, 1), 1024)
