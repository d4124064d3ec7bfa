"""Finds a generator family by its name.

Every module of this package whose name does not start with an underscore is imported once, so that a new family is
one new file: it decorates its class with `register_family` and nothing else changes.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import warnings
from collections.abc import Callable
from typing import TypeVar

from synthaug.errors import ConfigError, did_you_mean
from synthaug.generators.base import Generator

_FAMILIES: dict[str, type[Generator]] = {}

GeneratorClass = TypeVar("GeneratorClass", bound=type[Generator])


def register_family(name: str) -> Callable[[GeneratorClass], GeneratorClass]:
    """Register a `Generator` subclass under ``name``; the name becomes its ``family``.

    Example:
        >>> @register_family("mine")  # doctest: +SKIP
        ... class MyGenerator(Generator): ...
    """

    def register(cls: GeneratorClass) -> GeneratorClass:
        if name in _FAMILIES and _FAMILIES[name].__qualname__ != cls.__qualname__:
            warnings.warn(f"family {name!r} is registered twice; {cls.__qualname__} takes over", stacklevel=2)
        cls.family = name
        _FAMILIES[name] = cls
        return cls

    return register


@functools.cache
def _import_all() -> None:
    package = importlib.import_module("synthaug.generators")
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"synthaug.generators.{module.name}")


def list_families() -> list[str]:
    """Return the names of all registered families, sorted."""
    _import_all()
    return sorted(_FAMILIES)


def family_class(name: str) -> type[Generator]:
    """Return the class of family ``name``.

    Raises:
        ConfigError: If no family has that name; the message names close ones.
    """
    _import_all()
    if name not in _FAMILIES:
        raise ConfigError(
            f"expected a generator family among {', '.join(list_families())}, but got {name!r}."
            f"{did_you_mean(name, _FAMILIES)}"
        )
    return _FAMILIES[name]
