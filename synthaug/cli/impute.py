"""``synthaug impute``: fill in missing pixels, several times, with how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthaug.cli.settings import other_settings, save_settings
from synthaug.cli.values import indices as parse_indices
from synthaug.cli.values import labels as parse_labels

IMAGES, PICTURE, RESOLVED = "images", "imputation.png", "cli.yaml"


def run(
    ctx: typer.Context,
    generator: Annotated[str, typer.Argument(metavar="RUN", help="Generator folder or hub id.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    files: Annotated[list[str] | None, typer.Argument(metavar="[FILES]…", help="Image files.")] = None,
    mask: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="White where pixels are missing; one for all images or one for each."),
    ] = None,
    source: Annotated[str | None, typer.Option(help="Dataset to take images from instead.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of that dataset.")] = None,
    index: Annotated[str | None, typer.Option(metavar="A,B-C,…", help="Positions in that dataset.")] = None,
    most: Annotated[int, typer.Option(help="Images of that dataset at most, without --index.")] = 16,
    label: Annotated[
        list[str] | None, typer.Option(help="Class of all images or of each; left open if left out.")
    ] = None,
    number: Annotated[int, typer.Option(help="Completions of each image.")] = 8,
    seed: Annotated[int, typer.Option(help="Other seeds give other completions.")] = 0,
    gradient_steps: Annotated[int, typer.Option(help="Gradient steps of each completion.")] = 60,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Fill in the missing pixels of images: transparent ones, or those that --mask shows.

    Writes each completion, their mean and its uncertainty (a deviation of 64 is white).

    The generator's sampling settings are flags too: --steps 4 makes diffusion quicker.
    """
    from synthaug.grids import save_picture
    from synthaug.latent.imputing.impute import impute
    from synthaug.latent.inputs import choose_images
    from synthaug.sampling import load_generator
    from synthaug.storage import Contents, new_directory

    gen = load_generator(generator, device)
    settings = other_settings(ctx, gen.sampling.field_names())
    gen = gen.with_sampling(**settings) if settings else gen
    images = choose_images(
        gen, files or (), source=source, split=split, indices=parse_indices(index), most=None if index else most
    )
    labels = parse_labels(label, gen.classes)
    contents = Contents("imputation", (RESOLVED,), (IMAGES, PICTURE))
    with new_directory(out, overwrite=overwrite, what="impute", contents=contents) as folder:
        imputation = impute(gen, images, mask, labels, number, seed, gradient_steps=gradient_steps)
        (folder / IMAGES).mkdir()
        for name, png in imputation.png_files().items():
            (folder / IMAGES / name).write_bytes(png)
        save_picture(imputation.picture(), folder / PICTURE)
        save_settings(folder / RESOLVED, ctx, settings)
    typer.echo(out)
