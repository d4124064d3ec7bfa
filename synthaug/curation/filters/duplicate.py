"""Is a sample new: neither a copy of a training image nor of another sample?"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from synthaug.curation.base import Filter, FittedFilter, Verdict, register_filter
from synthaug.curation.copies import CopyDetector
from synthaug.curation.neighbours import mean_distance
from synthaug.curation.reference import Candidates, Reference
from synthaug.curation.thresholds import class_quantiles

_ROWS = 1024


@register_filter("duplicate")
@dataclasses.dataclass(frozen=True)
class Duplicate(Filter):
    """Rejects near-copies of training images, and of samples of the same class that come before.

    Copies of training images are found by `CopyDetector`, moved, mirrored and recoloured ones too. Two samples are
    the same if their pixels differ by less than ``spread`` of what the nearest real images of the class typically
    differ by (root mean square). A sample's score is the smaller of both distances over its threshold: it is rejected
    below 1.

    Attributes:
        false_alarms: Share of real images that may be taken for copies of other ones; see `CopyDetector`.
        spread: Of two samples; 0 compares samples with training images alone.
    """

    false_alarms: float = 0.005
    spread: float = 0.25

    def validate(self) -> None:
        """Check the ranges."""
        self.require(0 < self.false_alarms < 0.5, "false_alarms", "a share between 0 and 0.5")
        self.require(0 <= self.spread <= 1, "spread", "a share from 0 to 1")

    def fit(self, reference: Reference) -> FittedFilter:
        """Fit the detector, and measure how far real images are from each other.

        Raises:
            DataError: If there are fewer than three training images.
        """
        detector = reference.detector(self.false_alarms)
        pixels, labels = _flat(reference.images), reference.labels
        distances = np.full(len(labels), np.nan)
        for label in np.flatnonzero(reference.counts >= 2):
            rows = labels == label
            distances[rows] = mean_distance(pixels[rows], None, 1)
        typical = np.nan_to_num(class_quantiles(distances, labels, len(reference.classes), 0.5))
        return _Duplicate(detector, self.spread * typical)


class _Duplicate(FittedFilter):
    thresholds: NDArray[np.floating]

    def __init__(self, detector: CopyDetector, thresholds: NDArray[np.floating]) -> None:
        self._detector, self.thresholds = detector, thresholds

    def judge(self, candidates: Candidates, earlier: Candidates | None = None) -> Verdict:
        scores = np.full(len(candidates), np.inf)
        if len(candidates):
            found = self._detector.find(candidates.images)
            scores = np.where(found.is_copy, np.minimum(found.distance, np.nextafter(1, 0)), found.distance)
        for label in np.unique(candidates.labels).tolist():
            rows = np.flatnonzero((candidates.labels == label) & (scores >= 1))
            if len(rows) and self.thresholds[label] > 0:
                before = [] if earlier is None else [_flat(earlier.images[earlier.labels == label])]
                distances = sequential_distances(_flat(candidates.images[rows]), self.thresholds[label], before)
                scores[rows] = np.minimum(scores[rows], distances / self.thresholds[label])
        return Verdict(scores, scores >= 1)


def _flat(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pixels (N, D) whose Euclidean distance is the root mean square difference in grey levels."""
    size = int(np.prod(images.shape[1:]))
    rows: NDArray[np.float32] = images.reshape(len(images), size).astype(np.float32)
    return rows / np.float32(np.sqrt(size))


def sequential_distances(
    points: NDArray[np.float32], threshold: float, before: list[NDArray[np.float32]] | None = None
) -> NDArray[np.float64]:
    """Return the distance of each point to the nearest one that comes before it and is kept, (N,).

    A point is kept if that distance is not below the threshold.

    Args:
        points: In order, (N, D).
        threshold: Distance from which on two points are different.
        before: Points (M, D) that are kept already.

    Example:
        >>> points = np.array([[0.0], [0.5], [1.1], [0.0]], np.float32)
        >>> sequential_distances(points, 1.0).round(1).tolist()
        [inf, 0.5, 1.1, 0.0]
    """
    from sklearn.metrics.pairwise import euclidean_distances

    kept = [part for part in before or [] if len(part)]
    found = np.full(len(points), np.inf)
    for start in range(0, len(points), _ROWS):
        block = points[start : start + _ROWS]
        own = found[start : start + len(block)]
        for part in kept:
            np.minimum(own, euclidean_distances(block, part).min(axis=1), out=own)
        among = euclidean_distances(block)
        for row in range(len(block)):
            if own[row] >= threshold:  # kept, so those after it are compared with it
                np.minimum(own[row + 1 :], among[row, row + 1 :], out=own[row + 1 :])
        if (own >= threshold).any():
            kept.append(block[own >= threshold])
    return found
