"""Realism: what lies off all real images out, real images in."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.curation.filters.realism import Realism, realism_scores
from synthaug.errors import DataError


def test_rejects_noise_and_inverted_images(reference, new):
    fitted = Realism().fit(reference)
    noise = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), dtype=np.uint8)
    for images in (noise, 255 - new.images[:30]):
        assert not fitted.judge(reference.candidates(images, np.arange(30) % 10)).accepted.any()


def test_keeps_real_images_that_were_not_seen(reference, new):
    assert Realism().fit(reference).judge(new).accepted.mean() > 0.85


def test_the_label_plays_no_role(reference, new):
    fitted = Realism().fit(reference)
    shuffled = reference.candidates(new.images, (new.labels + 3) % 10)
    assert fitted.judge(new).scores.tolist() == fitted.judge(shuffled).scores.tolist()


def test_score_is_one_where_a_neighbourhood_ends():
    points, radii = np.array([[0.0, 0.0], [9.0, 0.0]], np.float32), np.array([2.0, 1.0])
    assert realism_scores(points, radii, np.array([[0.0, 2.0]], np.float32)).tolist() == [1.0]


def test_too_few_images_are_said(real_and_new, reference):
    few = type(reference)(real_and_new[0].subset([0, 1, 2]), 0, reference.config)
    with pytest.raises(DataError, match=r"expected 5 training images or more, but got 3.*neighbours"):
        Realism().fit(few)
