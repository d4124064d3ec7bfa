"""``python -m benchmarks.latent.vary RUN``: how far variants go and how often they keep their label, as JSON.

Images that neither generator nor classifier were trained on are varied at several strengths, with and without the
residual. A classifier trained on real images says whether a variant is still of its class.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.latent import describe_generator
from synthaug.classifiers.classifier import Classifier, fit_classifier
from synthaug.evaluation import describe_command, describe_environment
from synthaug.grids import row_grid, save_picture
from synthaug.latent.inputs import dataset_labels, load_source, relabelled
from synthaug.latent.varying.vary import Variation, Varier
from synthaug.sampling import load_generator
from synthaug.storage import write_json

_SHOWN = 10


def main(words: list[str] | None = None) -> None:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latent.vary", description=__doc__)
    parser.add_argument("generator", metavar="RUN", help="generator folder")
    parser.add_argument("--source", required=True, help="dataset with train and test splits")
    parser.add_argument("--images", type=int, default=500, help="test images, evenly spaced")
    parser.add_argument("--number", type=int, default=4, help="variants of each image")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0, 0.1, 0.3, 0.5, 0.7, 0.9, 1])
    parser.add_argument("--model", default="resnet10t", help="classifier")
    parser.add_argument("--classifier-steps", type=int, default=600, help="of its training")
    parser.add_argument("--seed", type=int, default=0, help="of classifier and variants")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--picture", type=Path, help="PNG file for variants at each strength")
    options = parser.parse_args(words)
    gen = load_generator(options.generator)
    train = relabelled(load_source(options.source, gen, "train"), gen)  # the classifier numbers classes as gen does
    test = load_source(options.source, gen, "test")
    data = test.subset(np.linspace(0, len(test) - 1, min(options.images, len(test))).astype(np.int64))
    labels = dataset_labels(data, gen)
    settings = {"model": options.model, "steps": options.classifier_steps}
    _, classifier = fit_classifier(train, seed=options.seed, **settings)
    rows, tiles = [], [[image] for image in data.images]
    for keep_residual in (True, False):
        for strength in options.strengths:
            varier = Varier(gen, Variation(strength, keep_residual), options.seed)
            made = varier.variants(data.images, labels, options.number)
            figures = _figures(classifier, data.images, made, labels)
            rows.append({"keep_residual": keep_residual, "strength": strength, **figures})
            for own, variants in zip(tiles, made, strict=True):
                own.append(variants[0])
    real = {"accuracy": _share(classifier, data.images, labels), "sharpness": _sharpness(data.images)}
    _print(rows, real)
    if options.picture:
        _draw(tiles, labels, gen.classes, options.strengths, options.picture)
    write_json(
        options.out,
        {
            "benchmark": "vary",
            "command": describe_command("python", "-m", "benchmarks.latent.vary"),
            **describe_environment(),
            "dataset": {"name": data.name, "digest": data.digest, "images": len(data)},
            "generator": describe_generator(gen) | {"training": gen.provenance.get("training")},
            "classifier": settings,
            "note": "kept: share of variants that the classifier puts into the image's class, beside accuracy, the "
            "share of the images themselves; distance: mean absolute difference of pixels (0 to 255) from the image; "
            "spread: the same among the variants of an image; sharpness: mean absolute difference of neighbours.",
            "real": real,
            "variants": rows,
        },
    )


def _figures(
    classifier: Classifier, images: NDArray[np.uint8], made: NDArray[np.uint8], labels: NDArray[np.int64]
) -> dict[str, float]:
    number = made.shape[1]
    flat = made.reshape(-1, *made.shape[2:])
    values = made.astype(np.float64)
    pairs = [np.abs(values[:, i] - values[:, j]).mean() for i in range(number) for j in range(i)]
    return {
        "kept": _share(classifier, flat, np.repeat(labels, number)),
        "distance": round(float(np.abs(values - images[:, None]).mean()), 3),
        "spread": round(float(np.mean(pairs)), 3) if pairs else 0.0,
        "sharpness": _sharpness(flat),
    }


def _share(classifier: Classifier, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    return round(float((classifier.logits(images).argmax(1) == labels).mean()), 4)


def _sharpness(images: NDArray[np.uint8]) -> float:
    values = images.astype(np.float64)
    return round(float(np.mean([np.abs(np.diff(values, axis=axis)).mean() for axis in (1, 2)])), 3)


def _draw(
    tiles: list[list[NDArray[np.uint8]]],
    labels: NDArray[np.int64],
    classes: tuple[str, ...],
    strengths: list[float],
    path: Path,
) -> None:
    """Draw the first image of each class, its variants with the residual, and those without."""
    first = [int(np.argmax(labels == label)) for label in np.unique(labels)[:_SHOWN]]
    headings = ["image", *(f"{strength:g}" for strength in strengths), *(f"{strength:g}" for strength in strengths)]
    rows = [np.stack(tiles[position]) for position in first]
    save_picture(row_grid(rows, [classes[labels[position]] for position in first], headings=headings), path)


def _print(rows: list[dict[str, Any]], real: dict[str, float]) -> None:
    table = Table("residual", "strength", "label kept (%)", "distance", "spread", "sharpness")
    table.add_row("the images themselves", "", f"{100 * real['accuracy']:.1f}", "", "", f"{real['sharpness']:.1f}")
    for row in rows:
        table.add_row(
            "kept" if row["keep_residual"] else "left out",
            f"{row['strength']:g}",
            f"{100 * row['kept']:.1f}",
            f"{row['distance']:.1f}",
            f"{row['spread']:.1f}",
            f"{row['sharpness']:.1f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
