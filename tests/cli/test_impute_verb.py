"""`synthaug impute`: missing pixels filled in, from the command line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from calling import call
from PIL import Image

from synthaug.generators import load, make_generator, save
from synthaug.latent.imputing.impute import impute

CLASSES = [str(digit) for digit in range(10)]
HIDDEN = np.zeros((8, 8), dtype=bool)
HIDDEN[:, 5:] = True


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    options = {"width": 4, "latent_dim": 3, "class_dim": 2}
    return save(make_generator("gan", CLASSES, (1, 8, 8), options=options), tmp_path_factory.mktemp("run"))


def test_files_with_a_mask(run, tmp_path) -> None:
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(HIDDEN.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    words = [tmp_path / "a.png", "--mask", tmp_path / "mask.png", "--label", "3", "--gradient-steps", 2]
    out = tmp_path / "out"
    result = call("impute", run, *words, "--number", 2, "--seed", 1, "--temperature", 0.5, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{out}\n"
    assert sorted(path.name for path in out.iterdir()) == ["cli.yaml", "images", "imputation.png"]
    gen = load(run).with_sampling(temperature=0.5)
    expected = impute(gen, image, HIDDEN, "3", 2, 1, gradient_steps=2)
    for name, pixels in (("mean", expected.mean), ("2", expected.images[:, 1]), ("doubt", expected.doubt)):
        np.testing.assert_array_equal(np.asarray(Image.open(out / "images" / f"00000_{name}.png")), pixels[0, ..., 0])
    result = call("impute", "--config", out / "cli.yaml", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "again" / "imputation.png").read_bytes() == (out / "imputation.png").read_bytes()


def test_images_of_a_dataset_keep_their_classes(run, tmp_path) -> None:
    Image.fromarray(HIDDEN.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    words = ["--source", "digits", "--index", "0-2", "--mask", tmp_path / "mask.png", "--gradient-steps", 0]
    result = call("impute", run, *words, "--number", 1, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert len(list((tmp_path / "out" / "images").iterdir())) == 9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.png"], "no such file"),
        (["--source", "digits"], "--mask"),
        (["--source", "digits", "--mask", "none.png"], "none.png"),
        (["--source", "digits", "--number", "0"], "number"),
        (["--source", "digits", "--temprature", "1"], "temperature"),
    ],
)
def test_wrong_requests_are_one_line(run, tmp_path, words, message) -> None:
    result = call("impute", run, *words, "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
