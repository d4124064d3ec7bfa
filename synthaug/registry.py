"""Plug-ins found by name: each lives in a module of its own in one package, and registers itself when imported."""

from __future__ import annotations

import importlib
import pkgutil
import threading
import warnings
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from synthaug.errors import ConfigError, did_you_mean

Plugin = TypeVar("Plugin", bound=type[Any])
Registered = TypeVar("Registered", bound=type[Any])


class Registry(Generic[Plugin]):
    """The classes of one kind, by name.

    A new one is a new file: every module of the package is imported once before the first look-up.

    Args:
        kind: What they are, for error messages.
        package: Import name of the package whose modules register them.
    """

    def __init__(self, kind: str, package: str) -> None:
        self._kind, self._package = kind, package
        self._classes: dict[str, Any] = {}
        self._complete = False
        self._importing: set[int] = set()

    def register(self, name: str) -> Callable[[Registered], Registered]:
        """Return a decorator that registers a class; a second one of the same name takes over, with a warning."""

        def decorate(cls: Registered) -> Registered:
            before = self._classes.get(name)
            if before is not None and _home(before) != _home(cls):
                warnings.warn(f"{self._kind} {name!r} is registered twice; {_home(cls)} takes over", stacklevel=2)
            self._classes[name] = cls
            return cls

        return decorate

    def names(self) -> list[str]:
        """Return all names, sorted."""
        self._import_all()
        return sorted(self._classes)

    def get(self, name: str) -> Plugin:
        """Return the class registered under ``name``.

        Raises:
            ConfigError: If there is none; the message names close ones.
        """
        self._import_all()
        if name not in self._classes:
            raise ConfigError(
                f"expected a {self._kind} among {', '.join(self.names())}, but got {name!r}."
                f"{did_you_mean(name, self._classes)}"
            )
        found: Plugin = self._classes[name]
        return found

    def _import_all(self) -> None:
        thread = threading.get_ident()
        if self._complete or thread in self._importing:
            return
        self._importing.add(thread)  # a module may look others up while it is imported; other threads wait for it
        try:
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self._package}.{module.name}")
            self._complete = True
        finally:
            self._importing.discard(thread)


def _home(cls: type[Any]) -> str:
    """Name a class by where it was defined; one that is defined again by a reload is the same."""
    return f"{cls.__module__}.{cls.__qualname__}"
