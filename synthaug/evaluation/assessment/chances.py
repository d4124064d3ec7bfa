"""How well scores tell two groups apart, and how sure that is."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import DataError


@dataclasses.dataclass(frozen=True)
class Chance:
    """A probability with its 95 % interval.

    Attributes:
        value: The estimate, 0 to 1; 0.5 is a guess.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """The estimate and its interval in words."""
        return f"{self.value:.2f} (95 % interval {self.low:.2f} to {self.high:.2f})"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return dataclasses.asdict(self)


def area_under_curve(positives: NDArray[np.floating], negatives: NDArray[np.floating]) -> Chance:
    """Return the probability that a positive scores above a negative: the area under the ROC curve.

    Source: DeLong et al. 1988, "Comparing the areas under two or more correlated receiver operating characteristic
    curves", for the interval; Sun & Xu 2014 for its computation by ranks.

    Args:
        positives: Scores, (N,), N of 2 or more.
        negatives: Scores, (M,), M of 2 or more. Ties count half.

    Raises:
        DataError: If there are fewer than two of either, or a score is not finite.

    Example:
        >>> area_under_curve(np.array([3.0, 2.0, 4.0]), np.array([1.0, 2.5, 0.0])).value
        0.8888888888888888
    """
    from scipy.stats import rankdata

    count, others = len(positives), len(negatives)
    scores = np.concatenate([positives, negatives]).astype(np.float64)
    if min(count, others) < 2 or not np.isfinite(scores).all():
        raise DataError(f"expected two finite scores or more of each group, but got {count} and {others}.")
    ranks = rankdata(scores)
    above = (ranks[:count] - rankdata(positives)) / others  # of each positive: negatives below it
    below = 1 - (ranks[count:] - rankdata(negatives)) / count  # of each negative: positives above it
    value = float(above.mean())
    half = 1.96 * math.sqrt(float(above.var(ddof=1)) / count + float(below.var(ddof=1)) / others)
    return Chance(value, max(0.0, value - half), min(1.0, value + half))


def nearer(
    to_first: NDArray[np.floating], to_second: NDArray[np.floating], *, rounds: int = 100, seed: int = 0
) -> Chance:
    """Return the probability that a sample's nearest member of one set is nearer than its nearest of another.

    The interval is 1.96 standard deviations of the same share over random divisions of the members into two sets, which
    is what chance alone does (a permutation test; Fisher 1935), with the samples drawn anew each time.

    Args:
        to_first: Distances of samples to members of the first set, (S, N).
        to_second: Distances to members of the second set, (S, N); as many, else the larger set is nearer by its size.
        rounds: Random divisions.
        seed: Of the divisions.

    Raises:
        DataError: If the arrays are empty or differ in shape.

    Example:
        >>> distances = np.random.default_rng(0).random((50, 20))
        >>> nearer(distances, distances + 1).value
        1.0
    """
    if to_first.shape != to_second.shape or to_first.ndim != 2 or not to_first.size:
        raise DataError(
            f"expected distances of one shape (samples, images), but got {to_first.shape} and {to_second.shape}."
        )
    random = np.random.default_rng([seed, 0xB007])
    samples, members = to_first.shape
    both = np.concatenate([to_first, to_second], axis=1)
    shares = []
    for _ in range(rounds):
        rows, order = random.integers(samples, size=samples), random.permutation(2 * members)
        first, second = (both[:, part].min(axis=1)[rows] for part in (order[:members], order[members:]))
        shares.append(_share(first, second))
    half = 1.96 * float(np.std(shares))
    value = _share(to_first.min(axis=1), to_second.min(axis=1))
    return Chance(value, max(0.0, value - half), min(1.0, value + half))


def _share(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    return float((first < second).mean() + 0.5 * (first == second).mean())
