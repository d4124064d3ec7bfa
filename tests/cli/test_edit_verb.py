"""`synthaug edit`: directions found and applied, classes swapped, styles lent, from the command line."""

from __future__ import annotations

import numpy as np
import pytest
from calling import call
from PIL import Image

from synthaug.generators import load
from synthaug.latent.editing.directions import Direction
from synthaug.latent.editing.edit import apply, swap_class

CLASSES = [str(digit) for digit in range(10)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for group, start in (("bright", 180), ("dark", 40)):
        (folder / group).mkdir()
        for number in range(3):
            Image.new("L", (8, 8), start + 20 * number).save(folder / group / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def direction(run, folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("direction") / "bright.json"
    words = ["--make-direction", path, "--with", folder / "bright", "--without", folder / "dark", "--label", "3"]
    result = call("edit", run, *words)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{path}\n"
    assert "3 images with" in result.stderr
    return path


def test_along_a_direction(run, folder, direction, tmp_path) -> None:
    image, out = folder / "dark" / "0.png", tmp_path / "out"
    words = [image, "--label", 3, "--direction", direction, "--amounts", "-2,0,1.5"]
    result = call("edit", run, *words, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in out.iterdir()) == ["cli.yaml", "edit.png", "images"]
    expected = apply(load(run), image, Direction.load(direction), (-2, 0, 1.5), "3")[0]
    for number, pixels in enumerate(expected):
        np.testing.assert_array_equal(
            np.asarray(Image.open(out / "images" / f"00000_{number + 1}.png")), pixels[..., 0]
        )
    result = call("edit", "--config", out / "cli.yaml", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "again" / "edit.png").read_bytes() == (out / "edit.png").read_bytes()


def test_several_directions(run, folder, direction, tmp_path) -> None:
    words = [folder / "dark" / "0.png", "--label", 3, "--direction", f"{direction}=0.5"]
    assert (
        call("edit", run, *words, "--direction", direction, "--amounts", "0.5", "--out", tmp_path / "a").exit_code == 0
    )
    assert call("edit", run, *words, "--direction", f"{direction}=0.5", "--out", tmp_path / "b").exit_code == 0
    first, second = (np.asarray(Image.open(tmp_path / name / "images" / "00000.png")) for name in "ab")
    np.testing.assert_array_equal(first, second)


def test_another_class_and_another_style(run, tmp_path) -> None:
    words = ["--source", "digits", "--index", "0,1"]
    result = call("edit", run, *words, "--to", 7, "--no-recentre", "--out", tmp_path / "a")
    assert result.exit_code == 0, result.stderr
    from synthaug.data import ImageDataset

    data = ImageDataset.load("digits").subset([0, 1])
    expected = swap_class(load(run), data, 7, recentre=False)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a" / "images" / "00001.png")), expected[1, ..., 0])
    style = tmp_path / "a" / "images" / "00000.png"
    result = call("edit", run, *words, "--style", style, "--style-label", 7, "--out", tmp_path / "b")
    assert result.exit_code == 0, result.stderr
    assert len(list((tmp_path / "b" / "images").iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give one of --direction, --to, --style"),
        (["--to", "3", "--style", "a.png"], "give one of"),
        (["--to", "3"], "--out"),
        (["--to", "boot", "--out", "OUT"], "expected one of the 10 classes"),
        (["--direction", "none.json", "--out", "OUT"], "none.json"),
        (["--direction", "d", "--amounts", "1,x", "--out", "OUT"], "--amounts"),
        (["--make-direction", "OUT", "--with", "somewhere"], "--without"),
        (["--make-direction", "OUT", "--attribute", "heel", "--with", "x"], "--without"),
    ],
)
def test_wrong_requests_are_one_line(run, folder, tmp_path, words, message) -> None:
    words = [tmp_path / "out" if word == "OUT" else word for word in words]
    result = call("edit", run, folder / "dark" / "0.png", "--label", "3", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_direction_is_not_overwritten_unasked(run, folder, direction) -> None:
    words = ["--make-direction", direction, "--with", folder / "bright", "--without", folder / "dark", "--label", "3"]
    assert "--overwrite" in call("edit", run, *words).stderr
    assert call("edit", run, *words, "--overwrite").exit_code == 0
