"""How a command line of several verbs shows errors, warnings and interruptions."""

from __future__ import annotations

import errno
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from synthaug.errors import SynthaugError

FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes: done, but not all of it; the request cannot be met; Ctrl-C."""
_NOT_OURS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOTDIR})
_WHAT_TO_DO = "Look at permissions and free space there; decoded images go to $SYNTHAUG_CACHE."


class Verbs(TyperGroup):
    """Turns the library's errors into one line on standard error."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        format_before = warnings.formatwarning
        warnings.formatwarning = _one_line
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interruption:
            _say(str(interruption) or "Interrupted.", typer.colors.YELLOW)
            raise typer.Exit(INTERRUPTED) from interruption
        except SynthaugError as error:
            _say(f"error: {error}", typer.colors.RED)
            raise typer.Exit(USAGE) from error
        except OSError as error:
            if error.errno not in _NOT_OURS:
                raise
            _say(f"error: {error.filename or 'a file'}: {error.strerror}. {_WHAT_TO_DO}", typer.colors.RED)
            raise typer.Exit(USAGE) from error
        finally:
            warnings.formatwarning = format_before


def _say(text: str, colour: str) -> None:
    typer.secho(" ".join(text.split("\n")), err=True, fg=colour)


def _one_line(message: Warning | str, *_: Any, **__: Any) -> str:
    return f"warning: {message}\n"
