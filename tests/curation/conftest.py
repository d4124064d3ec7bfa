"""Real digits to learn from, others to pass for good samples, and generators whose samples are known."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.config import Config
from synthaug.curation import Candidates, Reference, ReferenceConfig
from synthaug.data import ImageDataset
from synthaug.generators.base import Generator

QUICK = {"steps": 80, "folds": 2, "batch_size": 32}


class PixelReference(Reference):
    """Takes pixels for features, which is enough for 8×8 digits and costs no network."""

    @property
    def features(self):
        return self.features_of(self.images)

    def features_of(self, images):
        return images.reshape(len(images), -1).astype(np.float32)


class ListedGenerator(Generator):
    """Gives images out of a list: sample n of a class is the n-th of its images, round and round."""

    family = "listed"
    config_class = Config
    noise_size = latent_size = 1

    def __init__(self, images_by_class, classes, image_shape):
        super().__init__(Config(), classes, image_shape)
        self.images_by_class = images_by_class
        self.decoded = []

    @property
    def digest(self):
        return "listed"

    @property
    def device(self):
        import torch

        return torch.device("cpu")

    def codes(self, noise, labels):
        return noise

    def reconstruct(self, z, labels):
        raise NotImplementedError("samples are listed")

    def objective(self):
        raise NotImplementedError("tests only sample")

    def sample_named(self, labels, indices, seed=0):
        names = list(zip(np.asarray(labels).tolist(), np.asarray(indices).tolist(), strict=True))
        self.decoded += names
        return np.stack(
            [self.images_by_class[label][index % len(self.images_by_class[label])] for label, index in names]
        )


@pytest.fixture(scope="session")
def real_and_new() -> tuple[ImageDataset, ImageDataset]:
    """Forty training digits a class, and forty others of each."""
    return ImageDataset.load("digits").few_shot(80, seed=0).split(0.5, seed=0)


@pytest.fixture(scope="session")
def reference(real_and_new) -> Reference:
    """What the training digits teach; classifiers are trained once for all tests."""
    found = PixelReference(real_and_new[0], 0, ReferenceConfig(**QUICK))
    _ = found.classifiers
    return found


@pytest.fixture
def new(reference, real_and_new) -> Candidates:
    """Real images that nobody has seen, passing for samples."""
    data = real_and_new[1]
    return reference.candidates(data.images, np.asarray(data.labels))


@pytest.fixture
def listed(real_and_new):
    """Make a generator of held-out digits, of which every n-th of a class is one of the next class."""

    def make(wrong_every: int = 0, noise_classes=()) -> ListedGenerator:
        data = real_and_new[1]
        by_class = [data.images[data.labels == label] for label in range(10)]
        listed = []
        for label in range(10):
            images = np.array(by_class[label])
            if wrong_every:
                images[::wrong_every] = by_class[(label + 1) % 10][: len(images[::wrong_every])]
            if label in noise_classes:
                images = np.random.default_rng(label).integers(0, 256, images.shape, dtype=np.uint8)
            listed.append(images)
        return ListedGenerator(listed, data.classes, data.image_shape)

    return make
