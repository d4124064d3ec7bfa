"""Imputation: what was observed stays, what was missing is sampled as it may have been, for any family."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from synthaug.errors import ConfigError, DataError, LabelError
from synthaug.generators import make_generator
from synthaug.latent.imputing.impute import Imputation, impute
from synthaug.latent.imputing.masks import read_masked
from synthaug.latent.imputing.scores import missing_psnr, score_imputation, simple_fills

CLASSES = ("boot", "sneaker")
HIDDEN = np.zeros((8, 8), dtype=bool)
HIDDEN[4:] = True


@pytest.fixture(scope="module")
def gan():
    torch.manual_seed(0)
    return make_generator("gan", CLASSES, (1, 8, 8), options={"width": 4, "latent_dim": 4, "class_dim": 2}).eval()


@pytest.fixture
def linear(gan, monkeypatch):
    """Images whose upper half shows z₀ and whose lower half shows 0.8 z₀ + 0.6 z₁: only half of that is to be known."""

    def reconstruct(z, labels):
        upper, lower = z[:, 0], 0.8 * z[:, 0] + 0.6 * z[:, 1]
        rows = torch.stack([upper] * 4 + [lower] * 4, 1)
        signs = torch.where(labels == 0, 1.0, -1.0)
        return (0.25 * signs[:, None] * rows)[:, None, :, None].expand(-1, 1, 8, 8)

    monkeypatch.setattr(gan, "reconstruct", reconstruct)
    return gan


def grey(*values):
    return np.stack([np.full((8, 8, 1), value, dtype=np.uint8) for value in values])


def test_observed_pixels_stay_and_missing_ones_are_not_looked_at(gan) -> None:
    images = np.random.Generator(np.random.Philox(key=0)).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    made = impute(gan, images, HIDDEN, "boot", number=2, gradient_steps=3)
    assert (made.images.shape, made.mean.shape, made.std.shape) == ((3, 2, 8, 8, 1), (3, 8, 8, 1), (3, 8, 8, 1))
    for completion in (made.images[:, 0], made.images[:, 1], made.mean):
        np.testing.assert_array_equal(completion[:, :4], images[:, :4])
    assert (made.std[:, :4] == 0).all()
    assert (made.std[:, 4:] > 0).all()
    other = images.copy()
    other[:, 4:] = 255 - other[:, 4:]
    np.testing.assert_array_equal(impute(gan, other, HIDDEN, "boot", 2, gradient_steps=3).images, made.images)


def test_completions_follow_the_posterior(linear) -> None:
    # Upper half at z₀ = 1.5: the lower half has the mean 0.8 · 1.5 and the standard deviation 0.6, in units of 0.25.
    image = grey(round((1 + 0.25 * 1.5) * 127.5))
    made = impute(linear, image, HIDDEN, "boot", number=64, gradient_steps=80)
    values = (made.images[0, :, 6, 0, 0] / 127.5 - 1) / 0.25
    assert values.mean() == pytest.approx(1.2, abs=0.3)
    assert values.std() == pytest.approx(0.6, abs=0.2)
    assert made.std[0, 6, 0, 0] == pytest.approx(0.6 * 0.25 * 127.5, rel=0.5)


def test_the_observed_pixels_tell_the_class(linear, gan) -> None:
    # With one sign only, the sign of the upper half is that of the lower half whatever the class: both are taken.
    made = impute(linear, grey(160, 90), HIDDEN, number=6, gradient_steps=30)
    assert made.labels.shape == (2, 6)
    assert set(np.unique(made.labels)) == {0, 1}
    assert made.mean[0, 6, 0, 0] > 128 > made.mean[1, 6, 0, 0]


def test_results_depend_on_image_number_and_seed_alone(gan) -> None:
    images = grey(10, 200, 90)
    whole = impute(gan, images, HIDDEN, [0, 1, 0], number=30, seed=3, gradient_steps=2)
    again = impute(gan, images[:2], HIDDEN, [0, 1], number=30, seed=3, gradient_steps=2)
    np.testing.assert_array_equal(whole.images[:2], again.images)
    fewer = impute(gan, images, HIDDEN, [0, 1, 0], number=2, seed=3, gradient_steps=2)
    np.testing.assert_array_equal(whole.images[:, :2], fewer.images)
    other = impute(gan, images, HIDDEN, [0, 1, 0], number=2, seed=4, gradient_steps=2)
    assert (fewer.images != other.images).any()


def test_every_family_can_and_weights_stay(family, tiny) -> None:
    torch.manual_seed(0)
    gen = make_generator(family, CLASSES, (3, 8, 8), options=tiny)
    if family == "diffusion":
        gen = gen.with_sampling(steps=2)
    before = gen.digest
    made = impute(gen, np.zeros((1, 8, 8, 3), np.uint8), HIDDEN, "boot", number=2, gradient_steps=1)
    assert made.images.shape == (1, 2, 8, 8, 3)
    assert gen.digest == before
    assert gen.training
    assert all(parameter.grad is None for parameter in gen.parameters())


def test_nothing_or_everything_missing(gan) -> None:
    images = grey(50)
    whole = impute(gan, images, np.zeros((8, 8), bool), "boot", number=1, gradient_steps=1)
    np.testing.assert_array_equal(whole.images[0], images)
    assert whole.std.max() == 0
    nothing = impute(gan, images, np.ones((8, 8), bool), "boot", number=300, gradient_steps=1)
    assert nothing.images.shape[1] == 300
    assert np.isfinite(nothing.std).all()


def test_a_mask_image_without_white_is_refused(gan, tmp_path) -> None:
    Image.fromarray(HIDDEN.astype(np.uint8)).save(tmp_path / "mask.png")  # of 0 and 1, which looks black
    with pytest.raises(DataError, match=r"nothing is white in it.*multiplied by 255"):
        impute(gan, grey(50), tmp_path / "mask.png", "boot", number=1)
    Image.fromarray(255 * HIDDEN.astype(np.uint8)).save(tmp_path / "mask.png")
    assert impute(gan, grey(50), tmp_path / "mask.png", "boot", number=1, gradient_steps=1).std.any()


def test_requests_that_cannot_be_met(gan) -> None:
    with pytest.raises(ConfigError, match="number"):
        impute(gan, grey(1), HIDDEN, "boot", number=0)
    with pytest.raises(LabelError, match="Did you mean 'boot'"):
        impute(gan, grey(1), HIDDEN, "bot")
    many = make_generator("gan", [str(label) for label in range(40)], (1, 8, 8), options={"width": 4})
    with pytest.raises(LabelError, match="40 classes"):
        impute(many, grey(1), HIDDEN)


def test_masks_come_as_arrays_files_transparency_and_nan(gan, tmp_path) -> None:
    values = np.full((8, 8), 200, dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    Image.fromarray(HIDDEN.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    alpha = np.dstack([values] * 3 + [np.where(HIDDEN, 0, 255).astype(np.uint8)])
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    with_nan = np.where(HIDDEN, np.nan, values.astype(float))
    forms = [
        (values, HIDDEN),
        (values, HIDDEN[None]),
        (tmp_path / "a.png", tmp_path / "mask.png"),
        (str(tmp_path / "a.png"), [str(tmp_path / "mask.png")]),
        (tmp_path / "alpha.png", None),
        (alpha, None),
        (with_nan, None),
        (with_nan[None, ..., None], None),
    ]
    for images, mask in forms:
        read = read_masked(images, mask, gan)
        np.testing.assert_array_equal(read.mask, HIDDEN[None])
        assert (read.images[:, :4] == 200).all()
    both = read_masked([tmp_path / "alpha.png", tmp_path / "a.png"], None, gan)
    assert both.mask.any(axis=(1, 2)).tolist() == [True, False]


def test_what_is_missing_is_turned_upright_with_its_image(gan, tmp_path) -> None:
    alpha = np.full((8, 8), 255, np.uint8)
    alpha[:, :4] = 0
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to the right: the left side comes to the top
    Image.fromarray(np.dstack([np.full((8, 8, 3), 90, np.uint8), alpha])).save(tmp_path / "turned.png", exif=exif)
    for image in (tmp_path / "turned.png", Image.open(tmp_path / "turned.png")):
        np.testing.assert_array_equal(read_masked(image, None, gan).mask[0], ~HIDDEN)


def test_resizing_spreads_what_is_missing_to_all_it_touches(gan) -> None:
    large = np.zeros((32, 32), dtype=bool)
    large[16, 16] = True
    mask = read_masked(np.full((32, 32), 9, np.uint8), large, gan).mask[0]
    assert mask[4, 4]
    assert mask.sum() <= 16, "the filter reaches two places each way"


def test_what_is_observed_after_resizing_has_no_share_of_what_is_missing(gan) -> None:
    lower = np.zeros((28, 28), dtype=bool)
    lower[14:] = True
    grey = np.full((28, 28), 100, np.uint8)
    black, white = (read_masked(np.where(lower, fill, grey).astype(np.uint8), lower, gan) for fill in (0, 255))
    observed = ~black.mask[0]
    assert observed.any()
    np.testing.assert_array_equal(black.images[0][observed], white.images[0][observed])


@pytest.mark.parametrize(
    ("images", "mask", "message"),
    [
        (grey(1), None, "--mask"),
        (grey(1), np.zeros((8, 8), np.uint8), "booleans"),
        (grey(1, 2, 3), np.zeros((2, 8, 8), bool), "each of the 3 images"),
        (grey(1), "none.png", r"none\.png"),
    ],
)
def test_wrong_masks_are_refused(gan, images, mask, message) -> None:
    with pytest.raises(DataError, match=message):
        read_masked(images, mask, gan)


def test_scores_and_simple_fills() -> None:
    originals, mask = grey(100, 50), np.stack([HIDDEN, np.zeros_like(HIDDEN)])
    completions = np.stack([originals, originals], axis=1)
    completions[0, 0, 4:], completions[0, 1, 4:] = 110, 130
    std = np.zeros((2, 8, 8, 1), np.float32)
    std[0, 4:6], std[0, 6:] = 10.5, 5
    mean = completions.mean(axis=1).round().astype(np.uint8)
    score = score_imputation(Imputation(completions, mean, std, mask, np.zeros((2, 2), int)), originals)
    assert score.psnr[0] == pytest.approx(10 * np.log10(255**2 / 400), abs=1e-6)
    assert score.psnr_single[0] == pytest.approx(5 * np.log10(255**2 / 100) + 5 * np.log10(255**2 / 900), abs=1e-6)
    assert score.coverage[0] == 0.5
    assert np.isnan([score.psnr[1], score.coverage[1]]).all()
    fills = simple_fills(originals, mask, np.full((8, 8, 1), 70.0))
    assert set(fills) == {"image mean", "dataset mean", "telea", "navier-stokes"}
    for name, filled in fills.items():
        np.testing.assert_array_equal(filled[1], originals[1])
        expected = 70 if name == "dataset mean" else 100
        assert missing_psnr(filled, grey(expected, 50), mask)[0] > 45, name  # OpenCV rounds


def test_float_images_from_0_to_1_are_not_taken_for_black(gan) -> None:
    image = np.full((8, 8), 0.5)
    image[2:] = np.nan
    with pytest.raises(DataError, match="Multiply those from 0 to 1"):
        read_masked(image, None, gan)
