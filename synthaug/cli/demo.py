"""``synthaug demo``: the whole path on real digits, in minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 5,
    per_class: Annotated[int, typer.Option(help="Real training images a class.")] = 10,
    samples_per_class: Annotated[int, typer.Option(help="Synthetic images a class.")] = 192,
    generator_steps: Annotated[int, typer.Option(help="Optimiser steps of each generator.")] = 600,
    steps: Annotated[int, typer.Option(help="Optimiser steps of each classifier.")] = 300,
    family: Annotated[str, typer.Option(help="Kind of generator.")] = "vae",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
) -> None:
    """Few real digits, a generator trained on them, and an honest answer whether its samples helped."""
    from synthaug.evaluation.demo import run_demo

    run_demo(
        out,
        seeds=seeds,
        per_class=per_class,
        samples_per_class=samples_per_class,
        generator_steps=generator_steps,
        steps=steps,
        family=family,
        overwrite=overwrite,
    )
