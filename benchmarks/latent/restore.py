"""``python -m benchmarks.latent.restore RUN …``: denoising and upscaling beside OpenCV and bicubic, as JSON.

Each run does what it can: an autoencoder trained for noise denoises, one trained for downsampling upscales by its
factor, and any other generator with an encoder does everything.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.latent import describe_generator
from synthaug.evaluation import describe_command, describe_environment
from synthaug.generators import Generator
from synthaug.grids import save_picture
from synthaug.latent.inputs import dataset_labels, load_source
from synthaug.latent.restoring.comparison import Comparison, compare_denoising, compare_upscaling
from synthaug.sampling import load_generator
from synthaug.storage import write_json


def main(words: list[str] | None = None) -> None:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latent.restore", description=__doc__)
    parser.add_argument("generator", metavar="RUN", nargs="+", help="generator folders")
    parser.add_argument("--source", required=True, help="dataset of clean images")
    parser.add_argument("--split", default="test", help="part of it; none that the generators were trained on")
    parser.add_argument("--images", type=int, default=300, help="images of it, evenly spaced")
    parser.add_argument("--sigmas", type=float, nargs="*", default=[0.1, 0.2], help="standard deviations of the noise")
    parser.add_argument("--factors", type=int, nargs="*", default=[2, 4], help="of upscaling")
    parser.add_argument("--steps", type=int, default=40, help="of the projection in upscaling")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each task and run")
    options = parser.parse_args(words)
    results = []
    for folder in options.generator:
        gen = load_generator(folder)
        data = load_source(options.source, gen, options.split)
        data = data.subset(np.linspace(0, len(data) - 1, min(options.images, len(data))).astype(np.int64))
        labels = dataset_labels(data, gen)
        for task, value in _tasks(gen, options):
            started = time.perf_counter()
            if task == "denoise":
                comparison = compare_denoising(gen, data, labels, value, seed=options.seed)
            else:
                comparison = compare_upscaling(gen, data, labels, int(value), steps=options.steps)
            results.append(_result(Path(folder).name, gen, task, value, comparison, time.perf_counter() - started))
            if options.pictures:
                save_picture(comparison.picture(), options.pictures / f"{task}_{value:g}_{Path(folder).name}.png")
    _print(results)
    write_json(
        options.out,
        {
            "benchmark": "restore",
            "command": describe_command("python", "-m", "benchmarks.latent.restore"),
            **describe_environment(),
            "dataset": {"name": data.name, "digest": data.digest, "images": len(data)},
            "note": "non-local means has the settings that are best on these images (tuned on at most 64 of them with "
            "their originals); value is the noise's standard deviation with pixels from 0 to 1, or the factor.",
            "results": results,
        },
    )


def _tasks(gen: Generator, options: argparse.Namespace) -> list[tuple[str, float]]:
    config: Any = gen.config
    corruption = getattr(config, "corruption", "none")
    tasks: list[tuple[str, float]] = []
    if corruption in ("none", "noise"):
        tasks += [("denoise", sigma) for sigma in options.sigmas]
    if corruption in ("none", "downsample"):
        tasks += [
            ("upscale", factor) for factor in options.factors if corruption == "none" or factor == config.strength
        ]
    return tasks


def _result(
    name: str, gen: Generator, task: str, value: float, comparison: Comparison, seconds: float
) -> dict[str, Any]:
    return {
        "run": name,
        "generator": describe_generator(gen),
        "task": task,
        "value": value,
        "seconds": seconds,
        "methods": comparison.to_dict(),
    }


def _print(results: list[dict[str, Any]]) -> None:
    table = Table("run", "task", "method", "PSNR (dB)", "SSIM")
    for result in results:
        for method, figures in result["methods"].items():
            table.add_row(
                result["run"],
                f"{result['task']} {result['value']:g}",
                method,
                f"{figures['psnr_mean']:.2f} ± {figures['psnr_std']:.2f}",
                f"{figures['ssim_mean']:.3f} ± {figures['ssim_std']:.3f}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
