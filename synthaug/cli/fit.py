"""``synthaug fit``: train a generator."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from synthaug.cli.settings import other_settings, save_settings
from synthaug.cli.values import image_size as parse_image_size

RESOLVED = "cli.yaml"


def run(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="Image folder, Parquet, Hugging Face dataset, or 'digits'.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the generator and its run.")] = None,
    family: Annotated[str, typer.Option(help="Kind of generator.")] = "vae",
    conditioning: Annotated[str, typer.Option(help="shared: one model; per_class: one a class.")] = "shared",
    image_size: Annotated[str | None, typer.Option(metavar="SIDE|HxW", help="Size to bring images to.")] = None,
    channels: Annotated[str, typer.Option(metavar="auto|1|3", help="Channels of the images.")] = "auto",
    split: Annotated[str | None, typer.Option(help="Part of the source to train on.")] = None,
    image_column: Annotated[str | None, typer.Option(help="Column with the images, if not plain.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column with the labels, if not plain.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop on images that cannot be used.")] = False,
    steps: Annotated[int, typer.Option(help="Optimiser steps.")] = 2000,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 64,
    learning_rate: Annotated[float | None, typer.Option(help="Instead of the family's own.")] = None,
    precision: Annotated[str, typer.Option(metavar="auto|fp32|bf16", help="Number format.")] = "auto",
    seed: Annotated[int, typer.Option(help="Same seed, data and settings: same generator.")] = 0,
    checkpoint_every: Annotated[int, typer.Option(help="Steps; 0: at the end only.")] = 500,
    preview_every: Annotated[int, typer.Option(help="Steps between sample grids; 0: at the end only.")] = 500,
    privacy_epsilon: Annotated[float | None, typer.Option(help="Differentially private, with this ε (VAE).")] = None,
    privacy_delta: Annotated[float | None, typer.Option(help="δ; below 1 / images if left out.")] = None,
    privacy_clip: Annotated[float, typer.Option(help="Norm of each image's gradient, at most.")] = 1.0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in OUT.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in OUT.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print configuration and parameter counts only.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Train a class-conditional generator on labelled images.

    Any other setting of the training loop or the family is a flag too: --latent-dim 64. --dry-run shows them all.
    """
    if out is None and not dry_run:
        raise typer.BadParameter("Give a folder for the generator.", param_hint="--out")
    size = parse_image_size(image_size)

    from synthaug.data import ImageDataset
    from synthaug.errors import DivergenceError, TrainingInterrupted
    from synthaug.generators import family_class
    from synthaug.generators.card import describe_privacy
    from synthaug.training import TrainingConfig, fit

    settings: dict[str, Any] = other_settings(
        ctx, [*TrainingConfig.field_names(), *family_class(family).config_class.field_names()]
    )
    data = ImageDataset.load(
        source,
        size,
        channels=channels,
        split=split,
        image_column=image_column,
        label_column=label_column,
        strict=strict,
    )
    begun = True
    try:
        generator = fit(
            data,
            family,
            conditioning=conditioning,
            steps=steps,
            seed=seed,
            out=out,
            resume=resume,
            overwrite=overwrite,
            dry_run=dry_run,
            batch_size=batch_size,
            learning_rate=learning_rate,
            precision=precision,
            checkpoint_every=checkpoint_every,
            preview_every=preview_every,
            privacy_epsilon=privacy_epsilon,
            privacy_delta=privacy_delta,
            privacy_clip=privacy_clip,
            **settings,
        )
    except (TrainingInterrupted, DivergenceError):
        raise
    except BaseException:
        begun = False  # an older run in this folder keeps its own settings
        raise
    finally:
        if begun and out is not None and not dry_run and out.is_dir() and _is_main_process():
            save_settings(out / RESOLVED, ctx, settings)
    if not dry_run and _is_main_process():
        if privacy_epsilon is not None and generator.privacy is not None:
            typer.echo(f"spent {describe_privacy(generator.privacy)}", err=True)
        typer.echo(out)


def _is_main_process() -> bool:
    return os.environ.get("RANK", "0") == "0"
