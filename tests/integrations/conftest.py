"""A bank whose pixels say which sample they are: the red channel is the class, green and blue the row."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.sampling import SampleBank

CLASSES = ("boot", "sneaker", "bag")
PER_CLASS = 40


def coded_bank(classes=CLASSES, per_class=PER_CLASS, size=(8, 8)) -> SampleBank:
    labels = np.tile(np.arange(len(classes)), per_class)
    rows = np.arange(len(labels))
    colour = np.stack([labels * 50 + 10, rows // 256, rows % 256], axis=1).astype(np.uint8)
    images = np.broadcast_to(colour[:, None, None, :], (len(labels), *size, 3))
    return SampleBank.from_arrays(np.ascontiguousarray(images), labels, classes)


@pytest.fixture
def bank() -> SampleBank:
    return coded_bank()


@pytest.fixture
def grey_bank() -> SampleBank:
    """Grey images, 50 × class + 10 everywhere."""
    labels = np.tile(np.arange(3), 10)
    images = np.broadcast_to((labels * 50 + 10).astype(np.uint8)[:, None, None, None], (30, 8, 8, 1))
    return SampleBank.from_arrays(np.ascontiguousarray(images), labels, CLASSES)


@pytest.fixture
def bank_path(bank, tmp_path):
    path = tmp_path / "bank"
    bank.save(path)
    return path


@pytest.fixture
def make_bank():
    return coded_bank
