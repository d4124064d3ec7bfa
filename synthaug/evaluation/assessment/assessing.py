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
from synthaug.errors import ConfigError, listed
from synthaug.evaluation.assessment.closeness import Closeness
from synthaug.evaluation.assessment.features import CLASSIFIER, Features, features_by
from synthaug.evaluation.assessment.inputs import Reals, Samples, gather, open_samples, read_reals
from synthaug.evaluation.assessment.memorisation import Memorisation, measure_memorisation
from synthaug.evaluation.assessment.page import assessment_page, summary_table
from synthaug.evaluation.assessment.pictures import Shown
from synthaug.evaluation.assessment.record import Assessment
from synthaug.evaluation.assessment.utility import classifier_settings, measure_utility
from synthaug.evaluation.assessment.verdicts import judge
from synthaug.evaluation.environment import describe_environment
from synthaug.evaluation.matching import matched_rows
from synthaug.evaluation.quality import measure_fidelity, relative_sharpness
from synthaug.evaluation.quality.distances import require_torchmetrics
from synthaug.evaluation.quality.fidelity import LEAST_IMAGES
from synthaug.networks.features import DEFAULT_NETWORK
from synthaug.seeds import check_seed
from synthaug.storage import Contents, new_directory, output_folder, write_json

if TYPE_CHECKING:
    from rich.console import Console

    from synthaug.data import ImageDataset

JSON, PAGE = "evaluation.json", "evaluation.html"
_CONTENTS = Contents("evaluation", (JSON,), (PAGE,), {JSON: ("findings", "memorisation")})


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
        seed: Of samples, subsets and the first classifier; the next ones follow. From 0 to 2³² − 1.
        device: ``"auto"`` (a GPU if there is one) or a torch device.
        overwrite: Replace what is in ``out``.
        console: Where the answers are printed; standard output if left out. Progress goes to standard error.
        command: The command line to name on the page.
        classifier: Further fields of `ClassifierConfig`, such as ``{"model": "resnet18"}``.

    Raises:
        ConfigError: If a setting is unknown or out of range.
        MissingExtraError: If torchmetrics is not installed.
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
    seed = check_seed(seed)
    require_torchmetrics()
    target = Path(out).expanduser()
    output_folder(target, overwrite=overwrite, what="evaluate", contents=_CONTENTS)
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
    settings = classifier_settings(reals.train, **{"steps": steps, **(classifier or {})})
    about: dict[str, Any] = {
        "command": command or shlex.join(["synthaug", "evaluate", "SAMPLES", "--real", reals.train.name]),
        **describe_environment(),
        "samples": drawn.about | {"classes": list(drawn.about["classes"])},
        "real": _describe(reals.train),
        "held_out": None if reals.held_out is None else _describe(reals.held_out),
        "network": network,
        "seed": seed,
    }
    with new_directory(target, overwrite=overwrite, what="evaluate", contents=_CONTENTS) as folder:
        features = features_by(network, reals.train, seed=seed, device=device, **settings)
        say(f"{len(drawn.labels):,} samples: features and distances")
        learnt = network == CLASSIFIER
        measured, shown = _measure(drawn, reals, features, seed, learnt)
        say("looking for copies")
        # A classifier has seen the training images: in its features they differ from others whatever the samples are.
        blind = features_by(DEFAULT_NETWORK, reals.train, device=device) if learnt else features
        memorisation = measure_memorisation(drawn, reals, blind, seed)
        utility = None
        if seeds and reals.held_out is not None:
            utility = measure_utility(
                drawn,
                reals.train,
                reals.held_out,
                seeds=range(seed, seed + seeds),
                policy=policy or Policy(),
                settings=settings,
                device=device,
                say=say,
            )
        held_out = 0 if reals.held_out is None else len(reals.held_out)
        result = Assessment(
            judge(measured, memorisation, utility, len(drawn.labels), held_out),
            measured,
            memorisation,
            utility,
            tuple(_missing(drawn, reals, measured, memorisation, learnt)),
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


def _measure(samples: Samples, reals: Reals, features: Features, seed: int, learnt: bool) -> tuple[Closeness, Shown]:
    """Measure equally many samples and real images of each class, and keep what pictures need.

    Features that were ``learnt`` from the training images cannot say how near new real images come to these.
    """
    against = reals.train if reals.held_out is None else reals.held_out
    everything = _as_dataset(samples, against.classes)
    chosen, rows = matched_rows([everything, against], seed)
    images, labels = samples.images[chosen], samples.labels[chosen]
    of_reals, of_samples = features(against.take(rows), True), features(images, False)
    measure = functools.partial(measure_fidelity, real_labels=against.labels[rows], classes=against.classes, seed=seed)
    found = Closeness(
        measure(of_reals, of_samples, sample_labels=labels), relative_sharpness(against.take(rows), images)
    )
    shown = Shown(chosen, of_samples, labels, of_reals, against.labels[rows])
    if reals.held_out is None:
        return found, shown
    ours, members, others = matched_rows([everything, reals.train, reals.held_out], seed)
    of_train = features(reals.train.take(members), True)
    shown = dataclasses.replace(shown, of_train=of_train)
    if learnt or len(members) < LEAST_IMAGES:
        return found, shown
    of_held_out = features(reals.held_out.take(others), True)
    beside = found.fidelity
    if len(ours) < len(chosen):
        beside = measure_fidelity(of_held_out, features(samples.images[ours], False), seed=seed)
    reference = measure_fidelity(of_held_out, of_train, seed=seed)
    return dataclasses.replace(found, reference=reference, beside=beside), shown


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


def _missing(
    samples: Samples, reals: Reals, measured: Closeness, memorisation: Memorisation, learnt: bool
) -> list[str]:
    notes = []
    if reals.held_out is None:
        notes.append(
            "There are no held-out images, and a part of the training images would not do, because the generator saw "
            "it: utility, membership inference and the comparison of distances are left out, and fidelity is "
            "measured against training images, which a copy resembles best. Name held-out images (--holdout)."
        )
    else:
        if not memorisation.membership:
            notes.append("Held-out images share too few classes with the training images for membership inference.")
        if learnt:
            notes.append(
                "The classifier whose features are compared has seen the training images: what new real images would "
                f"reach is left out, and memorisation is measured by {DEFAULT_NETWORK}."
            )
        elif measured.reference is None:
            notes.append(
                "There are too few training images of classes that samples and held-out images have, to say what new "
                "real images would reach."
            )
    counts: NDArray[np.int64] = np.bincount(samples.labels, minlength=len(reals.train.classes))
    lacking = [
        name
        for name, mine, real in zip(reals.train.classes, counts, reals.train.class_counts, strict=True)
        if real and not mine
    ]
    if lacking:
        notes.append(f"No samples of {listed(lacking, 8)}: left out of fidelity.")
    gen = samples.generator
    if gen is not None and (others := gen.other_training_images(reals.train.digest)) is not None:
        notes.append(
            f"The generator was trained on other images ({others}) than those given as "
            "real, or on the same in another order. If on others, copies and members are looked for in the wrong place."
        )
    if measured.fidelity.warning:
        notes.append(measured.fidelity.warning)
    return notes
