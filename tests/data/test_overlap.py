"""Datasets that share images."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.data import ImageDataset
from synthaug.data.overlap import among, without_training_images
from synthaug.errors import DataError, DataWarning


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return ImageDataset.load("digits")


def test_shared_images_are_found_whatever_their_classes_and_order(digits: ImageDataset) -> None:
    rows = np.arange(len(digits))[::-1]
    renamed = ImageDataset.from_arrays(digits.take(rows), np.zeros(len(rows), np.int64), ["all"])
    assert among(digits.subset([3, 1000]), renamed).all()
    assert among(digits.subset(np.arange(300)), digits.subset(np.arange(290, 600))).nonzero()[0].tolist() == [
        *range(290, 300)
    ]


def test_training_images_are_left_out_with_a_warning(digits: ImageDataset) -> None:
    train, held_out = digits.split(0.8, seed=0)
    assert without_training_images(held_out, train) is held_out
    with pytest.warns(DataWarning, match=f"{len(train):,} of 1,797 held-out images are among the training images"):
        rest = without_training_images(digits, train)
    assert len(rest) == len(held_out)
    assert not among(rest, train).any()
    with pytest.raises(DataError, match="all among the training images"):
        without_training_images(train.few_shot(5), train)
