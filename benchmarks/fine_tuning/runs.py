"""One fine-tuning, for processes of their own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.downstream.plan import Plan
from benchmarks.downstream.tasks import Places, load_splits
from synthaug.classifiers import train_classifier
from synthaug.data import ImageDataset

SHOTS, JUDGES = 20, 50
SETTINGS: dict[str, Any] = {
    "model": "efficientnet_lite0",
    "pretrained": True,
    "input_size": 64,
    "batch_size": 32,
    "augmentation": "flip-crop",
}


@dataclasses.dataclass(frozen=True)
class Side:
    """A way to begin: whether batch statistics stay as they came, and whether the last layer starts at zero."""

    frozen: bool
    zero_head: bool

    def __str__(self) -> str:
        head = "zero head" if self.zero_head else "random head"
        return f"{head}, statistics {'frozen' if self.frozen else 'of the batches'}"


@dataclasses.dataclass(frozen=True)
class Run:
    """One fine-tuning."""

    plan: Plan
    work: Path
    seed: int
    side: Side
    learning_rate: float
    steps: int

    @property
    def name(self) -> dict[str, Any]:
        """What it goes by in the results."""
        about = {"dataset": self.plan.name, "seed": self.seed, "steps": self.steps}
        return about | dataclasses.asdict(self.side) | {"learning_rate": self.learning_rate}


def measured(run: Run) -> dict[str, Any]:
    """Fine-tune once."""
    train, _ = load_splits(run.plan, Places(run.work, run.work))
    subset, judges = few_and_others(train, run.seed)
    result = train_classifier(
        subset,
        validation=judges,
        seed=run.seed,
        learning_rate=run.learning_rate,
        freeze_statistics=run.side.frozen,
        zero_head=run.side.zero_head,
        steps=run.steps,
        **SETTINGS,
    )
    return run.name | {"balanced_accuracy": result.validation.balanced_accuracy if result.validation else float("nan")}


def few_and_others(train: ImageDataset, seed: int) -> tuple[ImageDataset, ImageDataset]:
    """Return the images to train on, and up to so many others of each class."""
    random, labels = np.random.default_rng(seed), np.asarray(train.labels)
    rows = [random.permutation(np.flatnonzero(labels == label)) for label in range(len(train.classes))]
    few, others = ([part[begin:end] for part in rows] for begin, end in ((0, SHOTS), (SHOTS, SHOTS + JUDGES)))
    return train.subset(np.sort(np.concatenate(few))), train.subset(np.sort(np.concatenate(others)))
