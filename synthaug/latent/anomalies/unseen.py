"""Whether the images that set a threshold are new to the generator, as far as its provenance and the images tell.

A generator rebuilds the images that it was trained on better than others of their kind. A threshold set on those flags
several times as many new normal images as promised.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from synthaug.data import ImageDataset
from synthaug.data.overlap import among
from synthaug.errors import DataError, DataWarning
from synthaug.generators import Generator

_NORMAL = "normal"
_OTHERS = "Give others with fit(X, calibration=Y) (--calibration SOURCE)"


def as_normal(data: ImageDataset) -> ImageDataset:
    """Return the images as those of the one class that a detector trains its generator on.

    What is normal need not be told apart, and labels of test images are not known.
    """
    return ImageDataset.from_arrays(data.images, np.zeros(len(data), np.int64), [_NORMAL], name=data.name)


def check_held_out(gen: Generator, data: ImageDataset, kept: ImageDataset) -> None:
    """Check that a given generator was trained on ``kept`` alone, so that the rest of ``data`` is new to it.

    Raises:
        DataError: If it was trained on all of ``data``.
    """
    if _trained_on(gen, kept):
        return
    if _trained_on(gen, data) or _trained_on_source(gen, data):
        raise DataError(
            f"expected a generator that has not seen the images held out for the threshold, but this one was trained "
            f"on all {len(data)} given. {_OTHERS}, or leave the generator out: one is then trained on what is kept."
        )
    warnings.warn(
        f"whether the generator, trained on {_dataset(gen).get('name', 'unknown images')}, has seen the images held "
        "out for the threshold is not known. If it has, many more normal images are flagged than "
        f"false_positive_rate says. {_OTHERS} that it has not seen.",
        DataWarning,
        stacklevel=3,
    )


def check_calibration(gen: Generator, calibration: ImageDataset) -> None:
    """Check that a given generator's provenance does not say that it was trained on the images for the threshold.

    Raises:
        DataError: If it does.
    """
    if _trained_on(gen, calibration) or _trained_on_source(gen, calibration):
        raise DataError(
            f"calibration: expected normal images that the generator has not seen, but it was trained on these "
            f"{len(calibration)}. {_OTHERS}."
        )


def check_disjoint(normal: ImageDataset, calibration: ImageDataset) -> None:
    """Check that images for the threshold are not among those that the detector learns from, and warn if a few are.

    Raises:
        DataError: If all are.
    """
    number = int(among(calibration, normal).sum())
    if number == len(calibration):
        raise DataError(
            f"calibration: expected normal images other than X, but all {number} are among those of X. Give others, "
            "or leave calibration out: a part of X is then held out."
        )
    if number:
        warnings.warn(
            f"calibration: {number} of {len(calibration)} images are among those of X too. Unless new images repeat "
            "X as often, more of them are flagged than false_positive_rate says: leave these out.",
            DataWarning,
            stacklevel=3,
        )


def _dataset(gen: Generator) -> dict[str, Any]:
    """What a generator tells of its training images."""
    return gen.provenance.get("dataset") or {}


def _trained_on(gen: Generator, data: ImageDataset) -> bool:
    """Whether a generator was trained on just these images, by `synthaug.fit` or by a detector."""
    recorded = _dataset(gen).get("digest")
    return recorded is not None and (recorded == data.digest or recorded == as_normal(data).digest)


def _trained_on_source(gen: Generator, data: ImageDataset) -> bool:
    """Whether a generator was trained on the whole dataset that these images were chosen from."""
    return bool(_dataset(gen).get("digest") == data.source_digest)
