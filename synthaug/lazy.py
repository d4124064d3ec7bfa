"""Names of a package that are loaded on first use (PEP 562), so that importing the package costs next to nothing."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazily(namespace: dict[str, Any], homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a package's ``__getattr__`` and ``__dir__``.

    Args:
        namespace: The package's ``globals()``; what was loaded is kept there.
        homes: The module of each name.

    Example:
        >>> names = {"__name__": "somewhere"}
        >>> load, listed = lazily(names, {"sqrt": "math"})
        >>> load("sqrt")(9.0), "sqrt" in names, listed()
        (3.0, True, ['__name__', 'sqrt'])
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        namespace[name] = getattr(importlib.import_module(homes[name]), name)
        return namespace[name]

    def listed() -> list[str]:
        return sorted({*namespace, *homes})

    return load, listed
