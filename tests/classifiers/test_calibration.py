from __future__ import annotations

import numpy as np
import pytest

from synthaug.classifiers.calibration import temperature, true_class_probability
from synthaug.errors import DataError


def world(seed: int = 0, images: int = 4000, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are right about how sure they are, with labels drawn from them."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=2, size=(images, classes))
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return logits, (share.cumsum(1) > random.random((images, 1))).argmax(1)


@pytest.mark.parametrize("rash", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_how_rash_logits_are(rash):
    logits, labels = world()
    assert temperature(logits * rash, labels) == pytest.approx(rash, rel=0.08)


def test_probabilities_do_not_depend_on_how_rash_logits_are():
    logits, labels = world()
    calm, rash = true_class_probability(logits, labels), true_class_probability(5 * logits + 7, labels)
    assert rash == pytest.approx(calm, abs=1e-3)
    assert ((calm >= 0) & (calm <= 1)).all()


def test_better_logits_give_the_right_class_more():
    logits, labels = world()
    worse = logits + np.random.default_rng(1).normal(scale=1.5, size=logits.shape)
    assert true_class_probability(worse, labels).mean() < true_class_probability(logits, labels).mean() - 0.02


def test_weights_decide_which_images_the_temperature_fits():
    logits, labels = world()
    logits[labels == 0] *= 4
    rare = temperature(logits, labels, np.where(labels == 0, 100.0, 1.0))
    assert rare > temperature(logits, labels) > temperature(logits, labels, np.where(labels == 0, 0.01, 1.0))


def test_all_right_and_all_wrong_stay_finite():
    logits = np.eye(3) * 40
    assert true_class_probability(logits, np.arange(3)) == pytest.approx(1)
    wrong = true_class_probability(logits, np.array([1, 2, 0]))
    assert np.isfinite(wrong).all()
    assert wrong.max() < 0.34


@pytest.mark.parametrize(("rows", "labels"), [(0, 0), (3, 2)])
def test_arrays_that_do_not_fit_are_refused(rows, labels):
    with pytest.raises(DataError, match="expected logits"):
        temperature(np.zeros((rows, 4)), np.zeros(labels, int))
