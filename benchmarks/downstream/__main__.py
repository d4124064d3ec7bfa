"""The command line: ``python -m benchmarks.downstream run`` and ``report``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from synthaug.errors import SynthaugError
from synthaug.evaluation.environment import describe_command
from synthaug.storage import read_json, write_json

app = typer.Typer(
    help="Do samples make a classifier better? Arms × seeds over any labelled images, resumable run by run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
console = Console(soft_wrap=True)

DEFAULT_PLAN = Path(__file__).with_name("fashion_mnist.yaml")


@app.command()
def run(
    config: Annotated[Path, typer.Option(help="Plan, YAML.")] = DEFAULT_PLAN,
    work: Annotated[Path, typer.Option(help="Folder of finished runs; the same command goes on from it.")] = Path(
        "runs/downstream"
    ),
    out: Annotated[Path | None, typer.Option(help="Summary to write; a plot goes beside it.")] = None,
    source: Annotated[str | None, typer.Option(help="Training images instead of the plan's.")] = None,
    split: Annotated[str | None, typer.Option(help="Training split of the source.")] = None,
    test_source: Annotated[str | None, typer.Option(help="Source of the test split.")] = None,
    test_split: Annotated[str | None, typer.Option(help="Test split.")] = None,
    test_limit: Annotated[int | None, typer.Option(help="Test images, the same for all seeds.")] = None,
    regime: Annotated[list[str] | None, typer.Option(help="few-shot:20, long-tail:100@500, full; repeatable.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps of each classifier.")] = None,
    model: Annotated[str | None, typer.Option(help="Any timm model.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time; torch's threads are shared out among them.")] = 1,
    dry_run: Annotated[bool, typer.Option(help="Count the runs and stop.")] = False,
) -> None:
    """Do what of the plan is not done yet, then write the summary, the plot and the table."""
    from benchmarks.downstream.plan import Plan
    from benchmarks.downstream.runner import count_tasks, run_plan

    plan = Plan.read(
        config,
        source=source,
        split=split,
        test_source=test_source,
        test_split=test_split,
        test_limit=test_limit,
        regimes=tuple(regime) if regime else None,
        seeds=seeds,
        steps=steps,
        model=model,
    )
    if dry_run:
        console.print(", ".join(f"{number} {kind} runs" for kind, number in count_tasks(plan).items()))
        return
    start = time.perf_counter()
    measured = run_plan(plan, work, jobs=jobs, say=console.print)
    command = describe_command("python", "-m", "benchmarks.downstream")
    write_json(work / "measured.json", {"plan": plan.to_dict(), "measured": measured, "command": command})
    console.print(f"took {(time.perf_counter() - start) / 60:.1f} min")
    _publish(plan, measured, command, out or Path(f"benchmarks/results/downstream_{plan.name}.json"))


@app.command()
def report(
    work: Annotated[Path, typer.Option(help="Folder of a finished run.")] = Path("runs/downstream"),
    out: Annotated[Path | None, typer.Option(help="Summary to write; a plot goes beside it.")] = None,
) -> None:
    """Write summary, plot and table again from a finished run; trains nothing."""
    from benchmarks.downstream.plan import Plan

    stored = read_json(work / "measured.json")
    plan = Plan.from_dict(stored["plan"])
    target = out or Path(f"benchmarks/results/downstream_{plan.name}.json")
    _publish(plan, stored["measured"], stored["command"], target)


def _publish(plan: Any, measured: dict[str, Any], command: str, out: Path) -> None:
    from benchmarks.downstream.report import plot, summarise, tables

    summary = summarise(plan, measured, command)
    write_json(out, summary)
    plot(summary, out.with_suffix(".png"))
    for table in tables(summary):
        console.print(table)
    console.print(f"wrote {out} and {out.with_suffix('.png')}")


def main() -> None:
    """Run the command line; errors that synthaug raises on purpose are shown as one line."""
    try:
        app()
    except SynthaugError as error:
        console.print(f"[red]error:[/red] {error}", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
