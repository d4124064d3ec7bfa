"""Duplicate: planted copies out, new images in."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.curation.filters import duplicate
from synthaug.curation.filters.duplicate import Duplicate, sequential_distances
from synthaug.errors import ConfigError


@pytest.fixture(scope="module")
def fitted(reference):
    return Duplicate().fit(reference)


def test_rejects_copies_of_training_images(reference, fitted, real_and_new):
    train = real_and_new[0].subset(np.arange(0, 400, 10))
    verdict = fitted.judge(reference.candidates(train.images, np.asarray(train.labels)))
    assert verdict.accepted.mean() < 0.1
    assert (verdict.scores[~verdict.accepted] < 1).all()


def test_keeps_new_images(fitted, new):
    assert fitted.judge(new.take(np.arange(0, 400, 4))).accepted.mean() > 0.9


def test_rejects_all_but_the_first_of_equal_samples(reference, fitted, new):
    same = np.repeat(new.images[:1], 5, axis=0)
    noisy = (same.astype(int) + np.random.default_rng(0).integers(-2, 3, same.shape)).clip(0, 255).astype(np.uint8)
    verdict = fitted.judge(reference.candidates(noisy, np.repeat(new.labels[:1], 5)))
    assert verdict.accepted.tolist() == [True, False, False, False, False]


def test_equal_samples_of_different_classes_are_both_looked_at(reference, fitted, new):
    pair = reference.candidates(np.repeat(new.images[:1], 2, axis=0), np.array([0, 1]))
    assert fitted.judge(pair).accepted.all()


def test_rounds_give_what_one_round_gives(fitted, new):
    twice = new.take(np.r_[0:20, 10:30])
    whole = fitted.judge(twice)
    first = fitted.judge(twice.take(np.arange(20)))
    kept = twice.take(np.flatnonzero(first.accepted))
    second = fitted.judge(twice.take(np.arange(20, 40)), kept)
    assert np.concatenate([first.accepted, second.accepted]).tolist() == whole.accepted.tolist()
    assert not second.accepted[:10].any()


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_blocks_of_any_size_give_the_same_distances(monkeypatch, rows):
    chain = np.arange(12, dtype=np.float32)[:, None] * 0.6
    whole = sequential_distances(chain, 1.0)
    assert (whole >= 1).tolist() == [True, False] * 6, "what is rejected rejects nothing"
    monkeypatch.setattr(duplicate, "_ROWS", rows)
    np.testing.assert_allclose(sequential_distances(chain, 1.0), whole, rtol=1e-4)


def test_without_spread_only_training_images_count(reference, new):
    fitted = Duplicate(spread=0).fit(reference)
    same = reference.candidates(np.repeat(new.images[:1], 3, axis=0), np.repeat(new.labels[:1], 3))
    assert fitted.judge(same).accepted.all()


def test_range_is_checked():
    with pytest.raises(ConfigError, match="false_alarms"):
        Duplicate(false_alarms=0.0)
