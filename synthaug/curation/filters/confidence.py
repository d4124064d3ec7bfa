"""Is a sample of the class that it claims to be of?"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from synthaug.curation.base import Filter, FittedFilter, Verdict, register_filter
from synthaug.curation.reference import Candidates, Reference
from synthaug.curation.thresholds import class_quantiles

SMALLEST_WEIGHT = 0.05


@register_filter("confidence")
@dataclasses.dataclass(frozen=True)
class Confidence(Filter):
    """Rejects samples whose label classifiers doubt more than they doubt real images of that class.

    The classifiers are trained on the training split alone, each without a fold of it. A sample's score is the mean
    probability that they give its label; the threshold of a class is a quantile of what its real images got from the
    classifier that never saw them. So a class that is hard to tell has a low threshold.

    Accepted samples get a weight: their confidence over the median of their class's real images, at most 1 and at
    least 0.05.

    Attributes:
        quantile: Share of a class's real images that would be rejected; higher is stricter.
    """

    quantile: float = 0.25

    def validate(self) -> None:
        """Check the ranges."""
        self.require(0 <= self.quantile <= 1, "quantile", "a share from 0 to 1")

    def fit(self, reference: Reference) -> FittedFilter:
        """Train the classifiers and set the thresholds."""
        real = reference.held_out[np.arange(len(reference.labels)), reference.labels]
        number = len(reference.classes)
        chance = np.full(number, 1 / number)  # all there is to go by where every class has one image
        thresholds, typical = (class_quantiles(real, reference.labels, number, at) for at in (self.quantile, 0.5))
        known = np.isfinite(thresholds)
        return _Confidence(np.where(known, thresholds, chance), np.where(known, typical, chance))


class _Confidence(FittedFilter):
    thresholds: NDArray[np.floating]

    def __init__(self, thresholds: NDArray[np.floating], typical: NDArray[np.floating]) -> None:
        self.thresholds, self._typical = thresholds, typical

    def judge(self, candidates: Candidates, earlier: Candidates | None = None) -> Verdict:
        scores = candidates.confidence
        return Verdict(scores, scores >= self.thresholds[candidates.labels])

    def weigh(self, scores: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        relative = scores / np.maximum(self._typical[labels], 1e-6)
        weights: NDArray[np.float32] = np.clip(relative, SMALLEST_WEIGHT, 1).astype(np.float32)
        return weights
