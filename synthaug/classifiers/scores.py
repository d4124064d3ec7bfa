"""How well predictions match labels: accuracy, balanced accuracy, recall of each class."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import DataError

Metric = Literal["balanced_accuracy", "accuracy"]


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of a classifier on one set of images; all are shares from 0 to 1.

    Attributes:
        accuracy: Share of the images whose class was found.
        balanced_accuracy: Mean recall over the classes that occur, so a rare class counts as much as a common one.
        recall: Share found of each class; `None` for a class without images.
        count: Number of images.
    """

    accuracy: float
    balanced_accuracy: float
    recall: tuple[float | None, ...]
    count: int

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as JSON-able values."""
        return dataclasses.asdict(self) | {"recall": list(self.recall)}


def score(predictions: NDArray[np.integer], labels: NDArray[np.integer], classes: int) -> Scores:
    """Compare predicted with true labels.

    Args:
        predictions: Predicted labels, (N,).
        labels: True labels, (N,), from 0 to ``classes`` − 1.
        classes: Number of classes.

    Raises:
        DataError: If there are no images, or the arrays differ in shape.

    Example:
        >>> score(np.array([0, 0, 1]), np.array([0, 1, 1]), classes=3).recall
        (1.0, 0.5, None)
    """
    if predictions.shape != labels.shape or labels.ndim != 1 or not len(labels):
        raise DataError(
            f"score: expected predictions and labels of one shape (N,) with N of 1 or more, but got "
            f"{predictions.shape} and {labels.shape}."
        )
    totals = np.bincount(labels, minlength=classes)
    found = np.bincount(labels[predictions == labels], minlength=classes)
    recall = tuple(int(hit) / int(all_) if all_ else None for hit, all_ in zip(found, totals, strict=True))
    occurring = [value for value in recall if value is not None]
    return Scores(
        accuracy=int(found.sum()) / len(labels),
        balanced_accuracy=float(np.mean(occurring)),
        recall=recall,
        count=len(labels),
    )


def image_groups(labels: NDArray[np.integer], metric: Metric) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which group each image is in, (N,), and the sizes of the groups, (G,); a metric is their mean.

    For balanced accuracy these are the classes that occur, for accuracy all images are one.
    """
    groups = labels if metric == "balanced_accuracy" else np.zeros_like(labels)
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return group, sizes


def image_weights(labels: NDArray[np.integer], metric: Metric) -> NDArray[np.float64]:
    """Return what each image counts in a metric, (N,); the sum is 1.

    Example:
        >>> image_weights(np.array([0, 0, 1]), "balanced_accuracy").tolist()
        [0.25, 0.25, 0.5]
    """
    group, sizes = image_groups(labels, metric)
    weights: NDArray[np.float64] = 1 / (len(sizes) * sizes[group])
    return weights
