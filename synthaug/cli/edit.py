"""``synthaug edit``: move images along attributes, swap their class, or lend them another image's style."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthaug.cli.settings import save_settings
from synthaug.cli.values import amounts as parse_amounts
from synthaug.cli.values import direction as parse_direction
from synthaug.cli.values import indices as parse_indices
from synthaug.cli.values import labels as parse_labels

IMAGES, PICTURE, RESOLVED = "images", "edit.png", "cli.yaml"


def run(
    ctx: typer.Context,
    generator: Annotated[str, typer.Argument(metavar="RUN", help="Generator folder or hub id.")],
    files: Annotated[list[str] | None, typer.Argument(metavar="[FILES]…", help="Image files to edit.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write.")] = None,
    source: Annotated[str | None, typer.Option(help="Dataset to take images from instead.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of that dataset.")] = None,
    index: Annotated[str | None, typer.Option(metavar="A,B-C,…", help="Positions in that dataset.")] = None,
    most: Annotated[int, typer.Option(help="Images of that dataset at most, without --index.")] = 16,
    label: Annotated[list[str] | None, typer.Option(help="Class of all images or of each; found if left out.")] = None,
    direction: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE[=AMOUNT]", help="Attribute to change; several for several sliders at once."),
    ] = None,
    amounts: Annotated[
        str, typer.Option(metavar="A,B,…", help="How far along the direction that has no =AMOUNT.")
    ] = "-2,-1,0,1,2",
    keep_residual: Annotated[
        bool, typer.Option("--keep-residual", help="Undo what reconstruction alone changes.")
    ] = False,
    to: Annotated[str | None, typer.Option(metavar="CLASS", help="Class to give the images.")] = None,
    recentre: Annotated[bool, typer.Option(help="Move codes to the centre of the new class.")] = True,
    style: Annotated[list[str] | None, typer.Option(metavar="FILE", help="Image that lends its style.")] = None,
    style_label: Annotated[list[str] | None, typer.Option(help="Class of that image; found if left out.")] = None,
    strength: Annotated[float, typer.Option(help="How much of that style, from 0 to 1.")] = 1.0,
    make_direction: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Find a direction and write it to this JSON file.")
    ] = None,
    with_: Annotated[
        Path | None, typer.Option("--with", metavar="DIR", help="Images with the attribute, in class folders or not.")
    ] = None,
    without: Annotated[Path | None, typer.Option(metavar="DIR", help="Images without it.")] = None,
    attribute: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of --source that tells, instead of two folders.")
    ] = None,
    value: Annotated[
        str | None, typer.Option(help="What the column holds where images have the attribute; true, yes or 1.")
    ] = None,
    method: Annotated[str, typer.Option(metavar="mean|logistic", help="How to find the direction.")] = "mean",
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Edit images in the latent space: along attributes, to another class, or to another image's style.

    Give one of --direction, --to and --style. Directions come from --make-direction smile.json --with DIR
    --without DIR, or from a table: --make-direction smile.json --source SOURCE --attribute COLUMN.
    """
    from synthaug.errors import ConfigError
    from synthaug.sampling import load_generator

    if sum(bool(way) for way in (direction, to, style, make_direction)) != 1:
        raise ConfigError("give one of --direction, --to, --style and --make-direction.")
    gen = load_generator(generator, device)
    labels = parse_labels(label, gen.classes)
    if make_direction is not None:
        from synthaug.latent.editing.attributes import attribute_groups, group_images
        from synthaug.latent.editing.directions import attribute_direction
        from synthaug.storage import refuse_existing

        refuse_existing(make_direction, overwrite, "--make-direction")
        name = make_direction.stem
        if attribute is not None and source is not None and with_ is None and without is None:
            having, lacking = attribute_groups(source, attribute, gen, value, split=split)
            groups: tuple[Any, ...] = (having.images, lacking.images, having.labels, lacking.labels)
        elif with_ is not None and without is not None and attribute is None:
            groups = (group_images(with_, gen), group_images(without, gen), labels, labels)
        else:
            raise ConfigError("--make-direction needs --with and --without, or --source and --attribute.")
        found = attribute_direction(gen, *groups, name=name, method=method)
        found.save(make_direction, overwrite=overwrite)
        typer.echo(f"{found.images[0]} images with, {found.images[1]} without; {found.summary()}", err=True)
        typer.echo(make_direction)
        return

    from synthaug.grids import save_picture
    from synthaug.images import encode_pngs
    from synthaug.latent.editing.sheet import along, swapped, with_style
    from synthaug.latent.inputs import choose_images
    from synthaug.storage import Contents, new_directory

    if out is None:
        raise ConfigError("name the folder to write with --out.")
    images = choose_images(
        gen, files or (), source=source, split=split, indices=parse_indices(index), most=None if index else most
    )
    contents = Contents("edited images", (RESOLVED,), (IMAGES, PICTURE))
    with new_directory(out, overwrite=overwrite, what="edit", contents=contents) as folder:
        if direction:
            moves = [parse_direction(text) for text in direction]
            sheet = along(gen, images, moves, parse_amounts(amounts), labels, keep_residual=keep_residual)
        elif to is not None:
            target = int(to) if to not in gen.classes and to.isdecimal() else to
            sheet = swapped(gen, images, target, labels, recentre=recentre)
        else:
            sheet = with_style(gen, images, style, labels, parse_labels(style_label, gen.classes), strength=strength)
        (folder / IMAGES).mkdir()
        for file, png in zip(sheet.names(), encode_pngs(sheet.edited()), strict=True):
            (folder / IMAGES / file).write_bytes(png)
        save_picture(sheet.picture(), folder / PICTURE)
        save_settings(folder / RESOLVED, ctx, {})
    typer.echo(out)
