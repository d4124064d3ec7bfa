"""The perceptual path length is that of known paths, and finds the holes of a latent space."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError
from synthaug.generators import make_generator
from synthaug.latent.interpolating.smoothness import perceptual_path_length


def squared(images, others):
    """The squared distance of the pixels' vectors."""
    return (images - others).flatten(1).square().sum(1)


def known(reconstruct, size=2):
    """A generator of two classes whose decoder is a known function of the code."""
    options = {"width": 4, "latent_dim": size, "class_dim": 2}
    gen = make_generator("gan", ["a", "b"], (1, 8, 8), options=options).eval()
    gen.reconstruct = reconstruct
    return gen


def linear(z, labels):
    return z.repeat(1, 32).view(-1, 1, 8, 8)


def test_a_linear_decoder_has_the_squared_distance_of_codes_and_no_detour() -> None:
    gen = known(linear)
    result = perceptual_path_length(gen, pairs=400, mode="linear", distance=squared)
    expected = 32 * 2 * 2  # 32 copies of two numbers, each a difference of two standard normals
    assert abs(result.mean - expected) < 2 * result.ci
    assert result.detour.mean == pytest.approx(1, abs=1e-3)
    assert set(result.by_class) == {"a", "b"}


def test_the_scale_of_codes_does_not_count() -> None:
    plain = perceptual_path_length(known(linear), pairs=20, mode="linear", distance=squared)
    gen = known(lambda z, labels: linear(z / 100, labels))
    gen.codes = lambda noise, labels: 100 * noise
    scaled = perceptual_path_length(gen, pairs=20, mode="linear", distance=squared)
    assert scaled.mean == pytest.approx(plain.mean, rel=1e-2)


def test_cliffs_and_detours_count() -> None:
    smooth = perceptual_path_length(known(linear), pairs=200, mode="linear", distance=squared)
    cliff = known(lambda z, labels: linear(torch.tanh(20 * z), labels))
    bent = known(lambda z, labels: linear(torch.cat([z[:, :1], z[:, :1] ** 2], 1), labels))
    assert perceptual_path_length(cliff, pairs=200, mode="linear", distance=squared).mean > 2 * smooth.mean
    assert perceptual_path_length(bent, pairs=200, mode="linear", distance=squared).detour.mean > 1.05


@pytest.mark.parametrize(("middle", "expected"), [(0.2, 1.0), (0.7, 3.5)])
def test_straying_compares_the_middle_with_the_ends(monkeypatch, middle, expected) -> None:
    monkeypatch.setattr("synthaug.latent.interpolating.smoothness.load_pretrained", Flat)
    gen = known(lambda z, labels: torch.where(z[:, :1] == 0, middle, 0.2)[..., None, None].expand(-1, 1, 8, 8))
    gen.draw_codes = lambda labels, indices, seed: np.where(indices % 2, 1, -1)[:, None] * np.ones((1, 2), np.float32)
    grey = np.full((4, 8, 8), 127, np.uint8)  # a little below the middle of the range
    data = ImageDataset.from_arrays(grey, [0, 0, 1, 1], ["a", "b"])
    result = perceptual_path_length(gen, pairs=4, mode="linear", distance=squared, data=data)
    assert result.straying.mean == pytest.approx(expected, abs=0.1)


class Flat:
    """Pixels as features."""

    def pooled(self, images):
        return images.flatten(1)


def test_between_images_of_a_dataset_and_again(trained, digits) -> None:
    data = digits.only("1", "0", "7").few_shot(8)  # in another order than the generator's
    results = [perceptual_path_length(trained, pairs=3, ends="images", data=data, seed=1) for _ in range(2)]
    assert results[0] == results[1]
    assert results[0].straying is not None
    assert results[0].straying.mean > 0
    assert results[0].detour.mean >= 0.99
    coarse = perceptual_path_length(trained, pairs=3, epsilon=1e-2, ends="images", data=data, seed=1)
    assert coarse.mean == pytest.approx(results[0].mean, rel=0.2)


def test_every_family_is_measured(family, tiny) -> None:
    gen = make_generator(family, ["a", "b"], (3, 8, 8), options=tiny).eval()
    result = perceptual_path_length(gen, pairs=2, distance=squared)
    assert np.isfinite(result.mean)


def test_what_cannot_be_done_is_said(trained, digits) -> None:
    with pytest.raises(ConfigError, match="2 pairs"):
        perceptual_path_length(trained, pairs=1)
    with pytest.raises(ConfigError, match="epsilon"):
        perceptual_path_length(trained, epsilon=0)
    with pytest.raises(ConfigError, match="dataset"):
        perceptual_path_length(trained, ends="images")
    with pytest.raises(ConfigError, match="encoder"):
        perceptual_path_length(known(linear), ends="images", data=ImageDataset.from_arrays(*_pair()), distance=squared)


def _pair():
    return np.zeros((4, 8, 8), np.uint8), [0, 0, 1, 1], ["a", "b"]


def test_small_steps_are_decoded_without_the_rounding_of_tf32(monkeypatch):
    """TF32, the default of GPUs, has ten bits: less than a step of a thousandth needs."""
    seen = []

    def reconstruct(z, labels):
        seen.append(torch.backends.cudnn.allow_tf32)
        return linear(z, labels)

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    perceptual_path_length(known(reconstruct), distance=squared, pairs=2)
    assert seen
    assert not any(seen)
    assert torch.backends.cudnn.allow_tf32
