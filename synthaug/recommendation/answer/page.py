"""The page: the answer first, then gain over ratio, gain by class, and all that was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthaug.evaluation.report import Report, figure_png
from synthaug.evaluation.statistics import PairedDifference
from synthaug.recommendation.answer.words import classifier_words


def gain_curve(curve: Mapping[float, PairedDifference]) -> bytes:
    """Draw the gain over the ratio with its intervals, as PNG bytes; ratio 0 is the zero line.

    Args:
        curve: Differences of shares by ratio.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    ratios = sorted(curve)
    places = range(1, len(ratios) + 1)
    means = [100 * curve[ratio].mean for ratio in ratios]
    axes.axhline(0, color="0.6", linewidth=1)
    axes.plot([0, *places], [0, *means], color="tab:blue", marker="o", markersize=5)
    for place, ratio in zip(places, ratios, strict=True):
        gain = curve[ratio]
        if gain.low is not None and gain.high is not None:
            axes.plot([place, place], [100 * gain.low, 100 * gain.high], color="tab:blue", alpha=0.5, linewidth=5)
        for difference in gain.differences:
            axes.scatter([place + 0.12], [100 * difference], color="0.5", s=9, zorder=3)
    axes.set_xticks([0, *places], ["0", *[f"{ratio:g}" for ratio in ratios]])
    axes.set_xlabel("samples for each real image")
    axes.set_ylabel("gain (points)")
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure_png(figure)


def class_bars(gains: Mapping[str, PairedDifference]) -> bytes:
    """Draw the gain of each class with its interval, as PNG bytes; at most the 30 largest in size."""
    from matplotlib.figure import Figure

    shown = sorted(sorted(gains, key=lambda name: -abs(gains[name].mean))[:30], key=lambda name: gains[name].mean)
    figure = Figure(figsize=(6.4, 0.8 + 0.28 * len(shown)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color="0.6", linewidth=1)
    for row, name in enumerate(shown):
        gain = gains[name]
        colour = {"better": "tab:green", "worse": "tab:red"}.get(gain.verdict, "0.6")
        axes.barh(row, 100 * gain.mean, color=colour, height=0.6)
        if gain.low is not None and gain.high is not None:
            axes.plot([100 * gain.low, 100 * gain.high], [row, row], color="0.2", linewidth=1.5)
    axes.set_yticks(range(len(shown)), shown, parse_math=False)  # names may hold dollar signs
    axes.set_xlabel("gain in recall (points)")
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure_png(figure)


def recommendation_page(found: Mapping[str, Any], rows: Sequence[Sequence[str]]) -> Report:
    """Make the page.

    Args:
        found: What ``recommendation.json`` holds, with `PairedDifference` objects under ``gain``, ``gain_of_hits``,
            ``classes`` and ``curve``.
        rows: Table of the candidates.
    """
    page = Report(
        "Should you use samples?",
        f"{found['data']['name']}: {found['data']['images']:,} images, {len(found['data']['classes'])} classes · "
        f"{found['request']['model']}",
    )
    gain: PairedDifference | None = found["gain"]
    page.verdict(_colour(found["recommended"], gain), found["words"], _detail(gain, found))
    if found["curve"]:
        caption = "Mean, 95 % interval (bar) and each fold and seed (dots). Ratio 0 is real images alone."
        page.pictures(f"Gain over ratio: {found['curve_of']}", [(gain_curve(found["curve"]), caption)], smooth=True)
    if found["classes"]:
        caption = "Mean and 95 % interval of each class by itself, without correction for looking at many."
        page.pictures("Gain by class", [(class_bars(found["classes"]), caption)], smooth=True)
    page.table(
        "What was tried with samples",
        ["setting", "difference on the first fold, points", "pairs"],
        rows,
        "The best of many looks better than it is: these differences chose the winner and are no expected gains."
        if found["raced"]
        else "One fold could not tell ways apart, so the usual one went on to all folds, whatever this difference is.",
        difference=False,
    )
    real = [
        [
            classifier_words(row["settings"]),
            _percent(row["validation"]),
            _percent(row["probability"]),
            str(len(row["validation"])),
        ]
        for row in found["real_only"]
        if row["validation"]
    ]
    page.table(
        "What was tried on real images alone, first",
        [
            "setting",
            f"{found['request']['metric'].replace('_', ' ')} on validation, %",
            "probability of the right class, %",
            "pairs",
        ],
        real,
        "Ranked by the mean of both. The best serves every setting with samples.",
        difference=False,
    )
    page.text("How it was measured", found["method"])
    page.code("Again", found["command"])
    machine, versions = found["machine"], found["versions"]
    page.footer(
        f"{found['seconds']:.0f} s on {machine['accelerator'] or machine['processor']}, {machine['cores']} cores · "
        + " · ".join(f"{name} {version}" for name, version in versions.items())
    )
    return page


def _colour(recommended: bool, gain: PairedDifference | None) -> str:
    if recommended:
        return "better"
    return "worse" if gain is not None and gain.verdict == "worse" else "unclear"


def _detail(gain: PairedDifference | None, found: Mapping[str, Any]) -> str:
    if gain is None or gain.low is None or gain.high is None:
        return "Nothing was measured on images that did not choose the setting."
    words = (
        f"On {_judges(found)}: {100 * gain.mean:+.2f} points, 95 % interval {100 * gain.low:+.2f} to "
        f"{100 * gain.high:+.2f}; of {gain.pairs} pairs of classifiers better in {gain.wins}, worse in {gain.losses}."
    )
    hits: PairedDifference | None = found["gain_of_hits"]
    if hits is None or hits.low is None or hits.high is None:
        return words
    return (
        f"{words} By what was found alone, which says less an image: {100 * hits.mean:+.2f}, {100 * hits.low:+.2f} to "
        f"{100 * hits.high:+.2f}."
    )


def _judges(found: Mapping[str, Any]) -> str:
    """Say on what the gain was measured."""
    return "images that did not choose the setting" if found["raced"] else "all images"


def _percent(values: Sequence[float]) -> str:
    return f"{100 * sum(values) / len(values):.1f}"
