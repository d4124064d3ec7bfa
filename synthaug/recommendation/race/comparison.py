"""A candidate beside real images alone, on the same folds and seeds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from synthaug.evaluation.estimate import FoldScores
from synthaug.evaluation.statistics import PairedDifference
from synthaug.recommendation.candidates.space import Candidate, ClassSets
from synthaug.recommendation.measuring.difference import FoldOutcomes, expected_gain
from synthaug.recommendation.measuring.trial import Outcome, Pair, Trials, not_failed
from synthaug.recommendation.race.halving import Race
from synthaug.recommendation.race.tuning import Tuned

Measured = tuple[Outcome, Outcome]
"""With samples, and without."""

_FAILED = -1.0


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Measures candidates and real images alone under the best settings of these.

    Attributes:
        trials: Runs what was not run before.
        tuned: Real images alone.
        sets: Rarest and hardest classes.
    """

    trials: Trials
    tuned: Tuned
    sets: ClassSets

    def pair(self, candidate: Candidate, pair: Pair, reserve: float) -> Measured | None:
        """Measure both arms on one pair, under the same settings; `None` if there is no time or no control for it.

        Args:
            candidate: Ways to make and use samples.
            pair: Fold and seed.
            reserve: Seconds that must be left afterwards.
        """
        settings = self.tuned.settings
        control = not_failed(self.trials, lambda: self.trials.real(pair, settings, reserve=reserve))
        if control is None or control.failed:
            return None
        outcome = not_failed(
            self.trials, lambda: self.trials.with_samples(pair, settings, candidate, self.sets, reserve=reserve)
        )
        return None if outcome is None else (outcome, control)

    def pairs(self, candidate: Candidate, pairs: Sequence[Pair], reserve: float) -> list[Measured]:
        """Measure pair by pair, up to the first that fails or for which there is no time."""
        done = []
        for pair in pairs:
            found = self.pair(candidate, pair, reserve)
            if found is None or found[0].failed:
                break
            done.append(found)
        return done

    def gain_on(self, candidate: Candidate, pair: Pair, reserve: float) -> float | None:
        """Return the expected gain as one pair sees it; `None` if there is no time for it."""
        found = self.pair(candidate, pair, reserve)
        if found is None:
            return None
        return _FAILED if found[0].failed else self.gain([[found]], [pair.fold]).mean

    def lead(self, race: Race[Candidate], pairs: Sequence[Pair]) -> PairedDifference | None:
        """Return what the best of a race came to there, all its pairs of one fold together; `None` if there is none."""
        if race.best is None:
            return None
        mine = pairs[: len(race.values[race.best])]
        rounds = [[done] for done in self.pairs(race.best, mine, reserve=-math.inf)]  # all done before
        return self.gain(rounds, [mine[0].fold]) if rounds else None

    def gain(self, rounds: Sequence[Sequence[Measured]], folds: Sequence[int]) -> PairedDifference:
        """Return the expected gain over rounds, each of one seed and all of these folds."""
        return expected_gain(self.outcomes(rounds, folds), self.trials.metric)

    def outcomes(self, rounds: Sequence[Sequence[Measured]], folds: Sequence[int]) -> list[FoldOutcomes]:
        """Arrange what was measured by fold."""
        arranged = []
        for place, fold in enumerate(folds):
            labels = np.asarray(self.trials.folds[fold][1].labels)
            arms = list(zip(*(done[place] for done in rounds), strict=True))
            arranged.append(
                FoldOutcomes(
                    FoldScores(labels, *(np.stack([one.hits for one in arm]) for arm in arms)),
                    FoldScores(labels, *(np.stack([one.beliefs for one in arm]) for arm in arms)),
                )
            )
        return arranged
