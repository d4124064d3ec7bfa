"""`synthaug anomalies RUN`: images that the run was trained on set no threshold, and others can be named."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from synthaug.cli.app import app
from synthaug.data import ImageDataset
from synthaug.generators import make_generator, save


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of fours and nines, other images each, and a run that says it was trained on the first."""
    root = tmp_path_factory.mktemp("sources")
    digits = ImageDataset.load("digits").only("4", "9")
    seen = digits.few_shot(20)
    for name, data in (("seen", seen), ("new", digits.few_shot(40).subset(slice_without(digits, seen)))):
        for number, (image, label) in enumerate(data):
            (root / name / data.classes[label]).mkdir(parents=True, exist_ok=True)
            image.save(root / name / data.classes[label] / f"{number}.png")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        gen = make_generator("vae", ["4", "9"], (1, 8, 8), options={"width": 4, "latent_dim": 3, "components": 1})
    loaded = ImageDataset.load(root / "seen", (8, 8), channels=1)
    gen.provenance = {"dataset": {"name": "seen", "digest": loaded.digest, "images": len(loaded)}}
    save(gen, root / "run")
    return root


def slice_without(digits, seen):
    known = {image.tobytes() for image in seen.images}
    return [row for row, image in enumerate(digits.few_shot(40).images) if image.tobytes() not in known]


def call(folders, out, *words):
    names = [str(folders / word) if word in ("run", "seen", "new") else str(word) for word in words]
    return CliRunner().invoke(app, ["anomalies", *names, "--out", str(out)])


def test_a_run_is_refused_the_images_it_was_trained_on(folders, tmp_path):
    for chosen in ([], ["--normal-class", "4"]):
        words = ["run", "--normal", "seen", "--test", "new", "--held-out", 0.5, "--false-positive-rate", 0.1, *chosen]
        result = call(folders, tmp_path / "out", *words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "trained on all" in result.stderr
        assert "--calibration SOURCE" in result.stderr
        assert list(tmp_path.iterdir()) == []


def test_other_images_set_the_threshold(folders, tmp_path):
    words = ["run", "--normal", "seen", "--calibration", "new", "--test", "new", "--normal-class", "4"]
    result = call(folders, tmp_path / "out", *words, "--false-positive-rate", 0.1)
    assert result.exit_code == 0, result.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["held_out_images"], report["images"]) == (20, 40)
    assert report["false_positive_rate_measured"] == pytest.approx(1 / 20)  # below the second lowest of these
    again = call(folders, tmp_path / "again", "--config", tmp_path / "out" / "cli.yaml")
    assert again.exit_code == 0, again.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--calibration", "seen", "--false-positive-rate", 0.1], "calibration: expected normal images"),
        (["--calibration", "new", "--held-out", 0.2], "--held-out holds out"),
        (["--calibration-split", "test"], "name it with --calibration"),
    ],
)
def test_requests_that_cannot_be_met(folders, tmp_path, words, message):
    result = call(folders, tmp_path / "out", "run", "--normal", "seen", "--test", "new", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
