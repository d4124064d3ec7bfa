from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are run from the checkout, not installed

import synthaug
from benchmarks.downstream import recipes, tasks
from benchmarks.downstream.contrasts import contrasts
from benchmarks.downstream.plan import Plan, Regime
from benchmarks.downstream.plots import ratio_plot, regime_plot
from benchmarks.downstream.readme import replace_block, summary_table
from benchmarks.downstream.recipes import make_bank
from benchmarks.downstream.report import markdown, tables, write_report
from benchmarks.downstream.runner import run_plan
from benchmarks.downstream.summary import read_cells
from benchmarks.downstream.tasks import Places, load_splits
from synthaug.classifiers.labelling import PseudoLabels
from synthaug.data import ImageDataset
from synthaug.data.overlap import among
from synthaug.errors import ConfigError
from synthaug.sampling import SampleBank, generating
from synthaug.storage import read_json

ROOT = Path(__file__).resolve().parents[2]
CLASSIFIER = {"model": "test_resnet", "steps": 2, "batch_size": 8, "input_size": 16, "augmentation": "none"}
CHOICES, ARMS, BANKS = 6, 12, 4
"""Runs of the tiny plan: 3 candidates × 2 cells × 1 seed; (2 bases + 1 with samples) × 2 × 2 seeds; 2 × 2 banks."""


def tiny_plan(**changes) -> Plan:
    values = {
        "name": "tiny",
        "source": "digits",
        "test_limit": 40,
        "regimes": ["few-shot:4", "long-tail:4@8"],
        "seeds": 2,
        "selection_seeds": 1,
        "classifiers": {"resnet": CLASSIFIER},
        "bases": {"none": [{}], "strong": [{"augmentation": "crop"}, {"augmentation": "crop+mixup"}]},
        "with_samples": ["none"],
        "generators": {"fake": {"family": "vae", "steps": 1}},
        "banks": {"fake": {"generator": "fake", "per_class": 3}},
        "policies": {"half": {"replace_probability": 0.5}},
    }
    return Plan.from_dict(values | changes)


@pytest.fixture
def places(tmp_path) -> Places:
    return Places(tmp_path / "work", tmp_path / "out" / "runs")


class FakeGenerator:
    def __init__(self, data):
        self.data, self.digest, self.family = data, data.digest, "vae"

    def parameters(self):
        return iter(())


@pytest.fixture
def fitted_on(monkeypatch):
    """Replaces generators by ones that repeat their training images, and records what they were trained on."""
    seen, by_folder = [], {}

    def fit(data, *, out, **settings):
        seen.append(data)
        Path(out).mkdir(parents=True)
        by_folder[str(out)] = FakeGenerator(data)
        return by_folder[str(out)]

    def generate(gen, *, per_class, out, **settings):
        rows = np.concatenate([np.flatnonzero(gen.data.labels == label)[:per_class] for label in range(10)])
        bank = SampleBank.from_arrays(gen.data.take(rows), gen.data.labels[rows], gen.data.classes)
        return bank.save(out, overwrite=True)

    monkeypatch.setattr(synthaug, "fit", fit, raising=False)
    monkeypatch.setattr(generating, "load_generator", lambda folder: by_folder[str(folder)])
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


def test_a_second_call_repeats_nothing_and_reports_the_same(places, fitted_on, trained):
    run_plan(tiny_plan(), places, say=quiet)
    assert (len(trained), len(fitted_on)) == (CHOICES + ARMS, BANKS)
    first = read_cells(places.results)
    trained.clear()
    fitted_on.clear()
    run_plan(tiny_plan(), places, say=quiet)
    assert trained == fitted_on == []
    assert read_cells(places.results) == first


