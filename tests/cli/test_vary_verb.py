"""`synthaug vary`: from a run to variants of files, or to a bank of variants of a dataset."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from calling import call
from PIL import Image

import synthaug
from synthaug.cli import vary as verb
from synthaug.data import ImageDataset
from synthaug.generators import make_generator, save
from synthaug.latent.varying.bank import variation_bank
from synthaug.latent.varying.vary import vary
from synthaug.sampling import SampleBank

CLASSES = [str(digit) for digit in range(10)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve digits as an image folder."""
    data, root = ImageDataset.load("digits").few_shot(4), tmp_path_factory.mktemp("images")
    for name in ("2", "5", "9"):
        (root / name).mkdir()
        for position, (image, _) in enumerate(data.only(name)):
            image.save(root / name / f"{name}{position}.png")
    return root


def test_flags_have_the_names_and_defaults_of_the_arguments() -> None:
    behind = inspect.signature(variation_bank).parameters
    for name, flag in inspect.signature(verb.run).parameters.items():
        if name not in ("ctx", "config", "generator", "images", "label", "source", "out"):
            assert flag.default == behind[name].default, name
    assert behind["strength"].default == inspect.signature(vary).parameters["strength"].default


def test_a_dataset_becomes_a_bank(run, folder, tmp_path) -> None:
    out = tmp_path / "bank"
    words = ["--per-image", 2, "--strength", 0.3, "--seed", 4, "--no-residual"]
    result = call("vary", run, "--source", folder, *words, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{out}\n"
    bank = SampleBank.open(out)
    data = ImageDataset.load(folder, 8, channels=1)
    gen = synthaug.load(run)
    same = vary(gen, data, strength=0.3, number=2, seed=4, keep_residual=False)
    assert (bank.images.reshape(same.shape) == same).all()
    assert bank.counts[[2, 5, 9]].tolist() == [8, 8, 8]
    with Image.open(out / "variations.png") as picture:
        assert picture.height > 12 * 56
    again = call("vary", "--config", out / "cli.yaml", "--out", tmp_path / "again")
    assert again.exit_code == 0, again.stderr
    assert (SampleBank.open(tmp_path / "again").images == bank.images).all()


def test_files_become_files(run, folder, tmp_path) -> None:
    files = [folder / "2" / "20.png", folder / "5" / "51.png"]
    out = tmp_path / "out"
    words = ["--label", 2, "--label", 5, "--per-image", 3, "--temperature", 0.5]
    result = call("vary", run, *files, *words, "--out", out)
    assert result.exit_code == 0, result.stderr
    names = [f"{stem}-{number}.png" for stem in ("20", "51") for number in range(3)]
    assert sorted(path.name for path in out.iterdir()) == [*names, "cli.yaml", "variations.png"]
    expected = vary(synthaug.load(run).with_sampling(temperature=0.5), [str(file) for file in files], [2, 5], number=3)
    assert (np.array(Image.open(out / "51-1.png")) == expected[1, 1, ..., 0]).all()
    again = call("vary", "--config", out / "cli.yaml", "--out", tmp_path / "again")
    assert again.exit_code == 0, again.stderr
    assert (tmp_path / "again" / "51-1.png").read_bytes() == (out / "51-1.png").read_bytes()


def test_files_of_one_name_keep_apart(run, folder, tmp_path) -> None:
    (tmp_path / "20.png").write_bytes((folder / "2" / "20.png").read_bytes())
    words = [folder / "2" / "20.png", tmp_path / "20.png", "--label", 2, "--per-image", 1]
    assert call("vary", run, *words, "--out", tmp_path / "out").exit_code == 0
    names = [path.name for path in (tmp_path / "out").glob("*-0.png")]
    assert sorted(names) == ["000-20-0.png", "001-20-0.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "one of the two"),
        (["a.png", "--source", "digits"], "one of the two"),
        (["--source", "digits", "--label", "2"], "--label"),
        (["none.png", "--label", "2"], "none.png"),
        (["IMAGE"], "expected the labels"),
        (["IMAGE", "--label", "x"], "expected one of the 10 classes"),
        (["IMAGE", "--label", "2", "--split", "train"], "--split"),
        (["IMAGE", "--label", "2", "--strength", 2], "strength"),
        (["IMAGE", "--label", "2", "--temprature", 1], "temperature"),
        (["--source", "digits", "--per-image", 0], "per_image"),
    ],
)
def test_wrong_requests_are_one_line(run, folder, tmp_path, words, message) -> None:
    words = [folder / "2" / "20.png" if word == "IMAGE" else word for word in words]
    result = call("vary", run, *words, "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_family_without_encoder_is_refused(folder, tmp_path) -> None:
    gan = save(make_generator("gan", CLASSES, (1, 8, 8), options={"width": 4}), tmp_path / "gan")
    result = call("vary", gan, "--source", folder, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "with an encoder" in result.stderr


def test_an_existing_output_stays(run, folder, tmp_path) -> None:
    files, bank = tmp_path / "files", tmp_path / "bank"
    for words, out in (([folder / "2" / "20.png", "--label", 2], files), (["--source", folder], bank)):
        assert call("vary", run, *words, "--out", out).exit_code == 0
        refused = call("vary", run, *words, "--out", out)
        assert refused.exit_code == 2
        assert "--overwrite" in refused.stderr
        assert call("vary", run, *words, "--out", out, "--overwrite").exit_code == 0
