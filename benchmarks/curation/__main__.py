"""``python -m benchmarks.curation``: curated against uncurated samples of the same generator; see the package."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.curation.experiment import NONE, Experiment
from synthaug.errors import ConfigError
from synthaug.evaluation.environment import describe_command, describe_environment
from synthaug.evaluation.statistics import paired_difference
from synthaug.storage import write_json

MEASURES = ("sample_accuracy", "cas", "gain")
PLAN = Path(__file__).with_name("plan.yaml")
OUT = Path("benchmarks/results/curation.json")


def main(words: list[str] | None = None) -> None:
    """Do what is not done yet, then write the summary and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curation", description=__doc__)
    parser.add_argument("datasets", nargs="*", metavar="DATASET", help="names in the plan; all if left out")
    parser.add_argument("--config", type=Path, default=PLAN, help="plan, YAML")
    parser.add_argument("--regime", action="append", help="instead of the plan's; repeatable")
    parser.add_argument("--arm", action="append", help="only these and 'none'; repeatable")
    parser.add_argument("--seeds", type=int, help="number of seeds, from 0")
    parser.add_argument("--per-class", type=int, help="samples of each class")
    parser.add_argument("--generator-steps", type=int)
    parser.add_argument("--classifier-steps", type=int)
    parser.add_argument("--judge-steps", type=int)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the sources that are files")
    parser.add_argument("--work", type=Path, default=Path("runs/curation"), help="folder of generators and banks")
    parser.add_argument("--out", type=Path, default=OUT, help="summary; the runs lie in a folder of that name")
    options = parser.parse_args(words)
    plan = read_plan(options)
    console = Console(soft_wrap=True)
    cells: list[dict[str, Any]] = []
    for name in options.datasets or list(plan["datasets"]):
        if name not in plan["datasets"]:
            parser.error(f"expected datasets among {', '.join(plan['datasets'])}, but got {name!r}")
        experiment = Experiment(
            plan, name, data=options.data, work=options.work, results=options.out.with_suffix(""), say=console.print
        )
        for regime in options.regime or plan["datasets"][name]["regimes"]:
            # Seed by seed, so that what an interrupted benchmark leaves is paired.
            runs = [
                {arm: experiment.run(regime, seed, arm) for arm in plan["arms"]} for seed in range(plan["seeds"])
            ]  # fmt: skip
            cells.append({"dataset": name, "regime": regime, "arms": summarise(runs)})
    write_json(
        options.out,
        {
            "benchmark": "curation",
            "command": describe_command("python", "-m", "benchmarks.curation"),
            "plan": plan,
            "cells": cells,
            **describe_environment(),
        },
    )
    console.print(table(cells))


def read_plan(options: argparse.Namespace) -> dict[str, Any]:
    """Read the plan and put the command line's values over it."""
    plan: dict[str, Any] = yaml.safe_load(options.config.read_text(encoding="utf-8"))
    if options.arm:
        unknown = set(options.arm) - set(plan["arms"])
        if unknown:
            raise ConfigError(f"expected arms among {', '.join(plan['arms'])}, but got {', '.join(sorted(unknown))}.")
        plan["arms"] = {name: plan["arms"][name] for name in plan["arms"] if name in (NONE, *options.arm)}
    for key in ("seeds", "per_class"):
        if getattr(options, key) is not None:
            plan[key] = getattr(options, key)
    for key in ("generator", "classifier", "judge"):
        steps = getattr(options, f"{key}_steps")
        if steps is not None:
            plan[key] = plan[key] | {"steps": steps}
    return plan


def summarise(runs: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return by arm the values of every seed, and the difference to ``none`` where both have one.

    Args:
        runs: One mapping from arm to result a seed.
    """
    summary: dict[str, Any] = {}
    for arm in runs[0]:
        about: dict[str, Any] = {
            "failed": sum("error" in run[arm] for run in runs),
            "samples": [run[arm].get("samples", 0) for run in runs],
            "candidates": [run[arm].get("candidates", 0) for run in runs],
            "rejected": [run[arm].get("rejected", {}) for run in runs],
            "cpu_seconds": [run[arm]["cpu_seconds"] for run in runs],
        }
        good = [run for run in runs if "error" not in run[arm] and "error" not in run[NONE]]
        for measure in MEASURES:
            values = [run[arm][measure] for run in good]
            about[measure] = {"values": values}
            if values and arm != NONE:
                about[measure]["minus_none"] = paired_difference(values, [run[NONE][measure] for run in good]).to_dict()
        summary[arm] = about
    return summary


def table(cells: list[dict[str, Any]]) -> Table:
    """Return means in %, and in brackets the difference to uncurated samples with its 95 % interval in points."""
    made = Table("dataset", "regime", "arm", "candidates a sample", *(name.replace("_", " ") for name in MEASURES))
    for cell in cells:
        for arm, about in cell["arms"].items():
            drawn = sum(about["candidates"]) / max(sum(about["samples"]), 1)
            measures = [_shown(about[measure]) for measure in MEASURES]
            made.add_row(cell["dataset"], cell["regime"], arm, f"{drawn:.2f}", *measures)
    return made


def _shown(measure: dict[str, Any]) -> str:
    values = measure["values"]
    if not values:
        return "failed"
    text = f"{100 * sum(values) / len(values):.1f}"
    difference = measure.get("minus_none")
    if difference is None:
        return text
    if difference["low"] is None:
        return f"{text} ({100 * difference['mean']:+.1f})"
    return (
        f"{text} ({100 * difference['mean']:+.1f}, {100 * difference['low']:+.1f} to {100 * difference['high']:+.1f})"
    )


if __name__ == "__main__":
    main()
