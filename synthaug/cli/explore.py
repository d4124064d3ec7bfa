"""``synthaug explore``: look around in a latent space, in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthaug.cli.settings import other_settings


def run(
    ctx: typer.Context,
    generator: Annotated[str, typer.Argument(metavar="RUN", help="Generator folder or hub id.")],
    host: Annotated[str, typer.Option(help="Address to serve; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port; the first free one from 7860 if left out.")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with defaults for these.")] = None,
) -> None:
    """Serve a page with samples, paths between them, styles across classes, and variants of an image of yours."""
    from synthaug.latent.exploring import explore
    from synthaug.sampling import load_generator

    gen = load_generator(generator, device)
    settings = other_settings(ctx, gen.sampling.field_names())
    explore(gen.with_sampling(**settings) if settings else gen, host=host, port=port, browser=browser)
