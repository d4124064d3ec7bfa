"""The real-only arm is tuned first, and as hard as anything with samples: its best settings serve all candidates.

Settings are chosen by what they find and by the probability of the right class (`synthaug.classifiers.calibration`)
together, their mean: where few images validate, that loses less than accuracy alone (``benchmarks/yardsticks``).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synthaug.recommendation.measuring.trial import Outcome, Pair, Trials
from synthaug.recommendation.race.halving import Race, successive_halving

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


@dataclasses.dataclass(frozen=True)
class Tuned:
    """The real-only arm.

    Attributes:
        bases: Settings, the best first; each has another augmentation.
        table: Every setting that was tried, the best first, with what it came to on validation, one value a pair: the
            metric, and the probability of the right class. They are ranked by the mean of both.
        recalls: Mean validation recall of each class under the best settings; `None` where unknown.
    """

    bases: tuple[dict[str, Any], ...]
    table: tuple[dict[str, Any], ...]
    recalls: tuple[float | None, ...]


def grid(counts: Sequence[int], fixed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the settings that are tried, the usual ones first.

    Args:
        counts: Images of each class; evenly drawn classes are tried where these differ.
        fixed: Settings that the user chose; they are not varied.
    """
    uneven = max(counts) >= 2 * max(1, min(counts))
    corrected = "balanced_sampling" in fixed or "logit_adjustment" in fixed
    axes = {
        "learning_rate": LEARNING_RATES,
        "balanced_sampling": (True, False) if uneven and not corrected else (fixed.get("balanced_sampling", False),),
        "augmentation": AUGMENTATIONS,
    }
    axes = {name: (fixed[name],) if name in fixed else values for name, values in axes.items()}
    return [dict(fixed) | dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def tune(
    trials: Trials,
    settings: Sequence[Mapping[str, Any]],
    pairs: Sequence[Pair],
    *,
    reserve: float,
) -> Tuned:
    """Choose among settings by successive halving over the pairs.

    Args:
        trials: Runs the trials.
        settings: In order of preference.
        pairs: Splits and seeds that the last ones are measured on.
        reserve: Seconds that must be left afterwards.
    """
    outcomes: dict[tuple[int, int], Outcome] = {}

    def measure(entry: int, pair: int) -> float | None:
        outcome = trials.real(pairs[pair], settings[entry], reserve=reserve)
        if outcome is None:
            return None
        outcomes[entry, pair] = outcome
        return (outcome.value + outcome.belief) / 2

    race: Race[int] = successive_halving(range(len(settings)), measure, most_pairs=len(pairs))
    table = [
        {
            "settings": dict(settings[entry]),
            "validation": [outcomes[entry, pair].value for pair in range(len(race.values[entry]))],
            "probability": [outcomes[entry, pair].belief for pair in range(len(race.values[entry]))],
        }
        for entry in race.ranking
    ]
    best = race.ranking[0]
    bases: dict[str, dict[str, Any]] = {}
    for entry in race.ranking:
        if race.values[entry] or entry == best:
            bases.setdefault(settings[entry]["augmentation"], dict(settings[entry]))
    found = [outcomes[best, pair].recall for pair in range(len(race.values[best]))]
    return Tuned(tuple(bases.values()), tuple(table), mean_recalls(found, len(trials.data.classes)))


def mean_recalls(found: Sequence[Sequence[float | None]], classes: int) -> tuple[float | None, ...]:
    """Return the mean recall of each class over several outcomes, leaving out where it is unknown."""
    known = [[one for row in found if row and (one := row[label]) is not None] for label in range(classes)]
    return tuple(float(np.mean(values)) if values else None for values in known)
