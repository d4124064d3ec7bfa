from __future__ import annotations

import numpy as np
import pytest

from synthaug.evaluation import PairedDifference
from synthaug.evaluation.estimate import FoldScores
from synthaug.recommendation.measuring.difference import (
    WORTH,
    FoldOutcomes,
    chance_of_gain,
    class_differences,
    cross_validated_difference,
    expected_gain,
)

CLASSES = ["a", "b", "c"]


def folds(seeds: int = 3, gain: float = 0.0, of_seed: float = 0.0, seed: int = 0) -> list[FoldScores]:
    """Two folds; images differ in how hard they are, and seeds in how good their classifiers are."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(2):
        labels = np.repeat([0, 1, 2], [60, 20, 6])
        hard = random.uniform(0.4, 0.9, len(labels))
        arms = [
            random.random((seeds, len(labels))) < hard + more + of_seed * random.normal(size=(seeds, 1))
            for more in (gain, 0.0)
        ]
        made.append(FoldScores(labels, *arms))
    return made


def width(found: PairedDifference) -> float:
    return found.high - found.low


def balanced(hits: list[np.ndarray], labels: np.ndarray) -> float:
    found = np.concatenate(hits, axis=1).mean(axis=0)
    return float(np.mean([found[labels == label].mean() for label in np.unique(labels)]))


def test_the_mean_is_the_difference_of_the_metric_over_all_images():
    made = folds(gain=0.1)
    labels = np.concatenate([fold.labels for fold in made])
    arms = [balanced([getattr(fold, arm) for fold in made], labels) for arm in ("treatment", "control")]
    assert cross_validated_difference(made).mean == pytest.approx(arms[0] - arms[1])
    plain = np.concatenate([fold.treatment.astype(float) - fold.control for fold in made], axis=1).mean()
    assert cross_validated_difference(made, "accuracy").mean == pytest.approx(plain)


def test_each_fold_and_seed_is_a_pair():
    found = cross_validated_difference(folds(seeds=4))
    assert found.pairs == len(found.differences) == 8
    assert found.wins + found.losses <= 8
    one = folds(seeds=4)[:1]
    shown = cross_validated_difference(one)
    each = [
        balanced([one[0].treatment[[seed]]], one[0].labels) - balanced([one[0].control[[seed]]], one[0].labels)
        for seed in range(4)
    ]
    assert shown.differences == pytest.approx(each)


@pytest.mark.parametrize("of_seed", [0.0, 0.1])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(of_seed):
    """In nineteen of twenty worlds where samples change nothing."""
    found = [cross_validated_difference(folds(of_seed=of_seed, seed=seed)) for seed in range(1000)]
    held = np.mean([one.low <= 0 <= one.high for one in found])
    assert 0.935 <= held <= 0.98


def test_what_single_seeds_do_to_single_images_is_counted_once():
    """It moves images and seeds alike; counted twice, intervals would be half as wide again as they have to be."""

    def noisy(seed: int) -> PairedDifference:
        random = np.random.default_rng(seed)
        labels = np.arange(60) % 3
        arms = (random.normal(scale=0.1, size=(3, 60)) for _ in range(4))
        return cross_validated_difference([FoldScores(labels, next(arms), next(arms)) for _ in range(2)])

    found = [noisy(seed) for seed in range(400)]
    needed = 2 * 1.96 * np.std([one.mean for one in found])
    assert 1.0 <= np.mean([width(one) for one in found]) / needed <= 1.3
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.94


def test_more_seeds_and_more_images_narrow_it():
    few, many = folds(seeds=3), folds(seeds=12)
    narrow = 0.8 * width(cross_validated_difference(few))
    assert width(cross_validated_difference(many)) < narrow
    twice = [FoldScores(*(np.tile(part, 4) for part in (one.labels, one.treatment, one.control))) for one in few]
    assert width(cross_validated_difference(twice)) < narrow


def test_what_cancels_out_is_neither_a_win_nor_a_loss():
    labels = np.repeat([0, 1, 2], [7, 3, 11])
    control = np.zeros((2, 21))
    treatment = control.copy()
    treatment[:, :3] = (0.1, 0.2, -0.3)  # not quite nothing in floating point
    found = cross_validated_difference([FoldScores(labels, treatment, control)])
    assert (found.wins, found.losses) == (0, 0)


def test_a_rare_class_that_agrees_by_chance_is_not_sure():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [200, 3])
    hits = random.random((2, 3, 203)) < 0.7
    hits[:, :, 200:] = True
    sure = cross_validated_difference([FoldScores(labels, *hits)])
    without = cross_validated_difference([FoldScores(labels[:200], *hits[:, :, :200])])
    assert sure.high - sure.low > without.high - without.low


def test_a_single_image_a_class_has_no_interval():
    once = cross_validated_difference([FoldScores(np.array([0, 1]), np.ones((1, 2), bool), np.zeros((1, 2), bool))])
    assert (once.mean, once.low, once.high, once.verdict) == (1.0, None, None, "unclear")


def test_images_that_all_agree_are_no_certainty():
    same = folds()[0]
    found = cross_validated_difference([FoldScores(same.labels, same.control, same.control)])
    assert found.mean == 0
    assert found.low == pytest.approx(-found.high)
    assert found.verdict == "unclear"
    few = cross_validated_difference([FoldScores(same.labels[:10], same.control[:, :10], same.control[:, :10])])
    assert few.high > found.high > 0.005


def test_a_class_of_one_image_that_flips_is_no_certainty():
    labels = np.repeat([0, 1], [30, 1])
    treatment, control = np.ones((3, 31)), np.ones((3, 31))
    control[:, 30] = 0
    found = cross_validated_difference([FoldScores(labels, treatment, control)])
    assert found.mean == 0.5
    assert found.high - found.low > 0.1


def test_few_images_of_a_class_that_agree_by_chance_are_not_sure():
    part = folds(gain=0.1)[0]
    labels = np.concatenate([part.labels, [3, 3]])
    treatment = np.concatenate([part.treatment, np.ones((3, 2), bool)], axis=1)
    control = np.concatenate([part.control, np.zeros((3, 2), bool)], axis=1)
    found = class_differences([FoldScores(labels, treatment, control)], [*CLASSES, "d"])
    assert found["d"].mean == 1
    assert found["d"].low < 0.8


def test_classes_that_a_fold_lacks_are_left_out_of_the_classwise_answer():
    made = folds(gain=0.2)
    some = made[1].labels != 1
    made[1] = FoldScores(made[1].labels[some], made[1].treatment[:, some], made[1].control[:, some])
    found = class_differences(made, CLASSES)
    assert set(found) == {"a", "c"}
    labels = np.concatenate([fold.labels for fold in made])
    hits = [np.concatenate([getattr(fold, arm) for fold in made], axis=1) for arm in ("treatment", "control")]
    recall = [arm[:, labels == 0].mean() for arm in hits]
    assert found["a"].mean == pytest.approx(recall[0] - recall[1])


def both(
    gain: float = 0.0, *, images: int = 90, seeds: int = 3, promise: float = 0.0, seed: int = 0
) -> list[FoldOutcomes]:
    """Two folds; how likely each image is found differs widely, and what is found is drawn from that.

    With samples every image is found more often by ``gain``, and its probability is up by what is worth that, and by
    ``promise`` more.
    """
    random = np.random.default_rng(seed)
    made = []
    for _ in range(2):
        labels = np.arange(images) % 3
        likely = random.uniform(0.1, 0.8, images)
        likely = np.where(random.random(images) < 0.5, likely, likely.round())
        parts = []
        for more, promised in ((gain, promise), (0.0, 0.0)):
            hits = random.random((seeds, images)) < likely + more
            moved = likely + more / WORTH + promised + 0.1 * random.normal(size=(seeds, images))
            parts.append((hits, moved))
        made.append(FoldOutcomes(*(FoldScores(labels, *arms) for arms in zip(*parts, strict=True))))
    return made


def test_the_probability_makes_a_gain_plain_that_hits_alone_do_not_show():
    made = both(gain=0.03)
    alone = cross_validated_difference([fold.hits for fold in made])
    assert alone.verdict == "unclear"
    together = expected_gain(made)
    assert together.verdict == "better"
    assert together.low <= 0.03 <= together.high
    assert width(together) < 0.6 * width(alone)


@pytest.mark.parametrize("promise", [-0.005, 0.0, 0.005])
@pytest.mark.parametrize("images", [60, 600])
def test_the_expected_gains_interval_holds_the_truth_for_whatever_the_probability_promises(promise, images):
    found = [expected_gain(both(promise=promise, images=images, seed=seed)) for seed in range(150)]
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.93


def test_with_many_images_what_was_found_decides():
    """However sure the probability is: here it promises three points that are not there."""
    made = both(promise=0.03, images=40_000)
    alone = cross_validated_difference([fold.hits for fold in made])
    assert abs(expected_gain(made).mean - alone.mean) < 0.005


def test_classifiers_that_are_the_same_gain_nothing():
    same = [
        FoldOutcomes(*(FoldScores(part.labels, part.control, part.control) for part in (fold.hits, fold.beliefs)))
        for fold in both()
    ]
    found = expected_gain(same)
    assert found.mean == 0
    assert 0 < found.high == -found.low < 0.02


def test_the_chance_of_a_gain_is_one_half_where_nothing_differs_and_follows_the_interval():
    random = np.random.default_rng(0)
    likely = [chance_of_gain(both(gain=gain)) for gain in (-0.05, 0.05)]
    assert likely[0] < 0.01
    assert likely[1] > 0.99
    made = both(gain=0.01)
    found = expected_gain(made, confidence=0.9)
    assert (chance_of_gain(made) > 0.95) is (found.low > 0)
    chances = [chance_of_gain(both(seed=int(seed))) for seed in random.integers(1 << 30, size=200)]
    assert np.mean(chances) == pytest.approx(0.5, abs=0.06)
    labels = np.array([0, 1])
    single = FoldScores(labels, np.ones((1, 2)), np.zeros((1, 2)))
    assert chance_of_gain([FoldOutcomes(single, single)]) is None
    same = FoldScores(np.array([0, 0, 1, 1]), np.ones((2, 4)), np.ones((2, 4)))
    assert chance_of_gain([FoldOutcomes(same, same)]) == 0.5
