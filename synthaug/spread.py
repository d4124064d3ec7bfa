"""Some of many, evenly spread: what is measured or shown of data that are too many to look at all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly_spread(total: int, most: int) -> NDArray[np.int64]:
    """Return so many of the positions from 0 to ``total`` - 1, evenly spread from the first to the last, ascending.

    The first ones of a dataset would often be of one class alone.

    Args:
        total: Number of positions.
        most: Number returned, at most; 1 or more.

    Example:
        >>> evenly_spread(10, 4).tolist(), evenly_spread(3, 4).tolist()
        ([0, 3, 6, 9], [0, 1, 2])
    """
    number = min(total, most)
    return np.arange(number, dtype=np.int64) * max(0, total - 1) // max(1, number - 1)


def evenly_within(total: int, most: int, each: int, most_bytes: int) -> NDArray[np.int64]:
    """Return positions as `evenly_spread` does, fewer where images are large; one at least.

    Args:
        total: Number of images.
        most: Number returned, at most.
        each: Bytes of an image.
        most_bytes: Bytes of all returned, at most.

    Example:
        >>> evenly_within(10, 4, each=100, most_bytes=250).tolist()
        [0, 9]
    """
    return evenly_spread(total, min(most, max(1, most_bytes // each)))
