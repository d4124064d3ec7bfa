"""``python -m benchmarks.yardsticks``: by what should settings be chosen where few images validate?

Classifiers with different augmentations are trained on a subset of the downstream benchmark's datasets and judged on
test images. Then small validation sets are drawn from these, many times, and the setting is chosen on each by accuracy,
by the probability of the right class, whose temperature is found on that set too, or by both. The regret is how much
worse the choice is on all images than the best setting. Finished classifiers are kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.downstream.plan import Plan, Regime
from benchmarks.downstream.tasks import Places, load_splits
from synthaug.classifiers import fit_classifier, judge
from synthaug.data import ImageDataset
from synthaug.evaluation import describe_command, describe_environment
from synthaug.recommendation.race.tuning import AUGMENTATIONS, LEARNING_RATES
from synthaug.storage import canonical_json, digest, write_json

PLANS = Path(__file__).parents[1] / "downstream" / "plans"
NAMES = ("fashion_mnist_few_shot", "sign_digits", "cifar10", "pneumoniamnist")
SIZES, DRAWS = (60, 200, 800), 300
ACCURACY, PROBABILITY, BOTH = YARDSTICKS = "accuracy", "probability", "mean of both"


def main(words: list[str] | None = None) -> None:
    """Measure what is not measured yet, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.yardsticks", description=__doc__)
    parser.add_argument("plans", nargs="*", metavar="PLAN", help="of the downstream benchmark; four if left out")
    parser.add_argument("--data", type=Path, default=None, help="folder with the datasets that the plans name")
    parser.add_argument("--work", type=Path, default=Path("runs/yardsticks"), help="keeps what classifiers said")
    parser.add_argument("--seeds", type=int, default=2, help="subsets of each dataset")
    parser.add_argument("--steps", type=int, default=400, help="of the classifiers")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/yardsticks.json"))
    options = parser.parse_args(words)
    plans = [
        Plan.read(PLANS / f"{name}.yaml", steps=options.steps).located(options.data) for name in options.plans or NAMES
    ]
    rows = []
    for seed in range(options.seeds):
        for plan in plans:
            train, test = load_splits(plan, Places(options.work, options.work))
            subset = Regime.parse(plan.regimes[0]).subset(train, seed)
            logits = {
                augmentation: judged(plan, subset, test, augmentation, seed, options.work)
                for augmentation in AUGMENTATIONS
            }
            found = regrets(logits, np.asarray(test.labels), seed)
            rows.append({"dataset": plan.name, "regime": plan.regimes[0], "seed": seed, **found})
            write_json(options.out, summary(rows))
    _print(summary(rows))


def judged(
    plan: Plan, subset: ImageDataset, test: ImageDataset, augmentation: str, seed: int, work: Path
) -> NDArray[np.float32]:
    """Return the logits (N, K) of the test images by a classifier that was trained with an augmentation."""
    name = next(iter(plan.classifiers))
    settings = plan.settings(name, {"augmentation": augmentation, "learning_rate": LEARNING_RATES[0]})
    task = {"subset": subset.digest, "test": test.digest, "seed": seed, "settings": settings}
    path = work / f"logits-{digest(canonical_json(task))[:20]}.npy"
    if not path.exists():
        _, classifier = fit_classifier(subset, seed=seed, **settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, classifier.dataset_logits(test))
    found: NDArray[np.float32] = np.load(path)
    return found


def regrets(logits: Mapping[str, NDArray[np.float32]], labels: NDArray[np.int64], seed: int) -> dict[str, Any]:
    """Choose on small validation sets, and say what that loses; shares of balanced accuracy.

    Args:
        logits: Of all images by setting, (N, K) each.
        labels: Of the images, (N,).
        seed: Of the draws.
    """
    random = np.random.default_rng(seed)
    everything = _scores(logits, labels)
    truth = everything[ACCURACY]
    lost: dict[str, dict[str, float]] = {}
    for size in SIZES:
        if size > len(labels) // 2:
            continue
        draws = [random.choice(len(labels), size, replace=False) for _ in range(DRAWS)]
        found = [_scores({name: one[rows] for name, one in logits.items()}, labels[rows]) for rows in draws]
        lost[str(size)] = {
            by: float(np.mean([truth.max() - truth[scores[by].argmax()] for scores in found])) for by in YARDSTICKS
        }
    return {
        "settings": {
            name: {by: float(everything[by][place]) for by in YARDSTICKS} for place, name in enumerate(logits)
        },
        "regret": lost,
    }


def _scores(logits: Mapping[str, NDArray[np.float32]], labels: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return what each setting comes to by both yardsticks, classes counting alike."""
    judged = [judge(one, labels) for one in logits.values()]
    found = np.array([one.scores.balanced_accuracy for one in judged])
    believed = np.array([one.probability for one in judged])
    return {ACCURACY: found, PROBABILITY: believed, BOTH: (found + believed) / 2}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put the rows together, with command and machine."""
    sizes = [str(size) for size in SIZES if any(str(size) in row["regret"] for row in rows)]
    return {
        "command": describe_command("python", "-m", "benchmarks.yardsticks"),
        "rows": list(rows),
        "mean_regret": {
            size: {
                yardstick: float(np.mean([row["regret"][size][yardstick] for row in rows if size in row["regret"]]))
                for yardstick in YARDSTICKS
            }
            for size in sizes
        },
        **describe_environment(),
    }


def _print(found: Mapping[str, Any]) -> None:
    table = Table(title=f"Points of balanced accuracy lost by choosing on so many images, by {', '.join(YARDSTICKS)}")
    for column in ("dataset", "regime", "seed", *map(str, SIZES)):
        table.add_column(column, justify="left" if column in ("dataset", "regime") else "right")
    for row in [*found["rows"], {"dataset": "mean", "regime": "", "seed": "", "regret": found["mean_regret"]}]:
        cells = [row["regret"].get(str(size), {}) for size in SIZES]
        words = [" ".join(f"{100 * cell[by]:.2f}" for by in YARDSTICKS if by in cell) for cell in cells]
        table.add_row(row["dataset"], row["regime"], str(row["seed"]), *words)
    Console().print(table)


if __name__ == "__main__":
    main()
