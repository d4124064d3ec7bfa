"""The page of the benchmark: tables, curves, recall by class, compute spent; drawn from the cached runs alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.table import Table

from benchmarks.downstream.contrasts import Contrast, contrast_rows, contrasts
from benchmarks.downstream.correction import left_after_correction
from benchmarks.downstream.plots import CURVES, arms_plot, overview_plot, ratio_plot, recall_plot, regime_plot
from benchmarks.downstream.summary import Cell, Comparison, compute_spent, read_cells, rows, signed
from synthaug.evaluation import PairedDifference
from synthaug.evaluation.report import Report
from synthaug.storage import new_file, write_json

COLUMNS = ("real-only arm", "samples", "policy", "seeds", "real only", "with samples", "gain", "95 % interval", "wins")

CONTRAST_COLUMNS = ("real-only arm", "samples", "policy", "beside", "policy", "seeds", "gain", "95 % interval", "wins")

_OVERVIEW = (
    "the same ways to use samples for every dataset, regime and classifier, none picked by its result; gain and 95 % "
    "interval, filled where it leaves 0 out"
)


def write_report(results: Path, out: Path, command: str) -> list[Cell]:
    """Write summary, contrasts, table, picture and page into ``out``; return what they show."""
    cells = read_cells(results)
    write_json(out / "summary.json", rows(cells))
    write_json(out / "contrasts.json", contrast_rows(cells))
    with new_file(out / "table.md") as temporary:
        temporary.write_text(markdown(cells), encoding="utf-8")
    overview = overview_plot(cells)
    with new_file(out / "overview.png") as temporary:
        temporary.write_bytes(overview)
    page(cells, overview, compute_spent(results), command).save(out / "report.html")
    return cells


def page(cells: list[Cell], overview: bytes, spent: dict[tuple[str, str], float], command: str) -> Report:
    """Make the page."""
    made = Report("Do samples make classifiers better?", "Balanced accuracy on test images, %, gains in points")
    made.pictures("At a glance", [(overview, _OVERVIEW)], smooth=True)
    made.text("Over the best real-only arms", [f"Counting all ways that were tried, {left_after_correction(cells)}."])
    for cell in cells:
        heading = f"{cell.dataset} · {cell.regime} · {cell.classifier}"
        note = (
            f"{cell.choice['train_images']} training images, {cell.choice['test_images']} test images. Best real-only "
        )
        note += f"arm by validation: {cell.choice['best']}."
        made.table(heading, COLUMNS, [row(one) for one in cell.ordered()], note, difference=False)
        made.pictures("", [(arms_plot(cell), "each seed, and each arm's mean")], smooth=True)
        beside = [contrast_row(each) for each in contrasts(cell)]
        if beside:
            made.table("Beside the control and other methods", CONTRAST_COLUMNS, beside, difference=False)
        curve = ratio_plot(cell)
        if curve is not None:
            made.pictures("", [(curve, "gain over the share of samples, best real-only arm as the base")], smooth=True)
        shown = [one for one in cell.ordered() if one.best][:1]
        if shown:
            bars = recall_plot(shown[0], cell.choice.get("classes", ()))
            made.pictures("", [(bars, "recall by class: real only, and with samples")], smooth=True)
        table = [(name, *_real_cells(cell, name)) for name in cell.choice["bases"]]
        made.table("Real-only arms", ("arm", "validation", "test"), table, difference=False)
    for kind, (title, _) in CURVES.items():
        curves = regime_plot(cells, kind)
        if curves is not None:
            made.pictures(title, [(curves, "best real-only arm as the base")], smooth=True)
    made.table(
        "Compute spent",
        ("runs", "on", "hours"),
        [(kind, place, f"{hours:.1f}") for (kind, place), hours in sorted(spent.items())],
        "A processor's hours are those of one or two cores.",
        difference=False,
    )
    made.code("How to make it again", command)
    return made


def row(one: Comparison) -> tuple[str, ...]:
    """Return the cells of a comparison, as text."""
    seeds, *gain = _gain_cells(one.gain)
    real, synthetic = (f"{100 * np.mean(values):.1f}" for values in (one.reference, one.synthetic))
    return (_base(one), one.bank, one.policy, seeds, real, synthetic, *gain)


def contrast_row(each: Contrast) -> tuple[str, ...]:
    """Return the cells of a contrast, as text."""
    ways = (each.ours.bank, each.ours.policy, each.other.bank, each.other.policy)
    return (_base(each.ours), *ways, *_gain_cells(each.gain))


def _base(one: Comparison) -> str:
    return f"{one.base} (best)" if one.best else one.base


def _gain_cells(gain: PairedDifference) -> tuple[str, str, str, str]:
    interval = "" if gain.low is None or gain.high is None else f"{signed(gain.low)} … {signed(gain.high)}"
    return str(gain.pairs), signed(gain.mean), interval, f"{gain.wins}/{gain.pairs}"


def _real_cells(cell: Cell, base: str) -> tuple[str, str]:
    measured = cell.real_only.get(base, ())
    text = "" if not measured else f"{100 * np.mean(measured):.1f} ({', '.join(f'{100 * v:.1f}' for v in measured)})"
    return f"{100 * cell.choice['bases'][base]['mean']:.1f}", text


def tables(cells: list[Cell]) -> list[Table]:
    """Return one table a cell for the terminal."""
    made = []
    for cell in cells:
        title = f"{cell.dataset} · {cell.regime} · {cell.classifier} · balanced accuracy on test, %"
        table = Table(*COLUMNS, title=title, title_justify="left")
        for one in cell.ordered():
            table.add_row(*row(one))
        made.append(table)
    return made


def markdown(cells: list[Cell]) -> str:
    """Return all comparisons as one table, those over the best real-only arm of each cell first."""
    lines = [
        "| dataset | images | classifier | real-only arm | real only | + samples | gain [95 % interval] | wins |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cell in cells:
        for one in cell.ordered():
            cells_of = row(one)
            gain = f"{cells_of[6]} [{cells_of[7].replace(' … ', ', ')}]"
            gain = f"**{gain}**" if one.gain.low is not None and one.gain.low > 0 else gain
            lines.append(
                f"| {cell.dataset} | {cell.regime} | {cell.classifier} | {cells_of[0]} | {cells_of[4]} | "
                f"{cells_of[5]}: {one.bank}, {one.policy} | {gain} | {cells_of[8]} |"
            )
    return "\n".join(lines) + "\n"
