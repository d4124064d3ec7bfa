"""A mean difference over images, folds and seeds, and how sure it is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synthaug.classifiers.scores import Metric, image_groups, image_weights
from synthaug.evaluation.statistics import PairedDifference

_PRIOR_IMAGES = 2.0
"""Images that the variance among all counts for in a class; three images that agree by chance are not sure."""


@dataclasses.dataclass(frozen=True)
class FoldScores:
    """What each image of one fold scored, whether 0 or 1 for found or the probability of its class.

    Attributes:
        labels: True labels, (N,).
        treatment: Scores by the classifiers with samples, (S, N); a row a seed.
        control: The same without samples, with the same seeds.
    """

    labels: NDArray[np.int64]
    treatment: NDArray[np.floating | np.bool_]
    control: NDArray[np.floating | np.bool_]

    def of_class(self, label: int) -> FoldScores:
        """Return the images of one class."""
        chosen = self.labels == label
        return FoldScores(self.labels[chosen], self.treatment[:, chosen], self.control[:, chosen])


@dataclasses.dataclass(frozen=True)
class Images:
    """Differences of single images, over all folds.

    Attributes:
        values: Mean over the seeds, (N,).
        group: Of each image: its class, or one for all, (N,).
        sizes: Images of each group.
    """

    values: NDArray[np.float64]
    group: NDArray[np.intp]
    sizes: NDArray[np.intp]

    @classmethod
    def of(cls, folds: Sequence[FoldScores], metric: Metric) -> Images:
        """Average over seeds, and group as the metric does."""
        labels = np.concatenate([fold.labels for fold in folds])
        values = np.concatenate([(fold.treatment.astype(float) - fold.control).mean(axis=0) for fold in folds])
        return cls(values, *image_groups(labels, metric))

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the variance within groups."""
        return len(self.values) - len(self.sizes)

    def _squares(self) -> NDArray[np.float64]:
        means = np.bincount(self.group, self.values) / self.sizes
        rest: NDArray[np.float64] = self.values - means[self.group]
        return np.bincount(self.group, np.square(rest)).astype(np.float64)

    def usual_variance(self, step: float) -> float:
        """Return the variance within a group, mean over the groups.

        Args:
            step: By how much an image moves whose class is found by one arm alone. Where no image differs, that is no
                certainty that none would: one more is taken to.
        """
        freedom = self.sizes - 1
        least = step**2 / (len(self.values) + 1)
        if not freedom.any():
            return least
        return max(least, float(np.mean(self._squares()[freedom > 0] / freedom[freedom > 0])))

    def variance_of_mean(self, usual: float) -> float:
        """Return that of the mean of the groups' means; each group's is drawn towards the usual where it is small."""
        shrunk = (self._squares() + _PRIOR_IMAGES * usual) / (self.sizes - 1 + _PRIOR_IMAGES)
        return float((shrunk / self.sizes).sum() / len(self.sizes) ** 2)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean difference with its parts of variance.

    Attributes:
        mean: The difference.
        each: That of each fold and seed.
        by_image: Variance of the mean from image to image; `None` where no class has two images.
        image_freedom: Its degrees of freedom.
        by_seed: From seed to seed.
        seed_freedom: Its degrees of freedom.
        by_both: Of what single seeds do to single images, which is in both others.
        known: Further variance, which is known.
    """

    mean: float
    each: NDArray[np.float64]
    by_image: float | None
    image_freedom: int
    by_seed: float
    seed_freedom: int
    by_both: float
    known: float = 0.0

    @classmethod
    def of(cls, folds: Sequence[FoldScores], metric: Metric, step: float = 1.0, usual: float | None = None) -> Estimate:
        """Estimate the difference over folds.

        Args:
            folds: What was scored.
            metric: How images are weighted.
            step: See `Images.usual_variance`.
            usual: That variance, where other images know better.
        """
        labels = np.concatenate([fold.labels for fold in folds])
        differences = [fold.treatment.astype(float) - fold.control for fold in folds]
        images = Images.of(folds, metric)
        weights = image_weights(labels, metric)
        pieces = np.split(weights, np.cumsum([len(fold.labels) for fold in folds])[:-1])
        runs = [piece * fold for piece, fold in zip(pieces, differences, strict=True)]
        sums = [run.sum(axis=1) for run in runs]  # of each seed: what the fold adds to the whole
        alone = [_interaction(*pair) for pair in zip(differences, pieces, strict=True)]
        seeds = len(sums[0])
        by_image = None
        if images.freedom or usual is not None:
            by_image = images.variance_of_mean(images.usual_variance(step) if usual is None else usual)
        return cls(
            mean=float((weights * images.values).sum()),
            each=np.concatenate([run / piece.sum() for run, piece in zip(sums, pieces, strict=True)]).round(12),
            by_image=by_image,
            image_freedom=max(1, images.freedom),
            by_seed=float(sum(run.var(ddof=1) / seeds for run in sums)) if seeds > 1 else 0.0,
            seed_freedom=len(folds) * (seeds - 1),
            by_both=sum(alone),
        )

    def less_sure(self, spread: float) -> Estimate:
        """Return the estimate with a further standard error."""
        return dataclasses.replace(self, known=self.known + spread**2)

    @property
    def variance(self) -> float:
        """Of the mean, with all its parts."""
        if self.by_image is None:
            return math.inf
        return self.by_image + max(0.0, self.by_seed - self.by_both) + self.known

    def difference(self, confidence: float) -> PairedDifference:
        """Return the mean with Student's t interval (Welch & Satterthwaite)."""
        low = high = std = None
        if self.by_image is not None:
            half = self._quantile(self.by_image, confidence) * math.sqrt(self.variance)
            low, high = self.mean - half, self.mean + half
            std = float(self.each.std(ddof=1)) if len(self.each) > 1 else None
        return PairedDifference(
            mean=self.mean,
            low=low,
            high=high,
            std=std,
            pairs=len(self.each),
            wins=int((self.each > 0).sum()),
            losses=int((self.each < 0).sum()),
            confidence=confidence,
            differences=tuple(self.each.tolist()),
        )

    def chance(self) -> float | None:
        """Return the probability of Student's t above 0."""
        from scipy.stats import t

        if self.by_image is None:
            return None
        if self.variance == 0:
            return 0.5 if self.mean == 0 else float(self.mean > 0)
        return float(t.cdf(self.mean / math.sqrt(self.variance), self._freedom(self.by_image)))

    def _quantile(self, by_image: float, confidence: float) -> float:
        from scipy.stats import t

        return float(t.ppf((1 + confidence) / 2, self._freedom(by_image)))

    def _freedom(self, by_image: float) -> float:
        """Return the degrees of freedom, midway (geometrically) between those with and without what is taken off.

        With it they are too few where little is left, without it too many: by simulation, 95 % intervals hold the truth
        in 94 to 98 % of the cases this way.
        """
        uncertainty = by_image**2 / self.image_freedom
        if self.seed_freedom:
            uncertainty += self.by_seed**2 / self.seed_freedom
        whole = by_image + self.by_seed + self.known
        return self.variance * whole / uncertainty if uncertainty > 0 else math.inf


def _interaction(differences: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the variance of a fold's weighted sum by what differences (S, N) have of single seeds and images."""
    seeds = len(differences)
    if seeds < 2:
        return 0.0
    rest = differences - differences.mean(axis=0)
    rest -= (rest @ weights / weights.sum())[:, None]
    return float((np.square(weights) * np.square(rest).sum(axis=0)).sum() / (seeds * (seeds - 1)))
