"""What a look during training shows: sample grids, and whether classes have collapsed to a single picture."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug.data import ImageDataset
from synthaug.generators import Generator
from synthaug.grids import class_grid, save_picture

COLUMNS = 10
CLASSES = 32
COLLAPSED = 0.15
"""A class whose samples differ from each other by less than this share of its real images' differences."""

_PRIOR_IMAGES = 2_000


def draw_reals(data: ImageDataset, path: Path) -> None:
    """Write a grid of real images, to hold samples against."""
    rows = _some_of_each(data.labels, len(data.classes))
    save_picture(class_grid(data.take(rows), data.labels[rows], data.classes, columns=COLUMNS), path)


def draw_samples(generator: Generator, data: ImageDataset, path: Path) -> list[str]:
    """Write a grid of samples and return the names of the classes that have collapsed.

    Args:
        generator: The generator as it is now; a copy is completed and sampled.
        data: The training images; not looked at if the generator is private.
        path: Of the PNG file.
    """
    preview = copy.deepcopy(generator).eval()
    if preview.privacy is None:
        preview.finish(data.subset(_few(data.labels)))
    wanted = np.repeat(np.arange(min(CLASSES, len(data.classes))), COLUMNS)
    images = preview.sample_named(wanted, np.tile(np.arange(COLUMNS), len(wanted) // COLUMNS), seed=0)
    save_picture(class_grid(images, wanted, data.classes, columns=COLUMNS), path)
    if preview.privacy is not None:
        return []
    rows = _some_of_each(data.labels, len(data.classes))
    return collapsed_classes(images, wanted, data.take(rows), data.labels[rows], data.classes)


def collapsed_classes(
    samples: NDArray[np.uint8],
    sample_labels: NDArray[np.int64],
    reals: NDArray[np.uint8],
    real_labels: NDArray[np.int64],
    classes: tuple[str, ...],
) -> list[str]:
    """Return the classes whose samples are nearly identical although their real images are not.

    Diversity is the mean absolute difference between two images of a class; classes with fewer than two real images
    have none to compare with and are left out.

    Example:
        >>> same, varied = np.zeros((4, 8, 8, 1), np.uint8), np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
        >>> zeros = np.zeros(4, np.int64)
        >>> collapsed_classes(same, zeros, varied, zeros, ("cat",))
        ['cat']
    """
    collapsed = []
    for label, name in enumerate(classes):
        real, fake = reals[real_labels == label], samples[sample_labels == label]
        if len(real) > 1 and len(fake) > 1 and _diversity(fake) < COLLAPSED * _diversity(real):
            collapsed.append(name)
    return collapsed


def _diversity(images: NDArray[np.uint8]) -> float:
    flat = images.reshape(len(images), -1).astype(np.float32)
    pairs = [np.abs(flat[first] - flat[first + 1 :]).mean(1) for first in range(len(flat) - 1)]
    return float(np.concatenate(pairs).mean())


def _some_of_each(labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    rows = [np.flatnonzero(labels == label)[:COLUMNS] for label in range(min(CLASSES, classes))]
    return np.concatenate(rows)


def _few(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of up to two thousand images, in strides, so that every class keeps its share and none is lost."""
    if len(labels) <= _PRIOR_IMAGES:
        return np.arange(len(labels))
    order = np.argsort(labels, kind="stable")
    first_of_each = np.unique(labels, return_index=True)[1]
    return np.unique(np.concatenate([order[:: -(-len(labels) // _PRIOR_IMAGES)], first_of_each]))
