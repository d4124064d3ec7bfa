"""The real-only arm is tuned first, and as hard as anything with samples: its best settings serve all candidates.

Where classes differ in size, even drawing and logit adjustment (Menon et al. 2021) are among them.
Settings are chosen by what they find and by the probability of the right class (`synthaug.classifiers.calibration`)
together, their mean: where few images validate, that loses less than accuracy alone (``benchmarks/yardsticks``).
"""

from __future__ import annotations

import dataclasses
import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from synthaug.errors import DivergenceError
from synthaug.recommendation.measuring.trial import Outcome, Pair, Trials, not_failed
from synthaug.recommendation.race.halving import Race, affordable_entries, successive_halving

AUGMENTATIONS = (
    "affine",
    "randaugment",
    "affine+contrast+mixup",
    "randaugment+mixup+cutmix",
    "flip-crop",
    "none",
    "flip+randaugment",
    "crop+cutmix",
    "flip+affine+contrast",
)
LEARNING_RATES = (3e-3, 1e-3, 6e-3)
PRETRAINED_LEARNING_RATES = (3e-4, 1e-3)
CORRECTIONS: tuple[dict[str, Any], ...] = (
    {"balanced_sampling": True},
    {"balanced_sampling": False, "logit_adjustment": 1.0},
    {"balanced_sampling": False},
)
"""What is done about classes of different sizes."""

_AUGMENTATIONS_SHARE = 0.6
"""Of the runs; the rest is for learning rates and corrections of imbalance, under the best augmentation."""


@dataclasses.dataclass(frozen=True)
class Tuned:
    """The real-only arm.

    Attributes:
        settings: The best.
        table: Every setting that was tried, the best first, with what it came to on validation, one value a pair: the
            metric, and the probability of the right class. They are ranked by the mean of both.
        recalls: Mean recall of each class on the fold that chooses, under the best settings; `None` where unknown.
    """

    settings: dict[str, Any]
    table: tuple[dict[str, Any], ...]
    recalls: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class Grid:
    """What is tried on real images alone: augmentations first, then the best of them with everything else.

    Attributes:
        fixed: Settings that the user chose; they are not varied.
        augmentations: The usual ones first.
        others: Further choices, each of settings that go together, the usual ones first.
    """

    fixed: dict[str, Any]
    augmentations: tuple[str, ...]
    others: tuple[tuple[dict[str, Any], ...], ...]

    @classmethod
    def of(cls, counts: Sequence[int], fixed: Mapping[str, Any]) -> Grid:
        """Make the grid for classes of so many images; corrections of imbalance are tried where these differ."""
        present = [count for count in counts if count]
        uneven = max(present) >= 2 * min(present)
        corrected = not {"balanced_sampling", "logit_adjustment", "deferred_reweighting"}.isdisjoint(fixed)
        rates: tuple[float, ...] = PRETRAINED_LEARNING_RATES if fixed.get("pretrained") else LEARNING_RATES
        if "learning_rate" in fixed:
            rates = (fixed["learning_rate"],)
        return cls(
            dict(fixed),
            (fixed["augmentation"],) if "augmentation" in fixed else AUGMENTATIONS,
            (
                tuple({"learning_rate": rate} for rate in rates),
                CORRECTIONS if uneven and not corrected else ({"balanced_sampling": False},),
            ),
        )

    @property
    def usual(self) -> dict[str, Any]:
        """The settings that are tried first."""
        return self.first()[0]

    def first(self) -> list[dict[str, Any]]:
        """Return all augmentations with the usual settings."""
        usual = _joined(choices[0] for choices in self.others)
        return [usual | self.fixed | {"augmentation": augmentation} for augmentation in self.augmentations]

    def then(self, best: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the best settings so far, then with others in place of the usual ones, those that differ least first.

        Example:
            >>> grid = Grid.of([90, 9], {"augmentation": "none"})
            >>> [(one["learning_rate"], one["balanced_sampling"]) for one in grid.then(grid.usual)][:4]
            [(0.003, True), (0.003, False), (0.003, False), (0.001, True)]
        """
        usual = [choices[0] for choices in self.others]
        combined = list(itertools.product(*self.others))
        combined.sort(key=lambda one: sum(map(operator.ne, one, usual)))
        return [{**best, **_joined(one), **self.fixed} for one in combined]


def _joined(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: value for part in parts for name, value in part.items()}


def tune(
    trials: Trials, grid: Grid, pairs: Sequence[Pair], *, runs: float, reserve: float, choosing_fold: int = 0
) -> Tuned:
    """Choose settings by successive halving over the pairs: of augmentations, then of all else.

    Args:
        trials: Runs the trials.
        grid: What is tried.
        pairs: Splits and seeds that the last ones are measured on.
        runs: Classifiers that there is time for.
        reserve: Seconds that must be left afterwards.
        choosing_fold: Whose recalls say which classes are hard: by them ways to use samples are chosen.

    Raises:
        DivergenceError: If no setting can be trained.
    """
    settings = grid.first()
    outcomes: dict[tuple[int, int], Outcome] = {}

    def measure(entry: int, pair: int) -> float | None:
        outcome = not_failed(trials, lambda: trials.real(pairs[pair], settings[entry], reserve=reserve))
        if outcome is None:
            return None
        outcomes[entry, pair] = outcome
        return (outcome.value + outcome.belief) / 2

    def race(entries: Sequence[int], affordable: float) -> Race[int]:
        number = max(1, affordable_entries(affordable, len(entries), len(pairs)))
        return successive_halving(entries[:number], measure, most_pairs=len(pairs))

    combinations = len(grid.then(grid.usual))
    augmentations = race(range(len(settings)), runs * (_AUGMENTATIONS_SHARE if combinations > 1 else 1))
    spent = len(outcomes)
    best = augmentations.ranking[0]
    more = grid.then(settings[best])[1:]
    entries = [best, *range(len(settings), len(settings) + len(more))]
    settings += more
    # The best was measured before.
    everything = race(entries, runs - spent + len(pairs)) if more else augmentations
    ranking = list(dict.fromkeys((*everything.ranking, *augmentations.ranking)))
    measured = {entry: [one for one in range(len(pairs)) if (entry, one) in outcomes] for entry in ranking}
    best = ranking[0]
    if measured[best] and all(outcome.failed for outcome in outcomes.values()):
        raise DivergenceError(f"no classifier could be trained on real images alone: {trials.failures[-1]}")
    table = [
        {
            "settings": dict(settings[entry]),
            "validation": [outcomes[entry, pair].value for pair in measured[entry]],
            "probability": [outcomes[entry, pair].belief for pair in measured[entry]],
        }
        for entry in ranking
    ]
    found = [outcomes[best, pair].recall for pair in measured[best] if pairs[pair].fold == choosing_fold]
    return Tuned(dict(settings[best]), tuple(table), mean_recalls(found, len(trials.data.classes)))


def mean_recalls(found: Sequence[Sequence[float | None]], classes: int) -> tuple[float | None, ...]:
    """Return the mean recall of each class over several outcomes, leaving out where it is unknown."""
    known = [[one for row in found if row and (one := row[label]) is not None] for label in range(classes)]
    return tuple(float(np.mean(values)) if values else None for values in known)
