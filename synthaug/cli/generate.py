"""``synthaug generate``: draw samples and write them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthaug.cli.filter_flags import check_judging, filter_settings
from synthaug.cli.filter_flags import filters as parse_filters
from synthaug.cli.settings import other_settings, refuse_given, save_settings
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
    swap: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Training images to give each class, style kept, instead.")
    ] = None,
    swap_split: Annotated[str | None, typer.Option(help="Part of SWAP that the generator was trained on.")] = None,
    shard: Annotated[str | None, typer.Option(metavar="K/N", help="Only the K-th of N parts.")] = None,
    shard_size: Annotated[int | None, typer.Option(help="Samples a file, a multiple of 64.")] = None,
    curate: Annotated[bool, typer.Option("--curate", help="Go on until enough good ones are found.")] = False,
    filters: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Which; confidence, outlier and duplicate if left out.")
    ] = None,
    forbid_copies: Annotated[
        bool, typer.Option("--forbid-copies", help="Refuse near-copies of the training images.")
    ] = False,
    real: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Training images of the generator, to judge by.")
    ] = None,
    real_split: Annotated[str | None, typer.Option(help="Part of REAL it was trained on.")] = None,
    budget: Annotated[float, typer.Option(help="Candidates for each sample, at most.")] = 4.0,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if the budget does not suffice.")] = False,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="FILTER.KEY=VALUE", help="A filter's setting; repeatable.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Draw samples from a generator and write them, with the provenance of each.

    Give one of --per-class, --counts and --balance-with. The same command after a kill goes on where it stopped, but
    for samples that are judged, which begin anew.

    With --curate (or --filters, or --forbid-copies) samples are judged by the images that the generator was trained
    on, --real; an uncurated bank is judged by synthaug curate.

    With --swap the bank holds real images of other classes, whose class the generator changes and whose style it keeps.

    The generator's sampling settings are flags too: --temperature 0.8.
    """
    if swap is None:
        refuse_given(ctx, ("swap_split",), "is that of the images to swap: add --swap.")
    else:
        others = ("format", "shard", "shard_size", "curate", "filters", "forbid_copies")
        refuse_given(ctx, others, "does not go with --swap, which writes a bank; judge it with synthaug curate.")
    part = parse_shard(shard)
    chosen, filter_values = parse_filters(filters, curate, forbid_copies), filter_settings(overrides)
    if chosen is None:
        judging = ("real", "real_split", "budget", "strict", "overrides")
        refuse_given(ctx, judging, "is for judging samples: add --curate or --forbid-copies.")
    else:
        check_judging(real, part)
    if balance_with is None:
        refuse_given(ctx, ("split",), "is that of the dataset to balance: add --balance-with.")

    from synthaug.data import ImageDataset
    from synthaug.sampling import generate, load_generator

    gen = load_generator(generator, device)
    settings = other_settings(ctx, gen.sampling.field_names())
    balance = None
    if balance_with is not None:
        balance = ImageDataset.load(balance_with, gen.image_shape[1:], channels=gen.image_shape[0], split=split)
    gen = gen.with_sampling(**settings) if settings else gen
    numbers = parse_counts(counts, gen.classes)
    if swap is not None:
        from synthaug.latent.editing.swapped import swapped_bank

        swapped_bank(
            gen, swap, per_class, counts=numbers, balance=balance, seed=seed, out=out, split=swap_split,
            overwrite=overwrite,
        )  # fmt: skip
    elif chosen is None:
        generate(
            gen,
            per_class,
            counts=numbers,
            balance=balance,
            seed=seed,
            out=out,
            format=format,
            shard=part,
            shard_size=shard_size,
            overwrite=overwrite,
        )
    else:
        from synthaug.curation import generate_curated

        generate_curated(
            gen,
            ImageDataset.load(real, gen.image_shape[1:], channels=gen.image_shape[0], split=real_split),
            per_class,
            counts=numbers,
            balance=balance,
            filters=chosen,
            settings=filter_values,
            budget=budget,
            strict=strict,
            seed=seed,
            out=out,
            format=format,
            shard_size=shard_size,
            overwrite=overwrite,
            device=device,
        )
    save_settings(out / RESOLVED, ctx, settings)
    typer.echo(out)
