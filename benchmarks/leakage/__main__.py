"""``python -m benchmarks.leakage``: does augmentation of a generator's training images show in its samples?

Generators of each family are trained on a subset of the downstream benchmark's first regime, on images as they are and
on augmented ones. A classifier, the detector, learns from other training images to tell augmented images from those as
they are, and says how many samples it takes for augmented; and how many further real images, to know what it is worth.
Samples are no photographs, so what counts is the difference between the two generators of a seed. Turned images are a
little softer for being interpolated, and samples are soft by themselves: the detector sees means over blocks of pixels
alone, in which that does not show. Finished generators are kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.downstream.plan import Plan, Regime
from benchmarks.downstream.regimes import others
from benchmarks.downstream.tasks import Places, about_subset, load_splits, perform, product
from synthaug.augmentation import Augmentation
from synthaug.classifiers import Classifier, fit_classifier
from synthaug.data import ImageDataset
from synthaug.evaluation import describe_command, describe_environment, paired_difference
from synthaug.sampling.generating import load_generator
from synthaug.storage import write_json

PLANS = Path(__file__).parents[1] / "downstream" / "plans"
NAMES = ("fashion_mnist_few_shot", "sign_digits")
AUGMENTATION = "affine+contrast"
GENERATORS: dict[str, dict[str, Any]] = {
    "vae": {"family": "vae", "steps": 600, "horizontal_flip": True},
    "gan": {"family": "gan", "steps": 600, "batch_size": 32, "horizontal_flip": True},
    "diffusion": {"family": "diffusion", "steps": 1200, "learning_rate": 0.002, "horizontal_flip": True},
}
DETECTOR: dict[str, Any] = {"model": "test_resnet", "input_size": 32, "steps": 600, "augmentation": "flip"}
AS_THEY_ARE, AUGMENTED = "images as they are", "augmented images"
BLOCK = 4
"""Side of the blocks of pixels, whose means are what the detector sees."""
OTHERS, SAMPLES = 1000, 500
"""Real images of each kind that train the detector, as many that judge it at most, and samples of each generator."""


def main(words: list[str] | None = None) -> None:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leakage", description=__doc__)
    parser.add_argument("plans", nargs="*", metavar="PLAN", help="of the downstream benchmark; two if left out")
    parser.add_argument("--data", type=Path, default=None, help="folder with the datasets that the plans name")
    parser.add_argument("--work", type=Path, default=Path("runs/leakage"), help="keeps generators")
    parser.add_argument("--seeds", type=int, default=3, help="subsets of each dataset")
    parser.add_argument("--families", nargs="+", choices=GENERATORS, default=list(GENERATORS))
    parser.add_argument("--steps", type=int, default=None, help="of generators and detectors; for a try")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/leakage.json"))
    options = parser.parse_args(words)
    rows: list[dict[str, Any]] = []
    for name in options.plans or NAMES:
        plan = Plan.read(PLANS / f"{name}.yaml").located(options.data)
        for seed in range(options.seeds):
            rows.append(measure(plan, options.families, seed, options.work, options.steps))
            write_json(options.out, summary(rows))
    _print(summary(rows)["rows"])


def measure(plan: Plan, families: list[str], seed: int, work: Path, steps: int | None) -> dict[str, Any]:
    """Return of real images, and of each family's samples, the share that is taken for augmented."""
    places = Places(work, work / "runs")
    train, _ = load_splits(plan, places)
    regime = plan.regimes[0]
    subset = Regime.parse(regime).subset(train, seed)
    about = about_subset(plan, regime, seed, subset)
    detect, reals = detector(others(train, subset, 2 * OTHERS, seed).images, seed, steps)
    found: dict[str, Any] = {"real": reals}
    for family in families:
        found[family] = {}
        for kind, augmentation in ((AS_THEY_ARE, {}), (AUGMENTED, {"augmentation": AUGMENTATION})):
            settings = GENERATORS[family] | augmentation | ({} if steps is None else {"steps": steps})
            task = {"kind": "generator", **about, "generator": settings}
            perform(task, plan, places)
            generator = load_generator(product(task, places))
            share = SAMPLES // len(subset.classes)
            samples = generator.sample(dict.fromkeys(subset.classes, share), seed=seed)
            found[family][kind] = share_augmented(detect, samples.permute(0, 2, 3, 1).numpy())
    return about | {"shares": found}


