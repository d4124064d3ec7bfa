"""``synthaug search``: images that score higher, found by moving through the latent space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthaug.cli.settings import other_settings, save_settings
from synthaug.cli.values import counts as parse_counts

PICTURE, RESOLVED = "search.png", "cli.yaml"


def run(
    ctx: typer.Context,
    generator: Annotated[str, typer.Argument(metavar="RUN", help="Generator folder or hub id.")],
    out: Annotated[Path, typer.Option(help="Folder for the sample bank.")],
    score: Annotated[
        str, typer.Option(metavar="uncertainty|brightness|stroke-width|MODULE:FUNCTION", help="What to raise.")
    ] = "uncertainty",
    per_class: Annotated[int | None, typer.Option(help="Images of every class.")] = None,
    counts: Annotated[str | None, typer.Option(metavar="CLASS=N,…", help="Images by class.")] = None,
    source: Annotated[str | None, typer.Option(help="Dataset to train a classifier on that keeps the labels.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of that dataset.")] = None,
    classifier_steps: Annotated[int, typer.Option(help="Steps of the classifier's training.")] = 400,
    threshold: Annotated[float, typer.Option(help="Probability that an image's class must keep.")] = 0.5,
    method: Annotated[str, typer.Option(metavar="gradient|cma|random", help="How to search.")] = "gradient",
    steps: Annotated[int, typer.Option(help="Steps of the search.")] = 60,
    distance_penalty: Annotated[
        float, typer.Option(help="Standard deviations of the score that one of the code's, from the start, costs.")
    ] = 0.1,
    pace: Annotated[float, typer.Option(help="Standard deviations a step of gradient ascent.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of samples, search and classifier.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Search the latent space for images that score higher, and write them as a sample bank with their scores.

    The score uncertainty finds hard examples: images near a classifier's decision boundary that keep their label. A
    function of one's own takes float tensors (B, C, H, W) in [-1, 1] with --method gradient, else uint8 arrays
    (N, H, W, C), and gives a number for each image.

    The classifier's settings are flags too: --model resnet18.
    """
    from synthaug.classifiers import ClassifierConfig, fit_classifier
    from synthaug.errors import ConfigError
    from synthaug.grids import save_picture
    from synthaug.latent.inputs import load_source, relabelled
    from synthaug.latent.searching.scores import classifier_uncertainty, find_score, keeps_label
    from synthaug.latent.searching.search import search
    from synthaug.sampling import load_generator
    from synthaug.sampling.contents import sample_contents
    from synthaug.storage import new_directory

    if (per_class is None) == (counts is None):
        raise ConfigError("give exactly one of --per-class and --counts.")
    if score == "uncertainty" and source is None:
        raise ConfigError("the score uncertainty needs a classifier: name a dataset to train it on with --source.")
    with new_directory(out, overwrite=overwrite, what="search", contents=sample_contents()) as folder:
        gen = load_generator(generator, device)
        what = parse_counts(counts, gen.classes) or dict.fromkeys(gen.classes, per_class or 0)
        fields = [name for name in ClassifierConfig.field_names() if name not in ("steps", "precision")]
        sampling = gen.sampling.field_names()
        settings = other_settings(ctx, [*sampling, *fields])
        gen = gen.with_sampling(**{name: value for name, value in settings.items() if name in sampling})
        classifier = keep = None
        if source is not None:
            data = relabelled(load_source(source, gen, split), gen)
            options = {name: value for name, value in settings.items() if name in fields}
            _, classifier = fit_classifier(data, seed=seed, steps=classifier_steps, **options)
            keep = keeps_label(classifier, threshold)
        chosen = (
            classifier_uncertainty(classifier)
            if score == "uncertainty" and classifier is not None
            else find_score(score, gradient=method == "gradient")
        )
        found = search(
            gen,
            chosen,
            what,
            steps=steps,
            seed=seed,
            method=method,
            distance_penalty=distance_penalty,
            keep=keep,
            pace=pace,
        )
        found.bank(score=score).save(folder)
        save_picture(found.picture(), folder / PICTURE)
        save_settings(folder / RESOLVED, ctx, settings)
    typer.echo(found.summary(), err=True)
    typer.echo(out)
