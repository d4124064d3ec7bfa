"""Whether two datasets share images, pixel for pixel."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from synthaug.data.dataset import ImageDataset
from synthaug.errors import DataError, DataWarning

_AT_ONCE = 256


def among(images: ImageDataset, others: ImageDataset) -> NDArray[np.bool_]:
    """Say of each image, (N,), whether it is among others of the same shape, pixel for pixel.

    Example:
        >>> digits = ImageDataset.load("digits")
        >>> among(digits.subset([0, 1, 2]), digits.subset([1, 5])).tolist()
        [False, True, False]
    """
    known = set(_names(others))
    return np.array([name in known for name in _names(images)], dtype=bool)


def without_training_images(held_out: ImageDataset, train: ImageDataset) -> ImageDataset:
    """Return the held-out images that are not among the training images, and warn if that leaves any out.

    Raises:
        DataError: If all of them are.
    """
    seen = among(held_out, train)
    if seen.all():
        raise DataError(
            "expected held-out images that the generator did not see, but got images that are all among the training "
            "images. Name another source (--holdout) or part (--holdout-split), or leave it out."
        )
    if seen.any():
        warnings.warn(
            f"{int(seen.sum()):,} of {len(held_out):,} held-out images are among the training images, pixel for pixel, "
            "and are left out.",
            DataWarning,
            stacklevel=2,
        )
        held_out = held_out.subset(np.flatnonzero(~seen))
    return held_out


def _names(data: ImageDataset) -> Iterator[bytes]:
    for start in range(0, len(data), _AT_ONCE):
        for image in data.take(np.arange(start, min(start + _AT_ONCE, len(data)))):
            yield hashlib.sha256(image.tobytes()).digest()
