"""Outlier: noise and images of another class out, real images in."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.curation.filters.outlier import Outlier
from synthaug.errors import ConfigError


def test_rejects_noise(reference):
    noise = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), dtype=np.uint8)
    verdict = Outlier().fit(reference).judge(reference.candidates(noise, np.arange(30) % 10))
    assert not verdict.accepted.any()


def test_keeps_real_images_that_were_not_seen(reference, new):
    assert Outlier().fit(reference).judge(new).accepted.mean() > 0.85


def test_distances_are_to_the_own_class(reference, new):
    fitted = Outlier().fit(reference)
    right = fitted.judge(new)
    wrong = fitted.judge(reference.candidates(new.images, (new.labels + 1) % 10))
    assert wrong.scores.mean() > 1.3 * right.scores.mean()
    assert wrong.accepted.mean() < right.accepted.mean()


def test_a_class_with_one_image_takes_the_threshold_of_others_thinned_to_as_many(real_and_new, reference):
    train = real_and_new[0]
    rows = np.concatenate([np.flatnonzero(train.labels != 9), np.flatnonzero(train.labels == 9)[:1]])
    few = type(reference)(train.subset(rows), 0, reference.config)
    fitted = Outlier().fit(few)
    full = Outlier().fit(reference)
    assert np.isfinite(fitted.thresholds).all()
    assert fitted.thresholds[9] > full.thresholds.mean(), "one image is further from all others than the nearest of 40"
    others = real_and_new[1]
    nines = others.subset(others.labels == 9)
    kept = fitted.judge(few.candidates(nines.images, np.asarray(nines.labels))).accepted.mean()
    assert kept > 0.5


def test_slack_and_quantile_move_the_threshold(reference):
    base = Outlier().fit(reference).thresholds
    assert (Outlier(slack=2.2).fit(reference).thresholds == pytest.approx(2 * base)) is True
    assert (Outlier(quantile=0.5).fit(reference).thresholds < base).all()


def test_range_is_checked():
    with pytest.raises(ConfigError, match="1 neighbour or more"):
        Outlier(neighbours=0)
