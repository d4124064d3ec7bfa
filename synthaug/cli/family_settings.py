"""Settings by family, from a YAML file or JSON, and ``family.key=value`` on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synthaug.cli.settings import parse_value
from synthaug.errors import ConfigError


def family_settings(
    text: str | None, overrides: Sequence[str] = (), flag: str = "--settings"
) -> dict[str, dict[str, Any]]:
    """Read settings by family.

    Args:
        text: Path of a YAML file that maps families to their settings, or the same as a JSON object.
        overrides: Each ``family.key=value``; they win over the file.
        flag: By which ``text`` is given; begins the messages.

    Raises:
        ConfigError: If one cannot be read.

    Example:
        >>> family_settings('{"gan": {"width": 32}}', ["gan.learning_rate=1e-4", "vae.beta=0.5"])
        {'gan': {'width': 32, 'learning_rate': 0.0001}, 'vae': {'beta': 0.5}}
    """
    settings = {str(family): dict(values) for family, values in _read(text, flag).items()} if text else {}
    for override in overrides:
        name, equals, value = override.partition("=")
        family, dot, key = name.strip().partition(".")
        if not (family and dot and key and equals):
            raise ConfigError(f"--set: expected FAMILY.KEY=VALUE, such as gan.width=32, but got {override!r}.")
        settings.setdefault(family, {})[key.replace("-", "_")] = parse_value(value.strip())
    return settings


def _read(text: str, flag: str) -> dict[Any, dict[str, Any]]:
    import yaml

    try:
        content = text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8")
        values = yaml.safe_load(content) or {}
    except OSError as error:
        raise ConfigError(f"{flag}: cannot read {text}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{flag}: {text} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict) or not all(isinstance(of_family, dict) for of_family in values.values()):
        raise ConfigError(f"{flag}: expected families mapped to their settings, but got {values!r}.")
    return values
