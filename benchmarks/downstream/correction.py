"""How many gains over the best real-only arms are left when it is counted how many were looked at."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from benchmarks.downstream.summary import Cell
from synthaug.evaluation import PairedDifference

LEVEL = 0.05


@dataclasses.dataclass(frozen=True)
class Left:
    """What a correction for many comparisons leaves.

    Attributes:
        gains: Comparisons where samples are better.
        losses: Where they are worse.
        compared: All comparisons.
    """

    gains: int
    losses: int
    compared: int

    def __str__(self) -> str:
        return (
            f"of {self.compared} comparisons {self.gains} gains and {self.losses} losses are left at a false discovery "
            f"rate of {100 * LEVEL:.0f} %"
        )


def left_after_correction(cells: Sequence[Cell]) -> Left:
    """Correct all comparisons over the best real-only arms together, by the false discovery rate.

    Benjamini and Hochberg (1995), "Controlling the False Discovery Rate", of two-sided paired t tests over the seeds.
    """
    from scipy.stats import false_discovery_control

    gains = [one.gain for cell in cells for one in cell.comparisons if one.best and one.gain.std is not None]
    if not gains:
        return Left(0, 0, 0)
    kept = false_discovery_control([p_value(gain) for gain in gains]) <= LEVEL
    better = np.array([gain.mean > 0 for gain in gains])
    return Left(int((kept & better).sum()), int((kept & ~better).sum()), len(gains))


def p_value(gain: PairedDifference) -> float:
    """Return the two-sided p value of a paired t test; 1 where the differences are all the same.

    Example:
        >>> from synthaug.evaluation import paired_difference
        >>> round(p_value(paired_difference([0.5, 0.7, 0.6], [0.4, 0.5, 0.3])), 3)
        0.074
    """
    from scipy.stats import t

    if not gain.std:
        return 1.0
    return float(2 * t.sf(abs(gain.mean) / (gain.std / math.sqrt(gain.pairs)), gain.pairs - 1))