def test_an_interrupted_call_goes_on_where_it_stopped(places, fitted_on, trained, monkeypatch):
    counted = tasks.train_classifier

    def interrupted(*args, **kwargs):
        if len(trained) == CHOICES + 3:
            raise KeyboardInterrupt
        return counted(*args, **kwargs)

    monkeypatch.setattr(tasks, "train_classifier", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_plan(tiny_plan(), places, say=quiet)
    monkeypatch.setattr(tasks, "train_classifier", counted)
    run_plan(tiny_plan(), places, say=quiet)
    assert len(trained) == CHOICES + ARMS
    assert len(fitted_on) == BANKS


def test_the_matrix_grows_and_nothing_is_counted_twice(places, fitted_on, trained):
    run_plan(tiny_plan(regimes=["few-shot:4"], seeds=1), places, say=quiet)
    trained.clear()
    more = tiny_plan(regimes=["few-shot:4"], policies={"half": {"replace_probability": 0.5}, "add": {"mode": "add"}})
    run_plan(more, places, say=quiet)
    assert len(trained) == 3 + 2  # the new seed's three arms, and the new policy's two
    (cell,) = read_cells(places.results)
    assert [(one.policy, one.gain.pairs) for one in cell.comparisons] == [("half", 2), ("add", 2)]
    run_plan(tiny_plan(regimes=["few-shot:4"], seeds=1), places, say=quiet)  # an older plan takes nothing away
    assert read_cells(places.results) == [cell]


def test_arms_of_other_settings_are_not_compared(places, fitted_on, trained):
    run_plan(tiny_plan(regimes=["few-shot:4"]), places, say=quiet)
    changed = tiny_plan(regimes=["few-shot:4"], classifiers={"resnet": CLASSIFIER | {"steps": 3}}, banks={})
    run_plan(changed, places, say=quiet)
    (cell,) = read_cells(places.results)
    assert len(cell.real_only["none"]) == 2
    assert cell.comparisons == ()  # the samples' arm has two steps, the real-only arm three


def test_arms_of_other_test_images_are_not_compared(places, fitted_on, trained):
    run_plan(tiny_plan(regimes=["few-shot:4"]), places, say=quiet)
    run_plan(tiny_plan(regimes=["few-shot:4"], test_limit=20, banks={}), places, say=quiet)
    (cell,) = read_cells(places.results)
    assert cell.comparisons == ()  # the real-only arms were tested on half of the images by now


def test_a_try_with_fewer_seeds_does_not_choose_anew(places, fitted_on, trained):
    said: list[str] = []
    run_plan(tiny_plan(regimes=["few-shot:4"], selection_seeds=2), places, say=quiet)
    (path,) = places.results.glob("choice-*.json")
    before = read_json(path)
    run_plan(tiny_plan(regimes=["few-shot:4"], selection_seeds=2, seeds=1), places, say=said.append)
    assert read_json(path) == before
    assert any("as 2 seeds chose them before" in line for line in said)
    other = {"none": [{}, {"learning_rate": 0.01}]}
    run_plan(tiny_plan(regimes=["few-shot:4"], seeds=1, bases=other), places, say=quiet)  # other candidates
    assert read_json(path)["seeds"] == [0]


def test_generators_and_choices_see_the_training_subset_alone(places, fitted_on, trained):
    plan = tiny_plan()
    run_plan(plan, places, say=quiet)
    train, test = load_splits(plan, places)

    def rows(data):
        return {image.tobytes() for image in data.images}

    subsets = [rows(Regime.parse(regime).subset(train, seed)) for regime in plan.regimes for seed in range(2)]
    assert all(rows(data) in subsets for data in fitted_on)
    assert not any(rows(data) & rows(test) for data in fitted_on)
    chosen = [call for call in trained if "validation" in call]
    assert len(chosen) == CHOICES
    assert not any(rows(call["validation"]) & rows(test) for call in chosen)


def test_arms_differ_in_samples_alone(places, fitted_on):
    run_plan(tiny_plan(regimes=["few-shot:4"]), places, say=quiet)
    runs = [read_json(path) for path in places.results.glob("arm-*.json")]
    for with_samples in (run for run in runs if run["task"]["samples"]):
        task = with_samples["task"]
        (without,) = [
            run
            for run in runs
            if not run["task"]["samples"] and (run["task"]["seed"], run["task"]["settings"])
            == (task["seed"], task["settings"])
        ]  # fmt: skip
        assert without["task"]["subset"] == task["subset"]
        assert without["result"]["images"] == with_samples["result"]["images"]
        assert without["result"]["synthetic_images"] == 0 < with_samples["result"]["synthetic_images"]


def test_samples_of_the_rarest_or_hardest_classes_alone(places, fitted_on):
    def restricted(regime, which):
        policies = {"some": {"replace_probability": 0.5, "classes": which}}
        run_plan(tiny_plan(regimes=[regime], policies=policies), places, say=quiet, until="comparisons")
        stored = [read_json(path)["task"] for path in places.results.glob("arm-*.json")]
        return {
            task["seed"]: task["samples"]["policy"]["classes"]
            for task in stored
            if task["samples"] and task["regime"] == regime
        }

    rare = restricted("long-tail:4@8", "rarest")
    train, _ = load_splits(tiny_plan(), places)
    for seed, names in rare.items():
        subset = Regime.parse("long-tail:4@8").subset(train, seed)
        counts = dict(zip(subset.classes, subset.class_counts.tolist(), strict=True))
        assert len(names) == 4
        assert max(counts[name] for name in names) <= min(n for name, n in counts.items() if name not in names)
    assert rare[0] != rare[1]  # the seed says which classes are rare

    hard = restricted("few-shot:4", "hardest")
    assert hard[0] == hard[1]
    assert len(hard[0]) == 4
    with pytest.raises(ConfigError, match="take rarest"):
        restricted("long-tail:4@8", "hardest")
    with pytest.raises(ConfigError, match="none is rarest"):
        restricted("few-shot:4", "rarest")


def test_samples_go_on_top_of_the_best_arm_by_validation(places, fitted_on, monkeypatch):
    from synthaug.classifiers import ClassifierResult, Scores

    def scored(train, test=None, *, validation=None, augmentation="none", seed=0, **settings):
        value = {"none": 0.2, "crop": 0.5, "crop+mixup": 0.4}[augmentation]  # test says otherwise, and is not asked
        of = Scores(value, value, (value,) * 10, 10)
        values = dict.fromkeys(ClassifierResult.__dataclass_fields__)
        return ClassifierResult(**values | {"validation": of, "test": Scores(1 - value, 1 - value, (value,) * 10, 10)})

    monkeypatch.setattr(tasks, "train_classifier", scored)
    monkeypatch.setattr(tasks, "describe_environment", dict)
    monkeypatch.setattr(ClassifierResult, "to_dict", _plain)
    run_plan(tiny_plan(regimes=["few-shot:4"], with_samples=["best"]), places, say=quiet)
    (cell,) = read_cells(places.results)
    assert cell.choice["best"] == "strong"
    (one,) = cell.comparisons
    assert (one.base, one.best) == ("strong", True)


def _plain(result):
    scores = {name: value and value.to_dict() for name, value in vars(result).items() if name in ("validation", "test")}
    return {"images": 1, "synthetic_images": 0, **scores}


def test_summary_and_page_are_made_from_the_cached_runs_alone(places, fitted_on, tmp_path):
    run_plan(tiny_plan(), places, say=quiet)
    out = tmp_path / "out"
    cells = write_report(places.results, out, "python -m benchmarks.downstream report")
    rows = read_json(out / "summary.json")
    assert len(rows) == 2
    keys = "dataset regime classifier family policy reference_arm metric seeds reference_mean synthetic_mean gain "
    assert set((keys + "ci95_low ci95_high").split()) <= set(rows[0])
    row, one = rows[0], cells[0].comparisons[0]
    assert row["seeds"] == 2
    assert row["gain"] == pytest.approx(row["synthetic_mean"] - row["reference_mean"], abs=0.01)
    assert row["reference_mean"] == pytest.approx(100 * np.mean(one.reference), abs=0.01)
    text = (out / "report.html").read_text(encoding="utf-8")
    assert str(tmp_path) not in text + (out / "summary.json").read_text(encoding="utf-8")
    assert "src='http" not in text
    assert "At a glance" in text
    assert (out / "overview.png").read_bytes()[1:4] == b"PNG"
    assert len(tables(cells)) == 2
    assert markdown(cells).count("\n") == 4


def test_ways_are_set_beside_the_control_and_other_methods(places, fitted_on, tmp_path):
    banks = {"fake": {"generator": "fake"}, "real images": {"real": True}, "smote": {"smote": True}}
    banks = {name: recipe | {"per_class": 3} for name, recipe in banks.items()}
    policies = {"mix": {"mode": "mix"}, "half": {"replace_probability": 0.5}}
    arms = [["fake", "mix"], ["fake", "half"], ["real images", "mix"], ["smote", "half"]]
    run_plan(tiny_plan(regimes=["few-shot:4"], banks=banks, policies=policies, arms=arms), places, say=quiet)
    out = tmp_path / "out"
    (cell,) = write_report(places.results, out, "python -m benchmarks.downstream report")
    accuracy = {(one.bank, one.policy): 100 * np.mean(one.synthetic) for one in cell.comparisons}
    rows = read_json(out / "contrasts.json")
    names = ("bank", "policy", "other_bank", "other_policy")
    pairs = {tuple(row[name] for name in names): row for row in rows}
    assert set(pairs) == {
        ("fake", "mix", "real images", "mix"),
        ("fake", "half", "real images", "mix"),
        ("fake", "half", "smote", "half"),  # the other way to enter was not run with SMOTE
    }
    for (*ours, bank, policy), row in pairs.items():
        assert row["gain"] == pytest.approx(accuracy[tuple(ours)] - accuracy[bank, policy], abs=0.01)
        assert row["seeds"] == 2
    one = next(contrasts(cell))
    assert one.gain.mean == pytest.approx(np.mean(np.subtract(one.ours.synthetic, one.other.synthetic)))
    assert "Beside the control" in (out / "report.html").read_text(encoding="utf-8")


def test_curves_over_ratio_and_shots_are_drawn_where_there_are_points_for_one(places, fitted_on, monkeypatch):
    ways = {"half": {"replace_probability": 0.5}, "quarter": {"replace_probability": 0.25}, "add": {"mode": "add"}}
    plan = {"with_samples": ["best"], "regimes": ["few-shot:4", "few-shot:6", "long-tail:4@8", "long-tail:2@8"]}
    run_plan(tiny_plan(**plan), places, say=quiet)
    cells = read_cells(places.results)
    assert all(ratio_plot(cell) is None for cell in cells)
    for kind in ("few-shot", "long-tail"):
        assert regime_plot(cells[:1], kind) is None
        assert regime_plot(cells, kind) is not None
        assert regime_plot([cell for cell in cells if not cell.regime.startswith(kind)], kind) is None
    run_plan(tiny_plan(**plan, policies=ways), places, say=quiet)
    cell = read_cells(places.results)[0]
    assert {one.policy: one.mode for one in cell.comparisons} == {"half": "replace", "quarter": "replace", "add": "add"}
    shares = {one.policy: one.share for one in cell.comparisons}
    assert 0 < shares["quarter"] < shares["half"] < 1
    assert ratio_plot(cell) is not None
    assert cell.choice["classes"] == [str(digit) for digit in range(10)]


def test_the_summary_shows_all_ways_alike_and_names_the_arm_to_beat(places, fitted_on):
    banks = {name: {"generator": "fake", "per_class": 3} for name in ("diffusion", "vae")}
    policies = {"replace 0.3": {"replace_probability": 0.3}, "half": {"replace_probability": 0.5}}
    plan = tiny_plan(regimes=["few-shot:4"], with_samples=["none", "best"], banks=banks, policies=policies)
    run_plan(plan, places, say=quiet)
    (cell,) = read_cells(places.results)
    shown, _, folded = summary_table([cell]).partition("<details>")
    best, others = (
        [line[2:-2].split(" | ") for line in part.splitlines() if line.startswith("| tiny")] for part in (shown, folded)
    )
    assert [row[2] for row in best] == [cell.choice["best"]] * 2
    assert [row[4] for row in best] == ["diffusion", "VAE"]
    assert {row[2] for row in others} == {"none"} - {cell.choice["best"]}
    gains = {(one.bank, one.policy, one.base): 100 * one.gain.mean for one in cell.comparisons}
    first = next(one for one in cell.comparisons if one.bank == "vae" and one.policy == "half")
    assert cell.find(first.base, ("not run", "vae", "diffusion"), "half") is first
    assert cell.find(first.base, ("not run",), "half") is None
    for row in best + others:
        assert row[5] == "", "added: not run"
        assert f"{gains[row[4].lower(), 'replace 0.3', row[2]] + 0.0:+.1f}" in row[6]
    with pytest.raises(ValueError, match="marks"):
        replace_block("no marks", "table")


def test_arms_that_no_samples_come_on_top_of_can_wait(places, fitted_on):
    plan = tiny_plan(regimes=["few-shot:4"])
    run_plan(plan, places, say=quiet, until="comparisons")
    (cell,) = read_cells(places.results)
    assert cell.comparisons
    waiting = {"strong"}
    assert waiting.isdisjoint(cell.real_only)
    # Nor listed: with other settings by now, it would take the place of one on which another plan's samples stand.
    (listed,) = places.results.glob("arms-*.json")
    assert waiting.isdisjoint(arm["base"] for arm in read_json(listed)["arms"])
    run_plan(plan, places, say=quiet)
    (whole,) = read_cells(places.results)
    assert waiting <= set(whole.real_only)
    assert whole.comparisons == cell.comparisons


def test_unlabelled_images_are_others_and_have_the_labels_that_classifiers_find(places, monkeypatch):
    seen = {}

    def label(train, images, *, seed, **settings):
        seen.update(train=train, settings=settings)
        return PseudoLabels(np.full(len(images), 3), np.ones(len(images), np.float32))

    monkeypatch.setattr(recipes, "pseudo_labels", label)
    train, _ = load_splits(tiny_plan(), places)
    subset = train.few_shot(per_class=4, seed=0)
    recipe = {"unlabelled": 50, "labelled_by": CLASSIFIER}
    bank = make_bank(recipe, subset, None, places.work / "bank", 0, train=train)
    assert len(bank) == 50
    assert set(bank.labels) == {3}
    assert seen == {"train": subset, "settings": CLASSIFIER}
    both = ImageDataset.from_arrays(bank.images, bank.labels, subset.classes)
    assert not among(both, subset).any()
    assert among(both, train).all()


def test_generators_and_banks_with_unlabelled_images_beside(places, fitted_on, trained):
    plan = tiny_plan(
        regimes=["few-shot:4"],
        generators={"fake": {"family": "vae", "steps": 1, "beside": "others"}},
        banks={
            "others": {"unlabelled": 30, "labelled_by": "resnet"},
            "fake": {"generator": "fake", "per_class": 3},
            "both": {"generator": "fake", "per_class": 3, "beside": "others"},
        },
        arms=[["both", "half"], ["fake", "half"]],
    )
    run_plan(plan, places, say=quiet)
    assert [len(data) for data in fitted_on] == [40 + 30] * 2
    found = [read_json(path) for path in places.results.glob("bank-*.json")]
    sizes = {"unlabelled": [], "beside": [], "samples": []}
    for each in found:
        kind = next((kind for kind in sizes if kind in each["task"]["recipe"]), "samples")
        sizes[kind].append(each["result"]["samples"])
    assert sizes["unlabelled"] == [30, 30]
    assert sizes["beside"] == [size + 30 for size in sizes["samples"]]
    trained.clear()
    run_plan(plan, places, say=quiet)
    assert (trained, len(fitted_on)) == ([], 2)
    with pytest.raises(ConfigError, match="labelled_by: expected one of other, but got 'resnet'"):
        dataclasses.replace(plan, classifiers={"other": CLASSIFIER})


def test_smote_interpolates_within_a_class(places):
    plan = tiny_plan(regimes=["long-tail:8@8"], seeds=1, banks={"smote": {"smote": True, "per_class": 5}})
    run_plan(plan, places, say=quiet, until="banks")
    (folder,) = (places.work / "banks").iterdir()
    bank = SampleBank.open(folder)
    train, _ = load_splits(plan, places)
    counts = Regime.parse("long-tail:8@8").subset(train, 0).class_counts
    assert bank.counts.tolist() == [5 if count > 1 else 0 for count in counts]  # one image has no neighbour


def test_test_images_are_the_same_for_every_seed_and_limit_is_kept(places):
    _, first = load_splits(tiny_plan(seeds=3), places)
    _, again = load_splits(tiny_plan(seeds=1, regimes=["full"]), places)
    assert len(first) == 40
    assert first.digest == again.digest


def test_a_confirmation_reads_other_test_images_and_draws_other_subsets(places, fitted_on, trained):
    _, tried = load_splits(tiny_plan(), places)
    _, fresh = load_splits(tiny_plan(test_skip=40, test_limit=50), places)
    assert (len(tried), len(fresh)) == (40, 50)
    assert not {image.tobytes() for image in fresh.images} & {image.tobytes() for image in tried.images}

    run_plan(tiny_plan(name="fresh", first_seed=2, test_skip=40, selection_seeds=2), places, say=quiet)
    stored = [read_json(path) for path in places.results.glob("*-*.json")]
    assert {one["task"]["seed"] for one in stored if "task" in one} == {2, 3}
    assert {tuple(one["seeds"]) for one in stored if "bases" in one} == {(2, 3)}

    with pytest.raises(ConfigError, match="test_skip: expected less than"):
        load_splits(tiny_plan(test_skip=10**6), places)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 3}, "Did you mean 'seeds'"),
        ({"bases": {"none": [{"augmentation": "nothing at all"}]}}, "augmentation"),
        ({"banks": {"a": {"generator": "fakes"}}}, "Did you mean 'fake'"),
        ({"banks": {"a": {"generator": "fake", "curated": True}}}, "setting"),
        ({"arms": [["fake", "halved"]]}, "Did you mean 'half'"),
        ({"with_samples": ["bests"]}, "Did you mean 'best'"),
        ({"first_seed": -1}, "first_seed"),
    ],
)
def test_plans_refuse_what_they_do_not_know(changes, message):
    with pytest.raises(ConfigError, match=message):
        tiny_plan(**changes)


