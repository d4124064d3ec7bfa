"""``python -m benchmarks.speed``: the first ratios, and their JSON."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.speed.generation import compare_generation
from benchmarks.speed.loading import compare_loading
from benchmarks.speed.pairs import Pair
from benchmarks.speed.training import compare_training
from synthaug.data import ImageDataset
from synthaug.evaluation import describe_command, describe_environment
from synthaug.generators import make_generator
from synthaug.storage import write_json

PARTS = ("training", "generation", "loading")


def main() -> None:
    """Run the parts asked for, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"among {', '.join(PARTS)}; all if left out")
    parser.add_argument("--source", default="fashion-mnist", help="28×28 grey images to train on")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count")
    parser.add_argument("--steps", type=int, default=10, help="training steps a round")
    parser.add_argument("--samples", type=int, default=4000, help="samples a round")
    parser.add_argument("--images", type=int, default=10_000, help="images a pass of the DataLoader")
    parser.add_argument("--workers", type=int, default=0, help="DataLoader workers")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/speed.json"))
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"expected parts among {', '.join(PARTS)}, but got {', '.join(sorted(unknown))}")
    parts = options.parts or PARTS
    pairs: list[Pair] = []
    if "training" in parts:
        data = ImageDataset.load(options.source, split="train")
        for precision in ("fp32", "bf16"):
            pairs.append(compare_training(data, steps=options.steps, rounds=options.rounds, precision=precision))
    if "generation" in parts:
        for family in ("vae", "gan"):
            # Generation is as fast whatever the pictures show, so an untrained generator serves.
            generator = make_generator(family, [str(label) for label in range(10)], (1, 28, 28)).eval()
            pairs.append(compare_generation(generator, samples=options.samples, rounds=options.rounds))
    if "loading" in parts:
        pairs += compare_loading(images=options.images, rounds=options.rounds, workers=options.workers)
    _print(pairs)
    write_json(options.out, _summary(pairs))


def _summary(pairs: list[Pair]) -> dict[str, Any]:
    return {
        "benchmark": "speed",
        "command": describe_command("python", "-m", "benchmarks.speed"),
        **describe_environment(),
        "threads": torch.get_num_threads(),
        "comparisons": [pair.to_dict() for pair in pairs],
    }


def _print(pairs: list[Pair]) -> None:
    table = Table("comparison", "ours (images/s)", "reference", "ratio (median, range)", "mark")
    for pair in pairs:
        figures = pair.to_dict()
        table.add_row(
            pair.name,
            f"{max(pair.ours):,.0f}",
            f"{max(pair.reference):,.0f}",
            f"{figures['ratio_median']:.2f} ({figures['ratio_min']:.2f} to {figures['ratio_max']:.2f})",
            f"{pair.mark} {'reached' if figures['reached'] else 'missed'}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
