"""`--out` and `--overwrite` of the verbs: an earlier output is replaced, and nothing of the user's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from calling import call
from PIL import Image

VERBS = {
    "denoise": ["RUN", "IMAGE", "--label", 3, "--sigma", 0.1],
    "upscale": ["RUN", "IMAGE", "--label", 3, "--steps", 1, "--factor", 2],
    "vary": ["RUN", "IMAGE", "--label", 3, "--per-image", 2],
    "interpolate": ["RUN", "--samples", "3=1"],
    "edit": ["RUN", "IMAGE", "--label", 3, "--to", 5],
    "impute": ["RUN", "IMAGE", "--mask", "MASK", "--label", 3, "--number", 2],
    "compress": ["RUN", "--restore", "FILE"],
    "search": ["RUN", "--score", "brightness", "--counts", "3=2", "--steps", 2],
    "generate": ["RUN", "--per-class", 1, "--format", "imagefolder"],
    "anomalies": [
        *("--normal", "digits", "--normal-class", 0, "--test", "digits"),
        *("--held-out", 0.3, "--steps", 1, "--width", 4, "--latent-dim", 3),
    ],
}


@pytest.fixture
def given(run, tmp_path) -> dict[str, Path]:
    folder = tmp_path / "given"
    folder.mkdir()
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(folder / "image.png")
    Image.fromarray(np.full((4, 4), 90, np.uint8)).save(folder / "small.png")
    Image.fromarray(np.repeat(np.uint8([0, 255]), 32).reshape(8, 8)).save(folder / "mask.png")
    return {"RUN": run, "IMAGE": folder / "image.png", "MASK": folder / "mask.png", "FILE": folder / "images.synz"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_overwrites_its_own_alone(verb, given, tmp_path) -> None:
    if verb == "upscale":
        given["IMAGE"] = given["IMAGE"].with_name("small.png")
    if verb == "compress":
        call("compress", given["RUN"], "--source", "digits", "--most", 4, "--out", given["FILE"])
    words = [given.get(word, word) for word in VERBS[verb]]
    out = tmp_path / "out"
    for _ in range(2):
        result = call(verb, *words, "--out", out, "--overwrite")
        assert result.exit_code == 0, result.stderr
    (out / "thesis.txt").write_text("mine")
    refused = call(verb, *words, "--out", out, "--overwrite")
    assert (refused.exit_code, "holds thesis.txt beside" in refused.stderr) == (2, True), refused.stderr
    photos = tmp_path / "photos"
    (photos / "images").mkdir(parents=True)
    (photos / "images" / "00000.png").write_text("mine")
    refused = call(verb, *words, "--out", photos, "--overwrite")
    assert (refused.exit_code, "holds images, but no" in refused.stderr) == (2, True), refused.stderr
    refused = call(verb, *words, "--out", given["IMAGE"] / "x")
    assert (refused.exit_code, "is a file" in refused.stderr) == (2, True), refused.stderr
    assert (out / "thesis.txt").exists()
    assert (photos / "images" / "00000.png").read_text() == "mine"


def test_compress_asks_before_it_works(given, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("synthaug.latent.compressing.compress.compress", lambda *_: pytest.fail("began to work"))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.png").write_text("mine")
    words = ["compress", given["RUN"], "--source", "digits", "--most", 4, "--overwrite", "--out"]
    assert "is a folder" in call(*words, tmp_path / "photos").stderr
    assert "is a file" in call(*words, given["IMAGE"] / "a.synz").stderr
    refused = call(*words, given["FILE"], "--compare", tmp_path / "photos")
    assert "holds mine.png, but no comparison" in refused.stderr


@pytest.mark.parametrize("way", ["flag", "file"])
def test_the_home_folder_is_meant(way, given, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    words = ["--out=~/bank"]
    if way == "file":
        (tmp_path / "config.yaml").write_text("out: ~/bank\n")
        words = ["--config", tmp_path / "config.yaml"]
    result = call("generate", given["RUN"], "--per-class", 1, *words)
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "bank" / ".cli.yaml").is_file()
    assert not list((tmp_path / "here").iterdir())
