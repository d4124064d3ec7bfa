from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are run from the checkout, not installed

from benchmarks.yardsticks import __main__ as yardsticks
from synthaug.storage import read_json


def logits_of(labels: np.ndarray, clear: float, seed: int = 1) -> np.ndarray:
    """Logits that point to the right class, the more plainly the clearer."""
    return (np.random.default_rng(seed).normal(size=(len(labels), 3)) + clear * np.eye(3)[labels]).astype(np.float32)


def test_the_regret_is_what_a_choice_on_few_images_loses_on_all():
    labels = np.arange(900) % 3
    plain = yardsticks.regrets({"worse": logits_of(labels, 0.1), "better": logits_of(labels, 4)}, labels, seed=0)
    assert plain["settings"]["better"]["accuracy"] > plain["settings"]["worse"]["accuracy"] + 0.3
    assert set(plain["regret"]) == {"60", "200"}  # 800 are more than half
    assert all(value == 0 for by in plain["regret"].values() for value in by.values())
    near = {"worse": logits_of(labels, 1.0), "better": logits_of(labels, 1.3, seed=2)}
    close = yardsticks.regrets(near, labels, seed=0)
    few, many = (close["regret"][size]["accuracy"] for size in ("60", "200"))
    assert few > many > 0
    assert close["regret"]["60"]["probability"] < few


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(yardsticks, "AUGMENTATIONS", ("none", "affine"))
    monkeypatch.setattr(yardsticks, "SIZES", (10,))
    monkeypatch.setattr(yardsticks, "DRAWS", 3)


def test_the_command_writes_what_it_measured_and_trains_nothing_twice(small, tmp_path, monkeypatch):
    plan = tmp_path / "digits.yaml"
    plan.write_text(
        "name: digits\nsource: digits\ntest_limit: 60\nregimes: ['few-shot:4']\nseeds: 1\n"
        "classifiers:\n  tiny: {model: test_resnet, input_size: 16, steps: 2, batch_size: 8}\n"
        "bases:\n  none: [{augmentation: none, learning_rate: 0.001}]\nbanks: {}\narms: []\n"
    )
    monkeypatch.setattr(yardsticks, "PLANS", tmp_path)
    words = ["digits", "--seeds=1", "--steps=2", f"--work={tmp_path / 'work'}", f"--out={tmp_path / 'found.json'}"]
    yardsticks.main(words)
    found = read_json(tmp_path / "found.json")
    assert set(found["rows"][0]["settings"]) == {"none", "affine"}
    assert set(found["mean_regret"]["10"]) == set(yardsticks.YARDSTICKS)

    def trained(*args, **settings):
        raise AssertionError("trained again")

    monkeypatch.setattr(yardsticks, "fit_classifier", trained)
    yardsticks.main(words)
    assert read_json(tmp_path / "found.json")["rows"] == found["rows"]
