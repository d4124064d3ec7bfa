"""Distances and manifold scores against formulas written out."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import sklearn
import torch
from scipy.linalg import sqrtm

from synthaug.errors import DataError, MissingExtraError
from synthaug.evaluation.quality import (
    frechet_distance,
    kernel_distance,
    manifold_scores,
    measure_fidelity,
)


@pytest.fixture
def clouds():
    """Two Gaussian clouds of which the second is shifted and wider."""
    random = np.random.default_rng(0)
    return random.normal(size=(80, 6)), 1.3 * random.normal(size=(70, 6)) + 0.4


def direct_frechet(first, second):
    root = sqrtm(np.cov(first.T) @ np.cov(second.T)).real
    difference = first.mean(0) - second.mean(0)
    return difference @ difference + np.trace(np.cov(first.T) + np.cov(second.T) - 2 * root)


def test_frechet_distance_is_the_formula(clouds):
    assert frechet_distance(*clouds) == pytest.approx(direct_frechet(*clouds), rel=1e-8)
    assert frechet_distance(clouds[0], clouds[0]) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_few_images_is_that_of_a_gaussian_in_their_span(clouds):
    random = np.random.default_rng(1)
    turn, _ = np.linalg.qr(random.normal(size=(300, 300)))
    wide = [np.pad(cloud[:40], ((0, 0), (0, 294))) @ turn + 5 for cloud in clouds]
    assert frechet_distance(*wide) == pytest.approx(direct_frechet(clouds[0][:40], clouds[1][:40]), rel=1e-6)


def test_kernel_distance_is_the_formula(clouds):
    first, second = clouds
    size = 30

    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    torch.manual_seed(7)
    values = []
    for _ in range(4):
        x = first[torch.randperm(len(first))[:size].numpy()]
        y = second[torch.randperm(len(second))[:size].numpy()]
        off = ~np.eye(size, dtype=bool)
        values.append(kernel(x, x)[off].mean() + kernel(y, y)[off].mean() - 2 * kernel(x, y).mean())
    found = kernel_distance(first, second, subsets=4, subset_size=size, seed=7)
    assert (found.mean, found.std) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values)))
    assert found.interval[0] < found.mean < found.interval[1]


def test_kernel_distance_leaves_the_random_state_alone_and_depends_on_its_seed(clouds):
    before = torch.random.get_rng_state()
    first = kernel_distance(*clouds, subsets=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert kernel_distance(*clouds, subsets=3) == first
    assert kernel_distance(*clouds, subsets=3, seed=1) != first
    assert first.subset_size == 35, "half of the smaller set"


def test_manifold_scores_are_the_formulas(clouds):
    reals, samples = clouds

    def distances(a, b):
        return np.linalg.norm(a[:, None] - b[None], axis=2)

    def radius(points, k):
        return np.sort(distances(points, points), axis=1)[:, k]

    across, back = distances(samples, reals), distances(reals, samples)
    found = manifold_scores(reals, samples)
    assert found.precision == np.mean((across <= radius(reals, 3)).any(1))
    assert found.recall == np.mean((back <= radius(samples, 3)).any(1))
    assert found.density == pytest.approx((across < radius(reals, 5)).sum() / (5 * len(samples)))
    assert found.coverage == np.mean(across.min(0) < radius(reals, 5))


def test_manifold_scores_do_not_depend_on_the_memory_there_is(clouds):
    reals, samples = clouds
    samples = samples * np.linspace(1, 3, len(samples))[:, None]
    whole = manifold_scores(reals, samples)
    with sklearn.config_context(working_memory=8 * 8 * len(reals) / 2**20):  # eight rows at a time
        assert manifold_scores(reals, samples) == whole


def test_lost_modes_cost_recall_and_wrong_ones_precision():
    random = np.random.default_rng(0)
    centres = 20 * np.eye(4)
    both = np.concatenate([random.normal(size=(50, 4)) + centre for centre in centres[:2]])
    one = np.concatenate([random.normal(size=(100, 4)) + centres[0]])
    wrong = np.concatenate([random.normal(size=(50, 4)) + centre for centre in centres[1:3]])
    lost, beside = manifold_scores(both, one), manifold_scores(both, wrong)
    assert lost.precision > 0.8
    assert lost.recall < 0.6
    assert lost.coverage < 0.6
    assert beside.precision < 0.6
    assert beside.density < 0.6


def test_all_in_one_with_classes(clouds):
    first, second = clouds
    labels = [np.arange(len(cloud)) % 3 for cloud in clouds]
    labels[1][labels[1] == 2] = 1  # a class without samples
    names = ["cat", "dog", "owl"]
    result = measure_fidelity(first, second, real_labels=labels[0], sample_labels=labels[1], classes=names)
    assert list(result.per_class) == ["cat", "dog"]
    assert result.per_class["cat"].frechet_distance == pytest.approx(
        direct_frechet(first[labels[0] == 0], second[labels[1] == 0])
    )
    assert result.frechet_distance == frechet_distance(first, second)
    stored = json.loads(json.dumps(result.to_dict()))
    assert stored["per_class"]["dog"]["samples"] == 46
    assert stored["kid_interval"] == list(result.kid_interval)


def test_too_few_images_for_the_features_are_named(clouds):
    few = [np.pad(cloud[:20], ((0, 0), (0, 30))) for cloud in clouds]
    assert measure_fidelity(*clouds).warning is None
    assert "20 real images" in measure_fidelity(*few).warning


def test_what_cannot_be_measured_is_refused(clouds):
    first, second = clouds
    with pytest.raises(DataError, match=r"\(N, D\) and \(M, D\)"):
        frechet_distance(first, second[:, :3])
    with pytest.raises(DataError, match="6 images or more"):
        measure_fidelity(first[:5], second)
    with pytest.raises(DataError, match="NaN"):
        frechet_distance(first, second * np.nan)
    with pytest.raises(DataError, match="a label for each"):
        measure_fidelity(first, second, real_labels=np.zeros(3), sample_labels=np.zeros(70), classes=["cat"])


def test_without_torchmetrics_the_extra_is_named(clouds, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)
    with pytest.raises(MissingExtraError, match=r"synthaug\[evaluate\]"):
        frechet_distance(*clouds)
