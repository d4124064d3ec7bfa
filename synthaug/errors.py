"""What synthaug raises: each error says what was expected, what came and what to do.

Every class also derives from the built-in error a caller would guess (`ValueError`, `FileExistsError`, …), so
code that knows nothing of synthaug can still catch it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class SynthaugError(Exception):
    """Base of all errors that synthaug raises on purpose."""


class DataError(SynthaugError, ValueError):
    """A dataset source cannot be read, or holds nothing usable."""


class DataWarning(UserWarning):
    """Part of a dataset source could not be used and was left out."""


class LabelError(SynthaugError, ValueError):
    """A class name or label is unknown, out of range or missing."""


class ConfigError(SynthaugError, ValueError):
    """A setting is unknown, of the wrong type or out of range."""


class FormatError(SynthaugError, ValueError):
    """A folder is not what it claims to be: a file is missing, damaged or of an unknown version."""


class OutputExistsError(SynthaugError, FileExistsError):
    """The output is already there, made with another configuration or not to be overwritten."""


class DivergenceError(SynthaugError, ArithmeticError):
    """Training became non-finite or exploded; the last checkpoint was kept."""


class TrainingInterrupted(SynthaugError, KeyboardInterrupt):  # noqa: N818 - an interruption is no error
    """Ctrl-C during training; the state was saved and `--resume` goes on from it."""


class GenerationInterrupted(SynthaugError, KeyboardInterrupt):  # noqa: N818 - an interruption is no error
    """Ctrl-C during generation; finished shards were kept and the same call goes on from them."""


class MissingExtraError(SynthaugError, ImportError):
    """An optional dependency is not installed; the message names the command that installs it."""


def require_extra(module: str, extra: str, error: ImportError) -> MissingExtraError:
    """Build the one-line error for a missing optional dependency.

    Args:
        module: Import name of the package that is missing.
        extra: Name of the synthaug extra that installs it.
        error: The import error that was caught, kept as the cause by the caller's ``raise … from``.
    """
    return MissingExtraError(f"{module} is not installed ({error}). Install it with: pip install 'synthaug[{extra}]'")


def did_you_mean(name: object, candidates: Iterable[object]) -> str:
    """Return `` Did you mean 'a' or 'b'?`` for the closest candidates, or an empty string.

    Example:
        >>> did_you_mean("snaeker", ["sneaker", "boot"])
        " Did you mean 'sneaker'?"
    """
    names = dict.fromkeys(str(candidate) for candidate in candidates)  # each once
    close = difflib.get_close_matches(str(name), list(names), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(match) for match in close)}?" if close else ""


def listed(names: Sequence[object], most: int = 5) -> str:
    """Return the first few names for a message, and whether there are more.

    Example:
        >>> listed(["boot", "bag", "coat"], most=2)
        'boot, bag, …'
    """
    return f"{', '.join(map(str, names[:most]))}{', …' if len(names) > most else ''}"
