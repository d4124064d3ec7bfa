from __future__ import annotations

import numpy as np
import pytest
import torch

from synthaug.curation import copies
from synthaug.curation.copies import CopyDetector
from synthaug.curation.light_changes import CHANGES
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataError


def blobs(number: int, seed: int, channels: int = 1) -> np.ndarray:
    """Smooth images of a few blobs each, all different."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:24, :20]
    images = np.zeros((number, 24, 20, channels))
    for image in images:
        for _ in range(8):
            y, x, size = random.uniform(0, 24), random.uniform(0, 20), random.uniform(2, 5)
            shape = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / size**2)
            image += random.uniform(-120, 160) * shape[..., None]
    return (images + 90).clip(0, 255).round().astype(np.uint8)


@pytest.fixture(scope="module", params=[1, 3])
def train(request) -> ImageDataset:
    return ImageDataset.from_arrays(blobs(150, 0, request.param), np.arange(150) % 3, ["a", "b", "c"])


@pytest.fixture(scope="module")
def detector(train) -> CopyDetector:
    return CopyDetector(train)


@pytest.mark.parametrize("kind", CHANGES)
def test_lightly_changed_copies_are_found_and_traced(detector, train, kind):
    random = np.random.default_rng(1)
    rows = np.arange(0, 150, 3)
    found = detector.find(np.stack([CHANGES[kind](image, random) for image in train.take(rows)]))
    assert found.share >= 0.95
    assert (found.nearest == rows).mean() >= 0.95


def test_other_images_are_left_alone(detector, train):
    others = blobs(150, 2, train.image_shape[0])
    found = detector.find(others)
    assert found.share <= 0.02
    assert found.distance.min() > 0
    assert (found.distance[found.is_copy] < 1).all()


def test_a_dataset_that_holds_an_image_twice_still_finds_copies():
    images = np.concatenate([blobs(60, 3), blobs(60, 3)[:20]])
    data = ImageDataset.from_arrays(images, np.zeros(80, np.int64), ["a"])
    found = CopyDetector(data).find(images[:20])
    assert found.is_copy.all()


def test_the_answer_depends_on_the_seed_alone(train):
    images = blobs(20, 4, train.image_shape[0])
    first, again = (CopyDetector(train, seed=3).find(images) for _ in range(2))
    assert np.array_equal(first.distance, again.distance)


def test_similarities_to_variants_are_not_held_together(detector, train, monkeypatch):
    steps = []
    coarse, maximum = copies._coarse, torch.maximum
    monkeypatch.setattr(copies, "_coarse", lambda images: steps.append("similarity") or coarse(images))
    monkeypatch.setattr(torch, "maximum", lambda *pair: steps.append("maximum") or maximum(*pair))
    detector.find(train.take(np.arange(1)))
    assert steps[:5] == ["similarity", "similarity", "maximum", "similarity", "maximum"]


def test_bad_requests_say_what_is_wrong(detector, train):
    with pytest.raises(DataError, match="like the training images"):
        detector.find(np.zeros((2, 20, 24, train.image_shape[0]), np.uint8))
    with pytest.raises(DataError, match="three training images"):
        CopyDetector(train.subset(np.arange(2)))
    with pytest.raises(ConfigError, match="false_alarms"):
        CopyDetector(train, false_alarms=0.7)


def test_no_images_have_no_copies(detector, train):
    assert detector.find(train.take(np.arange(0))).share == 0.0


@pytest.mark.parametrize("shape", [(8, 128), (128, 8)])
def test_copies_are_found_among_long_images_too(shape):
    images = np.random.default_rng(0).integers(0, 256, (12, *shape, 1), dtype=np.uint8)
    found = CopyDetector(ImageDataset.from_arrays(images, np.arange(12) % 2, ["a", "b"])).find(images[:3, :, ::-1])
    assert found.is_copy.all()
