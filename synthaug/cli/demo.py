"""``synthaug demo``: the whole path on real digits, in minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def run(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    seeds: Annotated[int | None, typer.Option(help="Number of seeds.")] = None,
    per_class: Annotated[int | None, typer.Option(help="Real training images a class.")] = None,
    samples_per_class: Annotated[int | None, typer.Option(help="Synthetic images a class.")] = None,
    generator_steps: Annotated[int | None, typer.Option(help="Optimiser steps of each generator.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps of each classifier.")] = None,
    family: Annotated[str | None, typer.Option(help="Kind of generator.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in OUT.")] = False,
) -> None:
    """Few real digits, a generator trained on them, and an honest answer whether its samples helped.

    What is left out takes the default that fits in minutes.
    """
    from synthaug.evaluation.demo import run_demo
    from synthaug.evaluation.environment import describe_command
    from synthaug.training.interrupt import explained

    flags = {
        "seeds": seeds,
        "per_class": per_class,
        "samples_per_class": samples_per_class,
        "generator_steps": generator_steps,
        "steps": steps,
        "family": family,
    }
    given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    with explained("the demo was interrupted, and nothing is kept. The same command begins anew."):
        run_demo(out, overwrite=overwrite, command=describe_command("synthaug"), **given)
