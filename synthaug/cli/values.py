"""Texts of flags as the values that the functions behind the verbs take."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from synthaug.errors import ConfigError


def image_size(text: str | None) -> int | tuple[int, int] | None:
    """Read ``32`` or ``32x48`` (height by width).

    Raises:
        ConfigError: If it is neither.

    Example:
        >>> image_size("32x48")
        (32, 48)
    """
    if text is None:
        return None
    try:
        sides = [int(side) for side in text.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2):
        raise ConfigError(f"--image-size: expected a side such as 32, or HEIGHTxWIDTH such as 32x48, but got {text!r}.")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def counts(text: str | None, classes: Sequence[str], flag: str = "--counts") -> dict[str | int, int] | None:
    """Read ``boot=4,sneaker=8``, or the same as JSON for names that hold commas.

    A name that is no class, but a number, is taken for a label.

    Raises:
        ConfigError: If it is neither.

    Example:
        >>> counts("boot=4,0=8", ["sneaker", "boot"])
        {'boot': 4, 0: 8}
    """
    if text is None:
        return None
    wrong = ConfigError(f"{flag}: expected CLASS=NUMBER,CLASS=NUMBER or a JSON object, but got {text!r}.")
    pairs: list[tuple[str, object]] = []
    if text.lstrip().startswith("{"):
        try:
            pairs = list(json.loads(text).items())
        except json.JSONDecodeError as error:
            raise wrong from error
    else:
        for part in text.split(","):
            name, equals, digits = part.rpartition("=")
            if not equals or not digits.strip().isdecimal():
                raise wrong
            pairs.append((name.strip(), int(digits)))
    numbers: dict[str | int, int] = {}
    for text_key, number in pairs:
        key: str | int = int(text_key) if text_key not in classes and text_key.isdecimal() else text_key
        if isinstance(number, bool) or not isinstance(number, int):
            raise wrong
        if key in numbers:
            raise ConfigError(f"{flag}: {text_key!r} is named twice.")
        numbers[key] = number
    return numbers


def shard(text: str | None) -> tuple[int, int] | None:
    """Read ``K/N``.

    Raises:
        ConfigError: If it is something else.
    """
    if text is None:
        return None
    number, _, parts = text.partition("/")
    if not number.isdecimal() or not parts.isdecimal():
        raise ConfigError(f"--shard: expected K/N, such as 1/4 for the first of four parts, but got {text!r}.")
    return int(number), int(parts)


def indices(text: str | None) -> list[int] | None:
    """Read positions such as ``0,4,10-12``.

    Raises:
        ConfigError: If it is something else.

    Example:
        >>> indices("0,4,10-12")
        [0, 4, 10, 11, 12]
    """
    if text is None:
        return None
    positions: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not (last.isdecimal() and int(first) <= int(last))):
            raise ConfigError(f"--index: expected positions such as 0,4,10-12, but got {text!r}.")
        positions += range(int(first), int(last or first) + 1)
    return positions


def labels(texts: Sequence[str] | None, classes: Sequence[str]) -> str | int | list[str | int] | None:
    """Read the classes of images: one for all, or one for each; a name that is no class, but a number, is a label.

    Example:
        >>> labels(["boot", "0"], ["sneaker", "boot"])
        ['boot', 0]
    """
    keys: list[str | int] = [int(text) if text not in classes and text.isdecimal() else text for text in texts or ()]
    return (keys[0] if len(keys) == 1 else keys) if keys else None


def amounts(text: str) -> list[float]:
    """Read ``-2,-1,0,1,2``.

    Raises:
        ConfigError: If it is something else.

    Example:
        >>> amounts("-1,0.5")
        [-1.0, 0.5]
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(map(math.isfinite, values)):
        raise ConfigError(f"--amounts: expected numbers such as -2,-1,0,1,2, but got {text!r}.")
    return values


def ratios(text: str | None) -> list[float] | None:
    """Read ``0.5,1,2``.

    Raises:
        ConfigError: If it is something else.

    Example:
        >>> ratios("0.5,1")
        [0.5, 1.0]
    """
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--ratios: expected numbers such as 0.5,1,2, but got {text!r}.") from None


def direction(text: str) -> tuple[str, float | None]:
    """Read ``smile.json`` or ``smile.json=1.5``: a file, and how far to move along it.

    Example:
        >>> direction("smile.json=-1"), direction("smile.json")
        (('smile.json', -1.0), ('smile.json', None))
    """
    file, equals, number = text.rpartition("=")
    try:
        return (file, float(number)) if equals else (text, None)
    except ValueError:
        return text, None
