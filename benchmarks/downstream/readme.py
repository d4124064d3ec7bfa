"""The README's summary: every cell by the same ways to use samples, none of them picked by its result."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.downstream.correction import left_after_correction
from benchmarks.downstream.summary import FAMILIES, WAYS, Cell, Comparison, signed
from synthaug.errors import ConfigError
from synthaug.storage import new_file

BEGIN, END = "<!-- downstream: drawn by its report command -->", "<!-- /downstream -->"


def summary_table(cells: list[Cell]) -> str:
    """Return two tables: the gain over the best real-only arm of each cell, and, folded, over plain ones."""
    best: list[list[str]] = []
    others: list[list[str]] = []
    for cell in cells:
        for base in dict.fromkeys(one.base for one in cell.comparisons):
            arm = [
                f"{cell.dataset}, {cell.regime}",
                cell.classifier,
                base,
                f"{100 * np.mean(cell.real_only[base]):.1f}",
            ]
            for family, banks in FAMILIES.items():
                gains = [cell.find(base, banks, policy) for policy in WAYS.values()]
                if any(gains):
                    (best if base == cell.choice["best"] else others).append([*arm, family, *map(_gain, gains)])
    lines = [f"Over the best real-only arm ({left_after_correction(cells)}):\n", *_markdown(best)]
    if others:
        lines.append(
            f"\n<details><summary>Over plain cross-entropy, and arms that are not the best ({len(others)})</summary>\n"
        )
        lines += [*_markdown(others), "\n</details>"]
    return "\n".join(lines)


def _markdown(rows: list[list[str]]) -> list[str]:
    heads = ["data, images", "classifier", "real-only arm", "real only", "samples", *WAYS]
    return [f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows]]


def _gain(one: Comparison | None) -> str:
    if one is None:
        return ""
    low, high = one.gain.low, one.gain.high
    mean = signed(one.gain.mean)
    if low is None or high is None:
        return mean
    return f"{mean if one.gain.verdict == 'unclear' else f'**{mean}**'} [{signed(low)}, {signed(high)}]"


def replace_block(text: str, table: str) -> str:
    """Return a text with the table between its two marks.

    Raises:
        ConfigError: If the text lacks a mark.
    """
    if BEGIN not in text or END not in text:
        raise ConfigError(f"expected the marks {BEGIN} and {END}, but the text lacks one.")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}"


def update(path: Path, cells: list[Cell]) -> None:
    """Draw the summary of a Markdown file anew."""
    drawn = replace_block(path.read_text(encoding="utf-8"), summary_table(cells))
    with new_file(path) as temporary:
        temporary.write_text(drawn, encoding="utf-8")
