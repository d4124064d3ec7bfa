from __future__ import annotations

import numpy as np
import pytest

from synthaug import ImageDataset
from synthaug.data.splits import long_tail_counts
from synthaug.errors import ConfigError


def of_counts(counts: list[int]) -> ImageDataset:
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    images = np.arange(len(labels), dtype=np.uint32).view(np.uint8).reshape(-1, 2, 2)  # each image is unique
    return ImageDataset.from_arrays(images, labels, [f"class {label}" for label in range(len(counts))])


def rows(data: ImageDataset) -> list[int]:
    return np.ascontiguousarray(data.images).reshape(len(data), -1).view(np.uint32).ravel().tolist()


def test_few_shot_takes_the_number_or_all_there_are() -> None:
    few = of_counts([30, 5, 1]).few_shot(per_class=10, seed=0)
    assert few.class_counts.tolist() == [10, 5, 1]


def test_few_shot_is_reproducible_seeded_and_nested() -> None:
    data = of_counts([50, 50])
    assert rows(data.few_shot(10, seed=3)) == rows(data.few_shot(10, seed=3))
    assert rows(data.few_shot(10, seed=3)) != rows(data.few_shot(10, seed=4))
    assert set(rows(data.few_shot(10, seed=3))) < set(rows(data.few_shot(20, seed=3)))


def test_a_class_draws_the_same_whatever_the_other_classes_hold() -> None:
    labels = np.array([0] * 20 + [1] * 20)
    images = np.arange(40, dtype=np.uint32).view(np.uint8).reshape(-1, 2, 2)
    full = ImageDataset.from_arrays(images, labels, ["a", "b"])
    without = full.subset(np.arange(5, 40))
    assert rows(full.few_shot(4, seed=0))[4:] == rows(without.few_shot(4, seed=0))[4:]


def test_long_tail_profile_is_that_of_the_paper() -> None:
    # CIFAR-10-LT at imbalance 100, as printed in the literature
    counts = long_tail_counts(10, 5000, 100).tolist()
    assert counts == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert of_counts([500] * 10).long_tail(100, seed=0).class_counts.tolist() == [
        500, 299, 179, 107, 64, 38, 23, 13, 8, 5,
    ]  # fmt: skip


def test_long_tail_head_and_short_classes() -> None:
    data = of_counts([50, 3, 50])
    assert data.long_tail(25, seed=0, head=25).class_counts.tolist() == [25, 3, 1]
    assert data.long_tail(1, seed=0).class_counts.tolist() == [50, 3, 50]
    assert data.long_tail(1000, seed=0).class_counts.tolist() == [50, 1, 1]


def test_long_tail_order() -> None:
    data = of_counts([40] * 6)
    kept = [data.long_tail(20, seed=seed).class_counts.tolist() for seed in (0, 1)]
    assert kept[0] == kept[1] == sorted(kept[0], reverse=True)
    shuffled = [data.long_tail(20, seed=seed, order="shuffled").class_counts.tolist() for seed in (0, 1)]
    assert shuffled[0] != shuffled[1]
    assert sorted(shuffled[0]) == sorted(shuffled[1]) == sorted(kept[0])


def test_split_is_disjoint_complete_stratified_and_reproducible() -> None:
    data = of_counts([100, 40, 10])
    first, second = data.split(0.8, seed=5)
    assert sorted(rows(first) + rows(second)) == rows(data)
    assert first.class_counts.tolist() == [80, 32, 8]
    again, _ = data.split(0.8, seed=5)
    assert rows(again) == rows(first)
    assert rows(data.split(0.8, seed=6)[0]) != rows(first)


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_split_leaves_every_class_in_both_parts_where_it_can(fraction: float) -> None:
    first, second = of_counts([50, 2, 1]).split(fraction, seed=0)
    assert (first.class_counts >= 1).all()
    assert second.class_counts.tolist()[1:] == [1, 0]
    assert second.class_counts[0] >= 1


def test_split_sizes_come_out_right_with_a_thousand_small_classes() -> None:
    data = of_counts([3] * 1000)
    first, second = data.split(0.5, seed=0)
    assert (len(first), len(second)) == (1500, 1500)
    assert len(data.few_shot(1, seed=0)) == 1000


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda data: data.few_shot(0), "per_class"),
        (lambda data: data.few_shot(2.5), "per_class"),
        (lambda data: data.few_shot(2, seed=-1), "seed"),
        (lambda data: data.long_tail(0.5), "imbalance"),
        (lambda data: data.long_tail(10, head=99), "head"),
        (lambda data: data.long_tail(10, order="up"), "order"),
        (lambda data: data.split(1.0), "fraction"),
        (lambda data: data.split(80), "fraction"),
        (lambda data: data.split("0.5"), "fraction"),
        (lambda data: data.split(True), "fraction"),
        (lambda data: data.split(0.5, seed=-1), "seed"),
        (lambda data: data.split(0.5, seed=0.5), "seed"),
        (lambda data: data.long_tail("10"), "imbalance"),
        (lambda data: data.long_tail(None), "imbalance"),
        (lambda data: data.long_tail(float("nan")), "imbalance"),
        (lambda data: data.long_tail(10, seed=-1), "seed"),
        (lambda data: data.long_tail(10, head=2.5), "head"),
        (lambda data: data.folds(2.5), "folds"),
        (lambda data: data.folds("3"), "folds"),
        (lambda data: data.folds(True), "folds"),
        (lambda data: data.folds(3, seed=-1), "seed"),
        (lambda data: data.folds(3, seed=0.5), "seed"),
    ],
)
def test_bad_arguments_are_named(call, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: expected"):
        call(of_counts([5, 5]))


def test_folds_share_no_image_and_leave_single_ones_to_training():
    labels = np.repeat([0, 1, 2, 3], [30, 9, 2, 1])
    data = ImageDataset.from_arrays(np.arange(42, dtype=np.uint8).reshape(42, 1, 1), labels, [str(i) for i in range(4)])
    folds = data.folds(3, seed=1)
    shown = [set(fold.images.ravel().tolist()) for _, fold in folds]
    assert set.union(*shown) == set(range(41))
    assert sum(map(len, shown)) == 41
    for (rest, fold), held in zip(folds, shown, strict=True):
        assert set(rest.images.ravel().tolist()) == set(range(42)) - held
        assert (fold.class_counts[:2] == [10, 3]).all()
        assert (rest.class_counts > 0).all()
    assert [fold.digest for _, fold in data.folds(3, seed=1)] == [fold.digest for _, fold in folds]
    assert [fold.digest for _, fold in data.folds(3, seed=2)] != [fold.digest for _, fold in folds]


def test_there_are_no_more_folds_than_images_of_a_class():
    data = ImageDataset.from_arrays(np.zeros((4, 1, 1), np.uint8), [0, 0, 1, 1])
    assert len(data.folds(5)) == 2
    with pytest.raises(ConfigError, match="2 or more"):
        data.folds(1)
    with pytest.raises(ConfigError, match="two images or more"):
        ImageDataset.from_arrays(np.zeros((2, 1, 1), np.uint8), [0, 1]).folds(2)
