"""Of samples of the right class, those near another one."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from synthaug.curation.base import FittedSelection, Selection, Verdict, register_filter
from synthaug.curation.reference import Candidates, Reference


@register_filter("hardness")
@dataclasses.dataclass(frozen=True)
class Hardness(Selection):
    """Keeps of each class the samples near the decision boundary, but on its right side.

    A sample's score is its margin: the probability of its label less the largest of the others, by the classifiers of
    the training split. Samples below ``least`` are rejected, however few are left; of the others the smallest margins
    are kept.

    Attributes:
        share: See `Selection`.
        least: Margin from which on a sample counts as of its class.
    """

    least: float = 0.0

    def validate(self) -> None:
        """Check the ranges."""
        super().validate()
        self.require(-1 <= self.least <= 1, "least", "a margin from -1 to 1")

    def fit(self, reference: Reference) -> FittedSelection:
        """Train the classifiers."""
        _ = reference.classifiers
        return _Hardness(self.least, len(reference.classes))


class _Hardness(FittedSelection):
    thresholds: NDArray[np.floating]

    def __init__(self, least: float, classes: int) -> None:
        self.thresholds = np.full(classes, least)

    def able(self, candidates: Candidates) -> NDArray[np.bool_]:
        return self._able(margins(candidates.probabilities, candidates.labels), candidates.labels)

    def _able(self, scores: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        able: NDArray[np.bool_] = scores >= self.thresholds[labels]
        return able

    def choose(self, candidates: Candidates, wanted: NDArray[np.int64]) -> Verdict:
        scores = margins(candidates.probabilities, candidates.labels)
        able = self._able(scores, candidates.labels)
        accepted = np.zeros(len(candidates), dtype=bool)
        for label in np.unique(candidates.labels).tolist():
            rows = np.flatnonzero(able & (candidates.labels == label))
            accepted[rows[np.argsort(scores[rows], kind="stable")[: wanted[label]]]] = True
        return Verdict(scores, accepted)


def margins(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.floating]:
    """Return the probability of each label less the largest of the others, (N,), from −1 to 1.

    Example:
        >>> margins(np.array([[0.5, 0.25, 0.25]]), np.array([0])).tolist()
        [0.25]
    """
    rows = np.arange(len(labels))
    others = np.array(probabilities)
    others[rows, labels] = -np.inf
    # With a single class there is no other one.
    best: NDArray[np.floating] = np.maximum(others.max(axis=1), 0)
    differences: NDArray[np.floating] = probabilities[rows, labels] - best
    return differences
