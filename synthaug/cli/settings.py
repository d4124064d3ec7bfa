"""Settings that are no flags of their own, and settings from a file.

A verb takes any field of the configuration behind it as a flag (``--latent-dim 64``), though it knows none of them:
the family, which decides what there is, is only known once the verb runs. ``--config FILE.yaml`` gives defaults for
flags and fields alike.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from synthaug.errors import ConfigError, did_you_mean

_SETTINGS = "synthaug.settings"
_NOT_SAVED = frozenset({"config", "resume", "overwrite", "dry_run"})


class ConfigCommand(TyperCommand):
    """A command that takes defaults from ``--config``; an unknown flag, or key of the file, is an error."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the unknown flags out, load the configuration file, and parse the rest as usual."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        try:
            known, flags, config = self._separate(list(args))
            defaults, fields = self._from_file(config) if config else ({}, {})
        except ConfigError as error:
            raise typer.BadParameter(str(error), ctx=ctx) from error
        self.check_others(fields | flags)
        ctx.default_map = {**(ctx.default_map or {}), **defaults}
        ctx.meta[_SETTINGS] = fields | flags
        rest = super().parse_args(ctx, known)
        for name, value in ctx.params.items():
            if isinstance(value, Path):  # from a file, or --out=~/x, which no shell expands
                ctx.params[name] = value.expanduser()
        return rest

    def check_others(self, settings: Mapping[str, Any]) -> None:
        """Raise `ConfigError` if there are settings that are no flags of this command."""
        for name in settings:
            flags = [option.name for option in self.params if option.name]
            raise ConfigError(f"{self.name} has no setting {name!r}.{did_you_mean(name, flags)}")

    def _separate(self, args: list[str]) -> tuple[list[str], dict[str, Any], str | None]:
        takes_value = {
            name: not getattr(option, "is_flag", False)
            for option in self.params
            for name in (*option.opts, *option.secondary_opts)
            if name.startswith("-")
        } | {"--help": False, "-h": False}
        known: list[str] = []
        settings: dict[str, Any] = {}
        config = None
        while args:
            word = args.pop(0)
            if word == "--":
                return [*known, word, *args], settings, config
            name, equals, value = word.partition("=")
            if name.replace("_", "-") in takes_value:  # as a keyword argument is written
                name = name.replace("_", "-")
                known.append(name + equals + value)
                if takes_value[name] and not equals and args:
                    value = args.pop(0)
                    known.append(value)
                if name == "--config":
                    config = value
            elif name.startswith("--"):
                key = name.removeprefix("--").replace("-", "_")
                if key in settings:
                    raise ConfigError(f"{name} is given twice.")
                if equals:
                    settings[key] = parse_value(value)
                else:
                    settings[key] = parse_value(args.pop(0)) if args and not args[0].startswith("--") else True
            else:
                known.append(word)
        return known, settings, config

    def _from_file(self, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the file's values for flags of this command, and the others."""
        names = {option.name for option in self.params} - {"config", "help"}
        values = {str(key).replace("-", "_"): value for key, value in _read_yaml(Path(path)).items()}
        own = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in values.items()}
        return (
            {key: value for key, value in own.items() if key in names},
            {key: value for key, value in values.items() if key not in names},
        )


class SettingsCommand(ConfigCommand):
    """A command whose verb looks at further settings, collected from unknown flags and keys: see `other_settings`."""

    def check_others(self, settings: Mapping[str, Any]) -> None:
        """Leave that to the verb, which knows them once it runs."""


def parse_value(text: str) -> Any:
    """Read a flag's value: a number, numbers as in 32x48, true, false, null, or a text.

    Example:
        >>> [parse_value(text) for text in ("64", "1e-3", "32x48", "true", "resnet18")]
        [64, 0.001, (32, 48), True, 'resnet18']
    """
    if re.fullmatch(r"\d+(x\d+)+", text):
        return tuple(map(int, text.split("x")))
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    words = {"true": True, "false": False, "null": None}
    return words.get(text.lower(), text)


def other_settings(ctx: typer.Context, known: Iterable[str]) -> dict[str, Any]:
    """Return the settings that are no flags of the verb, from the command line and the configuration file.

    Args:
        ctx: Of the verb.
        known: Names of the fields there are.

    Raises:
        ConfigError: If one is not known; the message names close ones.
    """
    settings: dict[str, Any] = ctx.meta.get(_SETTINGS, {})
    fields = list(known)
    for name in settings:
        if name not in fields:
            flags = [option.name for option in ctx.command.params if option.name]
            others = [field for field in fields if field not in flags]
            raise ConfigError(
                f"{ctx.command.name} has no setting {name!r}.{did_you_mean(name, [*fields, *flags])}"
                + (f" Settings beside those of --help: {', '.join(others)}." if others else "")
            )
    return settings


def refuse_given(ctx: typer.Context, names: Iterable[str], why: str) -> None:
    """Raise `ConfigError` if one of these flags was given, or a configuration file has another value than usual.

    Args:
        ctx: Of the verb.
        names: Of parameters.
        why: Ends the message, as in ``"belongs to …"``.
    """
    options = {option.name: option for option in ctx.command.params}
    for name in names:
        source = ctx.get_parameter_source(name)
        given = source is not None and source.name == "COMMANDLINE"
        if given or (ctx.params[name] and ctx.params[name] != options[name].default):
            raise ConfigError(f"{options[name].opts[0]} {why}")


def save_settings(path: Path, ctx: typer.Context, settings: Mapping[str, Any]) -> None:
    """Write the resolved settings of a verb as YAML, so that ``--config`` repeats it."""
    import yaml

    from synthaug import __version__
    from synthaug.storage import new_file

    values = {name: value for name, value in ctx.params.items() if name not in _NOT_SAVED and value is not None}
    values = {name: _plain(value) for name, value in (values | dict(settings)).items()}
    with new_file(path) as temporary:
        temporary.write_text(
            f"# synthaug {__version__}: {_comment(sys.argv[1:])}\n"
            f"# Again, elsewhere: synthaug {ctx.command.name} --config {path.name} --out DIR\n"
            + yaml.safe_dump(values, sort_keys=False, allow_unicode=True),
            encoding="utf-8",
        )


def _comment(words: Sequence[str]) -> str:
    return " ".join(shlex.join(["synthaug", *words]).split())


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _read_yaml(path: Path) -> dict[Any, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--config: cannot read {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config: {path} is not valid YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"--config: expected {path} to map settings to values, but got {type(values).__name__}.")
    return values
