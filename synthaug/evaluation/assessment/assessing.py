"""`evaluate`: measure samples against real images, and say what that means."""

from __future__ import annotations

import dataclasses
import functools
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synthaug.classifiers import Policy
from synthaug.errors import ConfigError
from synthaug.evaluation.assessment.features import Features, features_by
from synthaug.evaluation.assessment.inputs import Reals, Samples, gather, open_samples, read_reals
from synthaug.evaluation.assessment.memorisation import Memorisation, matched_rows, measure_memorisation
from synthaug.evaluation.assessment.page import assessment_page, summary_table
from synthaug.evaluation.assessment.pictures import Shown
from synthaug.evaluation.assessment.record import Assessment
from synthaug.evaluation.assessment.utility import classifier_settings, measure_utility
from synthaug.evaluation.assessment.verdicts import judge
from synthaug.evaluation.environment import describe_environment
from synthaug.evaluation.quality import Fidelity, measure_fidelity, relative_sharpness
from synthaug.networks.features import DEFAULT_NETWORK
from synthaug.storage import new_directory, refuse_existing, write_json

if TYPE_CHECKING:
    from rich.console import Console

    from synthaug.data import ImageDataset

JSON, PAGE = "evaluation.json", "evaluation.html"


def evaluate(
    samples: Any,
    real: Any,
    holdout: Any = None,
    *,
    out: str | Path,
    per_class: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    channels: int | str = "auto",
    split: str | None = None,
    holdout_split: str | None = None,
    network: str = DEFAULT_NETWORK,
    seeds: int = 3,
    steps: int = 300,
    policy: Policy | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    console: Console | None = None,
    command: str | None = None,
    classifier: Mapping[str, Any] | None = None,
) -> Assessment:
    """Measure samples against real images: are they good, useful and new?

    Args:
        samples: A generator or its folder, whose samples are drawn; a `SampleBank` or its folder; or any images that
            `ImageDataset.load` takes, such as another tool's image folder. Classes are matched by name.
        real: The training split that the generator saw, anything that `ImageDataset.load` takes; by default brought to
            the samples' size.
        holdout: Images that the generator did not see. Left out, the test part of ``real`` if it has one. Without any,
            utility and membership cannot be measured: a part of what the generator saw would prove nothing.
        out: Folder to write.
        per_class: Samples of each class to draw, or to take of those that are there.
        image_size: As of `ImageDataset.load`.
        channels: As of `ImageDataset.load`.
        split: Part of ``real`` that the generator saw; the train part if left out.
        holdout_split: Part of ``holdout``, or of ``real``, that it did not see.
        network: Whose features distances are measured in: the bundled network, a timm model, or ``"classifier"``, one
            that is trained on the training split.
        seeds: Classifiers to train for each of three arms; 0 leaves utility out.
        steps: Optimiser steps of each classifier.
        policy: How samples are added to real images; half of each batch is replaced if left out.
        seed: Of samples, subsets and classifiers.
        device: ``"auto"`` (a GPU if there is one) or a torch device.
        overwrite: Replace what is in ``out``.
        console: Where the answers are printed; standard output if left out. Progress goes to standard error.
        command: The command line to name on the page.
        classifier: Further fields of `ClassifierConfig`, such as ``{"model": "resnet18"}``.

    Raises:
        ConfigError: If a setting is unknown or out of range.
        DataError: If a source cannot be read, sizes differ, or there are too few images.
        LabelError: If samples have a class that the real images have not.
        OutputExistsError: If ``out`` holds data and ``overwrite`` is false.

    Example:
        >>> result = synthaug.evaluate("runs/x", "photos", out="evaluation")  # doctest: +SKIP
        >>> result.findings[0].words, result.memorisation.share, result.utility.gain.mean  # doctest: +SKIP
    """
    from rich.console import Console
    from rich.markup import escape

    for name, value, least in (("seeds", seeds, 0), ("steps", steps, 1)):
        if value < least:
            raise ConfigError(f"{name}: expected {least} or more, but got {value!r}.")
    target = Path(out)
    refuse_existing(target, overwrite, "evaluate")
    say = functools.partial(Console(stderr=True).print, markup=False, highlight=False)
    start = time.perf_counter()
    opened = open_samples(samples, None if device == "auto" else device)
    reals = read_reals(
        real,
        holdout,
        like=opened,
        image_size=image_size,
        channels=channels,
        split=split,
        holdout_split=holdout_split,
    )
    drawn = gather(opened, reals.train, per_class, seed)
    settings = classifier_settings(reals.train, steps, **(classifier or {}))
    about: dict[str, Any] = {
        "command": command or shlex.join(["synthaug", "evaluate", "SAMPLES", "--real", reals.train.name]),
        **describe_environment(),
        "samples": drawn.about | {"classes": list(drawn.about["classes"])},
        "real": _describe(reals.train),
        "held_out": None if reals.held_out is None else _describe(reals.held_out),
        "network": network,
        "seed": seed,
    }
    with new_directory(target, overwrite=overwrite, what="evaluate") as folder:
        features = features_by(network, reals.train, seed=seed, device=device, **settings)
        say(f"{len(drawn.labels):,} samples: features and distances")
        fidelity, reference, sharpness, shown = _measure(drawn, reals, features, seed)
        say("looking for copies")
        memorisation = measure_memorisation(drawn, reals, features, seed)
        utility = None
        if seeds and reals.held_out is not None:
            utility = measure_utility(
                drawn,
                reals.train,
                reals.held_out,
                seeds=seeds,
                policy=policy or Policy(),
                settings=settings,
                device=device,
                say=say,
            )
        held_out = 0 if reals.held_out is None else len(reals.held_out)
        result = Assessment(
            judge(fidelity, reference, memorisation, utility, len(drawn.labels), held_out),
            fidelity,
            reference,
            sharpness,
            memorisation,
            utility,
            tuple(_missing(drawn, reals, fidelity, memorisation)),
            about | {"seconds": time.perf_counter() - start},
            target,
        )
        write_json(folder / JSON, result.to_dict())
        assessment_page(result, drawn, reals, shown).save(folder / PAGE)
    console = console or Console(soft_wrap=True)
    console.print(summary_table(result))
    for finding in result.findings:
        console.print(f"[bold]{escape(finding.words)}[/bold] {escape(finding.detail)}", highlight=False)
    console.print(f"{target / PAGE} and {target / JSON}", markup=False, highlight=False)
    return result


