"""Plans and regimes, as they are read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are run from the checkout, not installed

from benchmarks.downstream import tasks
from benchmarks.downstream.plan import Plan, Regime
from synthaug.errors import ConfigError


def test_regimes_stand_in_the_order_of_their_sizes():
    sizes = ["few-shot:5", "few-shot:10", "few-shot:100", "full"]
    sizes += ["long-tail:10@500", "long-tail:100@50", "long-tail:100@500"]
    assert sorted(sorted(sizes), key=lambda name: Regime.parse(name).place) == sizes != sorted(sizes)


@pytest.mark.parametrize("text", ["few-shot", "few-shot:x", "long-tail:", "half", "full:3"])
def test_unknown_regimes_are_refused(text):
    with pytest.raises(ConfigError, match="few-shot:20"):
        Regime.parse(text)


@pytest.mark.parametrize("path", sorted(Path(tasks.__file__).with_name("plans").glob("*.yaml")), ids=lambda p: p.stem)
def test_committed_plans_are_valid(path):
    plan = Plan.read(path, seeds=2, steps=7)
    assert plan.seeds == 2
    assert {settings["steps"] for settings in plan.classifiers.values()} == {7}
    assert plan.sample_arms()


def test_a_plan_extends_another_and_its_own_values_count(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "oldest.yaml").write_text("seeds: 9\nholdout: 0.5\nname: nameless\n")
    (tmp_path / "shared" / "older.yaml").write_text("extends: oldest.yaml\nseeds: 7\n")
    path = tmp_path / "plan.yaml"
    path.write_text("extends: shared/older.yaml\nname: mine\nsource: digits\n")
    plan = Plan.read(path)
    assert (plan.name, plan.seeds, plan.holdout) == ("mine", 7, 0.5)
    (tmp_path / "ways.yaml").write_text("seeds: 8\n")
    path.write_text("extends: [shared/older.yaml, ways.yaml]\nname: mine\nsource: digits\n")
    plan = Plan.read(path)
    assert (plan.name, plan.seeds, plan.holdout) == ("mine", 8, 0.5)
    path.write_text("extends: shared/older.yaml\nname: mine\nsource: digits\nseed: 3\n")
    with pytest.raises(ConfigError, match="Did you mean 'seeds'"):
        Plan.read(path)


def test_steps_and_choices_apply_to_the_classifiers_that_a_plan_has_by_default(tmp_path):
    (tmp_path / "plain.yaml").write_text("name: plain\nsource: digits\n")
    assert Plan.read(tmp_path / "plain.yaml", steps=5).classifiers == {"resnet": {"steps": 5}}
    assert list(Plan.read(tmp_path / "plain.yaml", classifiers=["resnet"]).classifiers) == ["resnet"]


def test_the_default_plan_is_a_committed_one():
    from benchmarks.downstream.__main__ import DEFAULT_PLAN

    assert Plan.read(DEFAULT_PLAN).name == "fashion_mnist"
