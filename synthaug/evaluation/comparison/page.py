"""What a comparison shows: one table for the terminal, one page with pictures for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.evaluation.comparison.claims import Finding
from synthaug.evaluation.comparison.summary import METRICS, FamilySummary
from synthaug.evaluation.report import Report, figure_png

if TYPE_CHECKING:
    from rich.table import Table

_KINDS = {"holds": "better", "does not hold": "worse"}
_MISSING = "–"
_PLOTTED = ("frechet_distance", "recall", "sharpness", "path_length", "training_speed", "sampling_speed")


def rows(families: Mapping[str, FamilySummary], reals: FamilySummary | None) -> tuple[list[str], list[list[str]]]:
    """Return the table's columns (families) and rows (metrics)."""
    shown = [*([reals] if reals else []), *families.values()]
    columns = ["", *("real (train)" if family is reals else family.family for family in shown)]
    body = []
    for metric in METRICS:
        if any(metric.key in family.metrics for family in families.values()):
            cells = [
                family.metrics[metric.key].text(metric) if metric.key in family.metrics else _MISSING
                for family in shown
            ]
            body.append([metric.title, *cells])
    asked = [len(family.seeds) + len(family.failures) for family in shown]
    body.append(["seeds finished", *(f"{len(f.seeds)}/{n}" for f, n in zip(shown, asked, strict=True))])
    return columns, body


def comparison_table(families: Mapping[str, FamilySummary], reals: FamilySummary | None, title: str) -> Table:
    """Return the table for the terminal."""
    from rich.table import Table

    columns, body = rows(families, reals)
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    for row in body:
        table.add_row(*row)
    return table


def comparison_page(
    about: Mapping[str, Any],
    families: Mapping[str, FamilySummary],
    reals: FamilySummary | None,
    findings: Sequence[Finding],
    pictures: Sequence[tuple[Path, str]],
) -> Report:
    """Make the page.

    Args:
        about: What ``compare.json`` says of the comparison, its command and machine.
        families: What was measured.
        reals: Real training images measured as if they were samples: what a perfect generator would reach.
        findings: Claims held against the numbers.
        pictures: Sample grids with their captions.
    """
    page = Report(
        f"Generator families on {about['dataset']}",
        f"{about['minutes']:g} min of training for each of {len(families)} families and {len(about['seeds'])} "
        f"seeds, measured against {about['measured_on']:,} held-out real images.",
    )
    columns, body = rows(families, reals)
    page.table(
        "Mean ± standard deviation over seeds",
        columns,
        body,
        _on_reals(about),
        difference=False,
    )
    for finding in findings:
        page.verdict(
            _KINDS.get(finding.verdict, "unclear"), f"{finding.claim.words} {_answer(finding)}", finding.detail
        )
    failed = [
        f"{family.family}, seed {seed}: {reason}"
        for family in families.values()
        for seed, reason in family.failures.items()
    ]
    if failed:
        page.text("Runs that failed", failed)
    page.pictures("Samples", [(path.read_bytes(), caption) for path, caption in pictures])
    measured = [family for family in families.values() if family.seeds]
    if measured:
        page.pictures("Each seed", [(_strips(measured), "One dot a seed, a bar for the mean")], smooth=True)
    page.text("How it was measured", _method(about))
    page.code("Again", about["command"])
    machine, versions = about["machine"], about["versions"]
    page.footer(
        f"{about['seconds'] / 60:.0f} minutes of runs on {machine['accelerator'] or machine['processor']}, "
        f"{about['threads'] or machine['torch_threads']} threads · "
        + " · ".join(f"{name} {version}" for name, version in versions.items())
    )
    return page


def _answer(finding: Finding) -> str:
    return {
        "holds": "Holds here.",
        "does not hold": "Does not hold here.",
        "unclear": "Unclear: the interval over seeds allows both.",
        "not measured": "Not measured.",
    }[finding.verdict]


def _on_reals(about: Mapping[str, Any]) -> str:
    if failure := about.get("reals_failure"):
        return f"Real training images could not be measured in place of samples: {failure}"
    words = "Real (train): real training images in place of samples, which is what a perfect generator would reach."
    number = about.get("reals_measured_on")
    if number is not None and number < about["measured_on"]:
        words += (
            f" There are {number:,} to measure, in place of {about['measured_on']:,}: by that alone their Fréchet "
            "distance is larger, and no measure for the others'."
        )
    return words


def _method(about: Mapping[str, Any]) -> list[str]:
    points = [
        f"{about['train_images']:,} training images of {about['image_shape'][2]}×{about['image_shape'][1]} pixels and "
        f"{about['classes']} classes; generators saw these alone. Time of fitting a prior afterwards is not counted.",
        f"{about['measured_on']:,} samples, none thrown away, with the classes of as many held-out images; features of "
        f"{about['network']}: distances are not comparable with those on Inception's features.",
        "Fréchet distance (Heusel et al. 2017), KID (Bińkowski et al. 2018), precision and recall (Kynkäänniemi et al. "
        "2019, k = 3), density and coverage (Naeem et al. 2020, k = 5).",
        "Sharpness: variance of the Laplacian of the luminance over that of real images; noise counts as sharpness, "
        "so more than 1 is no praise.",
        "Perceptual path length (Karras et al. 2019): how much the image changes, in features, for a small step "
        "between two codes. A generator of one picture alone has length 0, so read it beside recall.",
        "Collapse: classes whose samples are nearly identical although their real images are not.",
        "Speeds and memory: each run alone in a process of its own; memory is the most that the process held while "
        "training, libraries included.",
        "Intervals: 95 %; Welch's for differences of means (of logarithms, where ratios are given), Fisher's for "
        "spreads. Each claim is tested by itself; with few seeds only large differences are clear.",
    ]
    return [*points, *([about["warning"]] if about["warning"] else [])]


def _strips(families: Sequence[FamilySummary]) -> bytes:
    """Draw every seed of every family for the main metrics, as PNG bytes."""
    from matplotlib.figure import Figure

    metrics = [m for m in METRICS if m.key in _PLOTTED and any(m.key in family.metrics for family in families)]
    columns = 3
    lines = -(-len(metrics) // columns)
    figure = Figure(figsize=(3.4 * columns, lines * (0.9 + 0.3 * len(families))), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for panel, metric in zip(panels, metrics, strict=False):
        for row, family in enumerate(families):
            values = metric.factor * np.array(family.values(metric.key))
            if len(values):
                panel.scatter(values, np.full(len(values), row), s=22, alpha=0.6, linewidths=0, color=f"C{row}")
                panel.scatter([values.mean()], [row], marker="|", s=200, color=f"C{row}")
        panel.set_yticks(range(len(families)), [family.family for family in families], fontsize=8)
        panel.set_ylim(len(families) - 0.5, -0.5)
        panel.set_title(metric.title.replace("↓", "(lower is better)").replace("↑", "(higher is better)"), fontsize=8)
        panel.grid(axis="x", alpha=0.3)
        panel.tick_params(axis="x", labelsize=7)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(metrics) :]:
        panel.set_visible(False)
    return figure_png(figure)
