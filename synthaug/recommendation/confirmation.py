"""The honest number: the winner of the race against real images alone, on images that chose nothing.

The best of many looks better than it is, so what the race measured is not reported as a gain. Real images are cut into
folds; one chooses, the others confirm: each of their images is judged by classifiers that have not seen it, with and
without samples. The interval is that of the paired differences image by image, the normal one of cross-validation
(Bayle et al. 2020, "Cross-validation confidence intervals for test error"), with the variance between seeds added.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synthaug.evaluation.statistics import PairedDifference
from synthaug.recommendation.trial import Metric

LEAST_SEEDS = 3
"""Classifiers of each arm and fold that an answer takes."""

_PRIOR_IMAGES = 2.0
"""Images that the usual variance counts for in a class; three images that agree by chance are not sure."""


@dataclasses.dataclass(frozen=True)
class FoldHits:
    """What both arms got right on the images of one fold.

    Attributes:
        labels: True labels, (N,).
        treatment: Whether the classifier with samples was right, (S, N) of bool; a row a seed.
        control: The same without samples, with the same seeds.
    """

    labels: NDArray[np.int64]
    treatment: NDArray[np.bool_]
    control: NDArray[np.bool_]

    def of_class(self, label: int) -> FoldHits:
        """Return the images of one class."""
        chosen = self.labels == label
        return FoldHits(self.labels[chosen], self.treatment[:, chosen], self.control[:, chosen])


@dataclasses.dataclass(frozen=True)
class Confirmed:
    """The winner of the race beside real images alone, on the folds that chose nothing.

    Attributes:
        folds: What both arms got right.
        metric: What is compared.
        names: Names of the classes.
    """

    folds: Sequence[FoldHits]
    metric: Metric
    names: Sequence[str]

    @property
    def images(self) -> int:
        """How many chose nothing."""
        return sum(len(fold.labels) for fold in self.folds)

    @property
    def seeds(self) -> int:
        """Classifiers of each arm on each fold."""
        return len(self.folds[0].control)

    @functools.cached_property
    def gain(self) -> PairedDifference:
        """What the winner gains, with the interval of 95 %."""
        return cross_validated_difference(self.folds, self.metric)

    @functools.cached_property
    def classes(self) -> dict[str, PairedDifference]:
        """The same by class."""
        return class_differences(self.folds, self.names)

    def lower_end(self, confidence: float) -> float | None:
        """Return the lower end of the gain's interval at another confidence."""
        return cross_validated_difference(self.folds, self.metric, confidence).low


def cross_validated_difference(
    folds: Sequence[FoldHits], metric: Metric = "balanced_accuracy", confidence: float = 0.95
) -> PairedDifference:
    """Compare two arms over folds of one dataset, image by image.

    The variance of the mean is that of the images, by class for balanced accuracy, plus that of the seeds; Student's t
    with the degrees of freedom of Welch and Satterthwaite. With a single seed it is that of the images alone. What
    another generator, or other training images, would have done is not in it.

    Args:
        folds: With as many seeds each, and an image at least; no image is in two of them.
        metric: What is compared.
        confidence: Of the interval.

    Returns:
        The difference of the metric over all images. Its ``differences`` are those of each fold and seed.

    Example:
        >>> random = np.random.default_rng(0)
        >>> labels = np.repeat([0, 1], 100)
        >>> better, worse = (random.random((3, 200)) < share for share in (0.9, 0.6))
        >>> gain = cross_validated_difference([FoldHits(labels, better, worse)])
        >>> 0.2 < gain.low < gain.mean < gain.high < 0.4
        True
    """
    labels = np.concatenate([fold.labels for fold in folds])
    differences = [fold.treatment.astype(float) - fold.control for fold in folds]
    images = np.concatenate([fold.mean(axis=0) for fold in differences])
    groups = labels if metric == "balanced_accuracy" else np.zeros_like(labels)
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    weights = 1 / (len(sizes) * sizes[group])
    pieces = np.split(weights, np.cumsum([len(fold.labels) for fold in folds])[:-1])
    runs = [piece * fold for piece, fold in zip(pieces, differences, strict=True)]
    sums = [run.sum(axis=1) for run in runs]  # of each seed: what the fold adds to the whole
    mean = float((weights * images).sum())
    each = np.concatenate([run / piece.sum() for run, piece in zip(sums, pieces, strict=True)])
    low = high = std = None
    if len(labels) > len(sizes):
        by_image = float((_variances(images, group, sizes) / sizes).sum() / len(sizes) ** 2)
        seeds = len(sums[0])
        by_seed = float(sum(run.var(ddof=1) / seeds for run in sums)) if seeds > 1 else 0.0
        half = _quantile(by_image, len(labels) - len(sizes), by_seed, len(folds) * (seeds - 1), confidence)
        low, high = mean - half, mean + half
        std = float(each.std(ddof=1)) if len(each) > 1 else None
    return PairedDifference(
        mean=mean,
        low=low,
        high=high,
        std=std,
        pairs=len(each),
        wins=int((each > 0).sum()),
        losses=int((each < 0).sum()),
        confidence=confidence,
        differences=tuple(each.tolist()),
    )


def class_differences(folds: Sequence[FoldHits], classes: Sequence[str]) -> dict[str, PairedDifference]:
    """Compare the recall of each class that has images in every fold."""
    found = {}
    for label, name in enumerate(classes):
        parts = [fold.of_class(label) for fold in folds]
        if all(len(part.labels) for part in parts):
            found[name] = cross_validated_difference(parts, "accuracy")
    return found


def _variances(values: NDArray[np.float64], group: NDArray[np.intp], sizes: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the variance in each group, drawn towards the mean of all where there are few to tell."""
    means = np.bincount(group, values) / sizes
    squares = np.bincount(group, np.square(values - means[group]))
    freedom = sizes - 1
    usual = float(np.mean(squares[freedom > 0] / freedom[freedom > 0]))
    shrunk: NDArray[np.float64] = (squares + _PRIOR_IMAGES * usual) / (freedom + _PRIOR_IMAGES)
    return shrunk


def _quantile(first: float, first_freedom: int, second: float, second_freedom: int, confidence: float) -> float:
    """Return half of the interval of a mean with two independent parts of variance (Welch & Satterthwaite)."""
    from scipy.stats import t

    total = first + second
    if total == 0:
        return 0.0
    uncertainty = first**2 / first_freedom + (second**2 / second_freedom if second_freedom else 0.0)
    return float(t.ppf((1 + confidence) / 2, total**2 / uncertainty)) * math.sqrt(total)
