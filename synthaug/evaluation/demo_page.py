"""What the demo says: the answer in plain words, the table, and the page."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.classifiers.policy import Policy
from synthaug.evaluation.report import Report, paired_plot
from synthaug.evaluation.statistics import PairedDifference

if TYPE_CHECKING:
    from PIL import Image
    from rich.table import Table


@dataclasses.dataclass(frozen=True)
class DemoResult:
    """What the demo measured.

    Attributes:
        accuracy: Test accuracy of each seed, by arm: ``"real only"`` and ``"real + samples"``.
        gain: Their paired difference.
        verdict: The answer in plain words.
        seconds: Time of the whole demo.
        out: The folder with pictures, dataset, generator, bank, results and report.
    """

    accuracy: dict[str, tuple[float, ...]]
    gain: PairedDifference
    verdict: str
    seconds: float
    out: Path


@dataclasses.dataclass(frozen=True)
class DemoFacts:
    """How the demo was run.

    Attributes:
        numbers: Arguments of `run_demo` that are numbers.
        family: Generator family.
        classifier: Settings of both arms.
        policy: How samples entered.
        test_images: Test images of a seed.
    """

    numbers: dict[str, int]
    family: str
    classifier: dict[str, Any]
    policy: Policy
    test_images: int


def verdict(gain: PairedDifference) -> str:
    """Answer in plain words whether the samples helped."""
    points = f"{100 * abs(gain.mean):.1f} points"
    if gain.verdict == "better":
        return f"Yes, the samples helped: {points} more accuracy."
    if gain.verdict == "worse":
        return f"No, not for your data: with samples the classifier lost {points} of accuracy."
    if gain.low is None:
        return f"One seed is no answer: {100 * gain.mean:+.1f} points; run more seeds."
    return (
        f"No, not for your data, as far as these seeds can tell: {100 * gain.mean:+.1f} points, "
        "and the interval includes 0."
    )


def _detail(gain: PairedDifference) -> str:
    words = f"Mean paired difference {100 * gain.mean:+.2f} points"
    if gain.low is not None and gain.high is not None:
        words += f", 95 % interval {100 * gain.low:+.2f} to {100 * gain.high:+.2f}"
    return f"{words}; better in {gain.wins} and worse in {gain.losses} of {gain.pairs} seeds."


def _rows(result: DemoResult, *, apart: bool = False) -> list[list[str]]:
    rows = []
    for name, values in result.accuracy.items():
        spread = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
        each = [f"{100 * value:.1f}" for value in values]
        rows.append([name, *(each if apart else [" ".join(each)]), f"{100 * np.mean(values):.1f}{spread}", ""])
    gain = result.gain
    interval = "" if gain.low is None or gain.high is None else f"{100 * gain.low:+.1f} … {100 * gain.high:+.1f}"
    each = [f"{100 * value:+.1f}" for value in gain.differences]
    rows.append(["difference", *(each if apart else [" ".join(each)]), f"{100 * gain.mean:+.1f}", interval])
    return rows


def demo_table(result: DemoResult) -> Table:
    """Return the table for the terminal."""
    from rich.table import Table

    table = Table(title="Accuracy on test, %", title_justify="left")
    for column in ("arm", "seeds", "mean ± std", "95 % interval"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for row in _rows(result):
        table.add_row(*row, style="bold" if row[0] == "difference" else None)
    return table


def demo_page(
    result: DemoResult,
    facts: DemoFacts,
    pictures: tuple[Image.Image, Image.Image],
    command: str,
    environment: dict[str, Any],
) -> Report:
    """Make the page; ``pictures`` are the grids of real and of synthetic images."""
    numbers, classifier = facts.numbers, facts.classifier
    real, fake = pictures
    page = Report(
        "synthaug demo: handwritten digits",
        f"{numbers['per_class']} real images a class, a generator trained on them alone, and a classifier "
        "trained with and without its samples.",
    )
    page.verdict(result.gain.verdict, result.verdict, _detail(result.gain))
    page.pictures(
        "The images (first seed)",
        [
            (real, f"Real: all that the generator and the classifier saw of {numbers['per_class']} a class"),
            (fake, f"Synthetic: the first samples of {facts.family}, not sorted and not curated"),
        ],
    )
    seeds = [f"seed {seed}" for seed in range(result.gain.pairs)]
    page.table(
        f"Accuracy on {facts.test_images} test images, %",
        ["arm", *seeds, "mean", "95 % interval"],
        _rows(result, apart=True),
    )
    arms = list(result.accuracy.values())
    page.pictures("Each seed", [(paired_plot(*arms), "From real only to real + samples, seed by seed")], smooth=True)
    steps, batch = numbers["steps"], classifier["batch_size"]
    page.text(
        "How it was measured",
        [
            f"Data: scikit-learn's 1,797 digits of 8×8 pixels. Each seed draws its own {numbers['per_class']} "
            "training images a class; all the others are test, read once for each arm.",
            f"Generator: {facts.family}, {numbers['generator_steps']} steps, trained on the training images alone; "
            f"{numbers['samples_per_class']} samples a class, none thrown away.",
            f"Classifier: timm's {classifier['model']}, augmentation {classifier['augmentation']}, {steps} steps "
            f"of {batch} in both arms, same initial weights and order; with samples, each image of a batch is "
            f"swapped for a sample of its class with probability {facts.policy.replace_probability:g}.",
            "The settings of both arms were chosen for the real-only arm, on parts of its training images.",
            "Interval: Student's t over the paired differences of the seeds.",
        ],
    )
    page.code("Again", command)
    machine, versions = environment["machine"], environment["versions"]
    page.footer(
        f"{result.seconds:.0f} s on {machine['accelerator'] or machine['processor']}, {machine['cores']} cores · "
        + " · ".join(f"{name} {version}" for name, version in versions.items())
    )
    return page
