"""``synthaug compare``: generator families side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthaug.cli.family_settings import family_settings
from synthaug.cli.settings import other_settings, save_settings
from synthaug.cli.values import image_size as parse_image_size
from synthaug.cli.verbs import FAILED

RESOLVED = "cli.yaml"


def run(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="Image folder, Parquet, Hugging Face dataset, or 'digits'.")],
    out: Annotated[Path, typer.Option(help="Folder for runs, table and page.")],
    families: Annotated[str | None, typer.Option(metavar="A,B,…", help="Families; all if left out.")] = None,
    minutes: Annotated[float, typer.Option(help="Training time of each run.")] = 5.0,
    seeds: Annotated[int, typer.Option(help="Runs of each family.")] = 3,
    image_size: Annotated[str | None, typer.Option(metavar="SIDE|HxW", help="Size to bring images to.")] = None,
    channels: Annotated[str, typer.Option(metavar="auto|1|3", help="Channels of the images.")] = "auto",
    split: Annotated[str | None, typer.Option(help="Part of the source to train on.")] = None,
    held_out: Annotated[str | None, typer.Option(help="Part to measure against; its test part, or a fifth.")] = None,
    samples: Annotated[int, typer.Option(help="Samples to measure on, at most.")] = 2000,
    pairs: Annotated[int, typer.Option(help="Pairs of codes for latent smoothness; 0: not measured.")] = 128,
    network: Annotated[str, typer.Option(help="Network whose features are compared.")] = "efficientnet_lite0",
    settings: Annotated[
        str | None, typer.Option(metavar="FILE|JSON", help="Settings by family: YAML file, or JSON.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="FAMILY.KEY=VALUE", help="One setting of a family; repeatable.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads that each run computes with.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the comparison in OUT.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Train generator families for the same time, measure them alike, and show them side by side.

    Prints a table and writes OUT/compare.html and OUT/compare.json. The same command after a kill goes on.

    Settings of the training loop are flags for all families: --batch-size 32.
    """
    size = parse_image_size(image_size)
    by_family = family_settings(settings, overrides or ())

    from synthaug.evaluation import compare, describe_command
    from synthaug.training import TrainingConfig

    training = other_settings(ctx, TrainingConfig.field_names())
    result = compare(
        source,
        None if families is None else [name.strip() for name in families.split(",")],
        minutes=minutes,
        seeds=seeds,
        out=out,
        image_size=size,
        channels=channels,
        split=split,
        held_out=held_out,
        samples=samples,
        pairs=pairs,
        network=network,
        settings=by_family,
        threads=threads,
        overwrite=overwrite,
        command=describe_command("synthaug"),
        **training,
    )
    save_settings(out / RESOLVED, ctx, training)
    if not all(family.runs for family in result.families.values()):
        raise typer.Exit(FAILED)
