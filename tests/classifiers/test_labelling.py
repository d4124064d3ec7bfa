from __future__ import annotations

import numpy as np
import pytest

from synthaug.classifiers.labelling import pseudo_labels
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataError

SETTINGS = {"model": "test_resnet", "steps": 60, "batch_size": 32, "input_size": 16, "augmentation": "none"}


@pytest.fixture(scope="module")
def digits() -> tuple[ImageDataset, ImageDataset]:
    data = ImageDataset.load("digits").only("0", "1")
    return data.split(0.2, seed=0)


def test_labels_are_found_and_the_likelier_ones_more_often(digits):
    few, others = digits
    found = pseudo_labels(few, others.images, classifiers=2, **SETTINGS)
    right = found.labels == others.labels
    assert found.labels.dtype == np.int64
    assert right.mean() > 0.9
    assert (found.probabilities >= 0.5).all()
    assert (found.probabilities <= 1 + 1e-6).all()
    surer = found.probabilities >= np.median(found.probabilities)
    assert right[surer].mean() >= right[~surer].mean()


def test_they_are_the_mean_of_several_classifiers_and_the_same_again(digits):
    few, others = digits
    short = SETTINGS | {"steps": 3}
    one, other, both = (
        pseudo_labels(few, others.images, classifiers=number, seed=seed, **short)
        for number, seed in ((1, 5), (1, 6), (2, 5))
    )
    # a probability of the first class, whichever is the likelier
    first = [np.where(each.labels == 0, each.probabilities, 1 - each.probabilities) for each in (one, other, both)]
    np.testing.assert_allclose(first[2], (first[0] + first[1]) / 2, atol=1e-5)
    again = pseudo_labels(few, others.images, classifiers=2, seed=5, **short)
    np.testing.assert_array_equal(again.probabilities, both.probabilities)


def test_no_images_have_no_labels(digits):
    few, others = digits
    assert len(pseudo_labels(few, others.images[:0], classifiers=1, **SETTINGS | {"steps": 1}).labels) == 0


def test_other_shapes_and_no_classifier_are_refused(digits):
    few, _ = digits
    with pytest.raises(DataError, match=r"expected uint8 images of shape \(N, 8, 8, 1\)"):
        pseudo_labels(few, np.zeros((2, 9, 8, 1), np.uint8), **SETTINGS)
    with pytest.raises(ConfigError, match="expected one classifier or more"):
        pseudo_labels(few, few.images, classifiers=0, **SETTINGS)
