"""``python -m benchmarks.families``: train each family, then a classifier on its samples alone (Ravuri & Vinyals 2019).

What is finished is kept in the work folder and not done again, so the table can be made row by row.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.families.rows import REAL, Experiment
from synthaug.evaluation import describe_command
from synthaug.storage import read_json, write_json


def main(words: list[str] | None = None) -> None:
    """Make the rows asked for, and the table of all rows there are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.families", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"{REAL}, or names in the plan; all if left out")
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("fashion_mnist.yaml"))
    parser.add_argument("--work", type=Path, default=Path("runs/families"), help="for generators and banks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None, help="kernel threads; torch's choice if left out")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/families_fashion_mnist.json"))
    options = parser.parse_args(words)
    if options.threads:
        torch.set_num_threads(options.threads)
    experiment = Experiment(yaml.safe_load(options.config.read_text(encoding="utf-8")), options.work, options.seed)
    unknown = set(options.rows) - set(experiment.names)
    if unknown:
        parser.error(f"expected rows among {', '.join(experiment.names)}, but got {', '.join(sorted(unknown))}")
    finished = {name: options.work / f"{name}.json" for name in experiment.names}
    for name in options.rows or experiment.names:
        if not finished[name].exists():
            write_json(finished[name], experiment.row(name))
    rows = {name: read_json(path) for name, path in finished.items() if path.exists()}
    _print(rows)
    write_json(
        options.out,
        {
            "benchmark": "families",
            "command": describe_command("python", "-m", "benchmarks.families"),
            "plan": experiment.plan,
            "rows": rows,
        },
    )


def _print(rows: dict[str, dict[str, Any]]) -> None:
    table = Table("trained on", "images", "test accuracy", "generator steps", "minutes of sampling")
    for name, row in rows.items():
        steps, minutes = row.get("steps", ""), row.get("sampling_cpu_minutes", "")
        table.add_row(name, f"{row['images']:,}", f"{100 * row['accuracy']:.2f} %", str(steps), str(minutes))
    Console().print(table)


if __name__ == "__main__":
    main()
