"""Is a sample near enough to real images of its class?"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from synthaug.curation.base import Filter, FittedFilter, Verdict, register_filter
from synthaug.curation.neighbours import mean_distance
from synthaug.curation.reference import Candidates, Reference

_ENOUGH = 20
"""Images of a class from which on its own distances alone set its threshold."""


@register_filter("outlier")
@dataclasses.dataclass(frozen=True)
class Outlier(Filter):
    """Rejects samples that lie further from the real images of their class than these lie from each other.

    A sample's score is its mean distance, in the features of a pretrained network, to the nearest real images of its
    class. The threshold is a quantile of the same distance of real images to the others of their class. With fewer
    images than 20, distances are larger, and few: there the threshold is also taken from other classes, of which then
    only as many images are looked at.

    Attributes:
        neighbours: Real images that the distance is averaged over; fewer where a class has fewer.
        quantile: Share of a class's real images that would be kept; lower is stricter.
        slack: The threshold is this many times the quantile. Samples of all generators lie a little off the real
            images, those of a VAE because they are smooth.
    """

    neighbours: int = 3
    quantile: float = 0.95
    slack: float = 1.1

    def validate(self) -> None:
        """Check the ranges."""
        self.require(self.neighbours >= 1, "neighbours", "1 neighbour or more")
        self.require(0 <= self.quantile <= 1, "quantile", "a share from 0 to 1")
        self.require(self.slack > 0, "slack", "a factor above 0")

    def fit(self, reference: Reference) -> FittedFilter:
        """Measure the distances among real images."""
        groups = [reference.features[reference.labels == label] for label in range(len(reference.classes))]
        thresholds = np.array([self._threshold(groups, label, reference.seed) for label in range(len(groups))])
        return _Outlier(groups, self.neighbours, thresholds * self.slack)

    def _threshold(self, groups: list[NDArray[np.float32]], label: int, seed: int) -> float:
        own, number = groups[label], len(groups[label])
        if number == 0:
            return np.inf
        others: list[NDArray[np.float32]] = []
        if number < _ENOUGH:
            random = np.random.default_rng([seed, 0x0D15, label])
            # One more than the class has: each of them then has as many others as a sample has real images.
            others = [
                group[random.permutation(len(group))[: number + 1]] for group in groups if len(group) > max(number, 1)
            ]
        values = [mean_distance(group, None, self.neighbours) for group in (own, *others) if len(group) > 1]
        return float(np.quantile(np.concatenate(values), self.quantile)) if values else np.inf


class _Outlier(FittedFilter):
    thresholds: NDArray[np.floating]

    def __init__(self, groups: list[NDArray[np.float32]], neighbours: int, thresholds: NDArray[np.floating]) -> None:
        self._groups, self._neighbours, self.thresholds = groups, neighbours, thresholds

    def judge(self, candidates: Candidates, earlier: Candidates | None = None) -> Verdict:
        scores = np.full(len(candidates), np.inf)
        for label in np.unique(candidates.labels).tolist():
            rows = candidates.labels == label
            scores[rows] = mean_distance(self._groups[label], candidates.features[rows], self._neighbours)
        return Verdict(scores, scores <= self.thresholds[candidates.labels])
