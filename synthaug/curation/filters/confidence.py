"""Is a sample of the class that it claims to be of?"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from synthaug.curation.base import Filter, FittedFilter, Verdict, register_filter
from synthaug.curation.reference import Candidates, Reference
from synthaug.curation.thresholds import class_quantiles

SMALLEST_WEIGHT = 0.05
_LEAST_RECALL = 0.2
"""Share of a class's real images that classifiers must find for their disagreement to mean anything."""


@register_filter("confidence")
@dataclasses.dataclass(frozen=True)
class Confidence(Filter):
    """Rejects samples whose label classifiers doubt more than they doubt real images of that class.

    The classifiers are trained on the training split alone, each without a fold of it. A sample's score is the mean
    probability that they give its label; the threshold of a class is a quantile of what its real images got from the
    classifier that never saw them. So a class that is hard to tell has a low threshold. Samples for which another
    class is more probable are rejected too, except in classes of which less than a fifth of the real images were
    found: such as those of one image.

    Accepted samples get a weight: their confidence over the median of their class's real images, at most 1 and at
    least 0.05.

    Attributes:
        quantile: Share of a class's real images that would be rejected; higher is stricter.
        agree: Whether samples that look more like another class are rejected, however probable their label is.
    """

    quantile: float = 0.1
    agree: bool = True

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
        hits = (reference.held_out.argmax(axis=1) == reference.labels)[np.isfinite(real)]
        of = reference.labels[np.isfinite(real)]
        recall = np.bincount(of, hits, number) / np.bincount(of, minlength=number).clip(min=1)
        return _Confidence(
            np.where(known, thresholds, chance),
            np.where(known, typical, chance),
            self.agree & (recall >= _LEAST_RECALL),
        )


class _Confidence(FittedFilter):
    thresholds: NDArray[np.floating]

    def __init__(
        self, thresholds: NDArray[np.floating], typical: NDArray[np.floating], agree: NDArray[np.bool_]
    ) -> None:
        self.thresholds, self._typical, self._agree = thresholds, typical, agree

    def judge(self, candidates: Candidates, earlier: Candidates | None = None) -> Verdict:
        scores = candidates.confidence
        likely = scores >= candidates.probabilities.max(axis=1, initial=0)
        return Verdict(
            scores, (scores >= self.thresholds[candidates.labels]) & (likely | ~self._agree[candidates.labels])
        )

    def weigh(self, scores: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        relative = scores / np.maximum(self._typical[labels], 1e-6)
        weights: NDArray[np.float32] = np.clip(relative, SMALLEST_WEIGHT, 1).astype(np.float32)
        return weights
