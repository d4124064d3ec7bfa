"""``python -m benchmarks.fine_tuning --data DIR``: should pretrained batch statistics stay as they are?

EfficientNet-Lite0 is fine-tuned from its bundled ImageNet weights on 20 images of each class, with the statistics of
its batch normalisation as they came and with those of the batches, at three learning rates each. Both sides are judged
on further training images, 50 a class, at the learning rate that is best on the mean of the seeds; test is never read.
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
from benchmarks.fine_tuning.runs import JUDGES, SETTINGS, SHOTS, Run, measured
from synthaug.evaluation import describe_command, describe_environment, paired_difference
from synthaug.storage import write_json

PLANS = Path(__file__).parents[1] / "downstream" / "plans"
NAMES = ("fashion_mnist_few_shot", "sign_digits", "cifar10")
LEARNING_RATES = (3e-4, 1e-3, 3e-3)


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
    runs: list[Run] = [
        (plan, options.work, seed, frozen, rate, options.steps)
        for plan in plans
        for seed, frozen, rate in itertools.product(range(options.seeds), (True, False), LEARNING_RATES)
    ]
    with concurrent.futures.ProcessPoolExecutor(
        options.jobs, mp_context=multiprocessing.get_context("spawn"), initializer=use_threads, initargs=(1,)
    ) as pool:
        found = list(_shown(pool.map(measured, runs), len(runs)))
    rows = [compared(plan.name, found) for plan in plans]
    about = {"settings": SETTINGS, "steps": options.steps, "shots": SHOTS, "judged_on_a_class": JUDGES}
    command = describe_command("python", "-m", "benchmarks.fine_tuning")
    write_json(options.out, {"command": command, **about, "rows": rows, "runs": found, **describe_environment()})
    _print(rows)


def compared(dataset: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare both sides, each at its best learning rate."""
    best: dict[bool, tuple[float, list[float]]] = {}
    for frozen in (True, False):
        by_rate = {
            rate: [
                row["balanced_accuracy"]
                for row in found
                if (row["dataset"], row["frozen"], row["learning_rate"]) == (dataset, frozen, rate)
            ]
            for rate in LEARNING_RATES
        }
        best[frozen] = max(by_rate.items(), key=lambda item: float(np.mean(item[1])))
    gain = paired_difference(best[True][1], best[False][1])
    return {
        "dataset": dataset,
        "frozen": {"learning_rate": best[True][0], "balanced_accuracy": best[True][1]},
        "of_the_batches": {"learning_rate": best[False][0], "balanced_accuracy": best[False][1]},
        "gain": gain.mean, "ci95_low": gain.low, "ci95_high": gain.high,
    }  # fmt: skip


def _shown(results: Any, number: int) -> Any:
    for done, row in enumerate(results, start=1):
        Console(soft_wrap=True).print(f"{done}/{number} {row}")
        yield row


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table("dataset", "frozen", "of the batches", "gain in points", title="pretrained statistics")
    for row in rows:
        sides = [f"{100 * np.mean(row[side]['balanced_accuracy']):.1f}" for side in ("frozen", "of_the_batches")]
        table.add_row(row["dataset"], *sides, f"{100 * row['gain']:+.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
