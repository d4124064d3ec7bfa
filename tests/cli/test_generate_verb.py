"""`synthaug generate`: from a run to samples on disk."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import yaml
from calling import call
from PIL import Image

import synthaug
from synthaug.cli import generate as verb
from synthaug.generators import make_generator, save
from synthaug.latent import swapped_bank
from synthaug.sampling import SampleBank

CLASSES = [str(digit) for digit in range(10)]
SWAPPING = ("swap", "swap_split")
JUDGING = ("curate", "filters", "forbid_copies", "real", "real_split", "budget", "strict", "overrides")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    options = {"width": 4, "latent_dim": 3, "class_dim": 2}
    return save(make_generator("gan", CLASSES, (1, 8, 8), options=options), tmp_path_factory.mktemp("run"))


def test_flags_have_the_names_and_defaults_of_the_arguments():
    behind = inspect.signature(synthaug.generate).parameters
    for name, flag in inspect.signature(verb.run).parameters.items():
        if name not in ("ctx", "config", "generator", "balance_with", "split", *JUDGING, *SWAPPING):
            assert flag.default == behind[name].default, name


def test_bank_is_that_of_the_function(run, tmp_path):
    result = call("generate", run, "--per-class", 3, "--seed", 5, "--out", tmp_path / "bank")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'bank'}\n"
    same = synthaug.generate(run, per_class=3, seed=5, out=tmp_path / "same")
    assert (SampleBank.open(tmp_path / "bank").images == same.images).all()


@pytest.mark.parametrize("format", ["parquet", "imagefolder", "webdataset"])
def test_other_formats(run, tmp_path, format):
    result = call("generate", run, "--per-class", 2, "--format", format, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "out" / "README.md").is_file()


def test_counts_shard_and_sampling_settings(run, tmp_path):
    result = call("generate", run, "--counts", "3=70,7=2", "--out", tmp_path / "a", "--temperature", 0.5)
    assert result.exit_code == 0, result.stderr
    whole = SampleBank.open(tmp_path / "a")
    assert whole.counts.tolist() == [0, 0, 0, 70, 0, 0, 0, 2, 0, 0]
    narrow = synthaug.load(run).with_sampling(temperature=0.5)
    assert whole.provenance["generator"] == narrow.digest
    for number in (1, 2):
        out = tmp_path / f"part{number}"
        call("generate", run, "--counts", "3=70,7=2", "--out", out, "--temperature", 0.5, "--shard", f"{number}/2")
    parts = [SampleBank.open(tmp_path / f"part{number}").images for number in (1, 2)]
    assert (np.concatenate(parts) == whole.images).all()


def test_balance_with_a_source(run, tmp_path):
    result = call("generate", run, "--balance-with", "digits", "--out", tmp_path / "bank")
    assert result.exit_code == 0, result.stderr
    data = synthaug.ImageDataset.load("digits")
    total = SampleBank.open(tmp_path / "bank").counts + data.class_counts
    assert set(total.tolist()) == {data.class_counts.max()}


def test_the_saved_config_repeats_the_samples(run, tmp_path):
    call("generate", run, "--counts", "3=4", "--out", tmp_path / "a", "--temperature", 0.5)
    saved = tmp_path / "a" / ".cli.yaml"
    assert yaml.safe_load(saved.read_text())["counts"] == "3=4"
    result = call("generate", "--config", saved, "--out", tmp_path / "b")
    assert result.exit_code == 0, result.stderr
    assert (SampleBank.open(tmp_path / "a").images == SampleBank.open(tmp_path / "b").images).all()


def test_counts_as_a_mapping_in_the_config(run, tmp_path):
    (tmp_path / "c.yaml").write_text("counts:\n  '3': 4\n  '5': 1\n")
    result = call("generate", run, "--config", tmp_path / "c.yaml", "--out", tmp_path / "bank")
    assert result.exit_code == 0, result.stderr
    assert len(SampleBank.open(tmp_path / "bank")) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--per-class", 2, "--temprature", 1], "temperature"),
        (["--per-class", 2, "--temperature", 9], "temperature"),
        (["--counts", "x=2"], "expected one of the 10 classes"),
        (["--per-class", 2, "--counts", "3=2"], "exactly one"),
        ([], "exactly one"),
        (["--per-class", 2, "--format", "parket"], "parquet"),
        (["--per-class", 2, "--shard", "3/2"], "K/N"),
    ],
)
def test_wrong_requests_are_one_line(run, tmp_path, words, message):
    result = call("generate", run, *words, "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_stays(run, tmp_path):
    out = tmp_path / "bank"
    assert call("generate", run, "--per-class", 2, "--out", out).exit_code == 0
    result = call("generate", run, "--per-class", 3, "--out", out)
    assert result.exit_code == 2
    assert "--overwrite" in result.stderr
    assert len(SampleBank.open(out)) == 20
    assert call("generate", run, "--per-class", 3, "--out", out, "--overwrite").exit_code == 0
    assert len(SampleBank.open(out)) == 30


def test_swapping_makes_the_bank_of_the_function(digits, tmp_path):
    tail = digits.only("0", "1", "7")
    run = save(make_generator("vae", tail.classes, (1, 8, 8), options={"width": 4, "latent_dim": 3}), tmp_path / "run")
    for label, name in enumerate(tail.classes):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for row in np.flatnonzero(tail.labels == label):
            Image.fromarray(tail.images[row, ..., 0]).save(tmp_path / "photos" / name / f"{row:03d}.png")
    result = call("generate", run, "--swap", tmp_path / "photos", "--counts", "7=5", "--out", tmp_path / "bank")
    assert result.exit_code == 0, result.stderr
    bank = SampleBank.open(tmp_path / "bank")
    same = swapped_bank(run, tmp_path / "photos", counts={"7": 5}, out=tmp_path / "same")
    assert (bank.images == same.images).all()
    assert "source" in bank.table.column_names
    refused = call(
        "generate", run, "--swap", tmp_path / "photos", "--per-class", 1, "--curate", "--out", tmp_path / "x"
    )
    assert refused.exit_code != 0
    assert "does not go with --swap" in refused.stderr
    alone = call("generate", run, "--per-class", 1, "--swap-split", "train", "--out", tmp_path / "x")
    assert "add --swap" in alone.stderr
