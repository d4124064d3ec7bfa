"""`synthaug curate` and `synthaug generate --curate`: judging by the training images from the command line."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import yaml
from calling import call

import synthaug
from synthaug.cli import curate as verb
from synthaug.sampling import SampleBank

FAST = ("--set", "reference.steps=6", "--set", "reference.folds=2")


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """Real digits, every fourth of which has a wrong label."""
    data = synthaug.ImageDataset.load("digits").few_shot(8, seed=1)
    labels = np.array(data.labels)
    labels[::4] = (labels[::4] + 1) % 10
    made = SampleBank.from_arrays(data.images, labels, data.classes, provenance={"made": "by hand"})
    return made.save(tmp_path_factory.mktemp("curate") / "bank").path


@pytest.fixture
def called(monkeypatch, bank):
    """Arguments that reach the functions, which then do nothing."""
    calls = []

    def generate_curated(gen, train, per_class, **arguments):
        calls.append({"train": train, "per_class": per_class, **arguments})
        arguments["out"].mkdir()

    monkeypatch.setattr("synthaug.curation.generate_curated", generate_curated)
    return calls


def test_flags_have_the_names_and_defaults_of_the_arguments():
    behind = inspect.signature(synthaug.curate).parameters
    for name, flag in inspect.signature(verb.run).parameters.items():
        if name not in ("ctx", "config", "bank", "real", "split", "out", "filters", "overrides"):
            assert flag.default == behind[name].default, name


@pytest.mark.filterwarnings("ignore:no sample is left")  # of so few samples
def test_writes_the_kept_ones_and_tells_of_the_rest(bank, tmp_path):
    out = tmp_path / "kept"
    words = ["--real", "digits", "--filters", "confidence", "--set", "confidence.quantile=0.5", *FAST]
    result = call("curate", bank, *words, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{out}\n"
    kept = SampleBank.open(out)
    assert 0 < len(kept) < 80
    assert kept.rejected.num_rows == 80 - len(kept)
    assert "confidence" in result.stderr
    assert f"{len(kept)} kept" in result.stderr
    assert {"rejected.png", "rejected.parquet", "cli.yaml"} <= {path.name for path in out.iterdir()}
    assert kept.provenance["curation"]["filters"][0]["settings"]["quantile"] == 0.5
    saved = yaml.safe_load((out / "cli.yaml").read_text())
    assert saved["overrides"][0] == "confidence.quantile=0.5"
    again = call("curate", "--config", out / "cli.yaml", "--out", tmp_path / "again")
    assert again.exit_code == 0, again.stderr
    assert (SampleBank.open(tmp_path / "again").images == kept.images).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--filters", "confidense"], "Did you mean 'confidence'"),
        (["--filters", ""], "one or more different filters"),
        (["--set", "quantile=0.5"], "expected FILTER.KEY=VALUE"),
        (["--filters", "outlier", "--set", "outlier.slak=2"], "slack"),
        (["--budjet", "2"], "no setting 'budjet'"),
    ],
)
def test_wrong_requests_are_one_line(bank, tmp_path, words, message):
    result = call("curate", bank, "--real", "digits", *words, "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_generate_judges_by_the_real_images(run, called, tmp_path):
    words = ["--per-class", 3, "--real", "digits", "--budget", 6, "--strict", "--set", "outlier.slack=2"]
    result = call("generate", run, *words, "--curate", "--temperature", 0.5, "--out", tmp_path / "bank")
    assert result.exit_code == 0, result.stderr
    (arguments,) = called
    assert arguments["filters"] == ("confidence", "outlier", "duplicate")
    assert arguments["settings"] == {"outlier": {"slack": 2}}
    assert (arguments["per_class"], arguments["budget"], arguments["strict"]) == (3, 6, True)
    assert arguments["train"].image_shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("words", "filters"),
    [
        (["--forbid-copies"], ("duplicate",)),
        (["--curate", "--forbid-copies"], ("confidence", "outlier", "duplicate")),
        (["--filters", "confidence"], ("confidence",)),
        (["--filters", "confidence,diversity", "--forbid-copies"], ("confidence", "duplicate", "diversity")),
    ],
)
def test_copies_are_forbidden_alone_or_with_the_rest(run, called, tmp_path, words, filters):
    result = call("generate", run, "--per-class", 3, "--real", "digits", *words, "--out", tmp_path / "bank")
    assert result.exit_code == 0, result.stderr
    assert called[0]["filters"] == filters


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--curate"], "Name them with --real"),
        (["--forbid-copies"], "Name them with --real"),
        (["--real", "digits"], "add --curate or --forbid-copies"),
        (["--set", "outlier.slack=2"], "add --curate"),
        (["--curate", "--real", "digits", "--shard", "1/2"], "--shard"),
    ],
)
def test_what_does_not_go_together_is_said(run, tmp_path, words, message):
    result = call("generate", run, "--per-class", 2, *words, "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_generate_with_a_budget_that_does_not_suffice(run, tmp_path):
    words = ["--per-class", 2, "--real", "digits", "--filters", "confidence", "--set", "confidence.quantile=1", *FAST]
    result = call("generate", run, *words, "--budget", 1, "--out", tmp_path / "bank")
    assert result.exit_code == 2
    assert "budget of 1 candidates a sample spent" in result.stderr
    assert "Nothing was written" in result.stderr
    assert list(tmp_path.iterdir()) == []
