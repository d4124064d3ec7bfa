"""`synthaug interpolate`: from a run to pictures of paths."""

from __future__ import annotations

import pytest
from calling import call
from PIL import Image

CLASSES = [str(digit) for digit in range(10)]


def test_between_files(run, tmp_path):
    for name, shade in (("a", 0), ("b", 255)):
        Image.new("RGB", (20, 30), (shade, shade, shade)).save(tmp_path / f"{name}.png")
    out = tmp_path / "out"
    words = ["--between", tmp_path / "a.png", tmp_path / "b.png", "--label", 3, "--steps", 4, "--mode", "spherical"]
    result = call("interpolate", run, *words, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{out}\n"
    assert sorted(path.name for path in out.iterdir()) == ["cli.yaml", "interpolation.gif", "interpolation.png"]
    with Image.open(out / "interpolation.gif") as animation:
        assert animation.info["loop"] == 0
    result = call("interpolate", "--config", out / "cli.yaml", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "again" / "interpolation.png").read_bytes() == (out / "interpolation.png").read_bytes()


def test_between_samples_and_images_of_a_dataset(run, tmp_path):
    words = ["--samples", "3=2,7=1", "--to", "4", "--seed", 5, "--animation", "webp", "--temperature", 0.5]
    result = call("interpolate", run, *words, "--out", tmp_path / "a")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "a" / "interpolation.webp").is_file()
    result = call("interpolate", run, "--source", "digits", "--index", "0,10,1,11", "--out", tmp_path / "b")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--between"),
        (["--samples", "3=1", "--source", "digits"], "--between"),
        (["--samples", "x=1"], "expected one of the 10 classes"),
        (["--samples", "3=1", "--label", "3"], "--label"),
        (["--samples", "3=1", "--animation", "mp4"], "gif"),
        (["--samples", "3=1", "--mode", "slerp"], "spherical"),
        (["--between", "none.png", "none.png"], "none.png"),
        (["--source", "digits", "--index", "1,2,3"], "pairs"),
    ],
)
def test_wrong_requests_are_one_line(run, tmp_path, words, message):
    result = call("interpolate", run, *words, "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_stays(run, tmp_path):
    out = tmp_path / "out"
    assert call("interpolate", run, "--samples", "3=1", "--out", out).exit_code == 0
    refused = call("interpolate", run, "--samples", "3=1", "--out", out)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert call("interpolate", run, "--samples", "3=1", "--out", out, "--overwrite").exit_code == 0


def test_a_position_outside_the_dataset_is_refused(run, tmp_path):
    result = call("interpolate", run, "--source", "digits", "--index", "0,99999", "--out", tmp_path / "a")
    assert result.exit_code == 2
    assert "--index" in result.stderr
