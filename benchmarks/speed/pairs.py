"""Two ways to do the same work, timed in turns."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Pair:
    """Rates (images/s) of two sides, round by round.

    Attributes:
        name: What was compared.
        ours: Rates of our side.
        reference: Rates of the other side.
        mark: Ratio to reach.
        note: What exactly the two sides did.
    """

    name: str
    ours: list[float]
    reference: list[float]
    mark: float
    note: str

    @property
    def ratios(self) -> list[float]:
        """Ours over reference in each round."""
        return [ours / reference for ours, reference in zip(self.ours, self.reference, strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able figures: every round, and the median ratio with its range."""
        ratios = self.ratios
        return {
            **dataclasses.asdict(self),
            "ratios": ratios,
            "ratio_median": statistics.median(ratios),
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
            "reached": statistics.median(ratios) >= self.mark,
        }


def compare(
    name: str, ours: Callable[[], int], reference: Callable[[], int], *, rounds: int, mark: float, note: str
) -> Pair:
    """Time two functions in turns.

    Args:
        name: What is compared.
        ours: Does the work once and returns how many images it took.
        reference: The same for the other side.
        rounds: Rounds that count, after one that warms up.
        mark: Ratio to reach.
        note: What exactly the two sides do.
    """
    rates: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        # Whoever goes first may find a cooler processor, so they take turns at that too.
        sides = [(0, ours), (1, reference)]
        for side, work in sides if turn % 2 else sides[::-1]:
            start = time.perf_counter()
            images = work()
            rates[side].append(images / (time.perf_counter() - start))
    return Pair(name, rates[0][1:], rates[1][1:], mark, note)
