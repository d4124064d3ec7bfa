"""`synthaug compress`, `denoise`, `upscale` and `anomalies`: from a run to files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from calling import call
from PIL import Image

import synthaug
from synthaug.latent.restoring.restore import shrink

CLASSES = [str(digit) for digit in range(10)]


def test_compress_and_back(run, tmp_path):
    file, images = tmp_path / "digits.synz", tmp_path / "images"
    words = ["--source", "digits", "--most", 30, "--bits", 6, "--compare", tmp_path / "compared"]
    result = call("compress", run, *words, "--out", file)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{file}\n"
    assert "bits a pixel" in result.stderr
    report = json.loads((tmp_path / "compared" / "report.json").read_text())
    assert [row["codec"] for row in report] == ["synthaug", "JPEG", "WebP"]
    assert report[0]["file_bytes"] == file.stat().st_size
    assert call("compress", run, "--restore", file, "--out", images).exit_code == 0
    assert len(list(images.glob("*.png"))) == 30


def test_denoise_files(run, tmp_path):
    for name in "ab":
        Image.fromarray(np.full((8, 8), 90, np.uint8)).save(tmp_path / f"{name}.png")
    out = tmp_path / "out"
    result = call("denoise", run, tmp_path / "a.png", tmp_path / "b.png", "--label", 3, "--sigma", 0.1, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in (out / "images").iterdir()) == ["00000.png", "00001.png"]
    assert (out / "comparison.png").is_file()


def test_denoise_measures_with_noise_of_its_own(run, tmp_path):
    result = call("denoise", run, "--source", "digits", "--most", 6, "--add-noise", 0.2, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert set(report["methods"]) == {"noisy", "non-local means", "synthaug"}
    assert "PSNR" in result.stderr


def test_upscale_keeps_what_is_given(run, tmp_path):
    small = np.arange(16, dtype=np.uint8).reshape(4, 4) * 10
    Image.fromarray(small).save(tmp_path / "small.png")
    out = tmp_path / "out"
    result = call("upscale", run, tmp_path / "small.png", "--label", 3, "--steps", 2, "--out", out)
    assert result.exit_code == 0, result.stderr
    large = np.asarray(Image.open(out / "images" / "00000.png"))
    assert np.abs(shrink(large[None, ..., None], 2)[0, ..., 0].astype(int) - small).max() <= 1
    result = call("upscale", run, "--source", "digits", "--index", "0-3", "--measure", "--out", tmp_path / "m")
    assert json.loads((tmp_path / "m" / "report.json").read_text())["methods"]["bicubic"]["n"] == 4


def test_anomalies_trains_and_scores(tmp_path):
    out = tmp_path / "out"
    words = ["--normal", "digits", "--normal-class", 0, "--test", "digits", "--steps", 3, "--held-out", 0.3]
    words += ["--width", 4, "--latent-dim", 3, "--components", 1, "--format", "parquet"]
    result = call("anomalies", *words, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        "cli.yaml",
        "generator",
        "heatmaps.png",
        "report.json",
        "scores.parquet",
    ]
    assert 0 <= json.loads((out / "report.json").read_text())["auroc"] <= 1
    assert synthaug.load(out / "generator").family == "vae"
    again = ["--normal", "digits", "--normal-class", 0, "--test", "digits", "--held-out", 0.3]
    relabelled = call("anomalies", out / "generator", *again, "--out", tmp_path / "again")
    assert relabelled.exit_code == 0, relabelled.stderr
    assert not (tmp_path / "again" / "generator").exists()
    assert len((tmp_path / "again" / "scores.csv").read_text().splitlines()) == 1798


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compress", "RUN"], "exactly one"),
        (["compress", "RUN", "--source", "digits", "--bits", 20], "bits"),
        (["denoise", "RUN"], "image files or a dataset"),
        (["denoise", "RUN", "--source", "digits", "--sigma", 0.1, "--add-noise", 0.1], "--sigma"),
        (["upscale", "RUN", "--source", "digits", "--factor", 3], "2 or 4"),
        (["anomalies", "--normal", "digits", "--test", "digits", "--latent-dimm", 3], "latent_dim"),
        (["anomalies", "--normal", "digits", "--test", "digits", "--format", "xls"], "csv"),
        (["anomalies", "RUN", "--normal", "digits", "--test", "digits", "--steps", 7], "--steps belongs to training"),
        (["compress", "RUN", "--source", "digits", "--bit", 2], "Did you mean 'bits'"),
        (["denoise", "RUN", "--source", "digits", "--sigm", 0.3], "Did you mean 'sigma'"),
        (["upscale", "RUN", "--source", "digits", "--factor", 2, "--stepz", 1], "Did you mean 'steps'"),
        (["edit", "RUN", "--keep-residul", "true"], "Did you mean"),
    ],
)
def test_wrong_requests_are_one_line_and_leave_nothing(run, tmp_path, words, message):
    result = call(*(run if word == "RUN" else word for word in words), "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
