"""The one place that tells what kind of source a user has given."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import Any

from synthaug.data.sources import arrays, builtin, folder, huggingface, mapstyle, parquet
from synthaug.data.sources.base import Source
from synthaug.errors import DataError, did_you_mean
from synthaug.storage import BANK

KINDS = (
    "a folder of class folders, Parquet files, a Hugging Face dataset, a torchvision dataset, "
    "(images, labels) arrays, or one of " + ", ".join(map(repr, builtin.BUILTIN))
)


def find_source(
    source: Any, *, split: str | None = None, image_column: str | None = None, label_column: str | None = None
) -> Source:
    """Return the source that reads what the user has given; see `ImageDataset.load`.

    Raises:
        DataError: If it is missing, unknown or of no known kind, or a column is named and it has none.
    """
    found = _found(source, split, image_column, label_column)
    if not isinstance(found, (parquet.ParquetSource, huggingface.HuggingFaceSource)):
        refuse_columns(found.name, image_column, label_column)
    return found


def refuse_columns(name: str, image_column: str | None, label_column: str | None) -> None:
    """Raise `DataError` if a column is named, for what has none."""
    column = image_column or label_column
    if column:
        raise DataError(
            f"expected a table (Parquet files or a Hugging Face dataset) with the column {column!r}, but {name!r} has "
            "no columns. Leave image_column and label_column out."
        )


def _found(source: Any, split: str | None, image_column: str | None, label_column: str | None) -> Source:
    if isinstance(source, (str, os.PathLike)):
        return _named(source, split, image_column, label_column)
    if huggingface.is_dataset(source):
        return huggingface.from_object(source, split, image_column, label_column)
    if split is not None:
        raise DataError(f"expected no split for a {type(source).__name__}, but got {split!r}: pass the part itself.")
    if isinstance(source, (tuple, list)) and len(source) in (2, 3):
        return arrays.from_tuple(source, "arrays")
    if hasattr(source, "__getitem__") and hasattr(source, "__len__") and not hasattr(source, "dtype"):
        return mapstyle.from_dataset(source)
    raise DataError(f"expected {KINDS}, but got {type(source).__name__}.")


def _named(
    source: str | os.PathLike[str], split: str | None, image_column: str | None, label_column: str | None
) -> Source:
    text = os.fspath(source)
    if isinstance(source, str) and text in builtin.BUILTIN:
        return builtin.BUILTIN[text](split)
    path = Path(text).expanduser()
    if path.is_dir():
        if huggingface.is_saved(path):
            return huggingface.from_saved(path, split, image_column, label_column)
        if (path / BANK).is_file():
            raise DataError(
                f"expected {KINDS}, but {text} is a bank of samples. Open it with SampleBank.open, or generate in the "
                "format imagefolder or parquet."
            )
        files = parquet.files_under(path)
        if files:
            try:
                return parquet.from_files(files, path, split, image_column, label_column)
            except DataError:
                if image_column or label_column or not folder.holds_images(path):
                    raise  # else: tables of something else beside an image folder
        return folder.from_folder(path, split)
    if path.is_file():
        if path.suffix.lower() in (".parquet", ".pq"):
            return parquet.from_files([path], path.parent, split, image_column, label_column)
        advice = " Read it with pandas, and pass images and labels: docs/data.md." if path.suffix == ".csv" else ""
        raise DataError(f"expected {KINDS}, but {text} is a {path.suffix or 'plain'} file.{advice}")
    if glob.has_magic(text):
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207 - patterns may be absolute
        files = [match for match in matches if match.is_file()]
        if files:
            common = Path(os.path.commonpath([str(file.parent) for file in files]))
            return parquet.from_files(files, common, split, image_column, label_column)
        raise DataError(f"expected Parquet files, but nothing matches {text}.")
    if isinstance(source, str) and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", text) and not path.parent.is_dir():
        try:
            return huggingface.from_hub(text, split, image_column, label_column)
        except DataError as error:
            cousins = [entry / path.name for entry in Path().iterdir() if (entry / path.name).exists()]
            raise DataError(f"{error}{did_you_mean(text, map(str, cousins))}") from error
    close = did_you_mean(text, [*builtin.BUILTIN, *_siblings(path)])
    raise DataError(
        f"expected {KINDS}, but there is no file or folder {text}.{close} "
        "Datasets on the Hugging Face hub are named owner/name."
    )


def _siblings(path: Path) -> list[str]:
    """Names beside a path that does not exist, written the way the user wrote it."""
    parent = path.parent
    return [str(parent / entry.name) for entry in parent.iterdir()] if parent.is_dir() else []
