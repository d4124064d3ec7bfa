"""``synthaug interpolate``: paths between images or samples, as a picture and an animation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthaug.cli.settings import other_settings, save_settings
from synthaug.cli.values import counts as parse_counts
from synthaug.cli.values import indices as parse_indices
from synthaug.cli.values import labels as parse_labels

PICTURE, ANIMATION, RESOLVED = "interpolation.png", "interpolation", "cli.yaml"
_FRAMES = 24


def run(
    ctx: typer.Context,
    generator: Annotated[str, typer.Argument(metavar="RUN", help="Generator folder or hub id.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    between: Annotated[tuple[str, str] | None, typer.Option(metavar="START END", help="Two image files.")] = None,
    source: Annotated[str | None, typer.Option(help="Dataset to take images from instead.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of that dataset.")] = None,
    index: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Positions in that dataset: a start, its end, a start, …")
    ] = None,
    samples: Annotated[str | None, typer.Option(metavar="CLASS=N,…", help="N paths between samples instead.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Class of START (and END); found if left out.")] = None,
    to: Annotated[str | None, typer.Option(metavar="CLASS", help="Class at the end, if another.")] = None,
    steps: Annotated[int, typer.Option(help="Images on a path.")] = 8,
    mode: Annotated[str, typer.Option(metavar="auto|linear|spherical", help="Way between two codes.")] = "auto",
    animation: Annotated[str, typer.Option(metavar="gif|webp|none", help="Kind of animation.")] = "gif",
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Draw paths through the latent space, between images or between samples.

    Give one of --between, --source with --index, and --samples.
    """
    from synthaug.errors import ConfigError
    from synthaug.grids import save_animation, save_picture
    from synthaug.latent.inputs import at_positions, load_source
    from synthaug.latent.interpolating.interpolate import Interpolation, interpolate, interpolate_samples, pairs_of
    from synthaug.sampling import load_generator
    from synthaug.storage import Contents, new_directory

    if sum(way is not None for way in (between, source, samples)) != 1:
        raise ConfigError("give one of --between, --source (with --index) and --samples.")
    if samples is not None and label:
        raise ConfigError("--label is the class of images; the classes of samples are in --samples.")
    if animation not in ("gif", "webp", "none"):
        raise ConfigError(f"--animation: expected gif, webp or none, but got {animation!r}.")
    gen = load_generator(generator, device)
    settings = other_settings(ctx, gen.sampling.field_names())
    gen = gen.with_sampling(**settings) if settings else gen
    labels = parse_labels(label, gen.classes)
    end_labels = parse_labels([to] if to else None, gen.classes)

    def paths(number: int) -> Interpolation:
        if samples is not None:
            what = parse_counts(samples, gen.classes, "--samples") or {}
            return interpolate_samples(gen, what, number, mode, to=to, seed=seed)
        if between is not None:
            start, end = between
            return interpolate(gen, start, end, number, mode, labels=labels, end_labels=end_labels)
        data = load_source(source, gen, split)
        starts, ends = (at_positions(data, part) for part in pairs_of(parse_indices(index) or []))
        return interpolate(gen, starts, ends, number, mode, labels=labels, end_labels=end_labels)

    contents = Contents("interpolation", (RESOLVED,), (PICTURE, f"{ANIMATION}.*"))
    with new_directory(out, overwrite=overwrite, what="interpolate", contents=contents) as folder:
        save_picture(paths(steps).picture(), folder / PICTURE)
        if animation != "none":
            save_animation(paths(max(steps, _FRAMES)).frames(), folder / f"{ANIMATION}.{animation}")
        save_settings(folder / RESOLVED, ctx, settings)
    typer.echo(out)
