"""What is written of the measurements is what was measured."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are run from the checkout, not installed

from benchmarks.downstream.readme import replace_block, summary_table
from benchmarks.downstream.summary import read_cells
from synthaug.evaluation import paired_difference

ROOT = Path(__file__).resolve().parents[2]


def test_the_summary_of_the_readme_is_drawn_from_the_committed_runs():
    cells = read_cells(ROOT / "benchmarks/results/downstream/runs")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(cells) > 1
    assert replace_block(text, summary_table(cells)) == text  # else: downstream report --readme README.md


FIGURE = re.compile(r"([+−]?\d+\.\d)\*{0,2} \[([+−]?\d+\.\d), ([+−]?\d+\.\d)\]")
"""A gain with its interval, in points: ``**+1.7** [+0.8, +2.5]``."""


def test_figures_in_the_documentation_are_those_of_the_committed_runs():
    """Every gain is the paired difference of two arms of one cell, so a table that was not written anew is noticed."""
    text = (ROOT / "docs/benchmark.md").read_text(encoding="utf-8")
    text = text[text.index("### Goals at a glance") : text.index("### Samples of features instead of images")]
    elsewhere = "downstream_fashion_mnist.json"  # an earlier run, of which no single runs are kept
    text = "\n".join(line for line in text.splitlines() if elsewhere not in line)
    known = []
    for cell in read_cells(ROOT / "benchmarks/results/downstream/runs"):
        arms = [dict(enumerate(values, cell.choice["seeds"][0])) for values in cell.real_only.values()]
        arms += [dict(zip(one.seeds, one.synthetic, strict=True)) for one in cell.comparisons]
        for one, other in itertools.permutations(arms, 2):
            seeds = [seed for seed in one if seed in other]
            found = paired_difference([one[seed] for seed in seeds], [other[seed] for seed in seeds])
            if found.low is not None:
                known.append([100 * found.mean, 100 * found.low, 100 * found.high])
    figures = [
        (match.group(), [float(value.replace("−", "-")) for value in match.groups()]) for match in FIGURE.finditer(text)
    ]
    assert len(figures) > 150
    table = np.array(known)
    strange = [shown for shown, values in figures if np.abs(table - values).max(axis=1).min() > 0.055]
    assert strange == []
