"""``python -m benchmarks.latent.compress RUN``: codes beside JPEG and WebP at the same size, as JSON."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.latent import describe_generator
from synthaug.evaluation import describe_command, describe_environment
from synthaug.grids import row_grid, save_picture
from synthaug.latent.compressing.codecs import compare_codecs
from synthaug.latent.compressing.compress import compress
from synthaug.latent.inputs import dataset_labels, load_source
from synthaug.sampling import load_generator
from synthaug.storage import new_file, write_json


def main(words: list[str] | None = None) -> None:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latent.compress", description=__doc__)
    parser.add_argument("generator", metavar="RUN", nargs="+", help="generator folders")
    parser.add_argument("--source", required=True, help="dataset that is compressed")
    parser.add_argument("--split", default="test", help="part of it; none that the generators were trained on")
    parser.add_argument("--images", type=int, default=1000, help="images of it, evenly spaced")
    parser.add_argument("--bits", type=int, nargs="+", default=[3, 4, 6, 8], help="of the most important dimension")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--picture", type=Path, help="PNG file for the first images")
    parser.add_argument("--plot", type=Path, help="PNG file for the curves of rate and PSNR")
    options = parser.parse_args(words)
    runs, rows, captions = [], [], []
    for folder in options.generator:
        gen = load_generator(folder)
        data = load_source(options.source, gen, options.split)
        data = data.subset(np.linspace(0, len(data) - 1, min(options.images, len(data))).astype(np.int64))
        points = []
        for bits in options.bits:
            results = compare_codecs(compress(gen, data.images, dataset_labels(data, gen), bits), data.images)
            points.append({made.codec: made.to_dict() for made in results})
            if bits == options.bits[len(options.bits) // 2]:
                rows += [data.images[:12], *(made.images[:12] for made in results)]
                captions += ["original", *(made.caption for made in results)]
        runs.append(
            {
                "name": Path(folder).name,
                "generator": describe_generator(gen),
                "generator_bytes": sum(tensor.numel() * tensor.element_size() for tensor in gen.state_dict().values()),
                "latent_size": gen.latent_size,
                "points": points,
            }
        )
    _print(runs)
    if options.picture:
        save_picture(row_grid(rows, captions), options.picture)
    if options.plot:
        _plot(runs, options.plot)
    write_json(
        options.out,
        {
            "benchmark": "compress",
            "command": describe_command("python", "-m", "benchmarks.latent.compress"),
            **describe_environment(),
            "dataset": {"name": data.name, "digest": data.digest, "images": len(data)},
            "note": "bits_per_pixel counts whole files with headers; JPEG and WebP hold many images a file; the "
            "generator, which both sides need, is not counted and is generator_bytes large.",
            "runs": runs,
        },
    )


def _print(runs: list[dict[str, Any]]) -> None:
    table = Table("run", "codec", "bits or quality", "bytes", "bits a pixel", "PSNR (dB)", "SSIM")
    for run in runs:
        for point in run["points"]:
            for figures in point.values():
                table.add_row(
                    run["name"],
                    figures["codec"],
                    str(figures["quality"]),
                    f"{figures['file_bytes']:,}",
                    f"{figures['bits_per_pixel']:.3f}",
                    f"{figures['psnr_mean']:.2f} ± {figures['psnr_std']:.2f}",
                    f"{figures['ssim_mean']:.3f}",
                )
    Console().print(table)


def _plot(runs: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    curves: dict[str, set[tuple[float, float]]] = {}
    for run in runs:
        for point in run["points"]:
            for codec, figures in point.items():
                name = run["name"] if codec == "synthaug" else codec
                curves.setdefault(name, set()).add((figures["bits_per_pixel"], figures["psnr_mean"]))
    for name, curve in curves.items():
        rates, decibels = zip(*sorted(curve), strict=True)
        axes.plot(
            rates, decibels, marker="o", markersize=4, linestyle="--" if name in ("JPEG", "WebP") else "-", label=name
        )
    axes.set_xlabel("bits a pixel")
    axes.set_ylabel("PSNR (dB)")
    axes.grid(alpha=0.3)
    axes.legend()
    with new_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


if __name__ == "__main__":
    main()
