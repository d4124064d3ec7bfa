"""``synthaug generate``: draw samples and write them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthaug.cli.settings import other_settings, save_settings
from synthaug.cli.values import counts as parse_counts
from synthaug.cli.values import shard as parse_shard

RESOLVED = ".cli.yaml"
"""Hidden, because readers of Parquet and image folders take every visible file for data."""


def run(
    ctx: typer.Context,
    generator: Annotated[str, typer.Argument(metavar="RUN", help="Generator folder or hub id.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    per_class: Annotated[int | None, typer.Option(help="Samples of every class.")] = None,
    counts: Annotated[str | None, typer.Option(metavar="CLASS=N,…", help="Samples by class.")] = None,
    balance_with: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Top up the classes of this dataset to its largest.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of the dataset to balance with.")] = None,
    seed: Annotated[int, typer.Option(help="Other seeds give other samples.")] = 0,
    format: Annotated[str, typer.Option(metavar="bank|parquet|imagefolder|webdataset", help="What to write.")] = "bank",
    shard: Annotated[str | None, typer.Option(metavar="K/N", help="Only the K-th of N parts.")] = None,
    shard_size: Annotated[int | None, typer.Option(help="Samples a file, a multiple of 64.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Draw samples from a generator and write them, with the provenance of each.

    Give one of --per-class, --counts and --balance-with. The same command after a kill goes on where it stopped.

    The generator's sampling settings are flags too: --temperature 0.8.
    """
    part = parse_shard(shard)

    from synthaug.data import ImageDataset
    from synthaug.sampling import generate, load_generator

    gen = load_generator(generator, device)
    settings = other_settings(ctx, gen.sampling.field_names())
    balance = None
    if balance_with is not None:
        balance = ImageDataset.load(balance_with, gen.image_shape[1:], channels=gen.image_shape[0], split=split)
    generate(
        gen.with_sampling(**settings) if settings else gen,
        per_class,
        counts=parse_counts(counts, gen.classes),
        balance=balance,
        seed=seed,
        out=out,
        format=format,
        shard=part,
        shard_size=shard_size,
        overwrite=overwrite,
    )
    save_settings(out / RESOLVED, ctx, settings)
    typer.echo(out)
