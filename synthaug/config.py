"""Frozen configurations that round-trip through JSON and refuse what they do not know."""

from __future__ import annotations

import dataclasses
import numbers
import types
import typing
from collections.abc import Mapping
from typing import Any, Self

from synthaug.errors import ConfigError, did_you_mean


def is_integer(value: object) -> bool:
    """Tell whether a value is an integer, Python's or NumPy's; a bool is none.

    Example:
        >>> is_integer(3), is_integer(True), is_integer(3.0)
        (True, False, False)
    """
    return not isinstance(value, bool) and isinstance(value, numbers.Integral)


def is_number(value: object) -> bool:
    """Tell whether a value is a real number, Python's or NumPy's; a bool is none.

    Example:
        >>> is_number(3), is_number(0.5), is_number("3")
        (True, True, False)
    """
    return not isinstance(value, bool) and isinstance(value, numbers.Real)


@dataclasses.dataclass(frozen=True)
class Config:
    """Base of every configuration: a frozen dataclass of JSON-able fields.

    Subclasses declare fields with types among ``bool``, ``int``, ``float``, ``str``, ``None``, ``Literal``, unions of
    these and ``tuple[T, ...]``, for which text such as ``"64,128"`` serves too; `validate` checks ranges. Values are
    checked when the object is made, whichever way it is made.

    Raises:
        ConfigError: On an unknown key, a value of the wrong type, or a value that `validate` refuses.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Sizes(Config):
        ...     width: int = 32
        >>> Sizes.from_dict({"width": 64}).to_dict()
        {'width': 64}
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = _checked(getattr(self, field.name), hints[field.name], f"{type(self).__name__}.{field.name}")
            object.__setattr__(self, field.name, value)
        self.validate()

    def validate(self) -> None:
        """Raise `ConfigError` where a value is out of range; called once the types are right."""

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """Names of all settings, in order of declaration."""
        return tuple(field.name for field in dataclasses.fields(cls))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a configuration from a mapping, for instance parsed JSON."""
        known = cls.field_names()
        unknown = [key for key in values if key not in known]
        if unknown:
            raise ConfigError(
                f"{cls.__name__} has no setting {unknown[0]!r}.{did_you_mean(unknown[0], known)} "
                f"Known settings: {', '.join(known)}."
            )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able values (tuples become lists)."""
        return {name: _plain(getattr(self, name)) for name in self.field_names()}

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some settings changed."""
        return self.from_dict({name: getattr(self, name) for name in self.field_names()} | changes)

    def require(self, condition: bool, name: str, expected: str) -> None:
        """Raise the standard error unless ``condition`` holds for setting ``name``."""
        if not condition:
            raise ConfigError(f"{type(self).__name__}.{name}: expected {expected}, but got {getattr(self, name)!r}.")


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _checked(value: Any, hint: Any, where: str) -> Any:
    """Return ``value`` as ``hint`` wants it, or raise `ConfigError`.

    Integers become floats, NumPy's numbers Python's, lists tuples.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for option in arguments:
            try:
                return _checked(value, option, where)
            except ConfigError:
                continue
    elif origin is typing.Literal:
        if value in arguments:
            return value
        raise ConfigError(
            f"{where}: expected one of {', '.join(map(repr, arguments))}, but got {value!r}."
            f"{did_you_mean(value, arguments)}"
        )
    elif origin is tuple and not isinstance(value, (list, tuple)) and arguments[-1] is Ellipsis:
        return tuple(_checked(item, arguments[0], where) for item in _items(value))
    elif origin is tuple and isinstance(value, (list, tuple)):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_checked(item, arguments[0], where) for item in value)
        if len(arguments) == len(value):
            return tuple(_checked(item, option, where) for item, option in zip(value, arguments, strict=True))
    elif hint is float and is_number(value):
        return float(value)
    elif hint is int and is_integer(value):
        return int(value)
    elif hint is type(None) and value is None:
        return None
    elif hint in (bool, str) and isinstance(value, hint):
        return value
    raise ConfigError(f"{where}: expected {_describe(hint)}, but got {value!r} ({type(value).__name__}).")


def _items(value: Any) -> list[Any]:
    """Return the items of a list as command lines give it: ``a,b``, a single value, or none."""
    if value is None:
        return []
    if not isinstance(value, str):
        return [value]
    return [_number(item.strip()) for item in value.strip("[]() ").split(",") if item.strip()]


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _describe(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)
