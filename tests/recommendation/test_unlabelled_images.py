from __future__ import annotations

import numpy as np
import pytest

from synthaug.classifiers.labelling import PseudoLabels
from synthaug.data import ImageDataset
from synthaug.errors import DivergenceError, OutputExistsError
from synthaug.recommendation import RecommendedPolicy, recommend
from synthaug.recommendation.candidates import labelling
from synthaug.recommendation.candidates.space import RATIOS, UNLABELLED, Arm, Candidate, ClassSets, candidates
from synthaug.storage import read_json

MINUTES = 203 / 60


@pytest.fixture
def labelled_by(monkeypatch, held_back) -> list[ImageDataset]:
    """Finds every label, and records whom it learnt from."""
    seen = []

    def label(train, images, *, classifiers, seed, **settings):
        seen.append(train)
        assert classifiers == 3
        assert {"augmentation", "learning_rate"} <= set(settings)
        return PseudoLabels(held_back.labels, np.ones(len(images), np.float32))

    monkeypatch.setattr(labelling, "pseudo_labels", label)
    return seen


def ask(few, world, maker, out, **settings) -> RecommendedPolicy:
    return recommend(few, "test_resnet", MINUTES, out=out, maker=maker, now=world.now, **settings)


def test_unlabelled_images_are_recommended_where_they_help(few, noise, held_back, world, labelled_by, tmp_path):
    policy = ask(few, world, noise, tmp_path / "advice", unlabelled=held_back)
    assert policy.recommended
    assert "unlabelled images, labelled by classifiers" in policy.words
    assert len(policy.bank) == len(held_back)
    np.testing.assert_array_equal(policy.bank.labels, held_back.labels)
    assert policy.bank.provenance["family"] == UNLABELLED
    assert not (tmp_path / "advice" / "generator").exists()
    assert RecommendedPolicy.load(tmp_path / "advice").to_dict()["generator"] is None
    found = read_json(tmp_path / "advice" / "recommendation.json")
    assert found["unlabelled"] == len(held_back)
    assert any("1,397 images without labels" in line for line in found["method"])
    assert "--unlabelled digits" in found["command"]


def test_whoever_labels_has_not_seen_the_fold_that_validates(few, noise, held_back, world, labelled_by, tmp_path):
    ask(few, world, noise, tmp_path / "advice", unlabelled=held_back)
    parts = {part.digest for part, _ in few.folds(3, seed=0)}
    learnt_from = [train.digest for train in labelled_by]
    assert set(learnt_from[:-1]) <= parts
    assert learnt_from[-1] == few.digest  # the bank that is published
    assert len(set(learnt_from)) == len(learnt_from)  # each once


def test_generators_learn_from_them_too_and_give_as_many_samples_as_without(
    few, oracle, held_back, world, labelled_by, tmp_path, monkeypatch
):
    learnt_from, real_bank = [], oracle.bank

    def bank(part, candidate, class_names):
        learnt_from.append(part)
        made = real_bank(part, candidate, class_names)
        sizes.add((candidate.ratio, len(made)))
        return made

    sizes: set[tuple[float, int]] = set()
    monkeypatch.setattr(oracle, "bank", bank)
    ask(few, world, oracle, tmp_path / "advice", unlabelled=held_back)
    folds = few.folds(3, seed=0)
    assert learnt_from
    for part in learnt_from:
        own = part.images[: len(part) - len(held_back)]
        np.testing.assert_array_equal(part.images[len(own) :], held_back.images)
        assert any(np.array_equal(own, each.images) for each in (few, *(each for each, _ in folds)))
    own = len(folds[0][0])
    for ratio, size in sizes:  # ratios are of the labelled images
        assert min(abs(size / (offered * own) - 1) for offered in RATIOS) < 0.1, ratio


def test_a_killed_search_labels_nothing_twice(few, noise, held_back, world, labelled_by, tmp_path):
    world.kill_after = 40
    with pytest.raises(KeyboardInterrupt):
        ask(few, world, noise, tmp_path / "advice", unlabelled=held_back)
    world.kill_after = None
    ask(few, world, noise, tmp_path / "advice", unlabelled=held_back)
    learnt_from = [train.digest for train in labelled_by]
    assert len(set(learnt_from)) == len(learnt_from)


def test_labels_that_no_training_survives_come_last(few, oracle, held_back, world, monkeypatch, tmp_path):
    def diverge(*_, **__):
        raise DivergenceError("not finite")

    monkeypatch.setattr(labelling, "pseudo_labels", diverge)
    policy = ask(few, world, oracle, tmp_path / "advice", unlabelled=held_back)
    assert policy.recommended
    assert "unlabelled" not in policy.words
    found = read_json(tmp_path / "advice" / "recommendation.json")
    assert found["failures"] == ["labels of the unlabelled images: not finite"]


def test_other_unlabelled_images_are_another_request(few, noise, held_back, world, labelled_by, tmp_path):
    ask(few, world, noise, tmp_path / "advice")
    with pytest.raises(OutputExistsError):
        ask(few, world, noise, tmp_path / "advice", unlabelled=held_back)


def test_they_are_tried_first_and_never_curated_or_restricted():
    sets = ClassSets(("a",), ("b",))
    chosen = candidates(10_000, [Arm()], sets, unlabelled=True)
    assert [one.family for one in chosen[:3]] == [UNLABELLED, UNLABELLED, "vae"]
    assert {one.mode for one in chosen[:2]} == {"replace", "mix"}
    theirs = [one for one in chosen if one.family == UNLABELLED]
    assert len(theirs) == 10
    assert {(one.curated, one.classes, one.sampling) for one in theirs} == {(False, "all", "")}
    without = candidates(10_000, [Arm()], sets)
    assert [one for one in chosen if one.family != UNLABELLED][:10] == without[:10]
    assert Candidate(UNLABELLED, ratio=1, mode="replace").policy().replace_probability == 0.5