def test_sources_are_looked_for_in_the_folder_of_the_data(tmp_path):
    (tmp_path / "cells").mkdir()
    plan = tiny_plan(source="cells", test_source="digits").located(tmp_path)
    assert (plan.source, plan.test_source) == (str(tmp_path / "cells"), "digits")
    assert tiny_plan().located(None) == tiny_plan()


def test_what_comparisons_need_is_trained_first(places, fitted_on, trained):
    run_plan(tiny_plan(), places, say=quiet)
    arms = [call for call in trained if "validation" not in call]
    with_samples = [number for number, call in enumerate(arms) if call["bank"] is not None]
    assert max(with_samples) < 8  # 2 cells × 2 seeds × (without and with samples), then the arms that get none
    assert {call["augmentation"] for call in arms[8:]} <= {"crop", "crop+mixup"}


@pytest.mark.slow
def test_two_jobs_give_what_one_gives(tmp_path):
    plan = tiny_plan(regimes=["few-shot:4"], generators={}, banks={}, bases={"none": [{}]})
    cells = []
    for jobs in (1, 2):
        places = Places(tmp_path / "work", tmp_path / str(jobs))
        run_plan(plan, places, jobs=jobs, say=quiet)
        cells.append(read_cells(places.results)[0].real_only)
    assert cells[0] == cells[1]
