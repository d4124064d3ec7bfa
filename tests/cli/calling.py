"""Calls the command line as a shell would, but within the test's process."""

from __future__ import annotations

from typing import Any

from typer.testing import CliRunner

from synthaug.cli.app import app


def call(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])
