from __future__ import annotations

import numpy as np
import pytest

from synthaug.recommendation.candidates.space import RATIOS, Arm, Candidate, ClassSets, candidates, class_sets
from synthaug.recommendation.race.halving import affordable_entries, plan_rungs, runs_needed, successive_halving
from synthaug.recommendation.race.tuning import Grid


def race(truth, most_pairs=4, budget=1000, noise=0.0):
    calls = []

    def measure(entry, pair):
        if len(calls) == budget:
            return None
        calls.append((entry, pair))
        return truth[entry] + noise * np.random.default_rng([entry, pair]).normal()

    return successive_halving(range(len(truth)), measure, most_pairs=most_pairs), calls


def test_the_best_wins_and_gets_the_most_pairs():
    truth = [0.1, 0.5, 0.2, 0.9, 0.3, 0.4]
    found, calls = race(truth)
    assert found.ranking[0] == 3
    assert [rung.entries for rung in found.rungs] == [6, 3, 2]
    assert len(found.values[3]) == 4
    assert len(found.values[0]) == 1
    assert len(calls) == len(set(calls)) == runs_needed(6, 4)


def test_equals_keep_the_order_of_preference():
    assert race([0.0, 0.0, 0.0])[0].ranking == (0, 1, 2)


def test_when_time_runs_out_only_common_pairs_count():
    """Entry 3 is best on pair 0 alone; the round on more pairs is cut off after entry 3 had its second pair."""
    found, _ = race([0.1, 0.5, 0.2, 0.9], budget=5)
    assert found.ranking[0] == 3
    assert len(found.rungs) == 1
    cut, _ = race([0.1, 0.2, 0.9, 0.3], budget=3)
    assert cut.ranking == (2, 1, 0, 3), "what was measured counts, and comes before what was not"
    nothing, calls = race([1.0, 2.0], budget=0)
    assert calls == []
    assert nothing.values == {0: (), 1: ()}


@pytest.mark.parametrize("entries", [1, 2, 5, 16, 48])
def test_the_number_of_runs_is_foretold(entries):
    found, calls = race(list(np.linspace(0, 1, entries)), most_pairs=8)
    assert len(calls) == runs_needed(entries, 8)
    assert plan_rungs(entries, 8) == found.rungs
    assert affordable_entries(runs_needed(entries, 8), 48, 8) >= entries
    assert affordable_entries(0, 48, 8) == 0


def test_candidates_are_different_and_the_first_ones_stay_when_there_is_time_for_more():
    arms = [Arm("vae"), Arm("diffusion")]
    sets = ClassSets(("a",), ("b",))
    many = candidates(40, arms, sets, seed=3)
    assert len(set(many)) == 40
    assert many == candidates(40, arms, sets, seed=3)
    assert candidates(5, arms, sets, seed=3) == many[:5]
    assert {one.family for one in many[:4]} == {"vae", "diffusion"}
    assert {one.mode for one in many} == {"add", "replace", "mix", "weight", "first"}
    assert {one.ratio for one in many} == set(RATIOS)
    assert {one.classes for one in many} == {"all", "rarest", "hardest"}
    assert not any(one.curated for one in candidates(40, arms, sets, curation=False))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_kind_of_generator_gets_every_usual_setting(number):
    arms = [Arm("vae"), Arm("diffusion"), Arm("vae", "per_class")][:number]
    usual = candidates(11, [Arm("vae")], ClassSets(("a",), None))
    found = candidates(11 * number, arms, ClassSets(("a",), None))
    for arm in arms:
        ways = {(one.mode, one.ratio, one.classes, one.curated) for one in found if one.arm == arm}
        assert ways == {(one.mode, one.ratio, one.classes, one.curated) for one in usual}
    assert {one.arm for one in found[:number]} == set(arms), "they take turns"


@pytest.mark.parametrize("candidate", [Candidate(mode=mode, ratio=4) for mode in ("add", "replace", "mix", "first")])
def test_a_candidate_says_how_its_samples_enter(candidate):
    policy = candidate.policy(("a",))
    assert policy.classes == ("a",)
    assert policy.replace_probability == 0.8
    assert policy.mode == ("add" if candidate.mode == "first" else candidate.mode)
    assert policy.real_only_after == (0.5 if candidate.mode == "first" else 1)


def test_sets_of_classes_are_left_out_where_they_make_no_sense():
    assert class_sets(["a", "b", "c", "d"], [5, 5, 5, 5], [0.9, 0.9, 0.9, 0.9]) == ClassSets(None, None)
    assert class_sets(["a"], [5], [0.9]) == ClassSets(None, None)
    unknown = class_sets(["a", "b", "c", "d"], [50, 5, 5, 50], [0.9, None, None, 0.8])
    assert unknown == ClassSets(("b", "c"), ("a", "d"))
    absent = class_sets(["a", "b", "c", "d", "e"], [0, 50, 5, 40, 60], [None, 0.9, 0.8, 0.7, 0.95])
    assert absent == ClassSets(("c", "d"), ("c", "d")), "no generator has learnt a class without images"


def test_real_images_alone_are_tuned_over_what_the_user_left_open():
    open_ = Grid.of([10, 100], {"model": "resnet18"})
    assert {one["augmentation"] for one in open_.first()} >= {"none", "flip-crop", "affine+contrast+mixup"}
    best = open_.first()[3]
    others = open_.then(best)
    assert others[0] == best
    assert {one["augmentation"] for one in others} == {best["augmentation"]}
    corrections = {(one["balanced_sampling"], one.get("logit_adjustment", 0.0)) for one in others}
    assert corrections == {(True, 0.0), (False, 1.0), (False, 0.0)}
    assert [one.get("logit_adjustment") for one in others[:2]] == [None, 1.0], "with little time, the likeliest first"
    assert len({one["learning_rate"] for one in others}) == 3
    fixed = Grid.of([10, 10], {"model": "resnet18", "learning_rate": 0.1, "augmentation": "none"})
    only = {"model": "resnet18", "learning_rate": 0.1, "augmentation": "none", "balanced_sampling": False}
    assert fixed.first() == fixed.then(only) == [only]
    pretrained = Grid.of([10, 10], {"pretrained": True})
    assert max(one["learning_rate"] for one in pretrained.then(pretrained.usual)) < open_.usual["learning_rate"]
    for fixed in ({"deferred_reweighting": 0.8}, {"logit_adjustment": 0.5}, {"balanced_sampling": True}):
        corrected = Grid.of([10, 100], fixed)
        assert all(one.items() >= fixed.items() for one in corrected.then(corrected.usual))
        given = {"balanced_sampling", "logit_adjustment"} - set(fixed)
        assert not any(one.get(name) for one in corrected.then(corrected.usual) for name in given)


def test_in_a_tail_samples_of_the_rarest_classes_alone_are_among_the_first():
    first = candidates(3, [Arm("vae")], ClassSets(("a", "b"), None))
    assert [(one.mode, one.classes, one.curated) for one in first] == [
        ("mix", "all", False),
        ("replace", "all", False),
        ("replace", "rarest", False),
    ]
    assert {one.classes for one in candidates(3, [Arm("vae")], ClassSets(None, ("a",)))} == {"all"}
