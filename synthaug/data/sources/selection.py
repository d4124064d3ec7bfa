"""Which part of a source to read, and which columns of a table."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence

from synthaug.errors import DataError, did_you_mean

logger = logging.getLogger("synthaug.data")

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
_IMAGE_NAMES = ("image", "images", "img", "picture", "photo", "pixels")
LABEL_NAMES = ("label", "labels", "class", "class_name", "target", "y", "category", "fine_label")


_NO_LABELS = {
    *("id", "ids", "uuid", "guid", "index", "idx", "file", "filename", "path", "filepath", "url", "uri", "hash", "md5"),
    *("caption", "text", "description"),
}
"""Last words of names of columns that tell images apart, or describe them, rather than say their class."""


def canonical_split(name: str) -> str | None:
    """Return train, validation or test for the usual spellings, else None.

    Example:
        >>> canonical_split("Val"), canonical_split("cats")
        ('validation', None)
    """
    return _SPLITS.get(name.lower())


def split_in_path(path: str) -> str | None:
    """Return the split that a relative path names (``data/train-00000-of-00002.parquet``), else None."""
    for part in reversed(path.split("/")):
        for word in re.split(r"[-_.]", part):
            if found := canonical_split(word):
                return found
    return None


def choose_split(available: Iterable[str], wanted: str | None, where: str) -> str:
    """Return the name in ``available`` that is meant; with none named, train, and say so.

    Raises:
        DataError: If there is no such split, or none was named and none is train.
    """
    names = tuple(available)
    listed = ", ".join(names)
    if wanted is not None:
        if wanted in names:
            return wanted
        canonical = canonical_split(wanted)
        for name in names:
            if canonical is not None and canonical_split(name) == canonical:
                return name
        raise DataError(
            f"{where}: expected one of the splits {listed}, but got {wanted!r}.{did_you_mean(wanted, names)}"
        )
    if len(names) == 1:
        return names[0]
    for name in names:
        if canonical_split(name) == "train":
            logger.warning("%s has the splits %s; using %s.", where, listed, name)
            return name
    raise DataError(f"{where}: expected split= to name one of {listed}, but it was left out and none is train.")


def choose_column(what: str, named: str | None, candidates: Sequence[str], columns: Sequence[str], where: str) -> str:
    """Return the column that is named, or the candidate with a usual name, or the only candidate.

    An only candidate for the label that names or describes single images is none.

    Args:
        what: "image" or "label".
        named: What the user asked for.
        candidates: Columns whose type fits, the surest kind only.
        columns: All columns.
        where: The source, for messages.

    Raises:
        DataError: If there is no such column, or it cannot be told which.
    """
    if named is not None:
        if named in columns:
            return named
        raise DataError(
            f"{where}: expected {what}_column to be one of {', '.join(columns)}, but got {named!r}."
            f"{did_you_mean(named, columns)}"
        )
    for usual in _IMAGE_NAMES if what == "image" else LABEL_NAMES:
        for column in candidates:
            if column.lower() == usual:
                return column
    likely = [column for column in candidates if what == "image" or not _tells_images_apart(column)]
    if len(likely) == 1:
        return likely[0]
    found = f"several columns could be ({', '.join(candidates)})" if candidates else "no column looks like one"
    if candidates and not likely:
        found = f"{', '.join(candidates)} {'name or describe' if len(candidates) > 1 else 'names or describes'} images"
    raise DataError(
        f"{where}: expected one {what} column, but {found}. Name it with {what}_column=; columns: {', '.join(columns)}."
    )


def _tells_images_apart(column: str) -> bool:
    """Say whether a column by its name holds identifiers, files or texts, one an image."""
    words = [word for word in re.split(r"[\W_]+", column.lower()) if word]
    return column.startswith("__index_level") or not _NO_LABELS.isdisjoint([*words[-1:], "".join(words[-2:])])
