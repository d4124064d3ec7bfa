"""``synthaug recommend``: will samples help, by how much, and with which settings?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthaug.cli.family_settings import family_settings
from synthaug.cli.settings import other_settings, save_settings
from synthaug.cli.values import image_size as parse_image_size
from synthaug.cli.values import ratios as parse_ratios

RESOLVED = "cli.yaml"


def run(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="Image folder, Parquet, Hugging Face dataset, or 'digits'.")],
    out: Annotated[Path, typer.Option(help="Folder for policy, generator, bank, figures and page.")],
    model: Annotated[str, typer.Option(help="Classifier: any timm model.")] = "resnet18",
    minutes: Annotated[float, typer.Option(help="Time to end in.")] = 20.0,
    image_size: Annotated[str | None, typer.Option(metavar="SIDE|HxW", help="Size to bring images to.")] = None,
    channels: Annotated[str, typer.Option(metavar="auto|1|3", help="Channels of the images.")] = "auto",
    split: Annotated[str | None, typer.Option(help="Training part of the source.")] = None,
    unlabelled: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Images without labels, which are tried too.")
    ] = None,
    families: Annotated[str | None, typer.Option(metavar="A,B,…", help="Families to try.")] = None,
    ratios: Annotated[str | None, typer.Option(metavar="R,R,…", help="Samples for each real image to try.")] = None,
    metric: Annotated[
        str, typer.Option(metavar="balanced_accuracy|accuracy", help="What counts.")
    ] = "balanced_accuracy",
    folds: Annotated[int, typer.Option(help="Parts of the images: the first chooses, the others confirm.")] = 3,
    confidence: Annotated[float, typer.Option(help="Of the gain's interval, which has to lie above 0.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Of folds, generators, classifiers and candidates.")] = 0,
    generator_steps: Annotated[int | None, typer.Option(help="Steps of each generator, instead of a time.")] = None,
    generator_settings: Annotated[
        str | None, typer.Option(metavar="FILE|JSON", help="Settings by family: YAML file, or JSON.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where classifiers are trained.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the recommendation in OUT.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Find out within a given time whether samples make a classifier better on these images, and how to use them.

    Give it the training split only. Prints the answer and writes OUT/policy.yaml, which every integration takes, and
    OUT/recommendation.html. The same command after a kill goes on.

    Settings of the classifier that are given are not tuned: --augmentation none --input-size 32 --steps 500.
    """
    size = parse_image_size(image_size)
    tried = parse_ratios(ratios)
    by_family = family_settings(generator_settings, flag="--generator-settings")

    from rich.console import Console

    from synthaug.classifiers import ClassifierConfig
    from synthaug.evaluation import describe_command
    from synthaug.recommendation import RATIOS, recommend
    from synthaug.recommendation.answer.table import answer_table

    classifier = other_settings(ctx, [name for name in ClassifierConfig.field_names() if name != "model"])
    console = Console(soft_wrap=True)
    policy = recommend(
        source,
        model,
        minutes,
        out=out,
        image_size=size,
        channels=channels,
        split=split,
        unlabelled=unlabelled,
        families=None if families is None else [name.strip() for name in families.split(",")],
        ratios=RATIOS if tried is None else tried,
        metric=metric,  # type: ignore[arg-type] # checked there
        folds=folds,
        confidence=confidence,
        seed=seed,
        generator_steps=generator_steps,
        generator_settings=by_family or None,
        device=device,
        overwrite=overwrite,
        console=console,
        command=describe_command("synthaug"),
        **classifier,
    )
    save_settings(out / RESOLVED, ctx, classifier)
    console.print(answer_table(out))
    console.print(policy.words, style="bold", markup=False, highlight=False)
    console.print(f"{out / 'policy.yaml'} and {out / 'recommendation.html'}", markup=False, highlight=False)
