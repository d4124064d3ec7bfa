"""Time: what is left, what things cost, and how it is shared out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

GENERATORS, RACE, CONFIRMATION, CURVE, REST = 0.23, 0.17, 0.25, 0.1, 0.05
"""Shares of the time; the last is for the bank and the page. What they leave, a fifth, is for real images alone: as
much as the race has, or more."""


@dataclasses.dataclass
class Clock:
    """Counts the time of this call and of earlier calls that it goes on from.

    Args:
        seconds: In total.
        now: Tells the time.
    """

    seconds: float
    now: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._start = self.now()
        self._earlier = 0.0

    def charge(self, seconds: float) -> None:
        """Count the time that an earlier call took for what is taken over from it."""
        self._earlier += seconds

    @property
    def spent(self) -> float:
        """Seconds that are gone."""
        return self.now() - self._start + self._earlier

    @property
    def left(self) -> float:
        """Seconds that are left; below 0 when it is late."""
        return self.seconds - self.spent


class Costs:
    """What things have cost so far, by kind, so that nothing is begun that would not end in time."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}

    def note(self, kind: str, seconds: float) -> None:
        """Note what one took."""
        self._seconds.setdefault(kind, []).append(seconds)

    def forget(self, kind: str) -> None:
        """Forget what was noted of a kind."""
        self._seconds.pop(kind, None)

    def expected(self, kind: str, otherwise: float = 0.0) -> float:
        """Return what the next one will take: the mean of the last eight, or ``otherwise`` when there was none."""
        known = self._seconds.get(kind, [])[-8:]
        return sum(known) / len(known) if known else otherwise


def seconds_of_step(few: tuple[int, float], more: tuple[int, float]) -> float:
    """Return the seconds of a step from two runs, each its number of steps and its seconds.

    A busy moment in the shorter run does not make steps look free.

    Example:
        >>> seconds_of_step((4, 1.0), (24, 3.0))
        0.1
    """
    return max(1e-6, (more[1] - few[1]) / (more[0] - few[0]), more[1] / more[0] / 4)


def seconds_of_samples(total: float, arms: int, folds: int) -> float:
    """Return the time for generator and curation of one set of training images.

    Args:
        total: Seconds of the whole search.
        arms: Kinds of generators; all race on one fold, the best is trained for the others and for all images.
        folds: Number of folds.
    """
    return GENERATORS * total / (arms + folds)


def seconds_of_generator(seconds: float, curation: bool) -> float:
    """Return what of `seconds_of_samples` the generator's training gets; curation takes up to half of that."""
    return seconds / (1.5 if curation else 1)
