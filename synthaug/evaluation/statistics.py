"""Paired statistics: was there a gain, and how sure is that?"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from synthaug.errors import ConfigError

_NO_SPREAD = 1e-12
"""Standard deviation up to which differences are the same but for rounding."""


@dataclasses.dataclass(frozen=True)
class PairedDifference:
    """The difference of two arms that share subset, seed and number of steps, pair by pair.

    Attributes:
        mean: Mean of (treatment − control).
        low: Lower end of the confidence interval of the mean; `None` with a single pair, and where all differences are
            the same but not 0, which comes of few test images and is no certainty.
        high: Upper end; `None` where ``low`` is.
        std: Standard deviation of the differences (n − 1); `None` with a single pair.
        pairs: Number of pairs.
        wins: Pairs in which the treatment was better.
        losses: Pairs in which it was worse.
        confidence: Of the interval.
        differences: The differences themselves.
    """

    mean: float
    low: float | None
    high: float | None
    std: float | None
    pairs: int
    wins: int
    losses: int
    confidence: float
    differences: tuple[float, ...]

    @property
    def verdict(self) -> Literal["better", "worse", "unclear"]:
        """``"better"`` or ``"worse"`` when the interval excludes 0, else ``"unclear"``."""
        if self.low is None or self.high is None:
            return "unclear"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "unclear"

    def to_dict(self) -> dict[str, Any]:
        """Return the values and the verdict as JSON-able values."""
        return dataclasses.asdict(self) | {"differences": list(self.differences), "verdict": self.verdict}


def paired_difference(
    treatment: Sequence[float], control: Sequence[float], *, confidence: float = 0.95
) -> PairedDifference:
    """Compare two arms pair by pair with Student's t interval over the pairs (Student 1908).

    Args:
        treatment: Values with samples, one a seed.
        control: Values without, in the same order of seeds.
        confidence: Of the interval, between 0 and 1.

    Raises:
        ConfigError: If the arms are empty, of different lengths, or hold a value that is not finite.

    Example:
        >>> result = paired_difference([0.82, 0.84, 0.83], [0.80, 0.81, 0.80])
        >>> result.wins, result.verdict
        (3, 'better')
    """
    if len(treatment) != len(control) or not len(treatment):
        raise ConfigError(
            f"paired_difference: expected two arms of the same length of 1 or more, but got {len(treatment)} "
            f"and {len(control)} values. Pair them by seed."
        )
    if not 0 < confidence < 1:
        raise ConfigError(f"paired_difference: expected a confidence between 0 and 1, but got {confidence!r}.")
    differences = np.asarray(treatment, dtype=float) - np.asarray(control, dtype=float)
    if not np.isfinite(differences).all():
        raise ConfigError("paired_difference: expected finite values, but got NaN or infinity; drop or rerun the seed.")
    pairs = len(differences)
    mean = float(differences.mean())
    low = high = std = None
    if pairs > 1:
        from scipy.stats import t

        std = float(differences.std(ddof=1))
        half = float(t.ppf((1 + confidence) / 2, pairs - 1)) * std / math.sqrt(pairs)
        if std > _NO_SPREAD or abs(mean) <= _NO_SPREAD:
            low, high = mean - half, mean + half
    return PairedDifference(
        mean=mean,
        low=low,
        high=high,
        std=std,
        pairs=pairs,
        wins=int((differences > 0).sum()),
        losses=int((differences < 0).sum()),
        confidence=confidence,
        differences=tuple(differences.tolist()),
    )
