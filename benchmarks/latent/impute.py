"""``python -m benchmarks.latent.impute RUN``: completions beside mean fill and OpenCV's inpainting, as JSON."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.latent import describe_generator
from synthaug.data import ImageDataset
from synthaug.evaluation import describe_command, describe_environment
from synthaug.generators import Generator
from synthaug.grids import save_picture
from synthaug.latent.imputing.impute import Imputation, impute
from synthaug.latent.imputing.scores import missing_psnr, score_imputation, simple_fills
from synthaug.latent.inputs import dataset_labels, load_source
from synthaug.sampling import load_generator
from synthaug.storage import write_json

OURS = "synthaug"
Masks = Callable[[tuple[int, int, int], np.random.Generator], NDArray[np.bool_]]


def block(shape: tuple[int, int, int], random: np.random.Generator) -> NDArray[np.bool_]:
    """A square of a quarter of the image, anywhere."""
    _, height, width = shape
    mask = np.zeros(shape, dtype=bool)
    for one in mask:
        top, left = random.integers(height - height // 2 + 1), random.integers(width - width // 2 + 1)
        one[top : top + height // 2, left : left + width // 2] = True
    return mask


def half(shape: tuple[int, int, int], random: np.random.Generator) -> NDArray[np.bool_]:
    """The lower half."""
    mask = np.zeros(shape, dtype=bool)
    mask[:, shape[1] // 2 :] = True
    return mask


def pixels(shape: tuple[int, int, int], random: np.random.Generator) -> NDArray[np.bool_]:
    """Half of the pixels, here and there."""
    return random.random(shape) < 0.5


MASKS: dict[str, Masks] = {"block": block, "half": half, "pixels": pixels}


def main(words: list[str] | None = None) -> None:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latent.impute", description=__doc__)
    parser.add_argument("generator", metavar="RUN", help="generator folder")
    parser.add_argument("--source", required=True, help="dataset of whole images")
    parser.add_argument("--split", default="test", help="part of it that is measured on")
    parser.add_argument("--train-split", default="train", help="part of it that the mean image is taken from")
    parser.add_argument("--per-class", type=int, default=20, help="images of each class")
    parser.add_argument("--masks", nargs="+", choices=MASKS, default=list(MASKS), help="which pixels are missing")
    parser.add_argument("--number", type=int, default=8, help="completions of each image")
    parser.add_argument("--gradient-steps", type=int, default=60, help="of each completion")
    parser.add_argument("--seed", type=int, default=0, help="of images, masks and completions")
    parser.add_argument("--without-labels", action="store_true", help="leave the classes out")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--picture", type=Path, help="PNG file for the first image of each class")
    options = parser.parse_args(words)
    gen = load_generator(options.generator)
    data = load_source(options.source, gen, options.split).few_shot(options.per_class, seed=options.seed)
    mean = load_source(options.source, gen, options.train_split).few_shot(500).images.mean(axis=0)
    results, pictured = {}, None
    for kind in options.masks:
        results[kind], imputation = _measure(gen, data, mean, MASKS[kind], options)
        pictured = pictured or imputation
    _print(results)
    if options.picture and pictured:
        save_picture(_first_of_each(pictured, data).picture(), options.picture)
    write_json(
        options.out,
        {
            "benchmark": "impute",
            "command": describe_command("python", "-m", "benchmarks.latent.impute"),
            **describe_environment(),
            "generator": describe_generator(gen),
            "dataset": {"name": data.name, "digest": data.digest, "images": len(data)},
            "masks": results,
        },
    )


def _measure(
    gen: Generator, data: ImageDataset, mean: NDArray[np.floating], masks: Masks, options: argparse.Namespace
) -> tuple[dict[str, Any], Imputation]:
    """Return figures for one kind of mask, and the completions."""
    originals = data.images
    mask = masks(originals.shape[:3], np.random.Generator(np.random.Philox(key=options.seed)))
    hidden = np.where(mask[..., None], np.uint8(0), originals)  # what is missing is not there to be looked at
    labels = None if options.without_labels else dataset_labels(data, gen)
    started = time.perf_counter()
    imputation = impute(gen, hidden, mask, labels, options.number, options.seed, gradient_steps=options.gradient_steps)
    seconds = time.perf_counter() - started
    score = score_imputation(imputation, originals)
    fills = simple_fills(hidden, mask, mean)
    figures: dict[str, Any] = {
        "missing": float(mask.mean()),
        "psnr": {
            OURS: _spread(score.psnr),
            f"{OURS}, one completion": _spread(score.psnr_single),
            **{name: _spread(missing_psnr(filled, originals, mask)) for name, filled in fills.items()},
        },
        "within_two_std": _spread(score.coverage),
        "seconds_per_image": seconds / len(originals),
    }
    return figures, imputation


def _spread(values: NDArray[np.float64]) -> dict[str, Any]:
    return {"n": len(values), "mean": round(float(values.mean()), 3), "std": round(float(values.std(ddof=1)), 3)}


def _first_of_each(imputation: Imputation, data: ImageDataset) -> Imputation:
    rows = [int(np.flatnonzero(data.labels == label)[0]) for label in np.unique(data.labels)]
    fields = {name: getattr(imputation, name)[rows] for name in ("images", "mean", "std", "mask", "labels")}
    return Imputation(**fields)


def _print(results: dict[str, Any]) -> None:
    methods = list(next(iter(results.values()))["psnr"])
    table = Table("missing", *methods, "within ± 2 std", title="PSNR at missing pixels (dB)")
    for kind, figures in results.items():
        values = [f"{figures['psnr'][method]['mean']:.2f}" for method in methods]
        table.add_row(kind, *values, f"{figures['within_two_std']['mean']:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