def _measure(
    samples: Samples, reals: Reals, features: Features, seed: int
) -> tuple[Fidelity, Fidelity | None, float, Shown]:
    """Measure equally many samples and real images of each class, and keep what pictures need."""
    against = reals.train if reals.held_out is None else reals.held_out
    everything = _as_dataset(samples, against.classes)
    chosen, rows = matched_rows(everything, against, seed)
    images, labels = samples.images[chosen], samples.labels[chosen]
    of_reals, of_samples = features(against.take(rows), True), features(images, False)
    measure = functools.partial(measure_fidelity, real_labels=against.labels[rows], classes=against.classes, seed=seed)
    fidelity = measure(of_reals, of_samples, sample_labels=labels)
    shown = Shown(chosen, of_samples, labels, of_reals, against.labels[rows])
    reference = None
    if reals.held_out is not None:
        members, others = matched_rows(reals.train, reals.held_out, seed)
        of_train = features(reals.train.take(members), True)
        shown = dataclasses.replace(shown, of_train=of_train)
        reference = measure_fidelity(features(reals.held_out.take(others), True), of_train, seed=seed)
    return fidelity, reference, relative_sharpness(against.take(rows), images), shown


def _as_dataset(samples: Samples, classes: tuple[str, ...]) -> ImageDataset:
    from synthaug.data import ImageDataset

    return ImageDataset.from_arrays(samples.images, samples.labels, classes)


def _describe(data: ImageDataset) -> dict[str, Any]:
    return {
        "name": data.name,
        "digest": data.digest,
        "images": len(data),
        "image_shape": list(data.image_shape),
        "classes": list(data.classes),
    }


def _missing(samples: Samples, reals: Reals, fidelity: Fidelity, memorisation: Memorisation) -> list[str]:
    notes = []
    if reals.held_out is None:
        notes.append(
            "There are no held-out images, and a part of the training images would not do, because the generator saw "
            "it: utility, membership inference and the comparison of distances are left out, and fidelity is "
            "measured against training images, which a copy resembles best. Name held-out images (--holdout)."
        )
    elif not memorisation.membership:
        notes.append("Held-out images share too few classes with the training images for membership inference.")
    counts: NDArray[np.int64] = np.bincount(samples.labels, minlength=len(reals.train.classes))
    lacking = [
        name
        for name, mine, real in zip(reals.train.classes, counts, reals.train.class_counts, strict=True)
        if real and not mine
    ]
    if lacking:
        notes.append(
            f"No samples of {', '.join(lacking[:8])}{', …' if len(lacking) > 8 else ''}: left out of fidelity."
        )
    gen = samples.generator
    trained_on = {} if gen is None else gen.provenance.get("dataset", {})
    if trained_on.get("digest", reals.train.digest) != reals.train.digest:
        notes.append(
            f"The generator was trained on other images ({trained_on.get('name', 'unnamed')}) than those given as "
            "real, or on the same in another order. If on others, copies and members are looked for in the wrong place."
        )
    if fidelity.warning:
        notes.append(fidelity.warning)
    return notes
