"""Which filters the flags of ``generate`` and ``curate`` ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synthaug.cli.family_settings import family_settings
from synthaug.errors import ConfigError

COPIES = "duplicate"
"""The filter that rejects copies of training images."""


def filters(names: str | None, curate: bool = True, forbid_copies: bool = False) -> tuple[str, ...] | None:
    """Return the filters by name, in order; `None` where nothing is to be judged.

    Args:
        names: ``a,b``; the usual ones if left out.
        curate: Whether samples are judged.
        forbid_copies: Whether copies of training images are refused, whatever else is.

    Example:
        >>> filters("confidence", forbid_copies=True), filters(None, curate=False)
        (('confidence', 'duplicate'), None)
    """
    chosen: tuple[str, ...] = ()
    if names is not None:
        chosen = tuple(name.strip() for name in names.split(",") if name.strip())
    elif curate:
        from synthaug.curation.pipeline import DEFAULT_FILTERS

        chosen = DEFAULT_FILTERS
    if forbid_copies and COPIES not in chosen:
        chosen = _with_copies(chosen)
    return chosen or None


def _with_copies(names: tuple[str, ...]) -> tuple[str, ...]:
    """Put the filter of copies behind the other judges, but before what chooses among good samples."""
    from synthaug.curation.base import Selection, filter_class

    judges = [name for name in names if not issubclass(filter_class(name), Selection)]
    return (*judges, COPIES, *(name for name in names if name not in judges))


def filter_settings(overrides: Sequence[str] | None) -> dict[str, dict[str, Any]]:
    """Read ``filter.key=value``, each a setting of a filter, or of ``reference``, what filters learn from.

    Example:
        >>> filter_settings(["confidence.quantile=0.1", "reference.steps=200"])
        {'confidence': {'quantile': 0.1}, 'reference': {'steps': 200}}
    """
    for override in overrides or ():
        key, equals, _ = override.partition("=")
        if not equals or "." not in key:
            raise ConfigError(
                f"--set: expected FILTER.KEY=VALUE, such as confidence.quantile=0.1, but got {override!r}."
            )
    return family_settings(None, overrides or ())


def check_judging(real: str | None, part: tuple[int, int] | None) -> None:
    """Check that what judging needs is there.

    Args:
        real: The training images.
        part: The shard asked for.

    Raises:
        ConfigError: If it is not.
    """
    if real is None:
        raise ConfigError(
            "expected the images that the generator was trained on, to judge samples by, but got none; a generator's "
            "folder does not hold them. Name them with --real."
        )
    if part is not None:
        raise ConfigError(
            "--shard: which samples are good enough is only known once all are judged. Leave it out, or generate the "
            "parts as banks and judge them with synthaug curate."
        )
