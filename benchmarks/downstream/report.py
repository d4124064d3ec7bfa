"""The page of the benchmark: tables, curves, recall by class, compute spent; drawn from the cached runs alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from benchmarks.downstream.regimes import Regime
from benchmarks.downstream.summary import Cell, Comparison, compute_spent, read_cells, rows
from synthaug.evaluation.report import Report, figure_png
from synthaug.storage import new_file, write_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("real-only arm", "samples", "policy", "seeds", "real only", "with samples", "gain", "95 % interval", "wins")


def write_report(results: Path, out: Path, command: str) -> list[Cell]:
    """Write ``summary.json``, ``report.html`` and ``table.md`` into ``out`` and return what they show."""
    cells = read_cells(results)
    write_json(out / "summary.json", rows(cells))
    with new_file(out / "table.md") as temporary:
        temporary.write_text(markdown(cells), encoding="utf-8")
    page(cells, compute_spent(results), command).save(out / "report.html")
    return cells


def page(cells: list[Cell], spent: dict[str, float], command: str) -> Report:
    """Make the page."""
    made = Report("Do samples make classifiers better?", "Balanced accuracy on test images, %, gains in points")
    for cell in cells:
        heading = f"{cell.dataset} · {cell.regime} · {cell.classifier}"
        note = (
            f"{cell.choice['train_images']} training images, {cell.choice['test_images']} test images. Best real-only "
        )
        note += f"arm by validation: {cell.choice['best']}."
        made.table(heading, COLUMNS, [row(one) for one in ordered(cell)], note, difference=False)
        made.pictures("", [(arms_plot(cell), "each seed, and each arm's mean")], smooth=True)
        curve = ratio_plot(cell)
        if curve is not None:
            made.pictures("", [(curve, "gain over the share of samples, best real-only arm as the base")], smooth=True)
        shown = [one for one in ordered(cell) if one.best][:1]
        if shown:
            bars = recall_plot(shown[0], cell.choice.get("classes", ()))
            made.pictures("", [(bars, "recall by class: real only, and with samples")], smooth=True)
        table = [(name, *_real_cells(cell, name)) for name in cell.choice["bases"]]
        made.table("Real-only arms", ("arm", "validation", "test"), table, difference=False)
    curves = shots_plot(cells)
    if curves is not None:
        made.pictures(
            "Gain over the number of training images", [(curves, "best real-only arm as the base")], smooth=True
        )
    work = [f"{hours:.1f} hours in {kind} runs" for kind, hours in sorted(spent.items())]
    made.text("Compute spent (one or two cores)", work)
    made.code("How to make it again", command)
    return made


def ordered(cell: Cell) -> list[Comparison]:
    """Return the comparisons over the best real-only arm first, each group by its gain."""
    return sorted(cell.comparisons, key=lambda one: (not one.best, one.base, -one.gain.mean))


def row(one: Comparison) -> tuple[str, ...]:
    """Return the cells of a comparison, as text."""
    gain = one.gain
    interval = "" if gain.low is None or gain.high is None else f"{100 * gain.low:+.1f} … {100 * gain.high:+.1f}"
    return (
        f"{one.base} (best)" if one.best else one.base,
        one.bank,
        one.policy,
        str(gain.pairs),
        f"{100 * np.mean(one.reference):.1f}",
        f"{100 * np.mean(one.synthetic):.1f}",
        f"{100 * gain.mean:+.1f}",
        interval,
        f"{gain.wins}/{gain.pairs}",
    )


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
        for one in ordered(cell):
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
        for one in ordered(cell):
            cells_of = row(one)
            gain = f"{cells_of[6]} [{cells_of[7].replace(' … ', ', ')}]"
            gain = f"**{gain}**" if one.gain.low is not None and one.gain.low > 0 else gain
            lines.append(
                f"| {cell.dataset} | {cell.regime} | {cell.classifier} | {cells_of[0]} | {cells_of[4]} | "
                f"{cells_of[5]}: {one.bank}, {one.policy} | {gain} | {cells_of[8]} |"
            )
    return "\n".join(lines) + "\n"


def arms_plot(cell: Cell) -> bytes:
    """Draw every seed of every arm and the means; the interval of each gain stands beside it."""
    from matplotlib.figure import Figure

    lines: list[tuple[str, tuple[float, ...], Comparison | None]] = []
    for base in dict.fromkeys(one.base for one in ordered(cell)):
        lines.append((base, cell.real_only[base], None))
        lines += [(f"+ {one.bank}, {one.policy}", one.synthetic, one) for one in ordered(cell) if one.base == base]
    figure = Figure(figsize=(7.5, 0.9 + 0.3 * len(lines)), layout="constrained")
    axes = figure.subplots()
    for number, (_, values, one) in enumerate(lines):
        colour = "0.45" if one is None else _COLOURS[one.gain.verdict]
        percent = 100 * np.array(values)
        axes.scatter(percent, np.full(len(percent), number), s=14, color=colour, alpha=0.55, linewidths=0)
        axes.scatter([percent.mean()], [number], marker="|", s=180, color=colour)
        if one is not None and one.gain.low is not None:
            text = f"{row(one)[6]}  [{row(one)[7].replace(' … ', ', ')}]"
            axes.annotate(
                text, (1.01, number), xycoords=("axes fraction", "data"), va="center", fontsize=7, color=colour
            )
    axes.set_yticks(range(len(lines)), [name for name, *_ in lines], fontsize=8)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlabel("balanced accuracy on test (%)", fontsize=8)
    _plain(axes)
    return figure_png(figure)


_COLOURS = {"better": "tab:green", "worse": "tab:red", "unclear": "tab:blue"}


def recall_plot(one: Comparison, classes: Sequence[str]) -> bytes:
    """Draw each class's recall without and with samples, the class that is found least often first."""
    from matplotlib.figure import Figure

    before, after = (100 * np.array(values) for values in one.recalls)
    order = np.argsort(before)
    places = range(len(order))
    figure = Figure(figsize=(7.5, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.vlines(places, before[order], after[order], color="0.75", linewidth=3, zorder=1)
    axes.scatter(places, before[order], color="0.45", s=24, label="real only")
    axes.scatter(places, after[order], color="tab:blue", s=24, label=f"+ {one.bank}, {one.policy}")
    names = [classes[label] if classes else f"class {label}" for label in order]
    long = max(map(len, names)) * len(names) > 90
    axes.set_xticks(places, names, rotation=40 if long else 0, ha="right" if long else "center")
    axes.set_xlim(-0.6, len(order) - 0.4)
    axes.set_ylabel("recall (%)", fontsize=8)
    axes.legend(frameon=False, fontsize=8)
    _plain(axes)
    return figure_png(figure)


def ratio_plot(cell: Cell) -> bytes | None:
    """Draw gain over the share of samples, from 0 on, for each bank and mode that was run at two shares or more."""
    from matplotlib.figure import Figure

    lines: dict[str, list[Comparison]] = {}
    for one in sorted(cell.comparisons, key=lambda one: one.share):
        if one.best:
            lines.setdefault(f"{one.bank}, {one.mode}", []).append(one)
    lines = {name: points for name, points in lines.items() if len(points) > 1}
    if not lines:
        return None
    figure = Figure(figsize=(7.5, 3), layout="constrained")
    axes = figure.subplots()
    for name, points in lines.items():
        gains = [100 * one.gain.mean for one in points]
        spread = [_spread(one) for one in points]
        shares = [100 * one.share for one in points]
        axes.errorbar([0, *shares], [0, *gains], yerr=[0, *spread], marker="o", markersize=4, capsize=2, label=name)
    axes.axhline(0, color="0.6", linewidth=1)
    axes.set_xlabel("images in training that are samples, or mixed with one (%)", fontsize=8)
    axes.set_ylabel("gain (points)", fontsize=8)
    axes.legend(frameon=False, fontsize=7)
    _plain(axes)
    return figure_png(figure)


def shots_plot(cells: list[Cell]) -> bytes | None:
    """Draw gain over images a class, a panel for each dataset and a line for each way with two points or more."""
    from matplotlib.figure import Figure

    panels: dict[str, dict[str, list[tuple[int, Comparison]]]] = {}
    for cell in cells:
        regime = Regime.parse(cell.regime)
        if regime.kind == "few-shot":
            for one in cell.comparisons:
                if one.best:
                    name = f"{cell.classifier}, {one.bank}, {one.policy}"
                    panels.setdefault(cell.dataset, {}).setdefault(name, []).append((regime.per_class, one))
    panels = {
        dataset: {name: sorted(points, key=_shots) for name, points in lines.items() if len(points) > 1}
        for dataset, lines in panels.items()
    }
    panels = {dataset: lines for dataset, lines in panels.items() if lines}
    if not panels:
        return None
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    figure = Figure(figsize=(1.2 + 3.2 * len(panels), 4.2), layout="constrained")
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    shown = {}
    for axes, (dataset, lines) in zip(grid, panels.items(), strict=True):
        all_shots = sorted({number for points in lines.values() for number, _ in points})
        for name, points in lines.items():
            aside = 0.06 * (names.index(name) - (len(names) - 1) / 2)  # intervals beside each other
            gains = [100 * one.gain.mean for _, one in points]
            spread = [_spread(one) for _, one in points]
            shown[name] = axes.errorbar(
                [all_shots.index(number) + aside for number, _ in points], gains, yerr=spread,
                marker="o", markersize=4, capsize=2, linewidth=1, color=f"C{names.index(name) % 10}",
            )  # fmt: skip
        axes.axhline(0, color="0.6", linewidth=1)
        axes.set_xticks(range(len(all_shots)), map(str, all_shots))
        axes.set_xlim(-0.5, len(all_shots) - 0.5)
        axes.set_xlabel("training images a class", fontsize=8)
        axes.set_title(dataset, fontsize=9)
        _plain(axes)
    grid[0].set_ylabel("gain (points)", fontsize=8)
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=2, frameon=False, fontsize=7)
    return figure_png(figure)


def _spread(one: Comparison) -> float:
    """Return half of the gain's interval in points; 0 where there is none."""
    return 0.0 if one.gain.high is None else 100 * (one.gain.high - one.gain.mean)


def _shots(point: tuple[int, Comparison]) -> int:
    return point[0]


def _plain(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
