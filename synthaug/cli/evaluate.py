"""``synthaug evaluate``: are samples good, useful and new?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthaug.cli.settings import other_settings, save_settings
from synthaug.cli.values import image_size as parse_image_size

RESOLVED = "cli.yaml"


def run(
    ctx: typer.Context,
    samples: Annotated[str, typer.Argument(help="Generator, sample bank, or any images by class.")],
    real: Annotated[str, typer.Option(help="Images that the generator was trained on.")],
    out: Annotated[Path, typer.Option(help="Folder for page and numbers.")],
    holdout: Annotated[
        str | None, typer.Option(help="Images it was not trained on; REAL's test part if there is one.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of REAL it was trained on.")] = None,
    holdout_split: Annotated[str | None, typer.Option(help="Part of HOLDOUT, or of REAL, it was not.")] = None,
    image_size: Annotated[str | None, typer.Option(metavar="SIDE|HxW", help="Size; the samples' own.")] = None,
    channels: Annotated[str, typer.Option(metavar="auto|1|3", help="Channels; the samples' own.")] = "auto",
    per_class: Annotated[int | None, typer.Option(help="Samples of each class to draw or to take.")] = None,
    network: Annotated[
        str, typer.Option(help="Whose features: efficientnet_lite0, any timm model, or 'classifier'.")
    ] = "efficientnet_lite0",
    seeds: Annotated[int, typer.Option(help="Classifiers trained with and without samples; 0: none.")] = 3,
    steps: Annotated[int, typer.Option(help="Optimiser steps of each.")] = 300,
    seed: Annotated[int, typer.Option(help="Of samples and subsets.")] = 0,
    device: Annotated[str, typer.Option(help="Where networks run.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Measure samples against real images: quality, use for a classifier, copies and what they give away.

    Writes OUT/evaluation.html and OUT/evaluation.json. Classes are matched by name.

    Other settings of the classifier are flags too: --model resnet18 --augmentation none.
    """
    size = parse_image_size(image_size)

    from synthaug.classifiers import ClassifierConfig
    from synthaug.evaluation import describe_command, evaluate

    classifier = other_settings(ctx, [name for name in ClassifierConfig.field_names() if name != "steps"])
    evaluate(
        samples,
        real,
        holdout,
        out=out,
        per_class=per_class,
        image_size=size,
        channels=channels,
        split=split,
        holdout_split=holdout_split,
        network=network,
        seeds=seeds,
        steps=steps,
        seed=seed,
        device=device,
        overwrite=overwrite,
        command=describe_command("synthaug"),
        classifier=classifier,
    )
    save_settings(out / RESOLVED, ctx, classifier)
