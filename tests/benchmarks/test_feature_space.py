"""Heads on features, with samples of features and without."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.downstream.plan import Plan
from benchmarks.feature_space import __main__ as feature_space
from benchmarks.feature_space.heads import PER_CLASS, Head, candidates, choose, sample_features
from synthaug.data import ImageDataset
from synthaug.storage import write_json


def test_a_rare_class_borrows_the_variation_of_the_others():
    random = np.random.default_rng(0)
    wide = random.normal(size=(400, 2)) * [5.0, 0.1]
    features = np.concatenate([wide, [[50.0, 50.0], [50.0, 50.0]]])
    drawn, of = sample_features(features, np.repeat([0, 1], [400, 2]), 1.0, seed=0)
    rare = drawn[of == 1]
    assert len(rare) == PER_CLASS
    assert np.allclose(rare.mean(axis=0), 50, atol=2)
    assert rare[:, 0].std() > 10 * rare[:, 1].std()


def test_spread_scales_the_samples_and_the_seed_decides_them():
    features, labels = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    narrow, _ = sample_features(features, labels, 0.5, seed=1)
    wide, _ = sample_features(features, labels, 1.0, seed=1)
    means = np.repeat([features[labels == label].mean(axis=0) for label in (0, 1)], PER_CLASS, axis=0)
    assert np.allclose(wide - means, 2 * (narrow - means))
    assert not np.allclose(wide, sample_features(features, labels, 1.0, seed=2)[0])


def test_the_head_that_does_best_on_held_out_features_is_chosen():
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2
    features = random.normal(size=(60, 40)) + labels[:, None] * np.eye(40)[0] * 6
    useless, useful = Head(penalty=1e-9), Head(penalty=1e-2)
    noisy = [Head(penalty=1e-2, spread=1e3), useless]
    assert choose([*noisy, useful], features, labels, seed=0) == useful


def test_every_real_only_head_is_tried_with_samples_as_well():
    assert {head.penalty for head in candidates(samples=True)} == {head.penalty for head in candidates(samples=False)}
    assert all(head.spread is None for head in candidates(samples=False))


def test_a_seed_is_measured_by_kind_of_features():
    data = ImageDataset.load("digits").few_shot(per_class=8, seed=0)
    train, test = data.split(0.5, seed=0)
    classifier = {"model": "test_resnet", "input_size": 32, "steps": 2, "batch_size": 8}
    settings = [{"augmentation": "none"}] * 3
    plan = Plan("digits", "digits", classifiers={"resnet": classifier}, bases={"none": settings, "combined": settings})
    found = feature_space.measure(plan, train, test, seed=0)
    assert list(found) == ["pretrained", "none", "combined"]
    assert found["none"] == found["combined"]
    assert found["pretrained"]["real"] > 0.5 > found["none"]["classifier"]


def test_gains_are_differences_of_the_same_seed():
    runs = [
        {"dataset": "d", "regime": "full", "seed": seed, "values": {"none": {"real": real, "samples": real + 0.1}}}
        for seed, real in enumerate((0.2, 0.6))
    ]
    (row,) = feature_space.summary(runs, {})["rows"]
    assert row["means"] == pytest.approx({"real": 0.4, "samples": 0.5})
    assert row["gains_of_samples"]["real"]["differences"] == pytest.approx([0.1, 0.1])


def test_runs_with_other_settings_are_not_taken_over(tmp_path, capsys):
    out = tmp_path / "result.json"
    write_json(out, {"settings": {"steps": 600}, "runs": []})
    before = out.read_bytes()
    with pytest.raises(SystemExit):
        feature_space.main(["sign_digits", "--out", str(out)])
    assert "give another --out" in capsys.readouterr().err
    assert out.read_bytes() == before
