"""Paths through the latent space start and end where they should, and keep to where codes are."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.errors import ConfigError, DataError, LabelError
from synthaug.generators import make_generator, save
from synthaug.latent.interpolating.interpolate import between, interpolate, interpolate_samples, lies_on_shell, pairs_of


@pytest.mark.parametrize("mode", ["linear", "spherical"])
def test_between_images_the_ends_are_their_reconstructions(trained, digits, mode) -> None:
    data = digits.only("0", "1", "7")
    start, end = data.subset([0, 40]), data.subset([5, 50])
    paths = interpolate(trained, start, end, steps=5, mode=mode)
    assert paths.images.shape == (2, 5, 8, 8, 1)
    for side, part in ((0, start), (-1, end)):
        codes = trained.encode_images(part.images, part.labels)[0]
        np.testing.assert_allclose(paths.codes[:, side], codes, atol=1e-5)
        restored = trained.decode_codes(codes, part.labels).astype(int)
        assert np.abs(paths.images[:, side] - restored).max() <= 1
    steps = np.abs(np.diff(paths.images.astype(float), axis=1)).mean(axis=(2, 3, 4))
    assert (steps > 0).all()
    assert steps.max() < np.abs(paths.images[:, -1].astype(float) - paths.images[:, 0]).mean()


@pytest.mark.parametrize("conditioning", ["shared", "per_class"])
def test_every_family_interpolates_between_samples(family, tiny, conditioning) -> None:
    gen = make_generator(family, ["boot", "bag"], (1, 8, 8), conditioning=conditioning, options=tiny).eval()
    paths = interpolate_samples(gen, {"bag": 2, "boot": 1}, steps=3, seed=4)
    assert paths.labels[:, 0].tolist() == [0, 1, 1]
    ends = paths.images[:, [0, -1]].reshape(6, 8, 8, 1)
    samples = gen.sample_named(np.array([0, 0, 1, 1, 1, 1]), np.array([0, 1, 0, 1, 2, 3]), seed=4)
    assert np.abs(ends.astype(int) - samples).max() <= 1


def test_codes_of_one_model_are_not_decoded_by_another() -> None:
    options = {"width": 8, "latent_dim": 4, "class_dim": 2, "components": 1}
    gen = make_generator("vae", ["boot", "bag"], (1, 8, 8), conditioning="per_class", options=options).eval()
    with pytest.raises(ConfigError, match=r"from one class to another.*one model for all classes"):
        interpolate_samples(gen, {"boot": 1}, to="bag")
    assert interpolate_samples(gen, {"boot": 1}, to="boot", steps=2).images.shape == (1, 2, 8, 8, 1)


def test_the_label_changes_half_way() -> None:
    gen = make_generator("gan", ["boot", "bag"], (1, 8, 8), options={"width": 4}).eval()
    paths = interpolate_samples(gen, {"boot": 1}, steps=4, to="bag")
    assert paths.labels.tolist() == [[0, 0, 1, 1]]


def test_spherical_paths_keep_the_norm_and_an_even_pace() -> None:
    start, end = np.array([3.0, 0.0, 0.0]), np.array([0.0, -3.0, 0.0])
    path = between(start, end, np.linspace(0, 1, 7)[:, None], "spherical")
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 3, rtol=1e-5)
    pace = np.linalg.norm(np.diff(path, axis=0), axis=1)
    np.testing.assert_allclose(pace, pace[0], rtol=1e-4)
    for other in (start, -start, 2 * start, 0 * start):
        assert np.isfinite(between(start, other, 0.5, "spherical")).all()


def test_auto_asks_the_codes() -> None:
    shell = make_generator("gan", ["a"], (1, 8, 8), options={"width": 4, "latent_dim": 64})
    ball = make_generator("gan", ["a"], (1, 8, 8), options={"width": 4, "latent_dim": 2})
    assert lies_on_shell(shell)
    assert not lies_on_shell(ball)
    assert interpolate_samples(shell, {"a": 1}).mode == "spherical"
    assert interpolate_samples(ball, {"a": 1}).mode == "linear"


def test_a_folder_will_do(trained, tmp_path) -> None:
    folder = save(trained, tmp_path / "run")
    again = interpolate_samples(folder, {"7": 1})
    np.testing.assert_array_equal(again.images, interpolate_samples(trained, {"7": 1}).images)


def test_pictures_hold_rows_and_frames(trained, digits) -> None:
    data = digits.only("0", "1", "7")
    paths = interpolate(trained, data.subset([0, 1, 2]), data.subset([3, 4, 5]), steps=4)
    assert paths.picture().width > 6 * 56
    assert paths.picture().height > 3 * 56
    assert len(paths.frames()) == 6  # there, and back without showing an end twice


def test_what_cannot_be_done_is_said(trained, digits) -> None:
    data = digits.only("0", "1", "7")
    gan = make_generator("gan", ["a"], (1, 8, 8), options={"width": 4})
    with pytest.raises(ConfigError, match="between samples it is possible"):
        interpolate(gan, data.subset([0]), data.subset([1]), labels="a")
    with pytest.raises(DataError, match="as many ends as starts"):
        interpolate(trained, data.subset([0, 1]), data.subset([1]))
    with pytest.raises(ConfigError, match="steps"):
        interpolate_samples(trained, {"0": 1}, steps=1)
    with pytest.raises(ConfigError, match="mode"):
        interpolate_samples(trained, {"0": 1}, mode="slerp")
    with pytest.raises(LabelError, match="expected one of the 3 classes"):
        interpolate_samples(trained, {"8": 1})
    with pytest.raises(ConfigError, match="one path or more"):
        interpolate_samples(trained, {})
    with pytest.raises(ConfigError, match="pairs"):
        pairs_of([1, 2, 3])
