"""Flags, fields and configuration files."""

from __future__ import annotations

import inspect
import sys

import pytest
import typer
from calling import call

from synthaug.cli.app import app
from synthaug.cli.settings import ConfigCommand, SettingsCommand, parse_value
from synthaug.cli.values import counts, image_size, shard
from synthaug.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("-1", -1),
        ("0.5", 0.5),
        ("1e-3", 1e-3),
        ("True", True),
        ("false", False),
        ("null", None),
        ("none", "none"),
        ("x", "x"),
        ("32x48", (32, 48)),
        ("x48", "x48"),
    ],
)
def test_values_of_flags(text, value):
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


def test_image_size():
    assert (image_size(None), image_size("32"), image_size("32x48")) == (None, 32, (32, 48))
    for wrong in ("x", "32x", "1x2x3", "big", ""):
        with pytest.raises(ConfigError, match="32x48"):
            image_size(wrong)


def test_counts():
    classes = ["sneaker", "a=b", "7", "x,y"]
    assert counts("sneaker=4, a=b=2,7=1,0=3", classes) == {"sneaker": 4, "a=b": 2, "7": 1, 0: 3}
    assert counts('{"x,y": 2}', classes) == {"x,y": 2}
    for wrong in ("", "sneaker", "sneaker=", "sneaker=-1", "sneaker=1.5", "{", '{"sneaker": "2"}', '{"sneaker": true}'):
        with pytest.raises(ConfigError, match="--counts"):
            counts(wrong, classes)
    with pytest.raises(ConfigError, match="twice"):
        counts("sneaker=1,sneaker=2", classes)


def test_shard():
    assert (shard(None), shard("1/4")) == (None, (1, 4))
    for wrong in ("1", "1/", "a/b", "-1/4"):
        with pytest.raises(ConfigError, match="K/N"):
            shard(wrong)


def test_every_verb_that_takes_further_flags_looks_at_them():
    """Flags that nobody reads would be swallowed without a word."""
    for command in typer.main.get_command(app).commands.values():
        if isinstance(command, ConfigCommand):
            reads = "other_settings" in vars(sys.modules[inspect.unwrap(command.callback).__module__])
            assert reads == isinstance(command, SettingsCommand), command.name


def test_flags_may_be_spelled_as_keyword_arguments(tmp_path):
    result = call("generate", tmp_path / "none", "--per_class=3", "--shard_size", 64, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "per_class" not in result.stderr
    assert "shard_size" not in result.stderr
