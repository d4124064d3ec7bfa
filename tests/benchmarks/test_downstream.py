from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are run from the checkout, not installed

import synthaug
from benchmarks.downstream import tasks
from benchmarks.downstream.plan import Plan, Regime
from benchmarks.downstream.report import plot, summarise, tables
from benchmarks.downstream.runner import count_tasks, run_plan
from benchmarks.downstream.tasks import load_splits
from synthaug.errors import ConfigError
from synthaug.sampling import SampleBank

CLASSIFIER = {"model": "test_resnet", "steps": 2, "batch_size": 8, "input_size": 16, "augmentation": "none"}


def tiny_plan(**changes) -> Plan:
    values = {
        "name": "tiny",
        "source": "digits",
        "test_limit": 40,
        "regimes": ["few-shot:4", "long-tail:4@8"],
        "seeds": 2,
        "selection_seeds": 1,
        "classifier": CLASSIFIER,
        "bases": {"none": [{}], "strong": [{"augmentation": "crop"}, {"augmentation": "crop+mixup"}]},
        "generators": {"fake": {"family": "vae", "steps": 1, "per_class": 3}},
        "policies": {"half": {"replace_probability": 0.5}},
    }
    return Plan.from_dict(values | changes)


class FakeGenerator:
    def __init__(self, data):
        self.data, self.digest = data, data.digest

    def parameters(self):
        return iter(())


@pytest.fixture
def fitted_on(monkeypatch):
    """Replaces generators by ones that repeat their training images, and records what they were trained on."""
    seen = []

    def fit(data, **settings):
        seen.append(data)
        return FakeGenerator(data)

    def generate(gen, *, per_class, out, **settings):
        rows = np.concatenate([np.flatnonzero(gen.data.labels == label)[:per_class] for label in range(10)])
        bank = SampleBank.from_arrays(gen.data.take(rows), gen.data.labels[rows], gen.data.classes)
        return bank.save(out, overwrite=True)

    monkeypatch.setattr(synthaug, "fit", fit, raising=False)
    monkeypatch.setattr(synthaug, "generate", generate, raising=False)
    return seen


@pytest.fixture
def trained(monkeypatch):
    """Counts the classifiers that are trained."""
    calls = []
    real = tasks.train_classifier

    def counted(*args, **kwargs):
        calls.append(kwargs)
        return real(*args, **kwargs)

    monkeypatch.setattr(tasks, "train_classifier", counted)
    return calls


def quiet(_: str) -> None:
    """Takes progress and shows nothing."""


def test_a_second_call_repeats_nothing_and_gives_the_same(tmp_path, fitted_on, trained):
    plan = tiny_plan()
    first = run_plan(plan, tmp_path, say=quiet)
    counts = count_tasks(plan)
    assert (len(trained), len(fitted_on)) == (counts["choose"] + counts["arm"], counts["generator"])
    trained.clear()
    fitted_on.clear()
    assert run_plan(plan, tmp_path, say=quiet) == first
    assert trained == fitted_on == []


def test_an_interrupted_call_goes_on_where_it_stopped(tmp_path, fitted_on, trained, monkeypatch):
    plan = tiny_plan(regimes=["few-shot:4"])
    counted = tasks.train_classifier

    def interrupted(*args, **kwargs):
        if len(trained) == 5:
            raise KeyboardInterrupt
        return counted(*args, **kwargs)

    monkeypatch.setattr(tasks, "train_classifier", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, tmp_path, say=quiet)
    monkeypatch.setattr(tasks, "train_classifier", counted)
    run_plan(plan, tmp_path, say=quiet)
    counts = count_tasks(plan)
    assert len(trained) == counts["choose"] + counts["arm"]
    assert len(fitted_on) == counts["generator"]


def test_more_seeds_reuse_the_finished_ones(tmp_path, fitted_on, trained):
    plan = tiny_plan(regimes=["few-shot:4"], seeds=1)
    run_plan(plan, tmp_path, say=quiet)
    done = len(trained)
    run_plan(tiny_plan(regimes=["few-shot:4"], seeds=2), tmp_path, say=quiet)
    assert len(trained) - done == 4  # two bases, with and without samples, of the new seed
    trained.clear()
    run_plan(tiny_plan(regimes=["few-shot:4"], seeds=1, classifier=CLASSIFIER | {"steps": 3}), tmp_path, say=quiet)
    assert len(trained) == done  # other settings are other runs


