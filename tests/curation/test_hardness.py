"""Hardness: the smallest margins on the right side of the boundary."""

from __future__ import annotations

import numpy as np

from synthaug.curation import Curation
from synthaug.curation.filters.hardness import Hardness, margins


def test_rejects_the_easy_and_the_wrong(reference, new):
    verdict = Hardness().fit(reference).choose(new, np.full(10, 5))
    right = verdict.scores >= 0
    for label in range(10):
        mine = new.labels == label
        kept, left = mine & verdict.accepted, mine & right & ~verdict.accepted
        assert kept.sum() == min(5, (mine & right).sum())
        assert verdict.scores[kept].max() <= verdict.scores[left].min()
    assert not verdict.accepted[~right].any()


def test_wrong_labels_are_rejected_however_many_are_wanted(reference, new):
    wrong = reference.candidates(new.images, (new.labels + 1) % 10)
    assert Hardness().fit(reference).choose(wrong, np.full(10, 1000)).accepted.mean() < 0.15


def test_keeps_all_of_the_right_class_where_enough_are_wanted(reference, new):
    verdict = Hardness().fit(reference).choose(new, np.full(10, 1000))
    assert verdict.accepted.tolist() == (verdict.scores >= 0).tolist()


def test_margin_of_a_single_class_is_its_probability():
    assert margins(np.array([[1.0]]), np.array([0])).tolist() == [1.0]


def test_a_selection_before_it_spends_no_place_on_what_it_never_keeps(reference, new):
    labels = np.where(np.arange(len(new)) % 2, new.labels, (new.labels + 1) % 10)  # every other one is wrong
    mixed = reference.candidates(new.images, labels)
    fitted = Curation.make("diversity,hardness").fit(reference)
    wanted = np.bincount(labels[margins(mixed.probabilities, labels) >= 0], minlength=10)
    judgement = fitted.choose(fitted.judge(mixed), wanted)
    assert np.bincount(labels[judgement.accepted], minlength=10).tolist() == wanted.tolist()
    assert np.isfinite(judgement.scores["hardness"]).all()  # the rejected have theirs too
