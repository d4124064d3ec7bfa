"""Features of images, and that they are computed once."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.errors import DataError
from synthaug.evaluation.quality import laplacian_variance, relative_sharpness
from synthaug.networks import features as module
from synthaug.networks.features import extract_features


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def computed(monkeypatch):
    """Count the computations."""
    calls = []
    before = module._compute

    def compute(*arguments):
        calls.append(arguments)
        return before(*arguments)

    monkeypatch.setattr(module, "_compute", compute)
    return calls


def test_features_of_the_bundled_network(images):
    features = extract_features(images, cache=False)
    assert (features.shape, features.dtype) == ((5, 1280), np.float32)
    assert np.isfinite(features).all()
    assert np.ptp(features, axis=0).max() > 0, "different images have different features"


def test_features_do_not_depend_on_the_others(images):
    np.testing.assert_allclose(
        extract_features(images, cache=False)[3], extract_features(images[3:4], cache=False)[0], rtol=1e-3, atol=1e-4
    )


def test_grey_images_are_those_with_equal_channels(images):
    grey = images[..., :1]
    np.testing.assert_allclose(
        extract_features(grey, cache=False),
        extract_features(np.repeat(grey, 3, axis=3), cache=False),
        rtol=1e-4,
        atol=1e-5,
    )


def test_features_are_computed_once(images, computed, monkeypatch, tmp_path):
    monkeypatch.setenv("SYNTHAUG_CACHE", str(tmp_path))
    first = extract_features(images)
    np.testing.assert_array_equal(extract_features(images), first)
    assert len(computed) == 1
    changed = images.copy()
    changed[0, 0, 0, 0] ^= 1
    extract_features(changed)
    assert len(computed) == 2, "one changed value is another set of images"


def test_a_damaged_cache_is_made_again(images, computed, monkeypatch, tmp_path):
    monkeypatch.setenv("SYNTHAUG_CACHE", str(tmp_path))
    first = extract_features(images)
    (path,) = (tmp_path / "features").iterdir()
    path.write_bytes(b"half")
    np.testing.assert_array_equal(extract_features(images), first)
    assert len(computed) == 2


def test_other_arrays_are_refused(images):
    for wrong in (images.astype(np.float32), images[0], np.zeros((2, 8, 8, 4), np.uint8)):
        with pytest.raises(DataError, match="expected uint8 images"):
            extract_features(wrong)


def test_blur_is_less_sharp_and_noise_sharper(digits):
    from scipy.ndimage import gaussian_filter

    reals = digits.images
    blurred = gaussian_filter(reals.astype(float), (0, 1, 1, 0)).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, reals.shape, dtype=np.uint8)
    assert relative_sharpness(reals, reals) == 1
    assert relative_sharpness(reals, blurred) < 0.3
    assert relative_sharpness(reals, noise) > 1


def test_sharpness_is_the_variance_of_the_laplacian(images):
    from scipy.ndimage import laplace

    grey = images.astype(float) @ [0.299, 0.587, 0.114]
    expected = np.mean([laplace(image)[1:-1, 1:-1].var() for image in grey])
    assert laplacian_variance(images) == pytest.approx(expected, rel=1e-4)


def test_sharpness_of_nothing_is_refused():
    with pytest.raises(DataError, match="structure"):
        relative_sharpness(np.zeros((2, 8, 8, 1), np.uint8), np.zeros((2, 8, 8, 1), np.uint8))
    with pytest.raises(DataError, match="3 pixels"):
        laplacian_variance(np.zeros((2, 2, 8, 1), np.uint8))
