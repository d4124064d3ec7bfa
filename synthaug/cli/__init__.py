"""The command line: one file a verb, no logic.

Convention: flags have the names of the keyword arguments of the function behind the verb; standard output carries the
result alone, everything else goes to standard error; modules import nothing heavy before a verb runs, so that
``--help`` is quick.
"""

from __future__ import annotations

from synthaug.cli.app import main

__all__ = ["main"]
