"""Seeds of what is random and no sample's name: NumPy and scikit-learn take no others."""

from __future__ import annotations

from synthaug.errors import ConfigError

_END = 1 << 32


def check_seed(seed: int) -> None:
    """Raise `ConfigError` unless a seed is an integer from 0 to 2³² − 1.

    Example:
        >>> check_seed(7)
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < _END:
        raise ConfigError(f"seed: expected an integer from 0 to {_END - 1}, but got {seed!r}.")
