"""The ``synthaug`` command: its verbs."""

from __future__ import annotations

from typing import Annotated

import typer

from synthaug import __version__
from synthaug.cli import (
    anomalies,
    compare,
    compress,
    curate,
    demo,
    denoise,
    edit,
    evaluate,
    explore,
    fit,
    generate,
    impute,
    interpolate,
    recommend,
    search,
    upscale,
    vary,
)
from synthaug.cli.settings import ConfigCommand, SettingsCommand
from synthaug.cli.verbs import Verbs

app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"synthaug {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """From a labelled image dataset to a measured better classifier, by way of a class-conditional generator."""


app.command("fit", cls=SettingsCommand)(fit.run)
app.command("generate", cls=SettingsCommand)(generate.run)
app.command("curate", cls=SettingsCommand)(curate.run)
app.command("interpolate", cls=SettingsCommand)(interpolate.run)
app.command("compare", cls=SettingsCommand)(compare.run)
app.command("evaluate", cls=SettingsCommand)(evaluate.run)
app.command("search", cls=SettingsCommand)(search.run)
app.command("compress", cls=ConfigCommand)(compress.run)
app.command("denoise", cls=ConfigCommand)(denoise.run)
app.command("upscale", cls=ConfigCommand)(upscale.run)
app.command("anomalies", cls=SettingsCommand)(anomalies.run)
app.command("edit", cls=ConfigCommand)(edit.run)
app.command("impute", cls=SettingsCommand)(impute.run)
app.command("vary", cls=SettingsCommand)(vary.run)
app.command("explore", cls=SettingsCommand)(explore.run)
app.command("recommend", cls=SettingsCommand)(recommend.run)
app.command("demo")(demo.run)


def main() -> None:
    """Run the command line and exit with its code."""
    app()
