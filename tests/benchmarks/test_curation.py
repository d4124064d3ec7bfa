"""The benchmark of curation: paired arms, resumable, nothing trained twice, failures said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are run from the checkout, not installed

from benchmarks.curation import experiment
from benchmarks.curation.__main__ import PLAN, main, summarise
from synthaug.errors import ConfigError
from synthaug.storage import read_json

CLASSIFIER = {"model": "test_resnet", "steps": 6, "batch_size": 8, "augmentation": "none"}


@pytest.fixture
def words(tmp_path) -> list[str]:
    plan = yaml.safe_load(PLAN.read_text(encoding="utf-8")) | {
        "arms": {
            "none": {"filters": []},
            "confidence": {"filters": ["confidence"], "settings": {"confidence": {"quantile": 0.0, "agree": False}}},
        },
        "datasets": {"digits": {"source": "digits", "test_limit": 40, "regimes": ["few-shot:4"]}},
        "seeds": 2,
        "per_class": 3,
        "generator": {"family": "vae", "steps": 1, "width": 4, "latent_dim": 3, "class_dim": 2, "components": 1},
        "reference": {"steps": 6, "folds": 2},
        "classifier": CLASSIFIER,
        "judge": CLASSIFIER,
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    return [f"--config={tmp_path / 'plan.yaml'}", f"--work={tmp_path / 'work'}", f"--out={tmp_path / 'curation.json'}"]


def test_measures_arms_in_pairs_and_goes_on(words, tmp_path, monkeypatch):
    main([*words, "--seeds=1"])
    first = read_json(tmp_path / "curation.json")
    main(words)
    arms = read_json(tmp_path / "curation.json")["cells"][0]["arms"]
    for measure in ("sample_accuracy", "cas", "gain"):
        for arm in ("none", "confidence"):
            assert arms[arm][measure]["values"][:1] == first["cells"][0]["arms"][arm][measure]["values"]
        difference = arms["confidence"][measure]["minus_none"]
        values = [arms[arm][measure]["values"] for arm in ("confidence", "none")]
        assert difference["differences"] == pytest.approx([a - b for a, b in zip(*values, strict=True)])
    assert arms["none"]["samples"] == arms["confidence"]["samples"] == [30, 30]
    monkeypatch.setattr(experiment, "fit_classifier", None)
    monkeypatch.setattr(experiment, "train_classifier", None)
    main(words)  # all is done


def test_an_arm_whose_budget_does_not_suffice_is_reported(words, tmp_path):
    plan = yaml.safe_load((tmp_path / "plan.yaml").read_text(encoding="utf-8"))
    plan["arms"]["confidence"]["settings"] = {"confidence": {"quantile": 1.0}}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan | {"budget": 1}, sort_keys=False), encoding="utf-8")
    main([*words, "--seeds=1"])
    arm = read_json(tmp_path / "curation.json")["cells"][0]["arms"]["confidence"]
    assert arm["failed"] == 1
    assert arm["gain"]["values"] == []


def test_differences_leave_out_seeds_without_both():
    good = {"sample_accuracy": 0.5, "cas": 0.5, "gain": 0.1, "cpu_seconds": 1.0}
    better = good | {"gain": 0.2}
    failed = {"error": "budget", "cpu_seconds": 1.0}
    arms = summarise([{"none": good, "x": better}, {"none": good, "x": failed}])
    assert arms["x"]["failed"] == 1
    assert arms["x"]["gain"]["minus_none"]["differences"] == pytest.approx([0.1])


def test_unknown_arms_are_refused(words):
    with pytest.raises(ConfigError, match="expected arms among none, confidence"):
        main([*words, "--arm", "confidense"])
