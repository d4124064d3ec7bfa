"""How a pretrained classifier should begin: what is chosen and compared, and that nothing is trained twice."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are run from the checkout, not installed

from benchmarks.fine_tuning import __main__ as fine_tuning
from benchmarks.fine_tuning import runs
from benchmarks.fine_tuning.__main__ import SIDES, compared
from benchmarks.fine_tuning.runs import JUDGES, SHOTS, Side
from synthaug.data import ImageDataset
from synthaug.storage import read_json

DEFAULT, OTHER = SIDES[:2]


def rows(side: Side, rate: float, values: dict[int, float], dataset: str = "d") -> list[dict[str, Any]]:
    """What a side came to at a learning rate, by seed."""
    about = {"dataset": dataset, "frozen": side.frozen, "zero_head": side.zero_head, "learning_rate": rate}
    return [about | {"seed": seed, "balanced_accuracy": value} for seed, value in values.items()]


def test_the_learning_rate_is_best_on_the_mean_of_the_seeds():
    found = [*rows(DEFAULT, 1e-3, {0: 0.9, 1: 0.1}), *rows(DEFAULT, 3e-4, {1: 0.5, 0: 0.7})]
    assert compared("d", found)["sides"] == {
        str(DEFAULT): {"learning_rate": 3e-4, "balanced_accuracy": [0.7, 0.5]}  # in the order of the seeds
    }


def test_a_learning_rate_that_has_not_been_run_with_all_seeds_is_not_chosen():
    found = [*rows(DEFAULT, 1e-3, {0: 0.9}), *rows(DEFAULT, 3e-4, {0: 0.6, 1: 0.6})]
    assert compared("d", found)["sides"][str(DEFAULT)]["learning_rate"] == 3e-4


def test_the_default_is_compared_with_sides_of_as_many_seeds():
    shorter = SIDES[2]
    found = [
        *rows(DEFAULT, 1e-3, {0: 0.5, 1: 0.7}),
        *rows(OTHER, 3e-3, {1: 0.5, 0: 0.2}),
        *rows(shorter, 1e-3, {0: 0.1}),
        *rows(OTHER, 3e-3, {0: 1.0, 1: 1.0}, dataset="another"),
    ]
    row = compared("d", found)
    assert set(row["sides"]) == {str(DEFAULT), str(OTHER), str(shorter)}
    assert set(row["gain_of_the_first_over"]) == {str(OTHER)}
    gain = row["gain_of_the_first_over"][str(OTHER)]
    assert gain["gain"] == pytest.approx(0.25)  # 0.3 and 0.2, pair by pair
    assert gain["ci95_low"] < 0.25 < gain["ci95_high"]


def test_nothing_is_compared_before_the_default_has_been_run():
    assert compared("d", rows(OTHER, 1e-3, {0: 0.5}))["gain_of_the_first_over"] == {}
    assert compared("d", []) == {"dataset": "d", "sides": {}, "gain_of_the_first_over": {}}


def test_those_who_judge_are_not_trained_on():
    data = ImageDataset.load("digits")
    few, judges = runs.few_and_others(data, seed=1)
    assert set(few.class_counts) == {SHOTS}
    assert set(judges.class_counts) == {JUDGES}
    assert (few.classes, judges.classes) == (data.classes, data.classes)
    seen = {image.tobytes() for image in few.images}
    assert sum(image.tobytes() in seen for image in judges.images) == 0
    assert few.digest != runs.few_and_others(data, seed=2)[0].digest


class Here:
    """A pool of processes without processes, where what is patched stays patched."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.map = map

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The settings of each fine-tuning, which ends at once with a score of its own."""
    calls: list[dict[str, Any]] = []

    def train(subset: ImageDataset, **settings: Any) -> Any:
        calls.append(settings)
        return SimpleNamespace(validation=SimpleNamespace(balanced_accuracy=len(calls) / 100))

    (tmp_path / "digits.yaml").write_text("name: digits\nsource: digits\n", encoding="utf-8")
    monkeypatch.setattr(fine_tuning, "PLANS", tmp_path)
    monkeypatch.setattr(fine_tuning, "NAMES", ("digits",))
    monkeypatch.setattr(fine_tuning.concurrent.futures, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(runs, "train_classifier", train)
    return calls


def test_what_the_json_has_is_not_run_again(trained: list[dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    words = [f"--work={tmp_path / 'work'}", f"--out={out}", "--steps=7"]
    fine_tuning.main([*words, "--seeds=1"])
    found = read_json(out)
    assert found["command"].startswith("python -m benchmarks.fine_tuning")
    assert found["versions"]["torch"]
    assert found["machine"]["cores"]
    each = len(SIDES) * len(fine_tuning.LEARNING_RATES)
    assert len(found["runs"]) == len(trained) == each
    asked = {(call["freeze_statistics"], call["zero_head"], call["learning_rate"], call["steps"]) for call in trained}
    assert len(asked) == each
    assert {steps for *_, steps in asked} == {7}
    assert all(call["pretrained"] for call in trained)

    fine_tuning.main([*words, "--seeds=1"])
    assert len(trained) == each
    fine_tuning.main([*words, "--seeds=2"])
    assert [call["seed"] for call in trained] == [0] * each + [1] * each
    again = read_json(out)
    assert again["runs"][:each] == found["runs"]
    (row,) = again["rows"]
    assert [len(side["balanced_accuracy"]) for side in row["sides"].values()] == [2] * len(SIDES)
    assert len(row["gain_of_the_first_over"]) == len(SIDES) - 1
    for side in SIDES:  # scores rise from run to run, so the last rate is the best
        assert row["sides"][str(side)]["learning_rate"] == fine_tuning.LEARNING_RATES[-1]


def test_runs_of_other_steps_are_not_taken_over(trained: list[dict[str, Any]], tmp_path: Path) -> None:
    words = [f"--work={tmp_path / 'work'}", f"--out={tmp_path / 'found.json'}", "--seeds=1"]
    fine_tuning.main([*words, "--steps=7"])
    number = len(trained)
    fine_tuning.main([*words, "--steps=8"])
    assert [call["steps"] for call in trained] == [7] * number + [8] * number
    assert {run["steps"] for run in read_json(tmp_path / "found.json")["runs"]} == {8}
