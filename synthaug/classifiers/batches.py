"""The order of training images: an endless stream of batches that is a pure function of the seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def batch_order(
    labels: NDArray[np.int64], batch_size: int, seed: int, *, balanced: bool = False, stream: int = 0x0BDE
) -> Iterator[NDArray[np.int64]]:
    """Yield positions into ``labels``, (batch_size,) each, for ever.

    Every image comes once before any comes again; with ``balanced``, every class does (among the classes that have
    images), and within a class every image. Batches are always full, whatever the number of images.

    Args:
        labels: Label of each image, (N,), N at least 1.
        batch_size: Images in a batch.
        seed: The only source of randomness.
        balanced: Draw classes evenly instead of images.
        stream: Two orders that are drawn side by side need different ones, else they are the same where the labels are.

    Example:
        >>> next(batch_order(np.array([0, 0, 0, 1]), 4, seed=0, balanced=True)).shape
        (4,)
    """
    random = np.random.default_rng([seed, stream])
    if not balanced:
        images = _endless(np.arange(len(labels)), random)
        while True:
            yield _take(images, batch_size)
    present = np.unique(labels)
    classes = _endless(present, random)
    members = {int(label): _endless(np.flatnonzero(labels == label), random) for label in present}
    while True:
        yield np.array([next(members[label]) for label in _take(classes, batch_size).tolist()], dtype=np.int64)


def _endless(values: NDArray[np.int64], random: np.random.Generator) -> Iterator[int]:
    while True:
        yield from random.permutation(values).tolist()


def _take(stream: Iterator[int], number: int) -> NDArray[np.int64]:
    return np.fromiter(stream, dtype=np.int64, count=number)
