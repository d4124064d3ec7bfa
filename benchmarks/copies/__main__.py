"""``python -m benchmarks.copies SOURCE``: copies found, by kind, and false alarms on held-out real images, as JSON.

The detector, its threshold included, is fitted to the training split alone. Copies of training images, exact and
lightly changed, are planted among real images of the test split. It judges each image by itself, so recall and false
alarms do not depend on how many copies there are; precision is given for 5 % of them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from synthaug.curation.copies import CopyDetector
from synthaug.curation.light_changes import CHANGES
from synthaug.data import ImageDataset
from synthaug.errors import DataError
from synthaug.evaluation import describe_command, describe_environment
from synthaug.storage import write_json

PLANTED = 0.05
_TWO = "two changes at once"
"""Harder than what the detector is fitted on; told apart from the others."""


def main(words: list[str] | None = None) -> None:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.copies", description=__doc__)
    parser.add_argument("source", help="dataset with train and test splits; one without is split 7 to 3")
    parser.add_argument("--image-size", type=int, help="side to which images are brought")
    parser.add_argument("--train-limit", type=int, default=10_000, help="training images at most")
    parser.add_argument("--held-out", type=int, default=1000, help="held-out real images at most")
    parser.add_argument("--copies", type=int, default=100, help="copies of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of all choices")
    parser.add_argument("--threads", type=int, help="kernel threads; torch's choice if left out")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args(words)
    if options.threads:
        torch.set_num_threads(options.threads)
    train, held_out = _splits(options.source, options.image_size, options.seed)
    random = np.random.default_rng([options.seed, 0xBE9C])
    train, held_out = (
        _some(data, limit, random) for data, limit in ((train, options.train_limit), (held_out, options.held_out))
    )
    result = measure(train, held_out, options.copies, options.seed, random)
    _print(result)
    about = {"benchmark": "copies", "command": describe_command("python", "-m", "benchmarks.copies")}
    write_json(options.out, about | describe_environment() | {"seed": options.seed} | result)


def measure(
    train: ImageDataset, held_out: ImageDataset, copies: int, seed: int, random: np.random.Generator
) -> dict[str, Any]:
    """Plant copies, look for them, and count.

    Args:
        train: What the detector is fitted to, and what is copied.
        held_out: Real images that are no copies.
        copies: Of each kind.
        seed: Of the detector.
        random: Chooses and changes the copied images.
    """
    start, used = time.perf_counter(), time.process_time()
    detector = CopyDetector(train, seed=seed)
    fitting = time.process_time() - used
    used = time.process_time()
    alarms = detector.find(held_out.images)
    finding = time.process_time() - used
    kinds = {}
    for name in (*CHANGES, _TWO):
        rows = random.choice(len(train), min(copies, len(train)), replace=False)
        found = detector.find(_planted(name, train.take(rows), random))
        kinds[name] = {
            "recall": found.share,
            "right_original": float((found.nearest == rows)[found.is_copy].mean()) if found.share else None,
            "copies": len(rows),
        }
    recall = float(np.mean([kinds[name]["recall"] for name in CHANGES]))
    caught = PLANTED * recall
    return {
        "dataset": train.name,
        "image_shape": list(train.image_shape),
        "train_images": len(train),
        "held_out_images": len(held_out),
        "recall": recall,
        "false_alarms": alarms.share,
        "precision_at_5_percent": caught / (caught + (1 - PLANTED) * alarms.share) if caught else None,
        "kinds": kinds,
        "processor_seconds_of_fitting": fitting,
        "processor_seconds_for_1000_images": 1000 * finding / len(held_out),
        "seconds": time.perf_counter() - start,
    }


def _planted(kind: str, images: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    changes = [*CHANGES.values()][1:]  # the first leaves an image as it is
    made = []
    for image in images:
        if kind == _TWO:
            first, second = random.choice(len(changes), 2, replace=False)
            made.append(changes[second](changes[first](image, random), random))
        else:
            made.append(CHANGES[kind](image, random))
    return np.stack(made)


def _splits(source: str, size: int | None, seed: int) -> tuple[ImageDataset, ImageDataset]:
    try:
        train = ImageDataset.load(source, size, split="train")
    except DataError:
        return ImageDataset.load(source, size).split(0.7, seed=seed)
    channels, height, width = train.image_shape
    return train, ImageDataset.load(source, (height, width), channels=channels, split="test")


def _some(data: ImageDataset, limit: int, random: np.random.Generator) -> ImageDataset:
    if len(data) <= limit:
        return data
    return data.subset(np.sort(random.choice(len(data), limit, replace=False)))


def _print(result: dict[str, Any]) -> None:
    table = Table(title=f"{result['dataset']}: {result['train_images']:,} training images", title_justify="left")
    for column in ("kind of copy", "found", "right original"):
        table.add_column(column, justify="left" if column.startswith("kind") else "right")
    for name, kind in result["kinds"].items():
        right = kind["right_original"]
        table.add_row(name, f"{100 * kind['recall']:.1f} %", "–" if right is None else f"{100 * right:.1f} %")
    table.add_row("all but the last", f"{100 * result['recall']:.1f} %", "")
    table.add_row("held-out real images (false alarms)", f"{100 * result['false_alarms']:.1f} %", "")
    Console().print(table)


if __name__ == "__main__":
    main()
