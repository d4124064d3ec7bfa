"""``python -m benchmarks.unlabelled``: what does `recommend` make of images without labels, and is it right?

A subset of each plan's first regime is drawn, and so many other training images, whose labels are left aside.
`recommend` is asked twice, with and without these; then classifiers read test, without anything and with what it
recommends, or with the images without labels where they won and it says no all the same. Finished recommendations are
kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.downstream.plan import Plan, Regime
from benchmarks.downstream.regimes import others
from benchmarks.downstream.tasks import Places, about_subset, load_splits
from synthaug.classifiers import pseudo_labels, train_classifier
from synthaug.data import ImageDataset
from synthaug.evaluation import describe_command, describe_environment, paired_difference
from synthaug.recommendation import Candidate, recommend
from synthaug.recommendation.candidates.space import UNLABELLED
from synthaug.sampling import SampleBank
from synthaug.storage import read_json, write_json

PLANS = Path(__file__).parents[1] / "downstream" / "plans"
NAMES = ("fashion_mnist_few_shot", "cifar10")
SEED, NUMBER = 2, 2000
TEST_SEED = 77_000
"""Classifier seeds from here on read test; no seed of a recommendation is that high."""


def main(words: list[str] | None = None) -> None:
    """Ask, measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unlabelled", description=__doc__)
    parser.add_argument("plans", nargs="*", metavar="PLAN", help="of the downstream benchmark; two if left out")
    parser.add_argument("--data", type=Path, default=None, help="folder with the datasets that the plans name")
    parser.add_argument("--work", type=Path, default=Path("runs/unlabelled"), help="keeps recommendations")
    parser.add_argument("--minutes", type=float, default=16.0, help="of each recommendation")
    parser.add_argument("--number", type=int, default=NUMBER, help="of images without labels")
    parser.add_argument("--test-seeds", type=int, default=6, help="classifiers that each value is the mean of")
    parser.add_argument("--with-them-alone", action="store_true", help="do not ask without them")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/unlabelled.json"))
    options = parser.parse_args(words)
    rows: list[dict[str, Any]] = []
    for name in options.plans or NAMES:
        plan = Plan.read(PLANS / f"{name}.yaml").located(options.data)
        for number in (options.number,) if options.with_them_alone else (options.number, 0):
            rows.append(measure(plan, number, options.minutes, options.test_seeds, options.work))
            command = describe_command("python", "-m", "benchmarks.unlabelled")
            write_json(options.out, {"rows": rows, "command": command, **describe_environment()})
    _print(rows)


def measure(plan: Plan, number: int, minutes: float, test_seeds: int, work: Path) -> dict[str, Any]:
    """Ask for a recommendation with so many images without labels, and read test with its winner and without."""
    train, test = load_splits(plan, Places(work, work / "runs"))
    regime = plan.regimes[0]
    subset = Regime.parse(regime).subset(train, SEED)
    pool = others(train, subset, number, SEED).images if number else None
    out = work / f"{plan.name}-{number}"
    policy = recommend(
        subset, "test_resnet", minutes, out=out, unlabelled=pool, input_size=32, seed=SEED, confidence=0.8
    )
    real = _test(subset, test, test_seeds, policy.classifier)
    advice = read_json(out / "recommendation.json")
    way: dict[str, Any] | None = None
    if policy.recommended:
        way = {"bank": policy.bank, "policy": policy.policy}
    elif pool is not None and advice["winner"] and advice["winner"]["family"] == UNLABELLED:
        labels = pseudo_labels(subset, pool, seed=SEED, **policy.classifier).labels
        bank = SampleBank.from_arrays(pool, labels, subset.classes)
        way = {"bank": bank, "policy": Candidate.from_dict(advice["winner"]).policy()}
    with_them = real if way is None else _test(subset, test, test_seeds, policy.classifier | way)
    gain = paired_difference(with_them, real)
    return about_subset(plan, regime, SEED, subset) | {
        "unlabelled": 0 if pool is None else len(pool),
        "minutes": minutes,
        "recommended": policy.recommended,
        "words": policy.words,
        "winner": advice["winner"],
        "expected": None if policy.gain is None else policy.gain.to_dict(),
        "race": [{"words": one["words"], "differences": one["differences"]} for one in advice["race"]],
        "test": {"real": real, "winner": with_them, "gain": gain.to_dict()},
    }


def _test(subset: ImageDataset, test: ImageDataset, seeds: int, arguments: dict[str, Any]) -> list[float]:
    """Return balanced accuracy on test, one a classifier."""
    return [
        train_classifier(subset, test, seed=TEST_SEED + number, **arguments).balanced_accuracy
        for number in range(seeds)
    ]


def _print(rows: list[dict[str, Any]]) -> None:
    columns = ("dataset", "regime", "unlabelled", "answer", "real alone", "winner", "gain on test")
    table = Table(*columns, title="balanced accuracy, %", title_justify="left")
    for row in rows:
        real, with_them = (100 * float(np.mean(row["test"][side])) for side in ("real", "winner"))
        shown = (f"{real:.1f}", f"{with_them:.1f}", f"{with_them - real:+.1f}")
        table.add_row(row["dataset"], row["regime"], str(row["unlabelled"]), row["words"], *shown)
    Console(soft_wrap=True).print(table)


if __name__ == "__main__":
    main()
