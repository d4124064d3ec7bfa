"""`synthaug search`: from a run to a bank of images that score higher."""

from __future__ import annotations

import pytest
import torch
from calling import call

from synthaug.generators import make_generator, save
from synthaug.sampling import SampleBank

CLASSES = [str(digit) for digit in range(10)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    gen = make_generator("gan", CLASSES, (1, 8, 8), options={"width": 4, "latent_dim": 3, "class_dim": 2})
    torch.nn.init.normal_(gen.network.head.weight, std=1.0, generator=torch.Generator().manual_seed(0))
    return save(gen, tmp_path_factory.mktemp("run"))


def test_a_bank_with_scores_and_a_picture(run, tmp_path):
    out = tmp_path / "bank"
    result = call("search", run, "--score", "brightness", "--counts", "3=4,7=1", "--steps", 5, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{out}\n"
    assert "mean score rose from" in result.stderr
    bank = SampleBank.open(out)
    assert bank.counts[[3, 7]].tolist() == [4, 1]
    before, after = (bank.table[name].to_numpy() for name in ("score_before", "score"))
    assert (after >= before).all()
    assert bank.provenance["search"]["score"] == "brightness"
    assert (out / "search.png").is_file()
    result = call("search", "--config", out / "cli.yaml", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.stderr
    assert (SampleBank.open(tmp_path / "again").images == bank.images).all()
    refused = call("search", run, "--score", "brightness", "--per-class", 1, "--out", out)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr


def test_uncertainty_trains_a_classifier(run, tmp_path):
    words = ["--source", "digits", "--classifier-steps", 2, "--model", "test_resnet", "--threshold", 0.01]
    result = call("search", run, "--per-class", 1, "--steps", 2, *words, "--out", tmp_path / "bank")
    assert result.exit_code == 0, result.stderr
    assert SampleBank.open(tmp_path / "bank").provenance["search"]["score"] == "uncertainty"


def test_a_function_of_ones_own(run, tmp_path, monkeypatch):
    (tmp_path / "left_half.py").write_text("def light(images):\n    return images[:, :, :4].mean(axis=(1, 2, 3))\n")
    monkeypatch.chdir(tmp_path)
    words = ["--score", "left_half:light", "--method", "cma", "--steps", 3, "--distance-penalty", 0.1]
    result = call("search", run, *words, "--counts", "3=2", "--out", "bank")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--per-class", 1], "--source"),
        (["--score", "brightness"], "--per-class"),
        (["--score", "brightnes", "--per-class", 1], "brightness"),
        (["--score", "stroke-width", "--per-class", 1], "--method cma"),
        (["--score", "brightness", "--per-class", 1, "--methd", "cma"], "method"),
        (["--score", "brightness", "--counts", "x=1"], "expected one of the 10 classes"),
    ],
)
def test_wrong_requests_are_one_line(run, tmp_path, words, message):
    result = call("search", run, *words, "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
