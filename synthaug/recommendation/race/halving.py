"""Successive halving: measure many a little, keep the better half, measure it more (Jamieson & Talwalkar 2016)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import numpy as np

Entry = TypeVar("Entry", bound=Hashable)


@dataclasses.dataclass(frozen=True)
class Rung:
    """One round: how many take part, and how many pairs each has been measured on by its end."""

    entries: int
    pairs: int


@dataclasses.dataclass(frozen=True)
class Race(Generic[Entry]):
    """How a race went.

    Attributes:
        ranking: All entries, the best first: those that lasted longest, then those with the higher mean.
        values: Of each entry, a value for each pair that it was measured on.
        rungs: The rounds that were finished.
    """

    ranking: tuple[Entry, ...]
    values: dict[Entry, tuple[float, ...]]
    rungs: tuple[Rung, ...]

    @property
    def best(self) -> Entry | None:
        """The first that was measured; `None` if none was."""
        return next((entry for entry in self.ranking if self.values[entry]), None)


def plan_rungs(entries: int, most_pairs: int) -> tuple[Rung, ...]:
    """Return the rounds: each halves the entries and doubles the pairs, until one entry or ``most_pairs`` is left.

    Example:
        >>> [(rung.entries, rung.pairs) for rung in plan_rungs(6, most_pairs=4)]
        [(6, 1), (3, 2), (2, 4)]
    """
    rungs: list[Rung] = []
    pairs = 1
    while entries >= 1:
        rungs.append(Rung(entries, min(pairs, most_pairs)))
        if entries == 1 or pairs >= most_pairs:
            break
        entries, pairs = (entries + 1) // 2, 2 * pairs
    return tuple(rungs)


def runs_needed(entries: int, most_pairs: int, *, control: bool = False) -> int:
    """Return the number of runs that a race takes, with those of a control that is measured on every pair."""
    rungs = plan_rungs(entries, most_pairs)
    before = [0, *[rung.pairs for rung in rungs]]
    runs = sum(rung.entries * (rung.pairs - done) for rung, done in zip(rungs, before, strict=False))
    return runs + (rungs[-1].pairs if control and rungs else 0)


def affordable_entries(runs: float, most: int, most_pairs: int, *, control: bool = False) -> int:
    """Return the largest number of entries, at most ``most``, whose race takes no more than ``runs`` runs."""
    number = most
    while number > 0 and runs_needed(number, most_pairs, control=control) > runs:
        number -= 1
    return number


def successive_halving(
    entries: Sequence[Entry],
    measure: Callable[[Entry, int], float | None],
    *,
    most_pairs: int,
) -> Race[Entry]:
    """Run the race.

    Args:
        entries: In order of preference, which decides between equals.
        measure: From an entry and the number of a pair (a split and a seed) to its value there; higher is better.
            `None` says that there is no time left: the race ends, and the round that it cuts off is judged by the
            pairs that all of its entries have; in the first round those that were measured come before the others.
        most_pairs: Pairs that the last ones are measured on.
    """
    values: dict[Entry, list[float]] = {entry: [] for entry in entries}
    alive = list(values)
    out: list[Entry] = []
    finished: list[Rung] = []
    for rung in plan_rungs(len(alive), most_pairs):
        alive, dropped = alive[: rung.entries], alive[rung.entries :]
        out = dropped + out
        complete = _measure_all(alive, values, rung.pairs, measure)
        common = min(len(values[entry]) for entry in alive)
        alive.sort(key=lambda entry: _rank(values[entry], max(1, common)))  # stable: equals keep their order
        if not complete:
            break
        finished.append(rung)
    return Race(tuple(alive + out), {entry: tuple(found) for entry, found in values.items()}, tuple(finished))


def together(heats: Sequence[Race[Entry]], leads: Sequence[float]) -> Race[Entry]:
    """Return heats of different entries as one race: the heat with the larger lead comes first.

    Example:
        >>> first, second = Race(("a",), {"a": (-0.1,)}, ()), Race(("b",), {"b": (0.2,)}, ())
        >>> together([first, second], [-0.1, 0.2]).ranking
        ('b', 'a')
    """
    ordered = [heats[place] for place in sorted(range(len(heats)), key=lambda place: -leads[place])]
    return Race(
        tuple(entry for heat in ordered for entry in heat.ranking),
        {entry: values for heat in ordered for entry, values in heat.values.items()},
        tuple(rung for heat in heats for rung in heat.rungs),
    )


def _measure_all(
    alive: Sequence[Entry],
    values: dict[Entry, list[float]],
    pairs: int,
    measure: Callable[[Entry, int], float | None],
) -> bool:
    """Measure pair by pair, so that what is done when time runs out can be compared."""
    for pair in range(pairs):
        for entry in alive:
            if len(values[entry]) > pair:
                continue
            value = measure(entry, pair)
            if value is None:
                return False
            values[entry].append(value)
    return True


def _rank(values: Sequence[float], pairs: int) -> tuple[bool, float]:
    """Return what to sort by: whether there is no value, then less the mean of the first ones."""
    return not values, -float(np.mean(values[:pairs])) if values else 0.0
