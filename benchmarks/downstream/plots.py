"""The pictures of the benchmark's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.downstream.regimes import Regime
from benchmarks.downstream.summary import FAMILIES, WAYS, Cell, Comparison, signed
from synthaug.evaluation.report import figure_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def overview_plot(cells: Sequence[Cell]) -> bytes:
    """Draw all cells' gains, over plain cross-entropy on the left and over the best real-only arm on the right."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(10, 1.4 + 0.52 * len(cells)), layout="constrained")
    sides = figure.subplots(1, 2, sharey=True)
    shown = set()
    looks = {
        (f"{family}, {way}", banks, policy): (f"C{number}", marker)
        for number, (family, banks) in enumerate(FAMILIES.items())
        for marker, (way, policy) in zip("^os", WAYS.items(), strict=True)
    }
    for axes, title in zip(sides, ("over plain cross-entropy", "over the best real-only arm"), strict=True):
        for number, cell in enumerate(cells):
            base = cell.choice["best"] if axes is sides[1] else "none"
            for place, ((name, banks, policy), (color, marker)) in enumerate(looks.items()):
                one = cell.find(base, banks, policy)
                if one is None:
                    continue
                aside = 0.07 * (place - (len(looks) - 1) / 2)
                inside = "white" if one.gain.verdict == "unclear" else None
                shown.add(name)
                axes.errorbar(
                    [100 * one.gain.mean], [number + aside], xerr=_spread(one), markersize=4, linewidth=1,
                    linestyle="none", color=color, marker=marker, markerfacecolor=inside,
                )  # fmt: skip
        axes.axvline(0, color="0.5", linewidth=1)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("gain (points)", fontsize=8)
        _plain(axes)
    sides[0].set_yticks(range(len(cells)), [f"{one.dataset}, {one.regime}, {one.classifier}" for one in cells])
    sides[0].set_ylim(len(cells) - 0.5, -0.5)
    keys = {
        name: Line2D([], [], color=color, marker=marker)
        for (name, *_), (color, marker) in looks.items()
        if name in shown
    }
    figure.legend(keys.values(), keys.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure_png(figure)


def arms_plot(cell: Cell) -> bytes:
    """Draw every seed of every arm and the means; the interval of each gain stands beside it."""
    from matplotlib.figure import Figure

    lines: list[tuple[str, tuple[float, ...], Comparison | None]] = []
    for base in dict.fromkeys(one.base for one in cell.ordered()):
        lines.append((base, cell.real_only[base], None))
        lines += [(f"+ {one.bank}, {one.policy}", one.synthetic, one) for one in cell.ordered() if one.base == base]
    figure = Figure(figsize=(7.5, 0.9 + 0.3 * len(lines)), layout="constrained")
    axes = figure.subplots()
    for number, (_, values, one) in enumerate(lines):
        colour = "0.45" if one is None else _COLOURS[one.gain.verdict]
        percent = 100 * np.array(values)
        axes.scatter(percent, np.full(len(percent), number), s=14, color=colour, alpha=0.55, linewidths=0)
        axes.scatter([percent.mean()], [number], marker="|", s=180, color=colour)
        if one is not None and one.gain.low is not None and one.gain.high is not None:
            text = f"{signed(one.gain.mean)}  [{signed(one.gain.low)}, {signed(one.gain.high)}]"
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


CURVES = {
    "few-shot": ("Gain over the number of training images", "training images a class"),
    "long-tail": ("Gain over the imbalance", "largest class over smallest"),
}
"""Kinds of regime that have a size: what is drawn over it, and the size in words."""


def regime_plot(cells: list[Cell], kind: str) -> bytes | None:
    """Draw gain over the size of a kind of regime: a panel a dataset, a line a way that has two sizes or more."""
    from matplotlib.figure import Figure

    panels: dict[str, dict[str, list[tuple[float, Comparison]]]] = {}
    for cell in cells:
        regime = Regime.parse(cell.regime)
        if regime.kind != kind:
            continue
        panel = cell.dataset if regime.head is None else f"{cell.dataset}, {regime.head} of the largest class"
        size = regime.imbalance if kind == "long-tail" else regime.per_class
        for one in cell.comparisons:
            if one.best:
                name = f"{cell.classifier}, {one.bank}, {one.policy}"
                panels.setdefault(panel, {}).setdefault(name, []).append((size, one))
    panels = {
        panel: {name: sorted(points, key=_size) for name, points in lines.items() if len(points) > 1}
        for panel, lines in panels.items()
    }
    panels = {panel: lines for panel, lines in panels.items() if lines}
    if not panels:
        return None
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    figure = Figure(figsize=(max(4.5, 1.2 + 3.2 * len(panels)), 4.2), layout="constrained")
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    shown = {}
    for axes, (panel, lines) in zip(grid, panels.items(), strict=True):
        sizes = sorted({size for points in lines.values() for size, _ in points})
        for name, points in lines.items():
            aside = 0.06 * (names.index(name) - (len(names) - 1) / 2)  # intervals beside each other
            gains = [100 * one.gain.mean for _, one in points]
            spread = [_spread(one) for _, one in points]
            shown[name] = axes.errorbar(
                [sizes.index(size) + aside for size, _ in points], gains, yerr=spread,
                marker="o", markersize=4, capsize=2, linewidth=1, color=f"C{names.index(name) % 10}",
            )  # fmt: skip
        axes.axhline(0, color="0.6", linewidth=1)
        axes.set_xticks(range(len(sizes)), [f"{size:g}" for size in sizes])
        axes.set_xlim(-0.5, len(sizes) - 0.5)
        axes.set_xlabel(CURVES[kind][1], fontsize=8)
        axes.set_title(panel, fontsize=9)
        _plain(axes)
    grid[0].set_ylabel("gain (points)", fontsize=8)
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=2, frameon=False, fontsize=7)
    return figure_png(figure)


def _spread(one: Comparison) -> float:
    """Return half of the gain's interval in points; 0 where there is none."""
    return 0.0 if one.gain.high is None else 100 * (one.gain.high - one.gain.mean)


def _size(point: tuple[float, Comparison]) -> float:
    return point[0]


def _plain(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
