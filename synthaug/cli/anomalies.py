"""``synthaug anomalies``: how normal images are, and where they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthaug.cli.settings import other_settings, refuse_given, save_settings
from synthaug.cli.values import image_size as parse_image_size

SCORES, PICTURE, REPORT, GENERATOR, RESOLVED = "scores", "heatmaps.png", "report.json", "generator", "cli.yaml"


def run(
    ctx: typer.Context,
    normal: Annotated[str, typer.Option(metavar="SOURCE", help="Dataset of normal images.")],
    test: Annotated[str, typer.Option(metavar="SOURCE", help="Dataset to score.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    generator: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Generator of normal images; trained if left out.")
    ] = None,
    normal_class: Annotated[
        list[str] | None, typer.Option(help="Only this class is normal; repeatable. Adds AUROC.")
    ] = None,
    normal_split: Annotated[str | None, typer.Option(help="Part of the normal dataset.")] = None,
    calibration: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Normal images for the threshold, unseen by RUN; else some are held out."),
    ] = None,
    calibration_split: Annotated[str | None, typer.Option(help="Part of that dataset.")] = None,
    test_split: Annotated[str | None, typer.Option(help="Part of the dataset to score.")] = None,
    image_size: Annotated[str | None, typer.Option(metavar="SIDE|HxW", help="Size to bring images to.")] = None,
    family: Annotated[str, typer.Option(help="Kind of generator to train.")] = "vae",
    steps: Annotated[int, typer.Option(help="Optimiser steps of the training.")] = 1000,
    false_positive_rate: Annotated[float, typer.Option(help="Share of normal images that may be flagged.")] = 0.05,
    held_out: Annotated[float, typer.Option(help="Share of normal images kept for the threshold.")] = 0.1,
    smoothing: Annotated[float, typer.Option(help="Blur of the heat maps, in pixels.")] = 1.5,
    seed: Annotated[int, typer.Option(help="Of training and held-out images.")] = 0,
    format: Annotated[str, typer.Option(metavar="csv|parquet", help="Of the scores.")] = "csv",
    device: Annotated[str | None, typer.Option(help="Of RUN: cpu or cuda; the GPU if there is one.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Train a generator on normal images only (or take RUN), and find what it cannot explain.

    Writes scores, heat maps of the extremes, the threshold, and the generator that was trained. A RUN that was trained
    on all normal images needs others for the threshold: --calibration.

    Any other setting of the training loop or the family is a flag too: --latent-dim 16.
    """
    size = parse_image_size(image_size)

    from synthaug.data import ImageDataset
    from synthaug.errors import ConfigError
    from synthaug.generators import family_class, save
    from synthaug.grids import save_picture
    from synthaug.latent.anomalies.detector import AnomalyDetector
    from synthaug.latent.anomalies.report import AnomalyReport
    from synthaug.sampling import load_generator
    from synthaug.storage import Contents, new_directory, write_json
    from synthaug.training import TrainingConfig
    from synthaug.training.interrupt import explained

    if format not in ("csv", "parquet"):
        raise ConfigError(f"--format: expected csv or parquet, but got {format!r}.")
    if generator is not None:
        refuse_given(ctx, ("image_size", "family", "steps"), "belongs to training; leave it out, or leave RUN out.")
    if calibration is not None:
        refuse_given(ctx, ("held_out",), "holds out normal images; leave it out, or leave --calibration out.")
    elif calibration_split is not None:
        raise ConfigError("--calibration-split is a part of a dataset; name it with --calibration.")
    gen = None if generator is None else load_generator(generator, device)
    known = [] if gen else [*TrainingConfig.field_names(), *family_class(family).config_class.field_names()]
    settings: dict[str, Any] = other_settings(ctx, known)
    shape = gen.image_shape if gen else None
    data = ImageDataset.load(
        normal, shape[1:] if shape else size, channels=shape[0] if shape else "auto", split=normal_split
    )
    channels, *sides = data.image_shape

    def alike(source: str, split: str | None) -> ImageDataset:
        return ImageDataset.load(source, (sides[0], sides[1]), channels=channels, split=split)

    scored = alike(test, test_split)
    unseen = None if calibration is None else alike(calibration, calibration_split)
    if normal_class:
        data = data.only(*normal_class)
        unseen = None if unseen is None else unseen.only(*normal_class)
    detector = AnomalyDetector(
        gen,
        family=family,
        steps=steps,
        false_positive_rate=false_positive_rate,
        held_out=held_out,
        smoothing=smoothing,
        seed=seed,
        settings=settings,
    )
    contents = Contents("scores", (RESOLVED,), (f"{SCORES}.*", PICTURE, REPORT, GENERATOR))
    with new_directory(out, overwrite=overwrite, what="anomalies", contents=contents) as folder:
        with explained("training was interrupted, and nothing is kept. The same command begins anew."):
            detector.fit(data, calibration=unseen)
        report = AnomalyReport.make(detector, scored, normal_class or ())
        report.save_table(folder / f"{SCORES}.{format}")
        save_picture(report.picture(), folder / PICTURE)
        write_json(folder / REPORT, report.to_dict())
        if gen is None:
            save(detector.generator_, folder / GENERATOR)
        save_settings(folder / RESOLVED, ctx, settings)
    for name, value in report.to_dict().items():
        shown = f"{value:.4g}" if isinstance(value, float) else value
        typer.echo(f"{name.replace('_', ' ')}: {shown}", err=True)
    typer.echo(out)
