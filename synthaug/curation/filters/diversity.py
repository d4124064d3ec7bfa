"""Of many good samples, those that cover them all."""

from __future__ import annotations

import dataclasses
import heapq

import numpy as np
from numpy.typing import NDArray

from synthaug.curation.base import FittedSelection, Selection, Verdict, register_filter
from synthaug.curation.reference import Candidates, Reference


@register_filter("diversity")
@dataclasses.dataclass(frozen=True)
class Diversity(Selection):
    """Keeps of each class a subset that covers its candidates, not the most typical ones.

    The subset is the greedy solution of the facility-location problem in feature space (Nemhauser et al. 1978; for
    choosing training data, Wei et al. 2015, "Submodularity in data subset selection and active learning"): every
    candidate, kept or not, has some kept one as near as can be. Unlike picking the farthest next, that is not drawn to
    outliers. A sample's score is its distance to the nearest other sample that is kept.

    Attributes:
        share: See `Selection`.
    """

    def fit(self, reference: Reference) -> FittedSelection:
        """Need nothing of the training split."""
        return _Diversity()


class _Diversity(FittedSelection):
    def choose(self, candidates: Candidates, wanted: NDArray[np.int64]) -> Verdict:
        accepted = np.zeros(len(candidates), dtype=bool)
        scores = np.full(len(candidates), np.inf)
        for label in np.unique(candidates.labels).tolist():
            rows = np.flatnonzero(candidates.labels == label)
            distances = _distances(candidates.features[rows])
            kept = covering_subset(distances, int(wanted[label]))
            accepted[rows[kept]] = True
            if len(kept):
                np.fill_diagonal(distances, np.inf)
                scores[rows] = distances[:, kept].min(axis=1)
        return Verdict(scores, accepted)


def _distances(features: NDArray[np.float32]) -> NDArray[np.float32]:
    from sklearn.metrics.pairwise import euclidean_distances

    distances: NDArray[np.float32] = euclidean_distances(features).astype(np.float32)
    return distances


def covering_subset(distances: NDArray[np.floating], number: int) -> NDArray[np.int64]:
    """Choose points so that the sum of all points' distances to their nearest chosen one is small, greedily.

    Args:
        distances: Between all pairs, (N, N).
        number: Points to choose; all if there are no more.

    Returns:
        Their positions, in the order of choice: each lowers the sum by the most.

    Example:
        >>> points = np.array([0.0, 0.1, 0.2, 0.3, 9.0])
        >>> covering_subset(abs(points[:, None] - points), 2).tolist()
        [2, 4]
    """
    total = len(distances)
    if number <= 0 or not total:
        return np.empty(0, dtype=np.int64)
    if number >= total:
        return np.arange(total, dtype=np.int64)
    covered = np.full(total, float(distances.max()) + 1.0)
    # A point's gain only shrinks as others are chosen (the sum is submodular): one that leads after its gain was
    # computed anew is the best, whatever the old gains of the others (Minoux 1978).
    heap = [(-float((covered - distances[:, point]).clip(min=0).sum()), point) for point in range(total)]
    heapq.heapify(heap)
    chosen: list[int] = []
    while len(chosen) < number:
        _, point = heapq.heappop(heap)
        gain = float((covered - distances[:, point]).clip(min=0).sum())
        if heap and (-gain, point) > heap[0]:
            heapq.heappush(heap, (-gain, point))
            continue
        chosen.append(point)
        covered = np.minimum(covered, distances[:, point])
    return np.array(chosen, dtype=np.int64)
