"""Noise goes, detail comes, and the observation is kept."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataError
from synthaug.generators import make_generator, save
from synthaug.latent.quality import psnr, ssim
from synthaug.latent.restoring.classical import NonLocalMeans, tune_non_local_means
from synthaug.latent.restoring.comparison import add_noise, compare_denoising, compare_upscaling
from synthaug.latent.restoring.restore import (
    denoise,
    enlarge,
    estimate_noise,
    fit_codes,
    reader_of_small,
    shrink,
    upscale,
)
from synthaug.training import fit

TINY = {"width": 8, "latent_dim": 6, "class_dim": 4, "components": 2}


@pytest.fixture(scope="module")
def images(digits):
    return digits.only("0", "1", "7")


def restoring(**options):
    return make_generator("autoencoder", ["0", "1", "7"], (1, 8, 8), options=TINY | options).eval()


@pytest.fixture(scope="module")
def diffused(images):
    settings = {"widths": (8, 16), "patch": 1, "learning_rate_warmup": 20, "preview_every": 0, "progress": False}
    return fit(images, "diffusion", steps=80, batch_size=32, **settings)


def test_psnr_and_ssim_agree_with_their_definitions():
    rng = np.random.Generator(np.random.Philox(key=1))
    originals = rng.integers(0, 256, (3, 24, 20, 3), dtype=np.uint8)
    other = add_noise(originals, 0.1)
    error = np.square(other[1].astype(float) - originals[1]).mean()
    assert psnr(other, originals)[1] == pytest.approx(10 * np.log10(255**2 / error))
    assert psnr(originals, originals).tolist() == [100.0] * 3
    assert ssim(originals, originals) == pytest.approx(1)
    # Of two constant images only the luminance term is left.
    dark, light = np.full((1, 16, 16, 1), 50, np.uint8), np.full((1, 16, 16, 1), 200, np.uint8)
    constant = (0.01 * 255) ** 2
    assert ssim(dark, light)[0] == pytest.approx((2 * 50 * 200 + constant) / (50**2 + 200**2 + constant))
    with pytest.raises(DataError, match="one shape"):
        psnr(originals, originals[:2])


@pytest.mark.parametrize("sigma", [0.05, 0.15])
def test_the_noise_is_estimated(sigma):
    smooth = np.broadcast_to(np.linspace(80, 170, 64)[:, None], (2, 64, 64))[..., None].astype(np.uint8)
    assert estimate_noise(add_noise(smooth, sigma)) == pytest.approx(sigma, rel=0.15)
    half_black = np.where(np.arange(64)[:, None] < 32, 0, smooth[..., 0])[..., None].astype(np.uint8)
    assert estimate_noise(add_noise(half_black, sigma)) == pytest.approx(sigma, rel=0.25)


@pytest.mark.parametrize("steps", [0, 5])
def test_denoising_brings_images_nearer_to_the_originals(trained, images, steps):
    noisy = add_noise(images.images, 0.25)
    restored = denoise(trained, noisy, images.labels, 0.25, steps=steps)
    assert restored.shape == images.images.shape
    assert psnr(restored, images.images).mean() > psnr(noisy, images.images).mean() + 1


def test_diffusion_in_pixels_restores_by_its_denoiser(diffused, images):
    noisy = add_noise(images.images, 0.25)
    clean = denoise(diffused, noisy, images.labels, 0.25)
    assert psnr(clean, images.images).mean() > psnr(noisy, images.images).mean() + 2
    np.testing.assert_array_equal(denoise(diffused, images.images, images.labels, 0.0), images.images)
    small = shrink(images.images, 2)
    large = upscale(diffused, small, 2, images.labels)
    assert psnr(large, images.images).mean() > psnr(enlarge(small, 2), images.images).mean() + 3
    assert np.abs(shrink(large, 2).astype(int) - small).max() <= 1


def test_codes_of_diffusion_are_held_to_their_prior(diffused, images):
    few = images.subset(np.arange(2))
    start = np.full((2, diffused.latent_size), 3.0, np.float32)
    quick = diffused.with_sampling(steps=2)
    fitted = fit_codes(quick, few.images, few.labels, start, lambda made: 0 * made, steps=5)  # nothing was observed
    assert (fitted < 2.9).all()


def test_without_noise_images_stay_as_they_are(trained, images):
    np.testing.assert_array_equal(denoise(trained, images, sigma=0.0, steps=0), images.images)


def test_a_folder_and_a_numpy_label_will_do(trained, images, tmp_path):
    save(trained, tmp_path / "run")
    small = images.subset(images.labels == 1)
    from_folder = denoise(tmp_path / "run", small.images, np.int64(1), 0.1)
    np.testing.assert_array_equal(from_folder, denoise(trained, small.images, "1", 0.1))
    assert upscale(tmp_path / "run", shrink(small.images[:2], 2), steps=0).shape == (2, 8, 8, 1)


def test_more_noise_trusts_the_generator_more(trained, images):
    codes, _ = trained.encode_images(images.images, images.labels)
    projected = trained.decode_codes(codes, images.labels).astype(int)
    distances = [
        np.abs(denoise(trained, images, sigma=sigma, steps=0).astype(int) - projected).mean()
        for sigma in (0.02, 0.1, 1.0)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.05 * distances[0]


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("steps", [0, 3])
def test_shrinking_the_enlarged_gives_the_input(trained, images, factor, steps):
    small = shrink(images.images, factor)
    large = upscale(trained, small, factor, images.labels, steps=steps)
    assert large.shape == images.images.shape
    assert np.abs(shrink(large, factor).astype(int) - small).max() <= 1


def test_fitting_codes_comes_nearer_to_what_was_seen(trained, images):
    start = np.zeros((len(images), trained.latent_size), np.float32)
    fitted = fit_codes(trained, images.images, images.labels, start, lambda made: made, steps=20)
    before, after = (
        psnr(trained.decode_codes(codes, images.labels), images.images).mean() for codes in (start, fitted)
    )
    assert after > before + 0.5
    again = fit_codes(trained, images.images, images.labels, start, lambda made: made, steps=20)
    np.testing.assert_array_equal(fitted, again)


def test_a_generator_for_other_damage_is_refused(images):
    with pytest.raises(ConfigError, match="trained to undo 'mask'"):
        denoise(restoring(corruption="mask"), images)
    with pytest.raises(ConfigError, match="corruption='downsample'"):
        upscale(restoring(corruption="noise"), shrink(images.images, 2), 2)
    with pytest.raises(ConfigError, match="corruption_strength=4"):
        upscale(restoring(corruption="downsample"), shrink(images.images, 4), 4)
    assert denoise(restoring(corruption="noise"), images).shape == images.images.shape
    gan = make_generator("gan", ["a"], (1, 8, 8), options={"width": 4})
    with pytest.raises(ConfigError, match="encoder"):
        denoise(gan, images.images, 0)


def test_wrong_requests(trained, images):
    with pytest.raises(ConfigError, match="factor"):
        upscale(trained, images.images, 3)
    with pytest.raises(DataError, match=r"image 0: expected 4×4 pixels \(H×W\), but got 8×8; resize it first"):
        upscale(trained, images.images, 2)
    with pytest.raises(ConfigError, match="sigma"):
        denoise(trained, images, sigma=20)
    odd = make_generator("autoencoder", ["a"], (1, 9, 8), options=TINY)
    with pytest.raises(DataError, match="multiples of 2"):
        reader_of_small(odd, 2)


def test_small_images_are_read_at_their_size(trained, images, tmp_path):
    reader = reader_of_small(trained, 2)
    assert (reader.image_shape, trained.image_shape) == ((1, 4, 4), (1, 8, 8))
    small = shrink(images.images[:2], 2)
    assert enlarge(small, 2).shape == (2, 8, 8, 1)
    files = [tmp_path / "0.png", tmp_path / "1.png"]
    for file, pixels in zip(files, small, strict=True):
        Image.fromarray(pixels[..., 0]).save(file)
    np.testing.assert_array_equal(upscale(trained, files, 2, "0"), upscale(trained, small, 2, "0"))
    Image.fromarray(images.images[0, ..., 0]).save(files[1])
    with pytest.raises(DataError, match=r"1\.png: expected 4×4 pixels"):
        upscale(trained, files, 2, "0")


def test_a_datasets_own_labels_are_taken(trained, images):
    small = ImageDataset.from_arrays(shrink(images.images[:6], 2), images.labels[:6], images.classes)
    wanted = upscale(trained, small.images, 2, images.labels[:6].tolist())
    np.testing.assert_array_equal(upscale(trained, small, 2), wanted)
    swapped = ImageDataset.from_arrays(small.images, (images.labels[:6] + 1) % 3, images.classes)
    assert (upscale(trained, swapped, 2) != wanted).any()


def test_non_local_means_is_tuned_to_the_images(images):
    large = np.kron(images.images[:6], np.ones((1, 3, 3, 1), np.uint8))
    noisy = add_noise(large, 0.1)
    tuned = tune_non_local_means(noisy, large, 0.1)
    assert psnr(tuned.denoise(noisy), large).mean() >= psnr(NonLocalMeans(3, 7, 21).denoise(noisy), large).mean()


def test_comparisons_have_figures_and_a_picture(trained, images):
    few = images.subset(np.arange(5))
    denoised = compare_denoising(trained, few, sigma=0.2, steps=0)
    assert list(denoised.to_dict()) == ["noisy", "non-local means", "synthaug"]
    upscaled = compare_upscaling(trained, few, factor=2, steps=0)
    assert upscaled.to_dict()["bicubic"]["n"] == 5
    assert len(upscaled.lines()) == 3
    assert upscaled.picture().size[0] > 100
