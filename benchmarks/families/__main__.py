"""``python -m benchmarks.families``: train each family, then a classifier on its samples alone (Ravuri & Vinyals 2019).

What is finished is kept in the work folder and not done again, so the table can be made row by row.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.table import Table

import synthaug
from synthaug.data import ImageDataset
from synthaug.evaluation import describe_command, describe_environment, train_classifier
from synthaug.storage import read_json, write_json
from synthaug.training.watcher import METRICS

REAL = "real"


def main() -> None:
    """Make the rows asked for, and the table of all rows there are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.families", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"{REAL}, or names under families; all if left out")
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("fashion_mnist.yaml"))
    parser.add_argument("--work", type=Path, default=Path("runs/families"), help="for generators and banks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None, help="kernel threads; torch's choice if left out")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/families_fashion_mnist.json"))
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    plan = yaml.safe_load(options.config.read_text(encoding="utf-8"))
    names = [REAL, *plan["families"]]
    unknown = set(options.rows) - set(names)
    if unknown:
        parser.error(f"expected rows among {', '.join(names)}, but got {', '.join(sorted(unknown))}")
    for name in options.rows or names:
        finished = options.work / f"{name}.json"
        if not finished.exists():
            write_json(finished, _row(name, plan, options.work, options.seed))
    rows = {
        name: read_json(options.work / f"{name}.json") for name in names if (options.work / f"{name}.json").exists()
    }
    _print(rows)
    write_json(
        options.out,
        {
            "benchmark": "families",
            "command": describe_command("python", "-m", "benchmarks.families"),
            "plan": plan,
            "rows": rows,
        },
    )


def _row(name: str, plan: dict[str, Any], work: Path, seed: int) -> dict[str, Any]:
    train = ImageDataset.load(plan["source"], split=plan["split"])
    test = ImageDataset.load(plan["source"], split=plan["test_split"])
    made: dict[str, Any] = {}
    source = train
    if name != REAL:
        generator, made = _generator(name, plan, train, work, seed)
        bank, made["sampling_cpu_minutes"] = _bank(name, generator, train, work, seed)
        source = ImageDataset.from_arrays(bank.images, bank.labels, bank.classes, name=name)
    result = train_classifier(source, test, seed=seed, **plan["classifier"])
    return {
        "accuracy": result.accuracy,
        "recall": result.recall,
        "images": len(source),
        **made,
        "seed": seed,
        **describe_environment(),
    }


def _bank(
    name: str, generator: synthaug.Generator, train: ImageDataset, work: Path, seed: int
) -> tuple[synthaug.SampleBank, float]:
    """Draw as many samples of each class as there are real images, unless this generator's are there."""
    folder, about = work / f"{name}-bank", work / f"{name}-bank.json"
    if about.exists() and (known := read_json(about))["generator"] == generator.digest and known["seed"] == seed:
        return synthaug.SampleBank.open(folder), known["sampling_cpu_minutes"]
    counts: dict[str | int, int] = {label: int(count) for label, count in enumerate(train.class_counts)}
    started = time.process_time()
    bank = synthaug.generate(generator, counts=counts, seed=seed, out=folder, overwrite=True)
    minutes = round((time.process_time() - started) / 60, 2)
    write_json(about, {"generator": generator.digest, "seed": seed, "sampling_cpu_minutes": minutes})
    return bank, minutes


def _generator(
    name: str, plan: dict[str, Any], train: ImageDataset, work: Path, seed: int
) -> tuple[synthaug.Generator, dict[str, Any]]:
    folder = work / name
    settings = {"steps": 10**9, "seed": seed, **plan["families"][name]}
    if (folder / "config.json").exists():
        generator = synthaug.load(folder)
    else:
        generator = synthaug.fit(train, out=folder, resume=True, **settings)
    last = json.loads((folder / METRICS).read_text(encoding="utf-8").splitlines()[-1])
    return generator, {
        "family": generator.family,
        "settings": settings,
        "steps": last["step"],
        "training_images_per_second": last["images_per_second"],
        "parameters": sum(parameter.numel() for parameter in generator.parameters()),
        "digest": generator.digest,
    }


def _print(rows: dict[str, dict[str, Any]]) -> None:
    table = Table("trained on", "images", "test accuracy", "generator steps", "minutes of sampling")
    for name, row in rows.items():
        steps, minutes = row.get("steps", ""), row.get("sampling_cpu_minutes", "")
        table.add_row(name, f"{row['images']:,}", f"{100 * row['accuracy']:.2f} %", str(steps), str(minutes))
    Console().print(table)


if __name__ == "__main__":
    main()
