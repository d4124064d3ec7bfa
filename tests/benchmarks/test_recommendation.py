from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are run from the checkout, not installed

from benchmarks.recommendation import runner
from benchmarks.recommendation.report import bolder_and_more_careful, summarise, worth, write_report
from benchmarks.recommendation.runner import ALWAYS, NEVER, RECOMMENDED, WINNER, Benchmark, run
from synthaug.classifiers import Classifier
from synthaug.errors import ConfigError, DataError
from synthaug.recommendation import Candidate
from synthaug.storage import read_json, write_json

PLAN = """
minutes: 0.02
test_seeds: 1
classifier: {model: test_resnet, input_size: 16, steps: 2, batch_size: 8}
options:
  generator_steps: 1
  generator_settings: {vae: {width: 8, latent_dim: 6, class_dim: 4, components: 2}}
datasets:
  - {name: digits, source: digits, test_limit: 40, regimes: ["few-shot:4"]}
"""


@pytest.fixture
def plan(tmp_path) -> Path:
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path / "plan.yaml"


def test_a_cell_is_run_once_and_test_is_read_once_a_setting(plan, tmp_path, monkeypatch):
    read = []
    real = Classifier.dataset_logits

    def counted(self, data):
        if "few-shot" not in data.name and len(data) == 40:
            read.append(data.digest)
        return real(self, data)

    monkeypatch.setattr(Classifier, "dataset_logits", counted)
    benchmark = Benchmark.read(plan)
    for wrong, known in (({"datasets": ["digit"]}, "digits"), ({"regimes": ["few-shot:5"]}, "few-shot:4")):
        with pytest.raises(ConfigError, match=known):
            run(benchmark, tmp_path / "work", tmp_path / "cells", lambda text: None, **wrong)
    both = dataclasses.replace(
        benchmark,
        datasets=(*benchmark.datasets, dataclasses.replace(benchmark.datasets[0], name="all", regimes=("full",))),
    )
    run(both, tmp_path / "work", tmp_path / "cells", lambda text: None, datasets=("all",), regimes=("few-shot:4",))
    assert not read
    for _ in range(2):
        run(benchmark, tmp_path / "work", tmp_path / "cells", lambda text: None)
        assert len(read) <= len(runner.settings()) + 2  # and real images alone, and the winner
        before = list(read)
    assert len(before) > 2
    assert len(set(before)) == 1
    assert read == before
    summary = summarise(tmp_path / "cells")
    assert summary["worst_loss"] == summary["overall"][RECOMMENDED] - summary["overall"][NEVER] == 0
    assert not summary["holds"]  # no better than never
    write_report(tmp_path / "cells", tmp_path / "summary.json", "again")
    assert (tmp_path / "summary.json").is_file()


def test_subsets_are_counted_from_the_first_one_asked_for(plan):
    benchmark = dataclasses.replace(Benchmark.read(plan), seeds=2, first_seed=3)
    assert [(regime, seed) for _, regime, seed in benchmark.cells()] == [("few-shot:4", 3), ("few-shot:4", 4)]


def test_other_confidences_are_judged_by_what_the_winner_came_to_on_test():
    def cell(mean, low, winner):
        gain = None if mean is None else {"mean": mean, "low": low, "confidence": 0.95}
        return {"result": {"expected_gain": gain, "values": {NEVER: [0.5, 0.5], WINNER: [winner, winner]}}}

    cells = [cell(0.04, 0.01, 0.53), cell(0.02, -0.02, 0.49), cell(-0.01, -0.02, 0.4), cell(None, None, 0.5)]
    cells.append({"result": {"expected_gain": None, "values": {NEVER: [0.5]}}})  # of before the winner was tested
    found = {row["confidence"]: row for row in bolder_and_more_careful(cells)}
    assert {row["cells"] for row in found.values()} == {4}
    assert (found[0.95]["yes"], found[0.5]["yes"]) == (1, 2)
    assert found[0.95]["mean_gain"] == pytest.approx(0.03 / 4)
    assert found[0.5]["mean_gain"] == pytest.approx((0.03 - 0.01) / 4)
    assert found[0.5]["worst"] == pytest.approx(-0.01)
    assert found[0.95]["worst"] > 0


def test_what_a_point_of_the_probability_is_worth_is_told_from_all_settings():
    values = {NEVER: [0.5], ALWAYS: [0.52, 0.54], "mix 1": [0.44], WINNER: [0.9], RECOMMENDED: [0.5]}
    beliefs = {NEVER: [0.3], ALWAYS: [0.34], "mix 1": [0.22], WINNER: [0.2]}
    sure, unsure = {"low": 0.01, "high": 0.03}, {"low": -0.01, "high": 0.07}
    cell = {"values": values, "beliefs": beliefs, "expected_gain": sure, "gain_of_hits": unsure}
    found = worth([{"result": cell}, {"result": {"values": values, "expected_gain": sure}}])
    assert found["interval_widths"] == pytest.approx([0.25])
    assert found["settings"] == 2
    assert (found["worth"], found["spread"]) == (pytest.approx(0.75), pytest.approx(0))
    assert found["correlation"] == pytest.approx(1)
    assert worth([{"result": {**cell, "beliefs": {NEVER: [0.3]}}}]) == {"settings": 0}


def test_what_cannot_be_run_or_reported_is_refused(plan, tmp_path):
    with pytest.raises(DataError, match="run the benchmark first"):
        summarise(tmp_path)
    plan.write_text(PLAN + "minuts: 3\n")
    with pytest.raises(ConfigError, match="minuts"):
        Benchmark.read(plan)


def test_a_winner_that_was_not_confirmed_is_tested_too_and_recommended_is_never(plan, tmp_path, monkeypatch):
    real = runner.recommend

    def with_winner(data, model, minutes, **options):
        policy = real(data, model, minutes, **options)
        advice = options["out"] / "recommendation.json"
        write_json(advice, read_json(advice) | {"winner": Candidate(mode="replace").to_dict()})
        return policy

    monkeypatch.setattr(runner, "recommend", with_winner)
    monkeypatch.setattr(runner, "settings", lambda family: {ALWAYS: Candidate()})
    run(Benchmark.read(plan), tmp_path / "work", tmp_path / "cells", lambda text: None)
    (cell,) = (tmp_path / "cells").glob("cell-*.json")
    values = read_json(cell)["result"]["values"]
    assert values[RECOMMENDED] == values[NEVER]
    assert WINNER in values
    trials = [read_json(path) for path in (tmp_path / "work").rglob("test/*.json")]
    assert WINNER in str(trials)
    assert summarise(tmp_path / "cells")["best_in_hindsight"] in (NEVER, ALWAYS)
    record = read_json(cell)
    del record["result"]["values"][WINNER], record["result"]["beliefs"]  # as cells of before
    write_json(cell, record)
    assert WINNER not in summarise(tmp_path / "cells")["overall"]
