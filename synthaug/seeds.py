"""Seeds: those in samples' names have 64 bits; for all else that is random NumPy and scikit-learn take 32, unsigned."""

from __future__ import annotations

from synthaug.errors import ConfigError

_END = 1 << 32


def check_sample_seed(seed: int) -> None:
    """Raise `ConfigError` unless a seed, part of samples' names, is an integer of 64 bits.

    Example:
        >>> check_sample_seed(-7)
    """
    _check(seed, -(1 << 63), 1 << 63, "an integer of 64 bits")


def check_seed(seed: int) -> None:
    """Raise `ConfigError` unless a seed is an integer from 0 to 2³² − 1.

    Example:
        >>> check_seed(7)
    """
    _check(seed, 0, _END, f"an integer from 0 to {_END - 1}")


def folded(sample_seed: int) -> int:
    """Return a seed from 0 to 2³² − 1 for what is random beside samples of that seed.

    Example:
        >>> folded(-7), folded(1 << 32)
        (7, 0)
    """
    return abs(sample_seed) % _END


def _check(seed: int, least: int, end: int, expected: str) -> None:
    if not isinstance(seed, int) or isinstance(seed, bool) or not least <= seed < end:
        raise ConfigError(f"seed: expected {expected}, but got {seed!r}.")
