"""``synthaug upscale``: enlarge images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthaug.cli.settings import save_settings
from synthaug.cli.values import indices as parse_indices
from synthaug.cli.values import labels as parse_labels

IMAGES, PICTURE, REPORT, RESOLVED = "images", "comparison.png", "report.json", "cli.yaml"


def run(
    ctx: typer.Context,
    generator: Annotated[str, typer.Argument(metavar="RUN", help="Generator folder or hub id.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    files: Annotated[list[str] | None, typer.Argument(metavar="[FILES]…", help="Small image files.")] = None,
    source: Annotated[str | None, typer.Option(help="Dataset to take images from instead.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of that dataset.")] = None,
    index: Annotated[str | None, typer.Option(metavar="A,B-C,…", help="Positions in that dataset.")] = None,
    most: Annotated[int, typer.Option(help="Images of that dataset at most, without --index.")] = 64,
    label: Annotated[list[str] | None, typer.Option(help="Class of all images or of each; found if left out.")] = None,
    factor: Annotated[int, typer.Option(metavar="2|4", help="How many times larger.")] = 2,
    measure: Annotated[
        bool, typer.Option("--measure", help="The images are large: shrink them first, and compare with bicubic.")
    ] = False,
    steps: Annotated[int, typer.Option(help="Steps of the projection, for generators not trained for this.")] = 40,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Enlarge images to the generator's size; best with an autoencoder of --corruption downsample.

    Give image files of the generator's size divided by --factor, or --source, whose images are brought to that size.
    """
    from synthaug.grids import row_grid, save_picture
    from synthaug.latent.inputs import choose_images, read_images
    from synthaug.latent.restoring.comparison import OURS, compare_upscaling, png_files
    from synthaug.latent.restoring.restore import enlarge, reader_of_small, upscale
    from synthaug.sampling import load_generator
    from synthaug.storage import Contents, new_directory, write_json

    gen = load_generator(generator, device)
    labels = parse_labels(label, gen.classes)
    reader = gen if measure else reader_of_small(gen, factor)
    chosen = choose_images(
        reader, files or (), source=source, split=split, indices=parse_indices(index), most=None if index else most
    )
    contents = Contents("enlarged images", (RESOLVED,), (IMAGES, PICTURE, REPORT))
    with new_directory(out, overwrite=overwrite, what="upscale", contents=contents) as folder:
        if measure:
            comparison = compare_upscaling(gen, chosen, labels, factor, steps=steps)
            restored, picture = comparison.made[OURS], comparison.picture()
            write_json(folder / REPORT, {"factor": factor, "methods": comparison.to_dict()})
            for line in comparison.lines():
                typer.echo(line, err=True)
        else:
            small = read_images(chosen, reader, resize=False)
            restored = upscale(gen, chosen, factor, labels, steps=steps)
            repeated = small[:12].repeat(factor, axis=1).repeat(factor, axis=2)
            picture = row_grid([repeated, enlarge(small[:12], factor), restored[:12]], ["given", "bicubic", OURS])
        (folder / IMAGES).mkdir()
        for name, png in png_files(restored).items():
            (folder / IMAGES / name).write_bytes(png)
        save_picture(picture, folder / PICTURE)
        save_settings(folder / RESOLVED, ctx, {})
    typer.echo(out)
