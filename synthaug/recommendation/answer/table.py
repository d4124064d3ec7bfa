"""What was tried, as a table for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synthaug.storage import read_json

if TYPE_CHECKING:
    from rich.table import Table

_MOST_ROWS = 8


def answer_table(folder: Path) -> Table:
    """Return the gain over the ratio and the best of the race, read from a finished recommendation."""
    from rich.markup import escape
    from rich.table import Table

    found = read_json(folder / "recommendation.json")
    table = Table(title=f"Difference from real images alone, points of {found['request']['metric'].replace('_', ' ')}")
    for column in ("setting", "measured on", "mean", "95 % interval", "pairs"):
        table.add_column(column, justify="left" if column in ("setting", "measured on") else "right")
    table.add_row("real images alone (ratio 0)", "", "0.0", "", "")
    for row in [row for row in found["race"] if row["differences"]][:_MOST_ROWS]:
        differences = row["differences"]
        mean = 100 * sum(differences) / len(differences)
        table.add_row(
            escape(row["words"]), "race" if found["raced"] else "first fold", f"{mean:+.1f}", "", str(len(differences))
        )
    gain = found["gain"]
    if gain is not None:
        interval = "" if gain["low"] is None else f"{100 * gain['low']:+.1f} … {100 * gain['high']:+.1f}"
        mean = f"{100 * gain['mean']:+.1f}"
        best, judges = ("the best of the race", "other images") if found["raced"] else ("the usual way", "all images")
        table.add_row(best, judges, mean, interval, str(gain["pairs"]), style="bold")
    return table
