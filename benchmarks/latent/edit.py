"""``python -m benchmarks.latent.edit RUN``: do swapped images look like their new class and keep their style? JSON."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.latent import describe_generator
from synthaug.evaluation import describe_command, describe_environment
from synthaug.latent.editing.edit import swap_class
from synthaug.latent.inputs import load_source, relabelled
from synthaug.sampling import load_generator
from synthaug.storage import write_json

_NEIGHBOURS = 5


def main(words: list[str] | None = None) -> None:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latent.edit", description=__doc__)
    parser.add_argument("generator", metavar="RUN", help="generator folder")
    parser.add_argument("--source", required=True, help="dataset")
    parser.add_argument("--split", default="test", help="part of it whose images are edited")
    parser.add_argument("--train-split", default="train", help="part of it that the judge learns from")
    parser.add_argument("--per-class", type=int, default=20, help="images of each class to edit")
    parser.add_argument("--judge-per-class", type=int, default=400, help="images of each class to learn from")
    parser.add_argument("--seed", type=int, default=0, help="chooses the images")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args(words)
    gen = load_generator(options.generator)
    data = relabelled(load_source(options.source, gen, options.split), gen).few_shot(options.per_class, options.seed)
    train = relabelled(load_source(options.source, gen, options.train_split), gen)
    train = train.few_shot(options.judge_per_class, options.seed)
    judge = KNeighborsClassifier(_NEIGHBOURS).fit(_rows(train.images), train.labels)
    restored = gen.decode_codes(gen.encode_images(data.images, data.labels)[0], data.labels)
    results: dict[str, Any] = {
        "images as they are": {"judged_as_class": float(judge.score(_rows(data.images), data.labels))},
        "reconstructions": {"judged_as_class": float(judge.score(_rows(restored), data.labels))},
    }
    for recentre in (False, True):
        hits, kept = [], []
        for to in range(len(gen.classes)):
            others = data.subset(data.labels != to)
            swapped = swap_class(gen, others, to, recentre=recentre)
            hits.append(float((judge.predict(_rows(swapped)) == to).mean()))
            kept.append(float(np.corrcoef(_brightness(swapped), _brightness(others.images))[0, 1]))
        results["swapped, recentred" if recentre else "swapped, same code"] = {
            "judged_as_class": float(np.mean(hits)),
            "by_class": dict(zip(gen.classes, (round(hit, 3) for hit in hits), strict=True)),
            "spread_over_classes": float(np.std(hits, ddof=1)),
            "brightness_correlation": float(np.mean(kept)),
        }
    table = Table("images", "judged as their class", "correlation of brightness with the given image")
    for name, figures in results.items():
        kept_text = f"{figures['brightness_correlation']:.2f}" if "brightness_correlation" in figures else ""
        table.add_row(name, f"{figures['judged_as_class']:.1%}", kept_text)
    Console().print(table)
    write_json(
        options.out,
        {
            "benchmark": "edit",
            "command": describe_command("python", "-m", "benchmarks.latent.edit"),
            **describe_environment(),
            "generator": describe_generator(gen),
            "dataset": {"name": data.name, "digest": data.digest, "images": len(data)},
            "judge": f"{_NEIGHBOURS} nearest neighbours in pixels among {len(train)} training images",
            "results": results,
        },
    )


def _rows(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.reshape(len(images), -1).astype(np.float32)


def _brightness(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    brightness: NDArray[np.float64] = images.mean(axis=(1, 2, 3))
    return brightness


if __name__ == "__main__":
    main()
