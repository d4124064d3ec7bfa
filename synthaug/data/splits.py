"""Choosing rows by class: few-shot, long-tailed and two-way splits, stratified and reproducible.

Each class draws its own permutation from (seed, class), so a choice depends on nothing but the seed and the
class's own rows, and smaller choices are contained in larger ones of the same seed: ``few_shot(10)`` lies
inside ``few_shot(20)``. All functions return row numbers in ascending order.
"""

from __future__ import annotations

import operator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from synthaug.config import is_number
from synthaug.errors import ConfigError

Order = Literal["kept", "shuffled"]


def few_shot_indices(labels: NDArray[np.int64], classes: int, per_class: int, seed: int) -> NDArray[np.int64]:
    """Return the rows of ``per_class`` images a class; a class with fewer gives all it has."""
    count = at_least(per_class, 1, "per_class")
    return _first(_permutations(labels, classes, seed), np.full(classes, count, dtype=np.int64))


def long_tail_counts(
    classes: int, head: int, imbalance: float, order: Order = "kept", seed: int = 0
) -> NDArray[np.int64]:
    """Return the exponential profile ``head · imbalance^(-i / (classes - 1))``, shape (classes,).

    Values are rounded down, and never below 1. Class 0 is the head and the last class the tail, as in the
    paper (``order="kept"``), or the seed assigns the sizes to classes (``order="shuffled"``).

    Source: Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019.

    Example:
        >>> long_tail_counts(3, 100, 100).tolist()
        [100, 10, 1]
    """
    if not is_number(imbalance) or not 1 <= imbalance < np.inf:
        raise ConfigError(f"imbalance: expected the largest class over the smallest, 1 or more, but got {imbalance!r}.")
    if order not in ("kept", "shuffled"):
        raise ConfigError(f"order: expected 'kept' or 'shuffled', but got {order!r}.")
    position = np.arange(classes) / max(classes - 1, 1)
    # The small term keeps exact powers such as 500 · 100^-1 = 5 from falling to 4 in floating point.
    counts = np.maximum(np.floor(head * float(imbalance) ** -position + 1e-9), 1).astype(np.int64)
    if order == "shuffled":
        counts = counts[_generator(seed, classes).permutation(classes)]
    return counts


def long_tail_indices(
    labels: NDArray[np.int64], classes: int, imbalance: float, seed: int, head: int | None, order: Order
) -> NDArray[np.int64]:
    """Return the rows of a long-tailed subset (see `long_tail_counts`); ``head=None``: the largest."""
    available = np.bincount(labels, minlength=classes)
    largest = int(available.max(initial=0))
    size = largest if head is None else at_least(head, 1, "head")
    if size > largest:
        raise ConfigError(f"head: expected at most {largest}, the size of the largest class, but got {size}.")
    return _first(_permutations(labels, classes, seed), long_tail_counts(classes, size, imbalance, order, seed))


def split_indices(
    labels: NDArray[np.int64], classes: int, fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of two disjoint parts; the first holds ``fraction`` of every class and of the whole.

    A class with two images or more has at least one in each part; a single image goes to the first part. What
    whole numbers leave over goes to the classes that rounding down cost most, so that the parts' sizes come
    out right with many small classes too.
    """
    if not is_number(fraction) or not 0 < fraction < 1:
        raise ConfigError(f"fraction: expected a number between 0 and 1 (both excluded), but got {fraction!r}.")
    fraction = float(fraction)
    permutations = _permutations(labels, classes, seed)
    sizes = np.bincount(labels, minlength=classes)
    least, most = np.minimum(sizes, 1), np.maximum(sizes - 1, np.minimum(sizes, 1))
    counts = np.clip(np.floor(fraction * sizes + 1e-9).astype(np.int64), least, most)
    missing = round(fraction * labels.size) - int(counts.sum())
    ties = _generator(seed, classes + 1).random(classes)
    for position in np.lexsort((ties, counts - fraction * sizes)):
        if missing <= 0:
            break
        if counts[position] < most[position]:
            counts[position] += 1
            missing -= 1
    first = _first(permutations, counts)
    second = np.setdiff1d(np.arange(labels.size, dtype=np.int64), first, assume_unique=True)
    return first, second


def _permutations(labels: NDArray[np.int64], classes: int, seed: int) -> list[NDArray[np.int64]]:
    """Return each class's rows in the random order of (seed, class)."""
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(labels, minlength=classes))[:-1])
    return [_generator(seed, label).permutation(rows) for label, rows in enumerate(groups)]


def _first(permutations: list[NDArray[np.int64]], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    chosen = [rows[:count] for rows, count in zip(permutations, counts, strict=True)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([at_least(seed, 0, "seed"), stream])


def at_least(value: int, least: int, name: str) -> int:
    """Return an integer as int.

    Raises:
        ConfigError: If it is no integer, or below ``least``.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, (bool, np.bool_)):
        raise ConfigError(f"{name}: expected an integer of {least} or more, but got {value!r}.")
    return number


def fold_numbers(labels: NDArray[np.int64], number: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each row, (N,), stratified; −1 for the only row of a class: it is always trained on."""
    random = _generator(seed, 0xF01D)
    folds = np.full(len(labels), -1, dtype=np.int64)
    for label in np.flatnonzero(np.bincount(labels) >= 2):
        rows = random.permutation(np.flatnonzero(labels == label))
        # A random first fold, so that what whole numbers leave over is not all in one fold.
        folds[rows] = (np.arange(len(rows)) + random.integers(number)) % number
    return folds
