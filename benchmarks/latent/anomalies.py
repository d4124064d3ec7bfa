"""``python -m benchmarks.latent.anomalies``: AUROC of anomaly detection beside IsolationForest and kNN, as JSON.

One class is normal at a time: detectors see training images of that class only, and all images of the test split are
scored. IsolationForest and the distance to the k-th nearest normal image work on ImageNet features.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from synthaug.data import ImageDataset
from synthaug.evaluation import describe_command, describe_environment
from synthaug.grids import save_picture
from synthaug.latent.anomalies.detector import AnomalyDetector
from synthaug.latent.anomalies.report import AnomalyReport
from synthaug.networks.features import extract_features
from synthaug.storage import write_json

OURS = "synthaug"
_NEIGHBOURS = 5
_FEATURES = "efficientnet_lite0"


def main(words: list[str] | None = None) -> None:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latent.anomalies", description=__doc__)
    parser.add_argument("--source", default="fashion-mnist", help="dataset with train and test splits")
    parser.add_argument("--test-split", default="test", help="what is scored")
    parser.add_argument("--test-limit", type=int, help="images of it at most, evenly spaced")
    parser.add_argument("--normal", nargs="*", help="classes that are normal in turn; all if left out")
    parser.add_argument("--family", default="vae", help="of the detector's generator")
    parser.add_argument("--steps", type=int, default=400, help="of its training")
    parser.add_argument("--width", type=int, default=24, help="of its networks")
    parser.add_argument("--latent-dim", type=int, default=32, help="of its codes")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each detector")
    parser.add_argument("--false-positive-rate", type=float, default=0.05, help="that the threshold is set for")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--picture", type=Path, help="PNG file for heat maps of the last class")
    options = parser.parse_args(words)
    train = ImageDataset.load(options.source, split="train")
    test = ImageDataset.load(
        options.source, train.image_shape[1:], channels=train.image_shape[0], split=options.test_split
    )
    if options.test_limit and options.test_limit < len(test):
        test = test.subset(np.linspace(0, len(test) - 1, options.test_limit).astype(np.int64))
    started = time.perf_counter()
    features = extract_features(test.images, _FEATURES)
    results = [
        _measure(train, test, features, name, seed, options)
        for name in options.normal or train.classes
        for seed in range(options.seeds)
    ]
    _print(results)
    write_json(
        options.out,
        {
            "benchmark": "anomalies",
            "command": describe_command("python", "-m", "benchmarks.latent.anomalies"),
            **describe_environment(),
            "dataset": {"name": train.name, "train": train.digest, "test": test.digest, "test_images": len(test)},
            "metric": "AUROC, normal class against all others of the test split; mean and standard deviation over "
            "classes and seeds",
            "seconds": round(time.perf_counter() - started, 1),
            "summary": {
                method: _summary([result["auroc"][method] for result in results]) for method in results[0]["auroc"]
            },
            "false_positive_rate_measured": _summary([result["false_positive_rate_measured"] for result in results]),
            "results": results,
        },
    )


def _measure(
    train: ImageDataset,
    test: ImageDataset,
    features: NDArray[np.float32],
    name: str,
    seed: int,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Fit all detectors to one class and score the test images."""
    normal = train.only(name)
    is_normal = test.labels == test.classes.index(name)
    started = time.perf_counter()
    detector = AnomalyDetector(
        family=options.family,
        steps=options.steps,
        false_positive_rate=options.false_positive_rate,
        seed=seed,
        settings={"width": options.width, "latent_dim": options.latent_dim},
    ).fit(normal)
    report = AnomalyReport.make(detector, test, [name])
    seconds = time.perf_counter() - started
    if options.picture:
        save_picture(report.picture(), options.picture)
    error, distance = -detector.signs(test).T
    alone = {f"{OURS}, error alone": error, f"{OURS}, code alone": distance}
    scores = {OURS: report.scores} | alone | baseline_scores(extract_features(normal.images, _FEATURES), features, seed)
    result = {
        "normal": name,
        "seed": seed,
        "normal_images": len(normal),
        "test_images": [int(is_normal.sum()), int((~is_normal).sum())],
        "auroc": {method: float(roc_auc_score(is_normal, values)) for method, values in scores.items()},
        "false_positive_rate_measured": report.to_dict()["false_positive_rate_measured"],
        "anomalies_found": report.to_dict()["anomalies_found"],
        "seconds": round(seconds, 1),
    }
    Console(stderr=True).print(name, {method: round(value, 3) for method, value in result["auroc"].items()}, seconds)
    return result


def baseline_scores(
    normal: NDArray[np.float32], test: NDArray[np.float32], seed: int = 0
) -> dict[str, NDArray[np.float64]]:
    """Return scores of test features (N, D), higher for more normal, by detectors fitted to normal features (M, D)."""
    forest = IsolationForest(n_estimators=200, random_state=seed).fit(normal)
    neighbours = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(normal))).fit(normal)
    methods: dict[str, Callable[[], NDArray[np.float64]]] = {
        "IsolationForest": lambda: forest.score_samples(test),
        f"kNN ({_NEIGHBOURS})": lambda: -neighbours.kneighbors(test)[0][:, -1],
    }
    return {name: method() for name, method in methods.items()}


def _summary(values: Sequence[float]) -> dict[str, Any]:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"n": len(values), "mean": float(np.mean(values)), "std": spread}


def _print(results: list[dict[str, Any]]) -> None:
    methods = list(results[0]["auroc"])
    table = Table("normal", "seed", *methods, "false alarms", title="AUROC")
    for result in results:
        values = [f"{result['auroc'][method]:.3f}" for method in methods]
        table.add_row(result["normal"], str(result["seed"]), *values, f"{result['false_positive_rate_measured']:.3f}")
    means = [f"{np.mean([result['auroc'][method] for result in results]):.3f}" for method in methods]
    table.add_row("mean", "", *means, "", style="bold")
    Console().print(table)


if __name__ == "__main__":
    main()
