"""Confidence: mislabelled samples out, real images in, thresholds that rare classes survive."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from synthaug.curation import Reference, ReferenceConfig
from synthaug.curation.filters.confidence import SMALLEST_WEIGHT, Confidence
from synthaug.curation.thresholds import class_quantiles
from synthaug.errors import ConfigError


def test_rejects_samples_with_another_class_label(reference, new):
    wrong = reference.candidates(new.images, (new.labels + 1) % 10)
    assert Confidence().fit(reference).judge(wrong).accepted.mean() < 0.1


def test_keeps_real_images_that_no_classifier_has_seen(reference, new):
    verdict = Confidence(quantile=0.1).fit(reference).judge(new)
    assert verdict.accepted.mean() > 0.75
    assert ((verdict.scores >= 0) & (verdict.scores <= 1)).all()


def test_a_higher_quantile_rejects_more(reference, new):
    shares = [Confidence(quantile=at).fit(reference).judge(new).accepted.mean() for at in (0.0, 0.25, 0.75)]
    assert shares[0] > shares[1] > shares[2]


@pytest.mark.parametrize(("found", "agree", "accepted"), [(5, True, 0), (5, False, 4), (1, True, 4)])
def test_another_class_being_likelier_counts_where_the_classifiers_know_the_class(reference, found, agree, accepted):
    held_out = np.repeat([[0.4, 0.6]], 20, axis=0)
    held_out[10 : 10 + found] = [0.6, 0.4]
    labels = np.repeat([1, 0], 10)
    known = SimpleNamespace(labels=labels, held_out=held_out, classes=("a", "b"))
    fitted = Confidence(quantile=0.0, agree=agree).fit(known)
    samples = reference.candidates(np.zeros((4, 8, 8, 1), np.uint8), np.zeros(4, dtype=np.int64))
    samples.__dict__["probabilities"] = np.repeat([[0.45, 0.55]], 4, axis=0)
    assert fitted.judge(samples).accepted.sum() == accepted


def test_weights_fall_with_confidence_and_stay_in_range(reference, new):
    fitted = Confidence().fit(reference)
    weights = fitted.weigh(np.array([0.0, 0.3, 1.0]), np.array([0, 0, 0]))
    assert weights[0] == pytest.approx(SMALLEST_WEIGHT)
    assert weights[0] < weights[1] < weights[2] == 1


def test_thresholds_come_from_images_that_the_classifier_did_not_see(reference):
    for fold in range(reference.config.folds):
        assert (reference.folds == fold).any()
    assert np.isfinite(reference.held_out).all()
    own = reference.held_out[np.arange(len(reference.labels)), reference.labels]
    seen = reference.probabilities_of(reference.images)[np.arange(len(reference.labels)), reference.labels]
    assert own.mean() < seen.mean(), "images that some of the classifiers were trained on are surer"


def test_the_only_image_of_a_class_is_trained_on_by_all_and_never_judged(real_and_new):
    train = real_and_new[0].only(0, 1, 2)
    rare = train.subset(np.concatenate([np.flatnonzero(train.labels < 2), np.flatnonzero(train.labels == 2)[:1]]))
    found = Reference(rare, 0, ReferenceConfig(folds=2, steps=2, batch_size=8))
    assert (found.folds == -1).sum() == 1
    assert np.isnan(found.held_out[found.labels == 2]).all()
    thresholds = Confidence(quantile=0.25).fit(found).thresholds
    assert np.isfinite(thresholds).all()
    assert thresholds[2] == pytest.approx(class_quantiles(_own(found), found.labels, 3, 0.25)[2])


def test_one_image_a_class_falls_back_on_chance(real_and_new):
    single = real_and_new[0].few_shot(1, seed=0)
    found = Reference(single, 0, ReferenceConfig(folds=2, steps=1, batch_size=4))
    assert Confidence().fit(found).thresholds.tolist() == [0.1] * 10


def test_the_largest_seed_will_do(real_and_new):
    last = Reference(real_and_new[0].few_shot(2, seed=0), 2**32 - 1, ReferenceConfig(folds=2, steps=1, batch_size=4))
    assert len(last.classifiers) == 2


def test_a_class_with_few_images_is_drawn_towards_the_others():
    values = np.concatenate([np.full(100, 0.9), [0.1, 0.1]])
    many, few = class_quantiles(values, np.repeat([0, 1], [100, 2]), 2, 0.5)
    assert many > 0.85
    assert 0.1 < few < 0.9 * 10 / 12 + 0.1


def test_range_is_checked():
    with pytest.raises(ConfigError, match=r"Confidence\.quantile: expected a share"):
        Confidence(quantile=1.5)


def _own(reference):
    return reference.held_out[np.arange(len(reference.labels)), reference.labels]