def detector(images: NDArray[np.uint8], seed: int, steps: int | None) -> tuple[Classifier, dict[str, float]]:
    """Train the detector on half of some images, and judge it by the other half.

    Returns:
        The detector, and the share of real images of either kind that it takes for augmented.
    """
    halves = np.array_split(images, 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        changed = [augmented(half) for half in halves]
    both = coarse(np.concatenate([halves[0], changed[0]]))
    labels = np.repeat([0, 1], len(halves[0]))
    data = ImageDataset.from_arrays(both, labels, [AS_THEY_ARE, AUGMENTED])
    settings = DETECTOR | ({} if steps is None else {"steps": steps})
    _, trained = fit_classifier(data, seed=seed, **settings)
    shares = [share_augmented(trained, half) for half in (halves[1], changed[1])]
    return trained, dict(zip((AS_THEY_ARE, AUGMENTED), shares, strict=True))


def augmented(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Augment images (N, H, W, C) as those are that a generator is trained on."""
    changed = Augmentation(AUGMENTATION).pixels(torch.from_numpy(images).permute(0, 3, 1, 2))
    pixels: NDArray[np.uint8] = changed.permute(0, 2, 3, 1).numpy()
    return pixels


def coarse(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the means over blocks of images (N, H, W, C); a rest at the edges is left out."""
    number, height, width, channels = images.shape
    high, wide = height // BLOCK, width // BLOCK
    blocks = images[:, : high * BLOCK, : wide * BLOCK].reshape(number, high, BLOCK, wide, BLOCK, channels)
    means: NDArray[np.uint8] = blocks.mean(axis=(2, 4)).round().astype(np.uint8)
    return means


def share_augmented(detect: Classifier, images: NDArray[np.uint8]) -> float:
    """Return the share of images (N, H, W, C) that the detector takes for augmented."""
    return float((detect.logits(coarse(images)).argmax(1) == 1).mean())


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return all runs, and the means and paired differences of each dataset and family, with command and machine."""
    rows = []
    for dataset, regime in dict.fromkeys((run["dataset"], run["regime"]) for run in runs):
        shares = [run["shares"] for run in runs if run["dataset"] == dataset]
        for family in shares[0]:
            columns = {kind: [share[family][kind] for share in shares] for kind in (AS_THEY_ARE, AUGMENTED)}
            leak = paired_difference(columns[AUGMENTED], columns[AS_THEY_ARE])
            means = {kind: float(np.mean(column)) for kind, column in columns.items()}
            about = {"dataset": dataset, "regime": regime, "what": family}
            rows.append(about | {"means": means, "difference": leak.to_dict()})
    return {
        "benchmark": "leakage",
        "command": describe_command("python", "-m", "benchmarks.leakage"),
        "augmentation": AUGMENTATION,
        "rows": rows,
        "runs": runs,
        **describe_environment(),
    }


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table("dataset", "regime", "of", AS_THEY_ARE, AUGMENTED, "difference", title="% taken for augmented")
    for row in rows:
        gain = row["difference"]
        interval = "" if gain["low"] is None else f" ({100 * gain['low']:+.0f} to {100 * gain['high']:+.0f})"
        shares = [f"{100 * row['means'][kind]:.0f}" for kind in (AS_THEY_ARE, AUGMENTED)]
        table.add_row(row["dataset"], row["regime"], row["what"], *shares, f"{100 * gain['mean']:+.0f}{interval}")
    Console().print(table)


if __name__ == "__main__":
    main()
