"""The command line: ``python -m benchmarks.recommendation run`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from synthaug.cli.verbs import Verbs
from synthaug.evaluation.environment import describe_command

app = typer.Typer(
    cls=Verbs,
    help="Is the recommendation right? Against never, always and the best single setting in hindsight.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
console = Console(soft_wrap=True)

DEFAULT_PLAN = Path(__file__).with_name("plan.yaml")
CELLS = Path("benchmarks/results/recommendation")
SUMMARY = Path("benchmarks/results/recommendation.json")


@app.command()
def run(
    config: Annotated[Path, typer.Option(help="Datasets, regimes and settings, YAML.")] = DEFAULT_PLAN,
    data: Annotated[Path | None, typer.Option(help="Folder with the datasets that the plan names.")] = None,
    work: Annotated[Path, typer.Option(help="Folder of recommendations and generators.")] = Path("runs/recommendation"),
    cells: Annotated[Path, typer.Option(help="Folder of finished cells.")] = CELLS,
    summary: Annotated[Path, typer.Option(help="Summary to write.")] = SUMMARY,
    minutes: Annotated[float | None, typer.Option(help="Time of each recommendation.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Subsets of each dataset and regime.")] = None,
    test_seeds: Annotated[int | None, typer.Option(help="Classifiers for each value on test.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Run these datasets alone.")] = None,
    regime: Annotated[list[str] | None, typer.Option(help="Run these regimes alone.")] = None,
) -> None:
    """Do the cells that are not done, then write the summary."""
    from benchmarks.recommendation.report import write_report
    from benchmarks.recommendation.runner import Benchmark
    from benchmarks.recommendation.runner import run as run_cells

    benchmark = Benchmark.read(config, data, minutes=minutes, seeds=seeds, test_seeds=test_seeds)
    run_cells(benchmark, work, cells, console.print, datasets=dataset or (), regimes=regime or ())
    console.print(write_report(cells, summary, describe_command("python", "-m", "benchmarks.recommendation")))


@app.command()
def report(
    cells: Annotated[Path, typer.Option(help="Folder of finished cells.")] = CELLS,
    summary: Annotated[Path, typer.Option(help="Summary to write.")] = SUMMARY,
) -> None:
    """Write the summary again from the finished cells; trains nothing."""
    from benchmarks.recommendation.report import write_report

    console.print(write_report(cells, summary, describe_command("python", "-m", "benchmarks.recommendation")))


if __name__ == "__main__":
    app()
