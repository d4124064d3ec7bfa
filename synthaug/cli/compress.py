"""``synthaug compress``: images as quantised codes, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthaug.cli.settings import save_settings

PICTURE, REPORT, RESOLVED = "comparison.png", "report.json", "cli.yaml"
_DIGITS = "[0-9]" * 5


def run(
    ctx: typer.Context,
    generator: Annotated[str, typer.Argument(metavar="RUN", help="Generator folder or hub id.")],
    out: Annotated[Path, typer.Option(help="File to write; with --restore the folder of the images.")],
    source: Annotated[str | None, typer.Option(help="Dataset to compress.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of that dataset.")] = None,
    most: Annotated[int | None, typer.Option(help="Images at most, evenly spaced over the dataset.")] = None,
    bits: Annotated[int, typer.Option(help="Bits of the code's most important dimension, 1 to 16.")] = 8,
    compare: Annotated[
        Path | None, typer.Option(help="Folder for a report and a picture beside JPEG and WebP of the same size.")
    ] = None,
    restore: Annotated[Path | None, typer.Option(metavar="FILE", help="Restore the images of this file.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Store images as quantised codes of a generator with an encoder, or restore them.

    Give --source or --restore. The same generator is needed for both ways; its size is not in the file's.
    """
    from synthaug.errors import ConfigError
    from synthaug.grids import row_grid, save_picture
    from synthaug.latent.compressing.codecs import compare_codecs
    from synthaug.latent.compressing.compress import Compressed
    from synthaug.latent.compressing.compress import compress as compress_images
    from synthaug.latent.inputs import choose_images, read_labelled
    from synthaug.latent.restoring.comparison import png_files
    from synthaug.sampling import load_generator
    from synthaug.storage import Contents, new_directory, output_folder, refuse_existing, write_json

    if (source is None) == (restore is None):
        raise ConfigError("give exactly one of --source and --restore.")
    gen = load_generator(generator, device)
    if restore is not None:
        images = Compressed.load(restore, gen).restore()
        contents = Contents("restored images", (RESOLVED,), (f"{_DIGITS}*.png",))
        with new_directory(out, overwrite=overwrite, what="restored images", contents=contents) as folder:
            for name, png in png_files(images).items():
                (folder / name).write_bytes(png)
            save_settings(folder / RESOLVED, ctx, {})
        typer.echo(out)
        return
    refuse_existing(out, overwrite, "compressed images")
    compared = Contents("comparison", (PICTURE,), (REPORT,))
    if compare is not None:
        output_folder(compare, overwrite=overwrite, what="comparison", contents=compared)
    originals, labels = read_labelled(choose_images(gen, source=source, split=split, most=most), None, gen)
    compressed = compress_images(gen, originals, labels, bits)
    compressed.save(out, overwrite=overwrite)
    if compare is not None:
        results = compare_codecs(compressed, originals)
        with new_directory(compare, overwrite=overwrite, what="comparison", contents=compared) as folder:
            rows = [originals[:12], *(result.images[:12] for result in results)]
            save_picture(row_grid(rows, ["original", *(result.caption for result in results)]), folder / PICTURE)
            write_json(folder / REPORT, [result.to_dict() for result in results])
        for result in results:
            typer.echo(result.line(), err=True)
    typer.echo(f"{len(compressed)} images, {compressed.bits_per_pixel:.3f} bits a pixel", err=True)
    typer.echo(out)
