"""Intervals over seeds: of a mean, of the difference or ratio of two means, and of the ratio of two spreads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """An estimate with its 95 % interval; the ends are `None` where there are too few seeds for one."""

    estimate: float
    low: float | None
    high: float | None

    def against(self, value: float) -> str:
        """Return ``"above"`` or ``"below"`` when the interval excludes the value, else ``"unclear"``."""
        if self.low is None or self.high is None:
            return "unclear"
        if self.low > value:
            return "above"
        return "below" if self.high < value else "unclear"


_TAIL = 0.975


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean with Student's t interval.

    Example:
        >>> mean_interval([1.0, 2.0, 3.0]).estimate
        2.0
    """
    from scipy.stats import t

    mean, number = float(np.mean(values)), len(values)
    if number < 2:
        return Interval(mean, None, None)
    half = float(t.ppf(_TAIL, number - 1)) * float(np.std(values, ddof=1)) / math.sqrt(number)
    return Interval(mean, mean - half, mean + half)


def difference_interval(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Return the difference of two means, first minus second, with Welch's interval (Welch 1947).

    The seeds of two families have nothing in common, so they are not paired.

    Example:
        >>> difference_interval([3.0, 3.1, 2.9], [1.0, 1.1, 0.9]).against(0)
        'above'
    """
    from scipy.stats import t

    difference = float(np.mean(first) - np.mean(second))
    if min(len(first), len(second)) < 2:
        return Interval(difference, None, None)
    parts = [float(np.var(values, ddof=1)) / len(values) for values in (first, second)]
    if sum(parts) == 0:  # values that agree to the last digit come of few images, and are no certainty
        return Interval(difference, None, None) if difference else Interval(0.0, 0.0, 0.0)
    degrees = sum(parts) ** 2 / sum(part**2 / (len(v) - 1) for part, v in zip(parts, (first, second), strict=True))
    half = float(t.ppf(_TAIL, degrees)) * math.sqrt(sum(parts))
    return Interval(difference, difference - half, difference + half)


def ratio_interval(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Return the ratio of two geometric means of positive values, first over second, with Welch's interval of logs.

    Distances and speeds vary by factors: the logarithm of one is more nearly normal than it is itself.

    Example:
        >>> ratio_interval([30.0, 33.0, 27.0], [3.0, 3.3, 2.7]).against(1)
        'above'
    """
    interval = difference_interval(np.log(first).tolist(), np.log(second).tolist())
    ends = [None if end is None else math.exp(min(end, 700.0)) for end in interval]
    return Interval(math.exp(interval.estimate), ends[1], ends[2])


def spread_ratio_interval(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Return the ratio of two standard deviations, first over second, with Fisher's F interval.

    Example:
        >>> spread_ratio_interval([1.0, 5.0, 9.0], [1.0, 1.1, 1.2]).estimate > 30
        True
    """
    from scipy.stats import f

    if min(len(first), len(second)) < 2:
        return Interval(math.nan, None, None)
    over, under = float(np.var(first, ddof=1)), float(np.var(second, ddof=1))
    if under == 0:
        return Interval(math.nan if over == 0 else math.inf, None, None)
    ratio, degrees = over / under, (len(first) - 1, len(second) - 1)
    ends = [math.sqrt(ratio / float(f.ppf(quantile, *degrees))) for quantile in (_TAIL, 1 - _TAIL)]
    return Interval(math.sqrt(ratio), ends[0], ends[1])
