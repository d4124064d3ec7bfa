"""Finds a generator family by its name. A new family is one new file in this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from synthaug.generators.base import Generator
from synthaug.registry import Registry

_FAMILIES: Registry[type[Generator]] = Registry("generator family", "synthaug.generators")

GeneratorClass = TypeVar("GeneratorClass", bound=type[Generator])


def register_family(name: str) -> Callable[[GeneratorClass], GeneratorClass]:
    """Register a `Generator` subclass under ``name``, which becomes its ``family``.

    Example:
        >>> @register_family("mine")  # doctest: +SKIP
        ... class MyGenerator(Generator): ...
    """

    def register(cls: GeneratorClass) -> GeneratorClass:
        cls.family = name
        if "title" not in vars(cls):
            cls.title = name
        return _FAMILIES.register(name)(cls)

    return register


def list_families() -> list[str]:
    """Return the names of all registered families, sorted.

    Example:
        >>> "vae" in list_families()
        True
    """
    return _FAMILIES.names()


def family_class(name: str) -> type[Generator]:
    """Return the class of family ``name``.

    Raises:
        ConfigError: If no family has that name; the message names close ones.
    """
    return _FAMILIES.get(name)
