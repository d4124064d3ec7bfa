"""``synthaug denoise``: take noise out of images."""

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
    files: Annotated[list[str] | None, typer.Argument(metavar="[FILES]…", help="Noisy image files.")] = None,
    source: Annotated[str | None, typer.Option(help="Dataset to take images from instead.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of that dataset.")] = None,
    index: Annotated[str | None, typer.Option(metavar="A,B-C,…", help="Positions in that dataset.")] = None,
    most: Annotated[int, typer.Option(help="Images of that dataset at most, without --index.")] = 64,
    label: Annotated[list[str] | None, typer.Option(help="Class of all images or of each; found if left out.")] = None,
    sigma: Annotated[
        float | None, typer.Option(help="Standard deviation of the noise, pixels from 0 to 1; estimated if left out.")
    ] = None,
    add_noise: Annotated[
        float | None, typer.Option(help="The images are clean: add such noise first, and compare with OpenCV.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of the projection, for generators not trained for noise.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the noise that is added.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Take Gaussian noise out of images; best with an autoencoder of --corruption noise.

    Give image files, or --source.
    """
    from synthaug.errors import ConfigError
    from synthaug.grids import row_grid, save_picture
    from synthaug.latent.inputs import choose_images, read_images
    from synthaug.latent.restoring.comparison import OURS, compare_denoising, png_files
    from synthaug.latent.restoring.restore import denoise
    from synthaug.sampling import load_generator
    from synthaug.storage import Contents, new_directory, write_json

    if sigma is not None and add_noise is not None:
        raise ConfigError("--add-noise says how strong the noise is; leave --sigma out.")
    gen = load_generator(generator, device)
    images = choose_images(
        gen, files or (), source=source, split=split, indices=parse_indices(index), most=None if index else most
    )
    labels = parse_labels(label, gen.classes)
    contents = Contents("denoised images", (RESOLVED,), (IMAGES, PICTURE, REPORT))
    with new_directory(out, overwrite=overwrite, what="denoise", contents=contents) as folder:
        if add_noise is None:
            restored = denoise(gen, images, labels, sigma, steps=steps)
            picture = row_grid([read_images(images, gen)[:12], restored[:12]], ["given", OURS])
        else:
            comparison = compare_denoising(gen, images, labels, add_noise, steps=steps, seed=seed)
            restored, picture = comparison.made[OURS], comparison.picture()
            write_json(folder / REPORT, {"sigma": add_noise, "methods": comparison.to_dict()})
            for line in comparison.lines():
                typer.echo(line, err=True)
        (folder / IMAGES).mkdir()
        for name, png in png_files(restored).items():
            (folder / IMAGES / name).write_bytes(png)
        save_picture(picture, folder / PICTURE)
        save_settings(folder / RESOLVED, ctx, {})
    typer.echo(out)
