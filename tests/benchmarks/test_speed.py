from __future__ import annotations

import time

import pytest

from benchmarks.speed.generation import compare_generation
from benchmarks.speed.pairs import Pair, compare
from synthaug.generators import make_generator


def test_ratio_is_that_of_the_rates() -> None:
    def slow() -> int:
        time.sleep(0.06)
        return 10

    def fast() -> int:
        time.sleep(0.03)
        return 10

    figures = compare("sleep", slow, fast, rounds=3, mark=0.8, note="").to_dict()
    assert len(figures["ratios"]) == 3
    assert figures["ratio_median"] == pytest.approx(0.5, rel=0.3)
    assert not figures["reached"]


def test_median_not_mean_decides() -> None:
    pair = Pair("x", ours=[1.0, 1.0, 100.0], reference=[1.0, 1.0, 1.0], mark=2.0, note="")
    assert pair.to_dict()["ratio_median"] == 1.0
    assert not pair.to_dict()["reached"]


def test_generation_is_compared_on_equal_numbers() -> None:
    generator = make_generator("vae", ["a", "b"], (1, 8, 8), options={"width": 8}).eval()
    pair = compare_generation(generator, samples=128, rounds=1)
    assert pair.ours[0] > 0
    assert pair.reference[0] > 0
