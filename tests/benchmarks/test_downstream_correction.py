from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are run from the checkout, not installed

from benchmarks.downstream.correction import Left, left_after_correction, p_value
from synthaug.evaluation import paired_difference


def cells_of(differences, best=True):
    gains = [paired_difference(list(values), [0.0] * len(values)) for values in differences]
    return [SimpleNamespace(comparisons=[SimpleNamespace(best=best, gain=gain) for gain in gains])]


def test_p_values_agree_with_the_intervals():
    rng = np.random.default_rng(0)
    for _ in range(50):
        gain = paired_difference(rng.normal(0.01, 0.02, 5), np.zeros(5))
        assert (p_value(gain) < 0.05) == (gain.verdict != "unclear")
    assert p_value(paired_difference([0.5, 0.5], [0.5, 0.5])) == 1.0


def test_what_chance_alone_would_show_is_not_left():
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.01, (200, 5))
    seen = sum(paired_difference(one, np.zeros(5)).verdict != "unclear" for one in noise)
    assert seen > 3, "ten of two hundred intervals leave 0 out by chance"
    assert left_after_correction(cells_of(noise)) == Left(0, 0, 200)


def test_what_stands_out_is_left_on_either_side_and_other_arms_do_not_count():
    clear = [[0.05, 0.051, 0.052, 0.049, 0.05]] * 3 + [[-0.05, -0.051, -0.052, -0.049, -0.05]] * 2
    noise = np.random.default_rng(2).normal(0, 0.01, (20, 5))
    left = left_after_correction([*cells_of(clear), *cells_of(noise), *cells_of(clear, best=False)])
    assert left == Left(3, 2, 25)
    assert "of 25 comparisons 3 gains and 2 losses" in str(left)
    assert left_after_correction([]) == Left(0, 0, 0)
