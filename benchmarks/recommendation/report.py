"""What the cells say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.recommendation.runner import ALWAYS, NEVER, RECOMMENDED, WINNER
from synthaug.errors import DataError
from synthaug.evaluation import describe_environment, paired_difference
from synthaug.recommendation.measuring.difference import WORTH, WORTH_SPREAD
from synthaug.storage import read_json, write_json

MOST_LOSS = 0.003
"""The recommendation may lose this share of balanced accuracy against real images alone in no dataset and regime."""

_TOLD = ("recommended", "words", "expected_gain", "gain_of_hits", "values", "beliefs", "seconds")
"""Of each cell; those of before have no probabilities."""

CONFIDENCES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def bolder_and_more_careful(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Say what other confidences would have come to on test; the winner of the race is used where they say yes.

    The intervals are taken as normal ones. Cells of before the winner was tested are left out.
    """
    from scipy.stats import norm

    results = [record["result"] for record in records if WINNER in record["result"]["values"]]
    found = []
    for confidence in CONFIDENCES:
        gains = []  # of the cells that say yes
        for gain, values in ((result["expected_gain"], result["values"]) for result in results):
            if gain is None:
                continue
            wider = norm.ppf((1 + confidence) / 2) / norm.ppf((1 + gain["confidence"]) / 2)
            if gain["mean"] - wider * (gain["mean"] - gain["low"]) > 0:
                gains.append(float(np.mean(values[WINNER]) - np.mean(values[NEVER])))
        found.append(
            {
                "confidence": confidence,
                "cells": len(results),
                "yes": len(gains),
                "mean_gain": sum(gains) / len(results) if results else 0.0,
                "worst": min(gains, default=0.0),
            }
        )
    return found


def worth(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Say what a point gained in the probability of the right class was worth in balanced accuracy, both on test.

    By least squares through 0, over all settings with samples of all cells that hold both; ``spread`` is what is left,
    noise of test included. `synthaug.recommendation` takes `WORTH` and `WORTH_SPREAD` for them. ``interval_widths`` are
    those of the expected gain over those of the gain by what was found alone, one a cell with a confirmed winner.
    """
    probability, accuracy, widths = [], [], []
    for result in (record["result"] for record in records):
        both = [result["expected_gain"], result.get("gain_of_hits")]
        if all(gain is not None and gain["low"] is not None for gain in both):
            widths.append((both[0]["high"] - both[0]["low"]) / (both[1]["high"] - both[1]["low"]))
        for name, belief in result.get("beliefs", {}).items():
            if name in (NEVER, WINNER):  # a winner is one of the others, or much like one
                continue
            probability.append(float(np.mean(belief) - np.mean(result["beliefs"][NEVER])))
            accuracy.append(float(np.mean(result["values"][name]) - np.mean(result["values"][NEVER])))
    if len(probability) < 2 or not (np.std(probability) > 0 and np.std(accuracy) > 0):
        return {"settings": len(probability)}
    slope = float(np.dot(probability, accuracy) / np.dot(probability, probability))
    return {
        "settings": len(probability),
        "worth": slope,
        "spread": float(
            np.sqrt(np.square(np.subtract(accuracy, np.multiply(slope, probability))).sum() / (len(probability) - 1))
        ),
        "correlation": float(np.corrcoef(probability, accuracy)[0, 1]),
        "taken": {"worth": WORTH, "spread": WORTH_SPREAD},
        "interval_widths": widths,
    }


def summarise(results: Path) -> dict[str, Any]:
    """Put the finished cells together.

    Raises:
        DataError: If there are none.
    """
    records = [read_json(path) for path in sorted(results.glob("cell-*.json"))]
    if not records:
        raise DataError(f"expected finished cells in {results}, but there are none; run the benchmark first.")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["task"]["dataset"], record["task"]["regime"]), []).append(record)
    rows: list[dict[str, Any]] = []
    for (dataset, regime), group in sorted(groups.items()):
        values = [record["result"]["values"] for record in group]
        means = {
            name: float(np.mean([one[name] for one in values]))
            for name in values[0]
            if all(name in one for one in values)  # the winner of the race came later
        }
        cells = [
            {key: record["result"][key] for key in _TOLD if key in record["result"]} | {"seed": record["task"]["seed"]}
            for record in group
        ]
        rows.append({"dataset": dataset, "regime": regime, "means": means, "cells": cells})
    names = [name for name in rows[0]["means"] if all(name in row["means"] for row in rows)]
    overall = {name: float(np.mean([row["means"][name] for row in rows])) for name in names}
    fixed = [name for name in names if name not in (RECOMMENDED, WINNER)]
    hindsight = max(fixed, key=lambda name: overall[name])
    losses = {f"{row['dataset']} {row['regime']}": row["means"][RECOMMENDED] - row["means"][NEVER] for row in rows}
    return {
        "rows": rows,
        "overall": overall,
        "best_in_hindsight": hindsight,
        "against": {
            name: paired_difference(
                [row["means"][RECOMMENDED] for row in rows], [row["means"][name] for row in rows]
            ).to_dict()
            for name in dict.fromkeys((NEVER, ALWAYS, hindsight))
        },
        "worst": min(losses, key=lambda name: losses[name]),
        "worst_loss": min(losses.values()),
        "holds": min(losses.values()) >= -MOST_LOSS
        and overall[RECOMMENDED] > overall[NEVER]
        and overall[RECOMMENDED] > overall[ALWAYS],
        "at_confidence": bolder_and_more_careful(records),
        "worth": worth(records),
        "task": records[0]["task"],
        **describe_environment(),
    }


def write_report(results: Path, out: Path, command: str) -> Table:
    """Write the summary as JSON and return the table."""
    summary = summarise(results)
    write_json(out, {"command": command, **summary})
    hindsight = summary["best_in_hindsight"]
    columns = list(dict.fromkeys((NEVER, ALWAYS, hindsight, RECOMMENDED)))
    table = Table(title=f"Balanced accuracy on test, %; best single setting in hindsight: {hindsight}")
    for column in ("dataset", "regime", *columns, "said yes"):
        table.add_column(column, justify="left" if column in ("dataset", "regime") else "right")
    for row in summary["rows"]:
        yes = sum(cell["recommended"] for cell in row["cells"])
        table.add_row(
            row["dataset"], row["regime"], *[f"{100 * row['means'][name]:.1f}" for name in columns],
            f"{yes} of {len(row['cells'])}",
        )  # fmt: skip
    table.add_row("mean", "", *[f"{100 * summary['overall'][name]:.1f}" for name in columns], "", style="bold")
    return table
