"""Heat after heat of candidates against real images alone, until one is ahead or what is left must confirm."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from synthaug.recommendation.bookkeeping.clock import Clock
from synthaug.recommendation.bookkeeping.journal import Journal
from synthaug.recommendation.candidates.space import Candidate
from synthaug.recommendation.measuring.trial import SAFETY, Pair
from synthaug.recommendation.race.comparison import Comparison
from synthaug.recommendation.race.halving import Race, affordable_entries, successive_halving, together

_MOST_CANDIDATES, _LEAST_HEAT = 48, 2


class Heats:
    """Races of candidates, as many as there is time for.

    Args:
        comparison: Measures them.
        entrants: Gives the first so many candidates, the usual ones first.
        pairs: What the last ones of a heat are measured on.
        clock: Tells how much time is left.
        journal: Knows what a classifier takes, and how many each heat had in an earlier call.
    """

    def __init__(
        self,
        comparison: Comparison,
        entrants: Callable[[int], list[Candidate]],
        pairs: Sequence[Pair],
        clock: Clock,
        journal: Journal,
    ) -> None:
        self.comparison, self.entrants, self.pairs, self.clock, self.journal = (
            comparison,
            entrants,
            pairs,
            clock,
            journal,
        )

    def run(self, seconds: float, *, reserve: float, least_reserve: Callable[[], float]) -> Race[Candidate]:
        """Race until a candidate is above ratio 0 or no further heat is to be had.

        Args:
            seconds: Of the first heat.
            reserve: That must be left after it.
            least_reserve: Tells what must be left after any further one.
        """
        number = self._affordable(seconds, heat=1)
        heats = [self._heat(self.entrants(max(1, number)), reserve)]
        leads = [self._lead(heats[0])]
        while heats[-1].best is not None and leads[-1] <= 0:
            tried = [entry for heat in heats for entry in heat.values]
            reserve = least_reserve()
            number = self._affordable((self.clock.left - reserve) / SAFETY, heat=1 + len(heats))
            more = [entry for entry in self.entrants(len(tried) + number) if entry not in tried]
            if len(more) < _LEAST_HEAT:
                break
            heats.append(self._heat(more, reserve))
            leads.append(self._lead(heats[-1]))
        return together(heats, leads)

    def _lead(self, heat: Race[Candidate]) -> float:
        lead = self.comparison.lead(heat, self.pairs)
        return -math.inf if lead is None else lead.mean

    def _affordable(self, seconds: float, *, heat: int) -> int:
        """Return how many candidates can race in that time, in the first heat beside real images alone."""
        runs = seconds / max(1e-9, self.journal.costs.expected("classifier"))
        number = affordable_entries(runs, _MOST_CANDIDATES, len(self.pairs), control=heat == 1)
        return int(self.journal.decided(f"candidates of heat {heat}", number))

    def _heat(self, entries: Sequence[Candidate], reserve: float) -> Race[Candidate]:
        def measure(entry: Candidate, pair: int) -> float | None:
            return self.comparison.gain_on(entry, self.pairs[pair], reserve)

        return successive_halving(entries, measure, most_pairs=len(self.pairs))
