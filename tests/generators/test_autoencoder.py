"""What is particular to the autoencoder: corruptions, and that it learns to undo them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import synthaug
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError
from synthaug.generators.autoencoder import AutoencoderConfig, Corruption, corrupt
from synthaug.pixels import from_uint8

IMAGES = torch.rand(64, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_noise_has_the_standard_deviation_asked_for_in_pixels_from_0_to_1() -> None:
    torch.manual_seed(0)
    grey = torch.zeros(64, 1, 16, 16)
    assert (corrupt(grey, "noise", 0.1) / 2).std().item() == pytest.approx(0.1, rel=0.05)
    assert corrupt(grey, "noise", 1.0).abs().max() == 1, "stays within the range of images"


def test_masks_hide_the_share_asked_for_and_nothing_else() -> None:
    torch.manual_seed(0)
    masked = corrupt(IMAGES, "mask", 0.3)
    changed = masked != IMAGES
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.05)
    assert (masked[changed] == 0).all()


def test_downsampling_keeps_the_means_of_blocks_only() -> None:
    coarse = IMAGES[:, :, ::4, ::4].repeat_interleave(4, 2).repeat_interleave(4, 3)
    restored = corrupt(coarse, "downsample", 4)
    fine = corrupt(IMAGES, "downsample", 4)
    assert (restored - coarse).abs().mean() < (fine - IMAGES).abs().mean()
    assert fine.shape == IMAGES.shape


def test_nothing_is_changed_in_place_or_without_corruption() -> None:
    before = IMAGES.clone()
    for kind, strength in (("none", 0.0), ("noise", 0.2), ("mask", 0.5), ("downsample", 2.0)):
        corrupt(IMAGES, kind, strength)
    assert torch.equal(IMAGES, before)
    assert corrupt(IMAGES, "none", 0.0) is IMAGES


@pytest.mark.parametrize(("kind", "strength"), [("noise", 0.0), ("noise", 2.0), ("mask", 1.0), ("downsample", 3.0)])
def test_impossible_strengths_are_refused(kind: Corruption, strength: float) -> None:
    with pytest.raises(ConfigError, match="corruption_strength"):
        AutoencoderConfig(corruption=kind, corruption_strength=strength)


def test_it_restores_what_was_damaged(digits: ImageDataset) -> None:
    gen = synthaug.fit(
        digits,
        "autoencoder",
        steps=250,
        corruption="noise",
        corruption_strength=0.4,
        width=16,
        latent_dim=16,
        progress=False,
        seed=1,
    )
    clean = from_uint8(torch.from_numpy(digits.images)).permute(0, 3, 1, 2)
    torch.manual_seed(0)
    noisy = corrupt(clean, "noise", 0.4)
    labels = torch.from_numpy(digits.labels.copy())
    with torch.no_grad():
        restored = gen.reconstruct(gen.encode(noisy, labels).mu, labels)
    assert (restored - clean).square().mean() < 0.5 * (noisy - clean).square().mean()


def test_codes_are_certain(digits: ImageDataset) -> None:
    gen = synthaug.fit(digits, "autoencoder", steps=1, width=8, progress=False)
    _, variances = gen.encode_images(digits.images[:5], digits.labels[:5])
    assert np.array_equal(variances, np.zeros_like(variances))
