"""``python -m benchmarks.fine_tuning --data DIR``: how should a pretrained classifier begin?

EfficientNet-Lite0 is fine-tuned from its bundled ImageNet weights on 20 images of each class: with the statistics of
its batch normalisation as they came or those of the batches, and with a last layer of random weights or of zeros, at
three learning rates each. All four sides are judged on further training images, 50 a class, at the learning rate that
is best on the mean of the seeds; test is never read. What the JSON has already is not run again.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.downstream.plan import Plan
from benchmarks.downstream.runner import use_threads
from benchmarks.fine_tuning.runs import JUDGES, SETTINGS, SHOTS, Run, Side, measured
from synthaug.evaluation import describe_command, describe_environment, paired_difference
from synthaug.storage import read_json, write_json

PLANS = Path(__file__).parents[1] / "downstream" / "plans"
NAMES = ("fashion_mnist_few_shot", "sign_digits", "cifar10")
LEARNING_RATES = (3e-4, 1e-3, 3e-3)
SIDES = tuple(Side(frozen, zero) for zero, frozen in itertools.product((True, False), repeat=2))
"""The first is the library's default; the others are compared with it."""


def main(words: list[str] | None = None) -> None:
    """Train all, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fine_tuning", description=__doc__)
    parser.add_argument("--data", type=Path, default=None, help="folder with the datasets that the plans name")
    parser.add_argument("--work", type=Path, default=Path("runs/fine_tuning"), help="cached data")
    parser.add_argument("--seeds", type=int, default=2, help="subsets of each dataset")
    parser.add_argument("--steps", type=int, default=200, help="of the classifiers")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/fine_tuning.json"))
    options = parser.parse_args(words)
    plans = [Plan.read(PLANS / f"{name}.yaml").located(options.data) for name in NAMES]
    runs = [
        Run(plan, options.work, seed, side, rate, options.steps)
        for plan in plans
        for seed, side, rate in itertools.product(range(options.seeds), SIDES, LEARNING_RATES)
    ]
    known = read_json(options.out)["runs"] if options.out.exists() else []
    found = [row for row in known if any(run.name.items() <= row.items() for run in runs)]
    waiting = [run for run in runs if not any(run.name.items() <= row.items() for row in found)]
    with concurrent.futures.ProcessPoolExecutor(
        options.jobs, mp_context=multiprocessing.get_context("spawn"), initializer=use_threads, initargs=(1,)
    ) as pool:
        for number, row in enumerate(pool.map(measured, waiting), start=1):
            Console(soft_wrap=True).print(f"{number}/{len(waiting)} {row}")
            found.append(row)
            _write(options.out, plans, found)
    _print(_write(options.out, plans, found))


def _write(out: Path, plans: list[Plan], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = [compared(plan.name, found) for plan in plans]
    about = {"settings": SETTINGS, "shots": SHOTS, "judged_on_a_class": JUDGES}
    command = describe_command("python", "-m", "benchmarks.fine_tuning")
    write_json(out, {"command": command, **about, "rows": rows, "runs": found, **describe_environment()})
    return rows


def compared(dataset: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare the first side with the others, each at its best learning rate, as far as both have been run."""
    best = {str(side): at for side in SIDES if (at := _best(dataset, side, found)) is not None}
    default = best.get(str(SIDES[0]))
    gains = {}
    for name, other in best.items():
        if default is None or other is default:
            continue
        if len(default["balanced_accuracy"]) == len(other["balanced_accuracy"]):
            gain = paired_difference(default["balanced_accuracy"], other["balanced_accuracy"])
            gains[name] = {"gain": gain.mean, "ci95_low": gain.low, "ci95_high": gain.high}
    return {"dataset": dataset, "sides": best, "gain_of_the_first_over": gains}


def _best(dataset: str, side: Side, found: list[dict[str, Any]]) -> dict[str, Any] | None:
    by_rate: dict[float, list[float]] = {}
    for row in sorted(found, key=lambda row: row["seed"]):
        if (row["dataset"], row["frozen"], row["zero_head"]) == (dataset, side.frozen, side.zero_head):
            by_rate.setdefault(row["learning_rate"], []).append(row["balanced_accuracy"])
    seeds = max(map(len, by_rate.values()), default=0)
    whole = {rate: values for rate, values in by_rate.items() if len(values) == seeds}
    if not whole:
        return None
    rate = max(whole, key=lambda rate: float(np.mean(whole[rate])))
    return {"learning_rate": rate, "balanced_accuracy": whole[rate]}


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table("dataset", *map(str, SIDES), title="fine-tuning, balanced accuracy in %")
    for row in rows:
        sides = [row["sides"].get(str(side)) for side in SIDES]
        table.add_row(
            row["dataset"],
            *("" if side is None else f"{100 * np.mean(side['balanced_accuracy']):.1f}" for side in sides),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
