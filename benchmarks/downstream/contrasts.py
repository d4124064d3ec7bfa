"""Our samples beside what is none of ours: the control, a blend in pixel space, other libraries; seed by seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from benchmarks.downstream.summary import METRIC, Cell, Comparison, points
from synthaug.evaluation import PairedDifference, paired_difference
from synthaug.generators import list_families

CONTROL = "real"
"""Family of the subset's own images, taken as if they were samples."""


@dataclasses.dataclass(frozen=True)
class Contrast:
    """Two ways beside each other on top of the same real-only arm, seed by seed.

    Attributes:
        ours: With samples of one of the library's generators.
        other: With the subset's own images, or with samples of another origin.
        gain: Paired difference of test balanced accuracy, ours less the other, over the seeds that both have.
    """

    ours: Comparison
    other: Comparison
    gain: PairedDifference


def contrasts(cell: Cell) -> Iterator[Contrast]:
    """Yield what can be set against each other in a cell.

    Every way of ours is set against the control, which says how much of a gain is the samples' and how much comes from
    drawing or mixing otherwise; samples of another origin are set against ours that enter by the same policy.
    """
    families = list_families()
    ours = [one for one in cell.ordered() if one.family in families]
    for other in cell.ordered():
        if other.family in families:
            continue
        for one in ours:
            if one.base == other.base and (other.family == CONTROL or one.policy == other.policy):
                first, second = (dict(zip(each.seeds, each.synthetic, strict=True)) for each in (one, other))
                seeds = [seed for seed in first if seed in second]
                if seeds:
                    gain = paired_difference([first[seed] for seed in seeds], [second[seed] for seed in seeds])
                    yield Contrast(one, other, gain)


def contrast_rows(cells: list[Cell]) -> list[dict[str, Any]]:
    """Return one row a contrast; gains are in percentage points."""
    return [
        {
            "dataset": cell.dataset,
            "regime": cell.regime,
            "classifier": cell.classifier,
            "reference_arm": each.ours.base,
            "reference_is_best_real_only": each.ours.best,
            "bank": each.ours.bank,
            "policy": each.ours.policy,
            "other_bank": each.other.bank,
            "other_policy": each.other.policy,
            "metric": METRIC,
            "unit": "percentage points",
            "seeds": each.gain.pairs,
            "gain": points(each.gain.mean),
            "ci95_low": points(each.gain.low),
            "ci95_high": points(each.gain.high),
            "wins": each.gain.wins,
        }
        for cell in cells
        for each in contrasts(cell)
    ]
