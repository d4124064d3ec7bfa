"""``synthaug vary``: label-preserving variants of image files, or of a whole dataset as a bank."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthaug.cli.settings import other_settings, save_settings
from synthaug.cli.values import labels as parse_labels

if TYPE_CHECKING:
    from PIL import Image

    from synthaug.data import ImageDataset
    from synthaug.sampling import SampleBank

PICTURE, RESOLVED = "variations.png", "cli.yaml"
_MOST_SHOWN = 12


def run(
    ctx: typer.Context,
    generator: Annotated[str, typer.Argument(metavar="RUN", help="Generator folder or hub id.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    images: Annotated[list[str] | None, typer.Argument(metavar="[IMAGE]…", help="Image files.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Class of the images, or of each.")] = None,
    source: Annotated[str | None, typer.Option(help="Dataset to vary instead, into a sample bank.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of that dataset.")] = None,
    per_image: Annotated[int, typer.Option(help="Variants of each image.")] = 4,
    strength: Annotated[float, typer.Option(help="0 for the image itself, 1 for a new sample of its class.")] = 0.5,
    keep_residual: Annotated[
        bool, typer.Option("--keep-residual/--no-residual", help="Keep the detail that the decoder loses.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Other seeds give other variants.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Make variants of images that keep their labels.

    Give image files and their --label, to get their variants as files; or a --source, to get a sample bank of its
    variants for training. The same command after a kill goes on where it stopped.

    The generator's sampling settings are flags too: --temperature 0.8.
    """
    from synthaug.errors import ConfigError
    from synthaug.grids import save_picture, to_image
    from synthaug.latent.inputs import load_source, read_images, require_encoder
    from synthaug.latent.varying.bank import variation_bank
    from synthaug.latent.varying.vary import variation_picture, vary
    from synthaug.sampling import load_generator
    from synthaug.storage import Contents, new_directory

    if bool(images) == (source is not None):
        raise ConfigError("give image files (with --label) or a dataset (--source), one of the two.")
    if source is not None and label:
        raise ConfigError("--label is the class of image files; the images of --source have theirs.")
    if source is None and split is not None:
        raise ConfigError("--split is a part of a dataset; name it with --source.")
    gen = load_generator(generator, device)
    require_encoder(gen, "varying images")
    settings = other_settings(ctx, gen.sampling.field_names())
    gen = gen.with_sampling(**settings) if settings else gen
    if source is not None:
        data = load_source(source, gen, split)
        bank = variation_bank(
            gen, data, per_image, strength, seed, out, keep_residual=keep_residual, overwrite=overwrite
        )
        save_picture(_picture(data, bank, per_image), out / PICTURE)
        save_settings(out / RESOLVED, ctx, settings)
    else:
        files = images or []
        originals = read_images(files, gen)
        labels = parse_labels(label, gen.classes)
        contents = Contents("variants", (RESOLVED,), (PICTURE, "*-[0-9]*.png"))
        with new_directory(out, overwrite=overwrite, what="vary", contents=contents) as folder:
            variants = vary(gen, originals, labels, strength, per_image, seed, keep_residual=keep_residual)
            for name, own in zip(_names(files), variants, strict=True):
                for number, variant in enumerate(own):
                    to_image(variant).save(folder / f"{name}-{number}.png")
            shown = slice(_MOST_SHOWN)
            captions = [Path(file).stem for file in files[shown]]
            save_picture(variation_picture(originals[shown], variants[shown], captions), folder / PICTURE)
            save_settings(folder / RESOLVED, ctx, settings)
    typer.echo(out)


def _names(files: list[str]) -> list[str]:
    """Return a name for each file's variants: its own, and its position before it where names repeat."""
    stems = [Path(file).stem for file in files]
    unique = len(set(stems)) == len(stems)
    return stems if unique else [f"{position:03d}-{stem}" for position, stem in enumerate(stems)]


def _picture(data: ImageDataset, bank: SampleBank, per_image: int) -> Image.Image:
    """Draw the first images of the classes, one a class and then again, beside their variants."""
    import numpy as np

    from synthaug.latent.varying.vary import variation_picture

    by_class = [np.flatnonzero(data.labels == label)[:_MOST_SHOWN] for label in range(len(data.classes))]
    ranks = [(rank, label, row) for label, rows in enumerate(by_class) for rank, row in enumerate(rows.tolist())]
    chosen = sorted(sorted(ranks)[:_MOST_SHOWN], key=lambda entry: entry[1])
    rows = np.array([row for _, _, row in chosen])
    variants = bank.images[rows[:, None] * per_image + np.arange(per_image)]
    return variation_picture(data.take(rows), variants, [data.classes[label] for _, label, _ in chosen])
