"""Thresholds of classes from what real images score, also where a class has few."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PSEUDO_COUNT = 10
"""Images that the other classes' quantile counts for; a class with as many of its own is halfway between the two."""


def class_quantiles(
    values: NDArray[np.floating], labels: NDArray[np.int64], classes: int, quantile: float
) -> NDArray[np.float64]:
    """Return a quantile for each class, drawn towards that of all classes the more the fewer values it has.

    A quantile of n values is (n·own + 10·all) / (n + 10), where in "all" every class weighs the same.

    Args:
        values: One a real image, (N,); NaN where nothing is known.
        labels: Their labels, (N,).
        classes: Number of classes.
        quantile: From 0 to 1.

    Returns:
        (classes,); NaN for all if no value is known.

    Example:
        >>> labels = np.repeat([0, 1], [90, 10])
        >>> class_quantiles(np.repeat([1.0, 0.0], [90, 10]), labels, 3, 0.75).tolist()
        [1.0, 0.5, 1.0]
    """
    known = np.isfinite(values)
    values, labels = values[known], labels[known]
    counts = np.bincount(labels, minlength=classes)
    if not len(values):
        return np.full(classes, np.nan)
    overall = _weighted_quantile(values, 1 / counts[labels], quantile)
    own = np.array(
        [np.quantile(values[labels == label], quantile) if counts[label] else 0.0 for label in range(classes)]
    )
    shrunk: NDArray[np.float64] = (counts * own + PSEUDO_COUNT * overall) / (counts + PSEUDO_COUNT)
    return shrunk


def _weighted_quantile(values: NDArray[np.floating], weights: NDArray[np.floating], quantile: float) -> float:
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    return float(values[order][min(np.searchsorted(below, quantile * below[-1]), len(values) - 1)])