def test_generators_and_choices_see_the_training_subset_alone(tmp_path, fitted_on, trained):
    plan = tiny_plan()
    run_plan(plan, tmp_path, say=quiet)
    train, test = load_splits(plan, tmp_path)

    def rows(data):
        return {image.tobytes() for image in data.images}

    subsets = [rows(Regime.parse(regime).subset(train, seed)) for regime in plan.regimes for seed in range(2)]
    assert all(rows(data) in subsets for data in fitted_on)
    assert not any(rows(data) & rows(test) for data in fitted_on)
    chosen = [call for call in trained if "validation" in call]
    assert len(chosen) == count_tasks(plan)["choose"]
    assert not any(rows(call["validation"]) & rows(test) for call in chosen)


def test_arms_differ_in_samples_alone(tmp_path, fitted_on):
    plan = tiny_plan(regimes=["few-shot:4"])
    arms = run_plan(plan, tmp_path, say=quiet)["regimes"]["few-shot:4"]["arms"]
    assert [(arm["base"], arm["generator"]) for arm in arms] == [
        ("none", None), ("none", "fake"), ("strong", None), ("strong", "fake"),
    ]  # fmt: skip
    for without, with_samples in zip(arms[::2], arms[1::2], strict=True):
        assert without["settings"] == with_samples["settings"]
        for a, b in zip(without["runs"], with_samples["runs"], strict=True):
            assert (a["steps"], a["images"], a["seed"]) == (b["steps"], b["images"], b["seed"])
            assert a["synthetic_images"] == 0 < b["synthetic_images"]


def test_the_summary_names_everything_a_number_needs(tmp_path, fitted_on):
    plan = tiny_plan(regimes=["few-shot:4"])
    summary = summarise(plan, run_plan(plan, tmp_path, say=quiet), "python -m benchmarks.downstream run")
    assert {"command", "versions", "machine", "seeds", "plan", "regimes"} <= set(summary)
    regime = summary["regimes"]["few-shot:4"]
    arm = regime["arms"][1]["balanced_accuracy"]
    base = regime["arms"][0]["balanced_accuracy"]
    assert arm["gain"]["differences"] == pytest.approx(np.subtract(arm["per_seed"], base["per_seed"]).tolist())
    assert str(tmp_path) not in str(summary)
    assert len(tables(summary)) == 1
    plot(summary, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_test_images_are_the_same_for_every_seed_and_limit_is_kept(tmp_path):
    plan = tiny_plan(seeds=3)
    _, first = load_splits(plan, tmp_path)
    _, again = load_splits(tiny_plan(seeds=1, regimes=["full"]), tmp_path)
    assert len(first) == 40
    assert first.digest == again.digest


@pytest.mark.parametrize("text", ["few-shot", "few-shot:x", "long-tail:", "half", "full:3"])
def test_unknown_regimes_are_refused(text):
    with pytest.raises(ConfigError, match="few-shot:20"):
        Regime.parse(text)


def test_plans_refuse_unknown_settings_and_bad_candidates():
    with pytest.raises(ConfigError, match="Did you mean 'seeds'"):
        tiny_plan(seed=3)
    with pytest.raises(ConfigError, match="augmentation"):
        tiny_plan(bases={"none": [{"augmentation": "nothing at all"}]})


def test_the_committed_plan_is_valid():
    plan = Plan.read(Path(tasks.__file__).with_name("fashion_mnist.yaml"), seeds=2, steps=7)
    assert plan.seeds == 2
    assert plan.classifier["steps"] == 7
    assert re.match(r"few-shot:20", plan.regimes[0])


@pytest.mark.slow
def test_two_jobs_give_what_one_gives(tmp_path):
    plan = tiny_plan(regimes=["few-shot:4"], generators={}, bases={"none": [{}]})
    one = run_plan(plan, tmp_path / "one", jobs=1, say=quiet)
    two = run_plan(plan, tmp_path / "two", jobs=2, say=quiet)
    for arms in zip(one["regimes"]["few-shot:4"]["arms"], two["regimes"]["few-shot:4"]["arms"], strict=True):
        scores = [[run["test"] for run in arm["runs"]] for arm in arms]
        assert scores[0] == scores[1]
