"""What every kind of source hands over: rows of (where, label, image), and a cheap name of its content."""

from __future__ import annotations

import math
import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthaug.errors import DataError, did_you_mean

RawLabel = int | str


def shown_as(text: str) -> str:
    r"""Return text that can be written as UTF-8: what a file name holds that is none is spelt out.

    Names of sources and classes, labels and problems are made with it; files are opened by the name as it is.

    Example:
        >>> print(shown_as("caf\udce9.png"), shown_as("café.png"))
        caf\udce9.png café.png
    """
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


@dataclass(frozen=True, slots=True)
class Problem:
    """One entry of a source that could not be used.

    Attributes:
        path: The file (as `shown_as` shows it), or the row of a table (``train.parquet row 17``).
        reason: Why it was left out.
    """

    path: str
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", shown_as(self.path))
        object.__setattr__(self, "reason", shown_as(self.reason))

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Broken:
    """Stands where a row's image should be when the source itself could not hand it over."""

    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a source, not yet decoded.

    Attributes:
        where: What `Problem.path` will say.
        label: As the source has it: an integer, a class name, None.
        image: A file path (str), encoded bytes, a PIL image, an array, or `Broken`.
    """

    where: str
    label: object
    image: object


class Source(ABC):
    """A labelled image source.

    Attributes:
        name: Short human name.
        fingerprint: Names the content without reading it all, or None when only reading can tell.
        classes: Class names, or None when the distinct labels are the classes.
        total: Number of rows, for progress; None when unknown.
        problems: What was already found unusable while listing.
        known_labels: Integer labels of all splits: they are classes too, where ``classes`` is None.
    """

    def __init__(
        self,
        name: str,
        fingerprint: str | None,
        classes: Sequence[str] | None,
        total: int | None,
        problems: Sequence[Problem] = (),
        known_labels: Sequence[int] = (),
    ) -> None:
        self.name = shown_as(name)
        self.fingerprint = fingerprint
        self.classes = None if classes is None else unique_classes(classes, name)
        self.total = total
        self.problems = tuple(problems)
        self.known_labels = tuple(known_labels)

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """Yield all rows in a fixed order; may be called more than once."""


def unique_classes(classes: Sequence[str], where: str) -> tuple[str, ...]:
    """Return class names as a tuple of readable text; refuse names that occur twice."""
    names = tuple(shown_as(str(name)) for name in classes)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{where}: expected every class name once, but {twice!r} occurs more than once.")
    return names


def read_label(raw: Any, classes: dict[str, int] | None) -> RawLabel:
    """Return a row's label as an integer below the number of classes, or, without classes, as it is.

    Raises:
        ValueError: If the label is missing or unknown; the message is the reason for `Problem`.
    """
    if hasattr(raw, "item") and getattr(raw, "size", 1) != 0:
        try:
            raw = raw.item()  # NumPy and torch scalars
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"expected one label, but got {type(raw).__name__} of several values") from error
    if isinstance(raw, bytes):
        raw = raw.decode("utf-8", errors="replace")
    if raw is None or raw == "" or (isinstance(raw, float) and math.isnan(raw)):
        raise ValueError("it has no label")
    if isinstance(raw, bool) and classes is None:
        return str(raw)
    if isinstance(raw, str):
        text = shown_as(raw)
        if classes is None:
            return text
        if text not in classes:
            raise ValueError(f"unknown class {text!r}.{did_you_mean(text, classes)}")
        return classes[text]
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)  # integer columns with gaps come as floats
    try:
        label = operator.index(raw)
    except TypeError:
        raise ValueError(f"expected an integer label or a class name, but got {raw!r}") from None
    if label < 0:
        raise ValueError(f"label {label} means no label")
    if classes is not None and label >= len(classes):
        raise ValueError(f"label {label} is out of range: there are {len(classes)} classes, 0 to {len(classes) - 1}")
    return label


def classes_of(raw: Sequence[RawLabel]) -> tuple[str, ...]:
    """Return the class names that distinct labels stand for, where a source names none.

    Text becomes classes in sorted order. Integers stay the labels they are (classes ``"0"`` … ``"max"``) when
    0 is among them and at least half of the range occurs; otherwise each distinct integer, in order, is a
    class named by it.
    """
    distinct = set(raw)
    if any(isinstance(label, str) for label in distinct):
        return tuple(sorted(str(label) for label in distinct))
    numbers = sorted(int(label) for label in distinct)
    if numbers and numbers[0] == 0 and len(numbers) * 2 >= numbers[-1] + 1:
        return tuple(str(number) for number in range(numbers[-1] + 1))
    return tuple(str(number) for number in numbers)


def labels_of(raw: Sequence[RawLabel], classes: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return raw labels as positions in ``classes`` found by `classes_of`, shape (N,)."""
    index = {name: position for position, name in enumerate(classes)}
    return np.fromiter((index[str(label)] for label in raw), dtype=np.int64, count=len(raw))


def status_of(paths: Iterable[str]) -> list[tuple[str, int, int, int]]:
    """Return the absolute name, size and times of each file, which change with its content; −1 where there is none."""
    found = []
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116 - a quarter of the time of Path's
            found.append((os.path.abspath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns))  # noqa: PTH100
        except (OSError, ValueError):
            found.append((os.path.abspath(path), -1, 0, 0))  # noqa: PTH100 - decoding says so
    return found
