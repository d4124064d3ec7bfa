"""Which samples are made."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataWarning, LabelError
from synthaug.sampling import plan_samples

CLASSES = ("boot", "sneaker", "bag")


def dataset(counts: dict[str, int]) -> ImageDataset:
    labels = np.repeat(np.arange(len(counts)), list(counts.values()))
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8), dtype=np.uint8)
    return ImageDataset.from_arrays(images, labels, list(counts))


def test_per_class_and_counts():
    plan = plan_samples(CLASSES, per_class=2)
    assert plan.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert plan.indices.tolist() == [0, 1] * 3
    plan = plan_samples(CLASSES, counts={"bag": 3, 0: 1})
    assert plan.labels.tolist() == [0, 2, 2, 2]
    assert plan.indices.tolist() == [0, 0, 1, 2]


def test_balance_tops_up_by_name_not_by_label():
    plan = plan_samples(CLASSES, balance=dataset({"bag": 5, "boot": 2, "sneaker": 4}))
    assert np.bincount(plan.labels, minlength=3).tolist() == [3, 1, 0]


def test_a_class_without_real_images_gets_no_samples_by_balance():
    train = dataset({"bag": 5, "boot": 2, "sneaker": 4}).subset(np.arange(7))  # no sneaker is left
    with pytest.warns(DataWarning, match=r"balance: 'sneaker' .* have no real image"):
        plan = plan_samples(CLASSES, balance=train)
    assert dict(zip(CLASSES, np.bincount(plan.labels, minlength=3).tolist(), strict=True)) == {
        "bag": 0, "boot": 3, "sneaker": 0,
    }  # fmt: skip


def test_balance_refuses_other_classes():
    with pytest.raises(LabelError, match=r"snaeker.*'sneaker'"):
        plan_samples(CLASSES, balance=dataset({"bag": 2, "boot": 2, "snaeker": 2}))
    with pytest.raises(LabelError, match="lacks 'sneaker'"):
        plan_samples(CLASSES, balance=dataset({"bag": 2, "boot": 2}))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "none"),
        ({"per_class": 2, "counts": {"bag": 1}}, "per_class and counts"),
        ({"per_class": 0}, "nothing to generate"),
        ({"counts": {}}, "nothing to generate"),
    ],
)
def test_contradictory_or_empty_requests(request_, message):
    with pytest.raises(ConfigError, match=message):
        plan_samples(CLASSES, **request_)


def test_a_balanced_dataset_leaves_nothing_to_make():
    with pytest.raises(ConfigError, match="already as large"):
        plan_samples(CLASSES, balance=dataset({"bag": 2, "boot": 2, "sneaker": 2}))


def test_wrong_numbers_and_names():
    with pytest.raises(LabelError, match="-1"):
        plan_samples(CLASSES, per_class=-1)
    with pytest.raises(LabelError, match="'boot'"):
        plan_samples(CLASSES, counts={"bott": 1})


@pytest.mark.parametrize("parts", [1, 2, 5, 21])
def test_parts_concatenate_to_the_whole(parts):
    plan = plan_samples(CLASSES, per_class=7)
    pieces = [plan.part(number, parts) for number in range(1, parts + 1)]
    assert np.concatenate([piece.labels for piece in pieces]).tolist() == plan.labels.tolist()
    assert np.concatenate([piece.indices for piece in pieces]).tolist() == plan.indices.tolist()


@pytest.mark.parametrize(("number", "parts"), [(0, 2), (3, 2), (1, 0), (1, 22)])
def test_parts_that_do_not_exist(number, parts):
    with pytest.raises(ConfigError, match="shard"):
        plan_samples(CLASSES, per_class=7).part(number, parts)
