from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are run from the checkout, not installed

from benchmarks.unlabelled import __main__ as unlabelled
from synthaug.classifiers import Policy
from synthaug.recommendation import RecommendedPolicy
from synthaug.sampling import SampleBank
from synthaug.storage import read_json, write_json


def test_asks_with_and_without_them_and_reads_test_for_both(tmp_path, monkeypatch):
    plan = "name: digits\nsource: digits\ntest_limit: 40\nregimes: ['few-shot:4']\nbanks: {}\narms: []\n"
    (tmp_path / "digits.yaml").write_text(plan)
    monkeypatch.setattr(unlabelled, "PLANS", tmp_path)
    pools, subsets = [], []

    def recommend(subset, model, minutes, *, out, unlabelled, **_):
        pools.append(unlabelled)
        subsets.append(subset)
        yes = unlabelled is not None
        out.mkdir(parents=True)
        write_json(out / "recommendation.json", {"winner": None, "race": []})
        policy = RecommendedPolicy(
            recommended=yes, policy=Policy(), gain=None, words="Yes" if yes else "No", classes=subset.classes,
            classifier={"model": model, "steps": 2, "batch_size": 8, "input_size": 16},
            image_shape=subset.image_shape, folder=out,
        )  # fmt: skip
        if yes:
            SampleBank.from_arrays(unlabelled, np.zeros(len(unlabelled), int), subset.classes).save(out / "bank")
        policy.write()
        return policy

    monkeypatch.setattr(unlabelled, "recommend", recommend)
    out = tmp_path / "out.json"
    words = ["digits", "--work", str(tmp_path / "work"), "--number", "30", "--test-seeds", "2", "--out", str(out)]
    unlabelled.main(words)
    rows = read_json(out)["rows"]
    assert [row["unlabelled"] for row in rows] == [30, 0]
    assert [row["recommended"] for row in rows] == [True, False]
    assert len(rows[0]["test"]["winner"]) == 2
    assert rows[1]["test"]["winner"] == rows[1]["test"]["real"]
    assert rows[1]["test"]["gain"]["mean"] == 0
    assert pools[1] is None
    known = {image.tobytes() for image in subsets[0].images}
    assert len(pools[0]) == 30
    assert not {image.tobytes() for image in pools[0]} & known
