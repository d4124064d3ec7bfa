"""Does a sample lie among real images?"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from synthaug.curation.base import Filter, FittedFilter, Verdict, register_filter
from synthaug.curation.neighbours import nearest
from synthaug.curation.reference import Candidates, Reference
from synthaug.errors import DataError

_ROWS = 1024


@register_filter("realism")
@dataclasses.dataclass(frozen=True)
class Realism(Filter):
    """Rejects samples that lie outside of what real images, of whatever class, span in feature space.

    The realism score of Kynkäänniemi et al. 2019 ("Improved precision and recall metric for assessing generative
    models"): the largest, over real images, of the distance to a real image's k-th real neighbour over the sample's
    distance to it; above 1 the sample lies in some real image's neighbourhood. The half of the real images with the
    largest neighbourhoods, outliers mostly, does not count.

    The threshold is what real images score among each other, so a generator whose samples all look alike unreal may
    lose them all; the label plays no role.

    Attributes:
        neighbours: k.
        quantile: Share of real images that would be rejected; higher is stricter.
    """

    neighbours: int = 3
    quantile: float = 0.05

    def validate(self) -> None:
        """Check the ranges."""
        self.require(self.neighbours >= 1, "neighbours", "1 neighbour or more")
        self.require(0 <= self.quantile <= 1, "quantile", "a share from 0 to 1")

    def fit(self, reference: Reference) -> FittedFilter:
        """Measure the neighbourhoods of real images, and what real images themselves score.

        Raises:
            DataError: If there are too few real images to have neighbours.
        """
        features = reference.features
        if len(features) < self.neighbours + 2:
            raise DataError(
                f"realism: expected {self.neighbours + 2} training images or more, but got {len(features)}. "
                "Lower realism.neighbours, or leave the filter out."
            )
        radii = nearest(features, None, self.neighbours)[:, -1]
        core = radii <= np.median(radii)
        real = realism_scores(features[core], radii[core], features)
        threshold = float(np.quantile(real, self.quantile))
        return _Realism(features[core], radii[core], np.full(len(reference.classes), threshold))


class _Realism(FittedFilter):
    thresholds: NDArray[np.floating]

    def __init__(
        self, points: NDArray[np.float32], radii: NDArray[np.floating], thresholds: NDArray[np.floating]
    ) -> None:
        self._points, self._radii, self.thresholds = points, radii, thresholds

    def judge(self, candidates: Candidates, earlier: Candidates | None = None) -> Verdict:
        scores = realism_scores(self._points, self._radii, candidates.features)
        return Verdict(scores, scores >= self.thresholds[candidates.labels])


def realism_scores(
    points: NDArray[np.float32], radii: NDArray[np.floating], queries: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the largest ratio of a point's radius to the query's distance from it, (M,).

    A point that is itself a query does not count for it, so that real images are not compared with themselves.

    Example:
        >>> realism_scores(np.zeros((1, 2), np.float32), np.ones(1), np.array([[0, 2]], np.float32)).tolist()
        [0.5]
    """
    from sklearn.metrics.pairwise import euclidean_distances

    scores = [np.empty(0)]
    for start in range(0, len(queries), _ROWS):
        distances = euclidean_distances(queries[start : start + _ROWS], points).astype(np.float64)
        same = distances < 1e-3 * max(float(radii.mean()), 1e-6)
        scores.append(np.where(same, 0, radii / np.where(same, 1, distances)).max(axis=1))
    return np.concatenate(scores)
