"""Diversity: of a collapsed class one stays for all, of a spread one all regions stay."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.curation.filters.diversity import Diversity, covering_subset
from synthaug.errors import ConfigError


def clusters(sizes, seed=0):
    """Points around centres far from each other, and which cluster each is of."""
    random = np.random.default_rng(seed)
    of = np.repeat(np.arange(len(sizes)), sizes)
    return np.eye(len(sizes))[of] * 100 + random.normal(size=(len(of), len(sizes))), of


def distances(points):
    return np.sqrt(((points[:, None] - points) ** 2).sum(-1))


def test_every_region_is_covered_before_any_twice():
    points, of = clusters([50, 5, 1, 20])
    assert sorted(of[covering_subset(distances(points), 4)].tolist()) == [0, 1, 2, 3]


def test_rejects_the_repetitions_of_a_collapsed_class_first(reference, new):
    zeros = new.take(np.flatnonzero(new.labels == 0)[:10])
    collapsed = zeros.take(np.zeros(30, dtype=int)).joined(zeros.take(np.arange(1, 10)))
    verdict = Diversity().fit(reference).choose(collapsed, np.full(10, 10))
    assert verdict.accepted[30:].all(), "a different one was rejected"
    assert verdict.accepted[:30].sum() == 1
    assert (verdict.scores[:30] == 0).sum() >= 29, "copies of a kept one are at distance 0 from it"


def test_keeps_all_where_there_are_no_more_than_wanted(reference, new):
    assert Diversity().fit(reference).choose(new, np.full(10, 1000)).accepted.all()


def test_keeps_the_number_wanted_of_each_class(reference, new):
    wanted = np.array([3, 0, 1, 5, 5, 5, 5, 5, 5, 40])
    verdict = Diversity().fit(reference).choose(new, wanted)
    assert np.bincount(new.labels[verdict.accepted], minlength=10).tolist() == wanted.tolist()


def test_covers_better_than_the_first_or_the_most_typical(reference, new):
    points = new.features[new.labels == 8]
    apart = distances(points.astype(float))

    def left_over(kept):
        return apart[:, kept].min(axis=1).sum()

    chosen = covering_subset(apart, 8)
    typical = np.argsort(apart.sum(axis=1))[:8]
    assert left_over(chosen) < min(left_over(np.arange(8)), left_over(typical))


def test_lazy_greedy_is_greedy():
    points, _ = clusters([7, 9, 4], seed=3)
    apart = distances(points)
    kept, covered = [], np.full(len(apart), apart.max() + 1)
    for _ in range(6):
        gains = (covered[:, None] - apart).clip(min=0).sum(axis=0)
        kept.append(int(np.argmax(gains)))
        covered = np.minimum(covered, apart[:, kept[-1]])
    assert covering_subset(apart, 6).tolist() == kept


def test_range_is_checked():
    with pytest.raises(ConfigError, match=r"Diversity\.share: expected a share above 0"):
        Diversity(share=0.0)
