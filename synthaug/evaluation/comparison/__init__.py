"""Families side by side: equal training time for each, the same yardsticks, and what the numbers say.

Read `comparing` first. Each (family, seed) is one run in a process of its own (`runs` starts it, `worker` is what it
does), so that memory is measured apart and one crash ends nothing else. `summary` brings seeds together, `claims` tests
what the field says about its families, `page` shows it all.
"""

from __future__ import annotations

from synthaug.evaluation.comparison.claims import Claim, Finding
from synthaug.evaluation.comparison.comparing import Comparison, compare
from synthaug.evaluation.comparison.summary import FamilySummary, Spread

__all__ = ["Claim", "Comparison", "FamilySummary", "Finding", "Spread", "compare"]
