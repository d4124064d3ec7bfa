"""Where the codes of a class lie: mean and spread of codes drawn from the generator's own prior, for any family."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthaug.generators import Generator

_DRAWS = 2048
_MOST_DIMENSIONS = 128
"""Longer codes get no covariance, only a variance for each dimension: there are too few draws for more."""

_SMALLEST_VARIANCE = 1e-8
_REMEMBERED = 8
_KNOWN: OrderedDict[tuple[str, str], dict[int, NDArray[np.float32]]] = OrderedDict()
"""Mean codes by class, of generators by digest and kind of device: they cost as much as thousands of samples' codes."""
_LOCK = threading.Lock()


class ClassCodes(NamedTuple):
    """The Gaussian that fits the codes of a class best.

    Attributes:
        mean: (latent_size,).
        scale: A square root of the covariance: its Cholesky factor (latent_size, latent_size), or, of long codes,
            their standard deviations (latent_size,).
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]


def class_means(gen: Generator, labels: Iterable[int]) -> dict[int, NDArray[np.float32]]:
    """Return the mean codes of several classes, (latent_size,) each; those of generators seen lately are remembered.

    Args:
        gen: The generator.
        labels: Of the classes.

    Example:
        >>> from synthaug.generators import make_generator
        >>> gen = make_generator("gan", ["a", "b"], (1, 8, 8), options={"width": 4, "latent_dim": 3})
        >>> bool((abs(class_means(gen, [1])[1]) < 0.1).all())
        True
    """
    name = (gen.digest, gen.device.type)
    with _LOCK:
        known = _KNOWN.setdefault(name, {})
        _KNOWN.move_to_end(name)
        if len(_KNOWN) > _REMEMBERED:
            _KNOWN.popitem(last=False)
    for label in set(labels) - set(known):
        known[label] = _draw(gen, label).mean(axis=0)
    return {label: known[label] for label in labels}


def class_codes(gen: Generator, label: int) -> ClassCodes:
    """Return mean and spread of the codes of a class; see `ClassCodes`."""
    codes = _draw(gen, label).astype(np.float64)
    size = codes.shape[1]
    if size > _MOST_DIMENSIONS:
        scale = np.sqrt(codes.var(axis=0) + _SMALLEST_VARIANCE)
    else:
        covariance = np.cov(codes, rowvar=False).reshape(size, size)
        scale = np.linalg.cholesky(covariance + _SMALLEST_VARIANCE * np.eye(size))
    return ClassCodes(codes.mean(axis=0).astype(np.float32), scale.astype(np.float32))


def _draw(gen: Generator, label: int) -> NDArray[np.float32]:
    return gen.draw_codes(np.full(_DRAWS, label), np.arange(_DRAWS), seed=0)
