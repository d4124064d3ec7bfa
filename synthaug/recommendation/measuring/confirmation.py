"""The honest number: the winner of the race against real images alone, on images that did not choose it.

The best of many looks better than it is, so what the race measured is not reported as a gain. Real images are cut into
folds; one chooses, the others confirm: each of their images is judged by classifiers that have not seen it, with and
without samples.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

from synthaug.classifiers.scores import Metric
from synthaug.evaluation.statistics import PairedDifference
from synthaug.recommendation.measuring.difference import (
    FoldOutcomes,
    chance_of_gain,
    class_differences,
    cross_validated_difference,
    expected_gain,
)

LEAST_SEEDS = 3
"""Classifiers of each arm and fold that an answer takes."""


@dataclasses.dataclass(frozen=True)
class Confirmed:
    """The winner of the race beside real images alone, on the folds that did not choose it.

    Attributes:
        folds: What both arms came to on each image.
        metric: What is compared.
        names: Names of the classes.
    """

    folds: Sequence[FoldOutcomes]
    metric: Metric
    names: Sequence[str]

    @property
    def images(self) -> int:
        """How many did not choose it."""
        return sum(len(fold.hits.labels) for fold in self.folds)

    @property
    def seeds(self) -> int:
        """Classifiers of each arm on each fold."""
        return len(self.folds[0].hits.control)

    @functools.cached_property
    def gain(self) -> PairedDifference:
        """What the winner is expected to gain, with the interval of 95 %."""
        return expected_gain(self.folds, self.metric)

    @functools.cached_property
    def found(self) -> PairedDifference:
        """The gain by what was found alone, whatever the probabilities."""
        return cross_validated_difference([fold.hits for fold in self.folds], self.metric)

    @functools.cached_property
    def classes(self) -> dict[str, PairedDifference]:
        """The gain in recall of each class."""
        return class_differences([fold.hits for fold in self.folds], self.names)

    @functools.cached_property
    def chance(self) -> float | None:
        """How likely the winner gains at all, from 0 to 1; `None` if that is open."""
        return chance_of_gain(self.folds, self.metric)

    def lower_end(self, confidence: float) -> float | None:
        """Return the lower end of the expected gain's interval at another confidence."""
        return expected_gain(self.folds, self.metric, confidence).low
