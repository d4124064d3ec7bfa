"""`synthaug recommend`: flags become arguments of the same names, and it runs on real images."""

from __future__ import annotations

import inspect

import pytest
from calling import call

from synthaug.cli import recommend as verb
from synthaug.recommendation import RATIOS, RecommendedPolicy, recommend
from synthaug.storage import read_json

BEHIND = {"console", "command", "maker", "now", "settings", "data", "model_options"}


def test_flags_have_the_names_and_defaults_of_the_arguments():
    behind = inspect.signature(recommend).parameters
    flags = inspect.signature(verb.run).parameters
    for name, flag in flags.items():
        if name not in ("ctx", "config", "source", "out", "ratios"):
            assert flag.default == behind[name].default, name
    assert set(behind) - set(flags) == BEHIND
    assert behind["ratios"].default == RATIOS


def test_flags_and_settings_arrive(monkeypatch, tmp_path):
    asked = []

    def record(source, model, minutes, **arguments):
        asked.append({"source": source, "model": model, "minutes": minutes, **arguments})
        raise KeyboardInterrupt

    monkeypatch.setattr("synthaug.recommendation.recommend", record)
    words = ["--minutes", 3, "--model", "resnet10t", "--families", "vae, gan", "--ratios", "0.5,2", "--image-size", 16]
    more = ["--generator-settings", '{"vae": {"width": 8}}', "--augmentation", "none", "--steps", 7, "--seed", 4]
    assert call("recommend", "digits", "--out", tmp_path / "a", *words, *more).exit_code == 130
    (got,) = asked
    assert (got["source"], got["model"], got["minutes"], got["image_size"]) == ("digits", "resnet10t", 3, 16)
    assert (got["families"], got["ratios"]) == (["vae", "gan"], [0.5, 2.0])
    assert got["generator_settings"] == {"vae": {"width": 8}}
    assert (got["augmentation"], got["steps"], got["seed"]) == ("none", 7, 4)


@pytest.mark.parametrize("words", [["--ratios", "x"], ["--stepz", 3], ["--metric", "auc"], ["--families", "vea"]])
def test_bad_flags_are_refused_in_one_line(words, tmp_path):
    result = call("recommend", "digits", "--out", tmp_path / "a", *words)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")


def test_runs_on_digits_and_writes_an_answer(tmp_path):
    out = tmp_path / "advice"
    words = ["--model", "test_resnet", "--minutes", 0.05, "--steps", 2, "--input-size", 16, "--batch-size", 8]
    tiny = '{"vae": {"width": 8, "latent_dim": 6, "class_dim": 4, "components": 2}}'
    result = call("recommend", "digits", "--out", out, *words, "--generator-steps", 1, "--generator-settings", tiny)
    assert result.exit_code == 0, result.stderr
    policy = RecommendedPolicy.load(out)
    assert " ".join(policy.words.split()) in " ".join(result.stdout.split())
    found = read_json(out / "recommendation.json")
    assert found["words"] == policy.words
    assert found["trials"]
    assert str(tmp_path) not in (out / "recommendation.json").read_text()
    assert (out / "cli.yaml").is_file()
