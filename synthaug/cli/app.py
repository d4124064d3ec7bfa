"""The ``synthaug`` command: its verbs, and how errors and interruptions are shown."""

from __future__ import annotations

import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

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
    fit,
    generate,
    impute,
    interpolate,
    recommend,
    search,
    upscale,
    vary,
)
from synthaug.cli.settings import SettingsCommand
from synthaug.errors import SynthaugError

USAGE, INTERRUPTED = 2, 130
"""Exit codes: the request cannot be met; Ctrl-C."""


class Verbs(TyperGroup):
    """Turns the library's errors into one line on standard error."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        format_before = warnings.formatwarning
        warnings.formatwarning = _one_line
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interruption:
            _say(str(interruption) or "Interrupted.", typer.colors.YELLOW)
            raise typer.Exit(INTERRUPTED) from interruption
        except SynthaugError as error:
            _say(f"error: {error}", typer.colors.RED)
            raise typer.Exit(USAGE) from error
        finally:
            warnings.formatwarning = format_before


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
app.command("compress", cls=SettingsCommand)(compress.run)
app.command("denoise", cls=SettingsCommand)(denoise.run)
app.command("upscale", cls=SettingsCommand)(upscale.run)
app.command("anomalies", cls=SettingsCommand)(anomalies.run)
app.command("edit", cls=SettingsCommand)(edit.run)
app.command("impute", cls=SettingsCommand)(impute.run)
app.command("vary", cls=SettingsCommand)(vary.run)
app.command("recommend", cls=SettingsCommand)(recommend.run)
app.command("demo")(demo.run)


def main() -> None:
    """Run the command line and exit with its code."""
    app()


def _say(text: str, colour: str) -> None:
    typer.secho(" ".join(text.split("\n")), err=True, fg=colour)


def _one_line(message: Warning | str, *_: Any, **__: Any) -> str:
    return f"warning: {message}\n"
