"""Class names and labels: one place that resolves them, and that refuses what it does not know."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import LabelError, did_you_mean

ClassKey = str | int


def class_index(key: ClassKey, classes: Sequence[str]) -> int:
    """Return the label of a class given by name or by label.

    Raises:
        LabelError: If there is no such class; the message names close ones.

    Example:
        >>> class_index("boot", ["sneaker", "boot"])
        1
    """
    if isinstance(key, str):
        try:
            return list(classes).index(key)
        except ValueError:
            raise LabelError(
                f"expected one of the {len(classes)} classes ({_some(classes)}), but got {key!r}."
                f"{did_you_mean(key, classes)}"
            ) from None
    try:
        label = operator.index(key)
    except TypeError:
        raise LabelError(f"expected a class name or an integer label, but got {key!r}.") from None
    if isinstance(key, (bool, np.bool_)) or not 0 <= label < len(classes):
        raise LabelError(f"expected a label from 0 to {len(classes) - 1} ({_some(classes)}), but got {key!r}.")
    return label


def check_labels(labels: NDArray[np.integer], classes: Sequence[str]) -> NDArray[np.int64]:
    """Return labels of shape (N,) as int64.

    Raises:
        LabelError: If a label is out of range, not an integer, or the array is not one-dimensional.
    """
    array = np.asarray(labels)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise LabelError(
            f"expected a one-dimensional array of integer labels, but got shape {array.shape} of {array.dtype}."
        )
    wrong = np.flatnonzero((array < 0) | (array >= len(classes)))
    if wrong.size:
        raise LabelError(
            f"expected labels from 0 to {len(classes) - 1}, but {wrong.size} of {array.size} are outside; "
            f"the first is {array[wrong[0]]} at position {wrong[0]}."
        )
    return array.astype(np.int64)


def match_labels(labels: NDArray[np.integer], classes: Sequence[str], others: Sequence[str]) -> NDArray[np.int64]:
    """Return labels among other classes for labels among some: classes are the same when their names are.

    Args:
        labels: Among ``classes``, (N,).
        classes: Names by which the labels go; those that do not occur need not be known.
        others: Names among which the new labels are.

    Returns:
        Labels among ``others``, (N,).

    Raises:
        LabelError: If a class that occurs is unknown among the others.

    Example:
        >>> match_labels(np.array([0, 1]), ["boot", "sneaker"], ["shirt", "sneaker", "boot"]).tolist()
        [2, 1]
    """
    place = np.zeros(len(classes), dtype=np.int64)
    if tuple(classes) == tuple(others):
        place = np.arange(len(classes))
    else:
        for label in np.unique(labels).tolist():
            place[label] = class_index(classes[label], others)
    matched: NDArray[np.int64] = place[labels]
    return matched


def resolve_counts(counts: Mapping[ClassKey, int] | int, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return how many samples each class gets, shape (number of classes,).

    Args:
        counts: The same number for every class, or a mapping from class name or label to a number.
        classes: All class names.

    Raises:
        LabelError: If a class is unknown or named twice, or a number is negative or no integer.

    Example:
        >>> resolve_counts({"boot": 4}, ["sneaker", "boot"]).tolist()
        [0, 4]
    """
    if isinstance(counts, Mapping):
        totals = np.zeros(len(classes), dtype=np.int64)
        seen: set[int] = set()
        for key, number in counts.items():
            label = class_index(key, classes)
            if label in seen:
                raise LabelError(f"class {classes[label]!r} is named twice in counts (by name and by label).")
            seen.add(label)
            totals[label] = _count(number, key)
        return totals
    return np.full(len(classes), _count(counts, "per_class"), dtype=np.int64)


def _count(number: int, key: ClassKey) -> int:
    try:
        value = operator.index(number)
    except TypeError:
        value = -1
    if value < 0 or isinstance(number, (bool, np.bool_)):
        raise LabelError(f"expected a number of samples of 0 or more for {key!r}, but got {number!r}.")
    return value


def _some(classes: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(classes[:most])
    return shown if len(classes) <= most else f"{shown}, … {len(classes) - most} more"
