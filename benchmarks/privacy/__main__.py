"""``python -m benchmarks.privacy``: train the VAE at several ε, then a classifier on its samples alone.

The last two rows have no privacy: the same settings without clipping and noise, once with N(0, I) as the prior, as
privately trained generators have, and once with the fitted mixture. A membership-inference attack asks of each
generator how well it restores training images and test images, and tells one from the other by that.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

import synthaug
from synthaug.classifiers import train_classifier
from synthaug.data import ImageDataset
from synthaug.evaluation import describe_command, describe_environment
from synthaug.grids import class_grid, save_picture
from synthaug.storage import read_json, write_json

_SHOWN = 10


def main(words: list[str] | None = None) -> None:
    """Measure what is not measured yet, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.privacy", description=__doc__)
    parser.add_argument("--source", default="fashion-mnist", help="dataset with train and test splits")
    parser.add_argument("--image-size", type=int, default=14)
    parser.add_argument("--epsilons", type=float, nargs="+", default=[1, 3, 8])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=120, help="of the generator")
    parser.add_argument("--batch-size", type=int, default=320)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--latent-dim", type=int, default=8)
    parser.add_argument("--per-class", type=int, default=500, help="samples that the classifier is trained on")
    parser.add_argument("--classifier-steps", type=int, default=200)
    parser.add_argument("--attacked", type=int, default=1000, help="training and test images each, for the attack")
    parser.add_argument("--pictures", type=Path, default=None, help="folder for sample grids of seed 0")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/privacy_fashion_mnist.json"))
    options = parser.parse_args(words)
    train, test = (ImageDataset.load(options.source, options.image_size, split=part) for part in ("train", "test"))
    if options.attacked > (most := min(len(train), len(test))):
        parser.error(
            f"--attacked: expected at most {most}, as many images as both splits have, but got {options.attacked}"
        )
    runs: list[dict[str, Any]] = []
    if options.out.exists():
        before = read_json(options.out)
        if changed := [key for key, value in _settings(options).items() if before["settings"][key] != value]:
            parser.error(f"{options.out} was measured with another {changed[0]}: give another --out")
        runs = before["runs"]
    for seed in range(options.seeds):
        for epsilon in [*options.epsilons, None]:
            if any(run["seed"] == seed and run["asked"] == epsilon for run in runs):
                continue
            runs += _measure(epsilon, seed, train, test, options)
            write_json(options.out, _result(runs, options))
    _print(_result(runs, options)["rows"])


def _measure(
    epsilon: float | None, seed: int, train: ImageDataset, test: ImageDataset, options: argparse.Namespace
) -> list[dict[str, Any]]:
    started = time.process_time()
    generator = synthaug.fit(
        train,
        "vae",
        steps=options.steps,
        seed=seed,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        learning_rate_warmup=10,
        warmup_steps=options.steps // 4,
        ema_decay=0.95,
        balance=0.0,
        width=options.width,
        latent_dim=options.latent_dim,
        class_dim=16,
        privacy_epsilon=epsilon,
        progress=False,
    )
    minutes = (time.process_time() - started) / 60
    made = []
    for prior in ("normal",) if epsilon else ("normal", "mixture"):
        name = f"ε = {epsilon:g}" if epsilon else f"no privacy, {prior} prior"
        accuracy = _accuracy(generator.with_sampling(prior=prior), name, seed, test, options)
        made.append(
            {
                "row": name,
                "asked": epsilon,
                "seed": seed,
                "privacy": generator.privacy,
                "accuracy": accuracy,
                "attack_auc": _attack(generator, train, test, options.attacked, seed),
                "training_cpu_minutes": round(minutes, 2),
            }
        )
    return made


def _accuracy(
    generator: synthaug.Generator, name: str, seed: int, test: ImageDataset, options: argparse.Namespace
) -> float:
    """Return the test accuracy of a classifier trained on samples alone."""
    labels = np.repeat(np.arange(len(generator.classes)), options.per_class)
    indices = np.tile(np.arange(options.per_class), len(generator.classes))
    images = generator.sample_named(labels, indices, seed)
    if seed == 0 and options.pictures:
        shown = indices < _SHOWN
        grid = class_grid(images[shown], labels[shown], generator.classes, columns=_SHOWN)
        save_picture(grid, options.pictures / f"{name.replace(' = ', '_').replace(', ', '_').replace(' ', '_')}.png")
    samples = ImageDataset.from_arrays(images, labels, generator.classes, name=name)
    return float(train_classifier(samples, test, seed=seed, steps=options.classifier_steps).accuracy)


def _attack(generator: synthaug.Generator, train: ImageDataset, test: ImageDataset, number: int, seed: int) -> float:
    """Return the AUC of telling training images from test images by how well they are restored; 0.5 is guessing."""
    random = np.random.default_rng(seed)
    errors = []
    for data in (train, test):
        rows = np.sort(random.choice(len(data), number, replace=False))
        images, labels = data.take(rows), data.labels[rows]
        restored = generator.decode_codes(generator.encode_images(images, labels)[0], labels)
        errors.append(np.square(restored.astype(np.float64) - images).mean((1, 2, 3)))
    members = np.repeat([1, 0], number)
    return float(roc_auc_score(members, -np.concatenate(errors)))


def _result(runs: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    rows: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(run["row"] for run in runs):
        own = [run for run in runs if run["row"] == name]
        rows[name] = {"seeds": len(own)}
        for value in ("accuracy", "attack_auc"):
            values = np.array([run[value] for run in own])
            rows[name][value] = round(float(values.mean()), 4)
            rows[name][f"{value}_deviation"] = round(float(values.std(ddof=1)), 4) if len(own) > 1 else None
    return {
        "benchmark": "privacy",
        "command": describe_command("python", "-m", "benchmarks.privacy"),
        "settings": _settings(options) | {"seeds": options.seeds, "epsilons": options.epsilons},
        "rows": rows,
        "runs": runs,
        **describe_environment(),
    }


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    more = ("out", "pictures", "seeds", "epsilons")  # of these there may be more in a later call
    return {key: value for key, value in vars(options).items() if key not in more}


def _print(rows: dict[str, dict[str, Any]]) -> None:
    table = Table("generator", "accuracy from samples alone", "± deviation", "attack's AUC")
    for name, row in rows.items():
        deviation = "" if row["accuracy_deviation"] is None else f"{100 * row['accuracy_deviation']:.1f}"
        table.add_row(name, f"{100 * row['accuracy']:.1f} %", deviation, f"{row['attack_auc']:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
