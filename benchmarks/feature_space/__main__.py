"""``python -m benchmarks.feature_space``: do samples of features help a head that learns from few real ones?

Two kinds of features: those of a frozen network with pretrained weights, and those of a classifier that was trained on
the same images. Datasets and regimes are those of the downstream benchmark; finished seeds are kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.metrics import balanced_accuracy_score

from benchmarks.downstream.plan import Plan, Regime
from benchmarks.downstream.tasks import Places, load_splits
from benchmarks.feature_space.heads import PENALTIES, PER_CLASS, SPREADS, Features, candidates, choose
from synthaug.classifiers.classifier import fit_classifier
from synthaug.data import ImageDataset
from synthaug.evaluation import describe_command, describe_environment, paired_difference
from synthaug.evaluation.assessment.features import penultimate
from synthaug.evaluation.quality import extract_features
from synthaug.storage import read_json, write_json

PLANS = Path(__file__).parents[1] / "downstream" / "plans"
NAMES = ("fashion_mnist_long_tail", "fashion_mnist_few_shot", "sign_digits")

CLASSIFIERS = {"none": 1, "combined": 2}
"""Real-only arms of the plans whose features are used, and which of their settings."""

PRETRAINED, ITSELF, REAL, SAMPLES = "pretrained", "classifier", "real", "samples"


def main(words: list[str] | None = None) -> None:
    """Measure what is not measured yet, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feature_space", description=__doc__)
    parser.add_argument(
        "plans", nargs="*", metavar="PLAN", help="of the downstream benchmark; some of them if left out"
    )
    parser.add_argument("--data", type=Path, default=None, help="folder with the datasets that the plans name")
    parser.add_argument("--work", type=Path, default=Path("runs/feature_space"), help="for datasets read from files")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=600, help="of the classifiers")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/feature_space.json"))
    options = parser.parse_args(words)
    settings = {"steps": options.steps, "penalties": list(PENALTIES), "spreads": list(SPREADS), "per_class": PER_CLASS}
    runs: list[dict[str, Any]] = []
    if options.out.exists():
        before = read_json(options.out)
        if before["settings"] != settings:
            parser.error(f"{options.out} was measured with other settings, {before['settings']}: give another --out")
        runs = before["runs"]
    done = {(run["dataset"], run["regime"], run["seed"]) for run in runs}
    plans = [
        Plan.read(PLANS / f"{name}.yaml", steps=options.steps).located(options.data) for name in options.plans or NAMES
    ]
    splits = [load_splits(plan, Places(options.work, options.work)) for plan in plans]
    for seed in range(options.seeds):
        for plan, (train, test) in zip(plans, splits, strict=True):
            for regime in plan.regimes:
                if (plan.name, regime, seed) not in done:
                    about = {"dataset": plan.name, "regime": regime, "seed": seed}
                    runs.append(about | {"values": measure(plan, Regime.parse(regime).subset(train, seed), test, seed)})
                    write_json(options.out, summary(runs, settings))
    _print(summary(runs, settings)["rows"])


def measure(plan: Plan, train: ImageDataset, test: ImageDataset, seed: int) -> dict[str, dict[str, float]]:
    """Return the balanced accuracy on test by kind of features and what the head learned from."""
    both = [data.take(np.arange(len(data))) for data in (train, test)]
    found = {PRETRAINED: heads(extract_features(both[0]), extract_features(both[1]), train, test, seed)}
    base = next(iter(plan.classifiers))
    for arm, place in CLASSIFIERS.items():
        result, classifier = fit_classifier(train, test, seed=seed, **plan.settings(base, plan.bases[arm][place]))
        own, of_test = (penultimate(classifier, images) for images in both)
        found[arm] = {ITSELF: result.balanced_accuracy} | heads(own, of_test, train, test, seed)
    return found


def heads(
    features: Features, test_features: Features, train: ImageDataset, test: ImageDataset, seed: int
) -> dict[str, float]:
    """Return the balanced accuracy on test of a head without samples and of one with them, each chosen on training."""
    found = {}
    for name in (REAL, SAMPLES):
        head = choose(candidates(name == SAMPLES), features, train.labels, seed)
        predicted = head.train(features, train.labels, seed).predict(test_features)
        found[name] = float(balanced_accuracy_score(test.labels, predicted))
    return found


def summary(runs: list[dict[str, Any]], settings: dict[str, Any]) -> dict[str, Any]:
    """Return all runs, and for each dataset, regime and kind of features means and paired differences."""
    groups: dict[tuple[str, str], list[dict[str, dict[str, float]]]] = {}
    for run in runs:
        groups.setdefault((run["dataset"], run["regime"]), []).append(run["values"])
    rows = []
    for (dataset, regime), values in groups.items():
        for kind in values[0]:
            columns = {name: [one[kind][name] for one in values] for name in values[0][kind]}
            rows.append(
                {
                    "dataset": dataset,
                    "regime": regime,
                    "features": kind,
                    "means": {name: float(np.mean(column)) for name, column in columns.items()},
                    "gains_of_samples": {
                        name: paired_difference(columns[SAMPLES], column).to_dict()
                        for name, column in columns.items()
                        if name != SAMPLES
                    },
                }
            )
    return {
        "benchmark": "feature_space",
        "command": describe_command("python", "-m", "benchmarks.feature_space"),
        "settings": settings,
        "rows": rows,
        "runs": runs,
        **describe_environment(),
    }


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table("dataset", "regime", "features", ITSELF, REAL, SAMPLES, "samples over real", "seeds")
    for row in rows:
        means, gain = row["means"], row["gains_of_samples"][REAL]
        shown = [f"{100 * means[name]:.1f}" if name in means else "" for name in (ITSELF, REAL, SAMPLES)]
        interval = "" if gain["low"] is None else f" ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"
        over = f"{100 * gain['mean']:+.1f}{interval}"
        table.add_row(row["dataset"], row["regime"], row["features"], *shown, over, str(gain["pairs"]))
    Console().print(table)


if __name__ == "__main__":
    main()
