from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from synthaug.evaluation import PairedDifference
from synthaug.recommendation.answer.words import answer
from synthaug.recommendation.candidates.space import Candidate, ClassSets

GAIN = PairedDifference(0.02, -0.005, 0.045, 0.01, 6, 5, 1, 0.95, (0.02,) * 6)

LOSS = PairedDifference(-0.02, -0.03, -0.01, 0.01, 6, 1, 5, 0.95, (-0.02,) * 6)


def ask(**changed: Any) -> tuple[bool, str]:
    given: dict[str, Any] = {
        "winner": Candidate(), "sets": ClassSets(None, None), "gain": GAIN, "gains": {}, "metric": "accuracy",
        "base": {"augmentation": "none", "learning_rate": 1e-3}, "tried": 9, "raced": True, "best_in_race": GAIN,
        "sure": -0.005, "chance": 0.91, "seeds": 3, "confidence": 0.95,
    }  # fmt: skip
    return answer(**given | changed)


@pytest.mark.parametrize(("tried", "start"), [(0, "No answer"), (2, "No answer"), (3, "No, not for your data")])
def test_few_tries_are_no_answer(tried, start):
    recommended, words = ask(winner=None, gain=None, tried=tried, best_in_race=LOSS if tried else None)
    assert not recommended
    assert words.startswith(start)


@pytest.mark.parametrize(("high", "sure"), [(0.01, False), (-0.01, True), (None, False)])
def test_where_real_images_win_the_race_the_words_say_how_sure_that_is(high, sure):
    low = None if high is None else -0.04 - high
    _, words = ask(winner=None, gain=None, best_in_race=dataclasses.replace(LOSS, low=low, high=high))
    assert ("as far as can be told" in words) is not sure
    assert ("±" in words) is (high is not None)


@pytest.mark.parametrize("missing", [{"gain": None, "sure": None, "seeds": 0}, {"seeds": 2}])
def test_a_winner_that_few_classifiers_confirmed_is_no_answer(missing):
    recommended, words = ask(**{"sure": 0.01} | missing)
    assert not recommended
    assert words.startswith("No answer in the time given")
    assert f"there was time for {missing['seeds']}. Give more minutes" in words


def test_a_gain_that_may_be_chance_is_a_no():
    recommended, words = ask()
    assert not recommended
    assert "+2.0 ± 2.5 points" in words
    assert "the 95 % interval includes 0; it gains with a chance of 91 %." in words


def test_a_bolder_user_takes_a_gain_that_is_likely_but_not_sure():
    recommended, words = ask(confidence=0.8, sure=0.004)
    assert recommended
    assert words.startswith("Yes: add 1× VAE samples: +2.0 ± 2.5 points of accuracy.")
    assert "It gains with a chance of 91 %." in words
