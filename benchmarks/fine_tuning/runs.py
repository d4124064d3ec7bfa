"""One fine-tuning, for processes of their own."""

from __future__ import annotations

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

Run = tuple[Plan, Path, int, bool, float, int]


def measured(run: Run) -> dict[str, Any]:
    """Fine-tune once."""
    plan, work, seed, frozen, rate, steps = run
    train, _ = load_splits(plan, Places(work, work))
    subset, judges = few_and_others(train, seed)
    result = train_classifier(
        subset, validation=judges, seed=seed, learning_rate=rate, freeze_statistics=frozen, steps=steps, **SETTINGS
    )
    accuracy = result.validation.balanced_accuracy if result.validation else float("nan")
    return {"dataset": plan.name, "seed": seed, "frozen": frozen, "learning_rate": rate, "balanced_accuracy": accuracy}


def few_and_others(train: ImageDataset, seed: int) -> tuple[ImageDataset, ImageDataset]:
    """Return the images to train on, and up to so many others of each class."""
    random, labels = np.random.default_rng(seed), np.asarray(train.labels)
    rows = [random.permutation(np.flatnonzero(labels == label)) for label in range(len(train.classes))]
    few, others = ([part[begin:end] for part in rows] for begin, end in ((0, SHOTS), (SHOTS, SHOTS + JUDGES)))
    return train.subset(np.sort(np.concatenate(few))), train.subset(np.sort(np.concatenate(others)))
