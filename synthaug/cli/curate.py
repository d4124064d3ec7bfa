"""``synthaug curate``: of the samples of a bank, those to keep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthaug.cli.filter_flags import filter_settings
from synthaug.cli.filter_flags import filters as parse_filters
from synthaug.cli.settings import other_settings, save_settings
from synthaug.cli.values import counts as parse_counts

RESOLVED = "cli.yaml"


def run(
    ctx: typer.Context,
    bank: Annotated[Path, typer.Argument(help="Folder of the sample bank.")],
    real: Annotated[str, typer.Option(metavar="SOURCE", help="Training images of the generator.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    split: Annotated[str | None, typer.Option(help="Part of REAL that the generator was trained on.")] = None,
    filters: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="confidence, outlier, duplicate, realism, diversity, hardness.")
    ] = None,
    per_class: Annotated[int | None, typer.Option(help="What diversity or hardness keep of each class.")] = None,
    counts: Annotated[str | None, typer.Option(metavar="CLASS=N,…", help="The same by class.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="FILTER.KEY=VALUE", help="A filter's setting; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the filters' classifiers.")] = 0,
    device: Annotated[str, typer.Option(help="Where networks run.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Judge the samples of a bank by the training images alone, and write a bank of those to keep.

    Prints how many were kept and rejected, and why. OUT/rejected.parquet holds the rejected ones with scores and
    reasons, OUT/rejected.png shows some of them.
    """
    chosen, settings = parse_filters(filters), filter_settings(overrides)
    other_settings(ctx, ())

    from rich.console import Console

    from synthaug.curation import curate
    from synthaug.curation.summary import summary_table
    from synthaug.data import ImageDataset
    from synthaug.sampling import SampleBank

    samples = SampleBank.open(bank)
    train = ImageDataset.load(real, samples.image_shape[1:], channels=samples.image_shape[0], split=split)
    kept = curate(
        samples,
        train,
        chosen or (),
        settings=settings,
        per_class=per_class,
        counts=parse_counts(counts, samples.classes),
        out=out,
        seed=seed,
        overwrite=overwrite,
        device=device,
    )
    save_settings(out / RESOLVED, ctx, {})
    Console(stderr=True).print(summary_table(kept))
    typer.echo(out)
