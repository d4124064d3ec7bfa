"""Equally many images of each class from several datasets: distances compare only on the same numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synthaug.data import ImageDataset

_MOST_IMAGES = 2000


def matched_rows(
    datasets: Sequence[ImageDataset], seed: int = 0, *, most: int = _MOST_IMAGES
) -> list[NDArray[np.int64]]:
    """Choose from each dataset as many images of each class as all of them have, up to ``most`` from each.

    Args:
        datasets: Of the same classes, in the same order.
        seed: Of the choice.
        most: Images from each dataset, about.

    Returns:
        Rows of each dataset, sorted.

    Example:
        >>> one = ImageDataset.from_arrays(np.zeros((3, 8, 8), np.uint8), [0, 0, 1])
        >>> other = ImageDataset.from_arrays(np.zeros((4, 8, 8), np.uint8), [0, 1, 1, 1])
        >>> [one.labels[rows].tolist() for rows in matched_rows([one, other])]
        [[0, 1], [0, 1]]
    """
    random = np.random.default_rng([seed, 0x3A7C])
    counts = np.min([data.class_counts for data in datasets], axis=0)
    counts = np.ceil(counts * min(1.0, most / max(1, counts.sum()))).astype(np.int64)
    chosen: list[list[NDArray[np.int64]]] = [[np.empty(0, np.int64)] for _ in datasets]
    for label, count in enumerate(counts.tolist()):
        for data, rows in zip(datasets, chosen, strict=True):
            rows.append(random.permutation(np.flatnonzero(data.labels == label))[:count])
    return [np.sort(np.concatenate(rows)) for rows in chosen]
