"""The command line: ``python -m benchmarks.downstream run`` and ``report``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.downstream import Until
from synthaug.cli.verbs import Verbs
from synthaug.evaluation.environment import describe_command

app = typer.Typer(
    cls=Verbs,
    help="Do samples make a classifier better? Arms × seeds over any labelled images, resumable run by run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
console = Console(soft_wrap=True)

OUT = Path("benchmarks/results/downstream")
DEFAULT_PLAN = Path(__file__).with_name("plans") / "fashion_mnist_long_tail.yaml"


@app.command()
def run(
    config: Annotated[Path, typer.Option(help="Plan of one dataset, YAML.")] = DEFAULT_PLAN,
    data: Annotated[Path | None, typer.Option(help="Folder with the datasets that plans name.")] = None,
    work: Annotated[Path, typer.Option(help="Folder of generators and banks.")] = Path("runs/downstream"),
    out: Annotated[Path, typer.Option(help="Folder of finished runs (below runs/), summary and page.")] = OUT,
    source: Annotated[str | None, typer.Option(help="Training images instead of the plan's.")] = None,
    split: Annotated[str | None, typer.Option(help="Training split of the source.")] = None,
    test_source: Annotated[str | None, typer.Option(help="Source of the test split.")] = None,
    test_split: Annotated[str | None, typer.Option(help="Test split.")] = None,
    test_limit: Annotated[int | None, typer.Option(help="Test images, the same for all seeds.")] = None,
    regime: Annotated[list[str] | None, typer.Option(help="few-shot:20, long-tail:100@500, full; repeatable.")] = None,
    classifier: Annotated[list[str] | None, typer.Option(help="Only these of the plan; repeatable.")] = None,
    bank: Annotated[list[str] | None, typer.Option(help="Only these of the plan; repeatable.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps of each classifier.")] = None,
    until: Annotated[Until, typer.Option(help="Last phase.")] = "arms",
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time; torch's threads are shared out among them.")] = 1,
) -> None:
    """Do what of the plan is not done yet, then write summary and page."""
    from benchmarks.downstream.plan import Plan
    from benchmarks.downstream.runner import run_plan
    from benchmarks.downstream.tasks import Places

    plan = Plan.read(
        config,
        source=source,
        split=split,
        test_source=test_source,
        test_split=test_split,
        test_limit=test_limit,
        regimes=regime or None,
        classifiers=classifier or None,
        banks=bank or None,
        seeds=seeds,
        steps=steps,
    ).located(data)
    start = time.perf_counter()
    run_plan(plan, Places(work, out / "runs"), jobs=jobs, say=console.print, until=until)
    console.print(f"took {(time.perf_counter() - start) / 60:.1f} min")
    if until == "arms":
        _report(out)


@app.command()
def report(
    out: Annotated[Path, typer.Option(help="Folder of finished runs.")] = OUT,
    readme: Annotated[Path | None, typer.Option(help="Markdown file whose marked summary is drawn anew.")] = None,
) -> None:
    """Write summary, table and page again from the finished runs; trains nothing."""
    _report(out, readme)


def _report(out: Path, readme: Path | None = None) -> None:
    from benchmarks.downstream.readme import update
    from benchmarks.downstream.report import tables, write_report

    cells = write_report(out / "runs", out, describe_command("python", "-m", "benchmarks.downstream"))
    for table in tables(cells):
        console.print(table)
    if readme is not None:
        update(readme, cells)
    console.print(f"wrote {out / 'summary.json'}, {out / 'table.md'} and {out / 'report.html'}")


if __name__ == "__main__":
    app()
