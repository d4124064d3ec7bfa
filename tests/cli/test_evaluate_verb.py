"""`synthaug evaluate`: flags become arguments of the same names."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from calling import call

from synthaug.cli import evaluate as verb
from synthaug.data import ImageDataset
from synthaug.sampling import SampleBank
from synthaug.storage import read_json


@pytest.fixture
def asked(monkeypatch):
    """Replace the evaluation by a record of what it was asked for."""
    calls = []

    def evaluate(samples, real, holdout, **arguments):
        calls.append({"samples": samples, "real": real, "holdout": holdout, **arguments})
        arguments["out"].mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr("synthaug.evaluation.evaluate", evaluate)
    return calls


def test_flags_have_the_names_and_defaults_of_the_arguments():
    from synthaug.evaluation import evaluate

    behind = inspect.signature(evaluate).parameters
    flags = inspect.signature(verb.run).parameters
    for name, flag in flags.items():
        if name not in ("ctx", "config", "samples", "real", "out"):
            assert flag.default == behind[name].default, name
    assert set(behind) - set(flags) == {"console", "command", "classifier", "policy"}


def test_flags_and_settings_arrive(asked, tmp_path):
    words = ["--real", "digits", "--image-size", "16x12", "--per-class", 9, "--seeds", 0, "--holdout-split", "test"]
    result = call(
        "evaluate", "runs/x", *words, "--out", tmp_path / "e", "--model", "resnet18", "--augmentation", "none"
    )
    assert result.exit_code == 0, result.stderr
    (one,) = asked
    assert (one["samples"], one["real"], one["holdout"], one["holdout_split"]) == ("runs/x", "digits", None, "test")
    assert (one["image_size"], one["per_class"], one["seeds"]) == ((16, 12), 9, 0)
    assert one["classifier"] == {"model": "resnet18", "augmentation": "none"}
    again = call("evaluate", "runs/x", "--config", tmp_path / "e" / "cli.yaml", "--out", tmp_path / "f")
    assert again.exit_code == 0, again.stderr
    assert asked[1]["classifier"] == one["classifier"]
    assert asked[1]["per_class"] == 9


def test_unknown_flags_are_refused_with_close_names(asked, tmp_path):
    result = call("evaluate", "runs/x", "--real", "digits", "--out", tmp_path / "e", "--modl", "resnet18")
    assert result.exit_code == 2
    assert "model" in result.stderr
    assert not asked


def test_the_digits(tmp_path):
    data = ImageDataset.load("digits")
    rows = np.arange(0, len(data), 60)
    SampleBank.from_arrays(data.take(rows), data.labels[rows], data.classes).save(tmp_path / "bank")
    words = ["--real", "digits", "--network", "classifier", "--steps", 4, "--out", tmp_path / "e"]
    result = call("evaluate", tmp_path / "bank", *words)
    assert result.exit_code == 0, result.stderr
    stored = read_json(tmp_path / "e" / "evaluation.json")
    assert len(stored["copies"]) == len(rows)
    assert str(tmp_path) not in (tmp_path / "e" / "evaluation.html").read_text(encoding="utf-8")
    assert "is not known without held-out images" in result.stdout
    refused = call("evaluate", tmp_path / "bank", *words)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
