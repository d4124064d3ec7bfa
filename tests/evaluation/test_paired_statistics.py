from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from synthaug.errors import ConfigError
from synthaug.evaluation import paired_difference


def test_interval_equals_scipys_paired_t_interval():
    random = np.random.default_rng(0)
    treatment, control = random.random(6), random.random(6)
    result = paired_difference(treatment, control)
    interval = stats.ttest_rel(treatment, control).confidence_interval(0.95)
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high))
    assert result.mean == pytest.approx(np.mean(treatment - control))
    assert result.wins + result.losses == 6


def test_verdict_needs_the_interval_to_exclude_zero():
    assert paired_difference([0.9, 0.91, 0.92], [0.8, 0.81, 0.8]).verdict == "better"
    assert paired_difference([0.8, 0.81, 0.8], [0.9, 0.91, 0.92]).verdict == "worse"
    assert paired_difference([0.9, 0.7], [0.8, 0.8]).verdict == "unclear"


def test_one_pair_has_no_interval_and_no_verdict():
    result = paired_difference([0.9], [0.5])
    assert (result.low, result.high, result.std, result.verdict) == (None, None, None, "unclear")
    assert json.loads(json.dumps(result.to_dict()))["differences"] == pytest.approx([0.4])


@pytest.mark.parametrize("pairs", [2, 3])
def test_differences_that_agree_to_the_image_are_no_certainty(pairs):
    result = paired_difference([10 / 12] * pairs, [9 / 12] * pairs)
    assert (result.low, result.high, result.verdict, result.wins) == (None, None, "unclear", pairs)
    assert result.std == pytest.approx(0)


def test_equal_arms_win_and_lose_nothing():
    result = paired_difference([0.5, 0.6], [0.5, 0.6])
    assert (result.wins, result.losses, result.verdict) == (0, 0, "unclear")


@pytest.mark.parametrize(("treatment", "control"), [([], []), ([0.1], [0.1, 0.2]), ([0.1, float("nan")], [0.1, 0.2])])
def test_unpaired_empty_or_broken_arms_are_refused(treatment, control):
    with pytest.raises(ConfigError, match="expected"):
        paired_difference(treatment, control)
