"""Seeds: those in samples' names have 64 bits; for all else that is random NumPy and scikit-learn take 32, unsigned."""

from __future__ import annotations

import numpy as np

from synthaug.config import is_integer
from synthaug.errors import ConfigError

_END = 1 << 32


def check_sample_seed(seed: int) -> int:
    """Return a seed, part of samples' names, as int, whatever kind of integer it is (NumPy's too).

    Raises:
        ConfigError: If it is no integer of 64 bits.

    Example:
        >>> check_sample_seed(-7)
        -7
    """
    return _checked(seed, -(1 << 63), 1 << 63, "an integer of 64 bits")


def check_seed(seed: int) -> int:
    """Return a seed as int, whatever kind of integer it is (NumPy's too).

    Raises:
        ConfigError: If it is no integer from 0 to 2³² − 1.

    Example:
        >>> check_seed(7)
        7
    """
    return _checked(seed, 0, _END, f"an integer from 0 to {_END - 1}")


def folded(sample_seed: int) -> int:
    """Return a seed from 0 to 2³² − 1 for what is random beside samples of that seed.

    Example:
        >>> folded(-7), folded(1 << 32)
        (7, 0)
    """
    return abs(sample_seed) % _END


def numbered_stream(seed: int, number: int) -> np.random.Generator:
    """Return the random numbers of a numbered part of the work of a seed, any integer.

    Example:
        >>> first, other = (numbered_stream(seed, 0).integers(1000, size=4).tolist() for seed in (-1, -2))
        >>> first != other
        True
    """
    # Without a type NumPy makes a float of what is above 2⁶³, in which neighbouring seeds are one.
    return np.random.Generator(np.random.Philox(key=np.array([seed % (1 << 64), number], dtype=np.uint64)))


def _checked(seed: int, least: int, end: int, expected: str) -> int:
    if not is_integer(seed) or not least <= int(seed) < end:
        raise ConfigError(f"seed: expected {expected}, but got {seed!r}.")
    return int(seed)
