"""Hugging Face datasets: an object, a ``save_to_disk`` folder, or a name on the hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from synthaug import storage
from synthaug.data.sources.base import Row, Source, status_of
from synthaug.data.sources.selection import choose_split
from synthaug.data.sources.tables import Columns, features_of, integer_labels, is_text, table_rows, text_classes
from synthaug.errors import DataError, MissingExtraError


class HuggingFaceSource(Source):
    """Rows of a map-style ``datasets.Dataset``, read as Arrow tables: images stay encoded until needed."""

    def __init__(self, dataset: Any, columns: Columns, name: str, fingerprint: str, labels: Sequence[int] = ()) -> None:
        super().__init__(name, fingerprint, columns.classes, len(dataset), (), labels)
        self._dataset, self._columns = dataset, columns

    def rows(self) -> Iterator[Row]:
        """Yield all rows in order."""
        wanted = list(dict.fromkeys([self._columns.image, self._columns.label]))
        tables = self._dataset.select_columns(wanted).with_format("arrow").iter(batch_size=64)
        first = 0
        for table in tables:
            yield from table_rows(table, self._columns, self.name, first, Path())
            first += len(table)


def is_dataset(source: Any) -> bool:
    """Tell whether an object is of the ``datasets`` library, without importing it."""
    return any(kind.__module__.split(".")[0] == "datasets" for kind in type(source).__mro__)


def is_saved(path: Path) -> bool:
    """Tell whether a folder was written by ``save_to_disk``."""
    return (path / "state.json").is_file() or (path / "dataset_dict.json").is_file()


def from_object(
    source: Any,
    split: str | None,
    image_column: str | None,
    label_column: str | None,
    name: str | None = None,
) -> HuggingFaceSource:
    """Make a source of a ``Dataset``, or of one split of a ``DatasetDict``.

    Raises:
        DataError: If it streams, or its split or columns cannot be told.
    """
    parts = list(source.values()) if isinstance(source, dict) else [source]
    if isinstance(source, dict):
        chosen = choose_split(source, split, name or "dataset")
        name = f"{name or 'dataset'} ({chosen})"
        source = source[chosen]
    elif split is not None and str(getattr(source, "split", None)) != split:
        raise DataError(
            f"expected split= for a DatasetDict only, but got {split!r} for a Dataset: pass the part itself."
        )
    if not hasattr(source, "select_columns") or not hasattr(source, "__len__"):
        raise DataError(
            f"expected a map-style datasets.Dataset, but got {type(source).__name__}: load it with streaming=False."
        )
    info = getattr(source, "info", None)
    name = name or getattr(info, "dataset_name", None) or "dataset"
    schema = source.features.arrow_schema
    columns = Columns(schema, features_of(schema), image_column, label_column, name)
    labels: list[int] = []
    if columns.classes is None:
        # From all splits, so that a class that one of them lacks keeps its place.
        having = [part for part in parts if columns.label in part.column_names]
        distinct = {value for part in having for value in part.unique(columns.label)}
        if is_text(schema.field(columns.label).type):
            columns.classes = text_classes(distinct)
        elif len(having) > 1:
            labels = integer_labels(distinct)
    named = storage.canonical_json(status_of(_named_files(source.data.column(columns.image))))
    fingerprint = storage.digest("datasets", source._fingerprint, columns.image, columns.label, named)
    return HuggingFaceSource(source, columns, name, fingerprint, labels)


def _named_files(images: pa.ChunkedArray) -> list[str]:
    """Return the files that a column names in place of holding their images: these may change while it does not."""
    if is_text(images.type):
        return [path for path in images.unique().to_pylist() if path]
    if not pa.types.is_struct(images.type) or {"bytes", "path"} - {field.name for field in images.type}:
        return []
    encoded, paths = (pc.struct_field(images, name) for name in ("bytes", "path"))
    named = pc.and_(pc.is_null(encoded), pc.is_valid(paths))
    return [str(path) for path in pc.filter(paths, named).to_pylist()]


def from_saved(path: Path, split: str | None, image_column: str | None, label_column: str | None) -> HuggingFaceSource:
    """Make a source of a folder that ``save_to_disk`` wrote.

    Raises:
        DataError: If it cannot be read, or its split or columns cannot be told.
    """
    datasets = _library()
    try:
        dataset = datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} looks like a saved Hugging Face dataset, but cannot be read: {error}") from error
    return from_object(dataset, split, image_column, label_column, path.resolve().name)


def from_hub(name: str, split: str | None, image_column: str | None, label_column: str | None) -> HuggingFaceSource:
    """Download (once) and read a dataset of the Hugging Face hub.

    Raises:
        DataError: If there is no such dataset, no network, or its split or columns cannot be told.
    """
    datasets = _library()
    try:
        dataset = datasets.load_dataset(name)
    except (OSError, ValueError, RuntimeError) as error:  # the hub's own errors derive from these
        raise DataError(
            f"expected a file, a folder or a Hugging Face dataset, but there is no file or folder {name}, "
            f"and the hub gave: {type(error).__name__}: {error}"
        ) from error
    return from_object(dataset, split, image_column, label_column, name)


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError(
            f"datasets is not installed ({error}). Install it with: pip install datasets"
        ) from error
    return datasets
