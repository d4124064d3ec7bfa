"""What an assessment shows: a table for the terminal, a page with pictures for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug.evaluation.assessment.closeness import Closeness
from synthaug.evaluation.assessment.inputs import Reals, Samples
from synthaug.evaluation.assessment.pictures import Shown, class_bars, extremes, feature_map, neighbours
from synthaug.evaluation.assessment.record import Assessment
from synthaug.evaluation.quality import Fidelity
from synthaug.evaluation.report import Report

if TYPE_CHECKING:
    from rich.table import Table

_MISSING = "–"
_LISTED = 20
_COLUMNS = ("", "samples", "new real images")
_PER_CLASS = ("class", "KID ↓", "Fréchet ↓", "precision ↑", "recall ↑", "density ↑", "coverage ↑", "images")


def rows(result: Assessment) -> list[list[str]]:
    """Return the lines of the table: what, of samples, of real images."""
    measured, known = result.closeness, result.memorisation
    ours, theirs = measured.beside or measured.fidelity, measured.reference
    lines = []
    if result.utility is not None:
        utility = result.utility
        real, alone, both = (f"{100 * utility.mean(arm):.1f} %" for arm in ("real", "samples", "both"))
        gain = utility.gain
        interval = "" if gain.low is None or gain.high is None else f" ({100 * gain.low:+.1f} … {100 * gain.high:+.1f})"
        lines += [
            ["accuracy when trained on them alone", alone, real],
            ["accuracy when trained on real images and them", both, _MISSING],
            [f"gain with samples {utility.way}, points (95 % interval)", f"{100 * gain.mean:+.1f}{interval}", _MISSING],
        ]
    for title, name, digits in (
        ("Fréchet distance ↓", "frechet_distance", 1),
        ("KID ↓", "kid", 3),
        ("precision ↑", "precision", 2),
        ("recall ↑", "recall", 2),
        ("density ↑", "density", 2),
        ("coverage ↑", "coverage", 2),
    ):
        lines.append([title, *(_number(one, name, digits) for one in (ours, theirs))])
    lines.append(["KID, 95 % interval", *(_interval(one) for one in (ours, theirs))])
    lines.append(["sharpness, real = 1", f"{measured.sharpness:.2f}", "1.00"])
    expected = known.held_out_share
    lines.append(
        [
            "near-copies of training images",
            f"{len(known.copies):,} ({100 * known.share:.1f} %)",
            _MISSING if expected is None else f"{100 * expected:.1f} %",
        ]
    )
    for attack in known.membership:
        control = (
            f"{known.control.value:.2f}" if known.control is not None and attack is known.membership[0] else _MISSING
        )
        auc = attack.auc
        lines.append(
            [
                f"membership AUC by {attack.attack.partition(',')[0]}",
                f"{auc.value:.2f} ({auc.low:.2f} … {auc.high:.2f})",
                control,
            ]
        )
    if known.nearer_to_training is not None:
        chance = known.nearer_to_training
        lines.append(
            [
                "nearer to training than to held-out images",
                f"{chance.value:.2f} ({chance.low:.2f} … {chance.high:.2f})",
                "0.50",
            ]
        )
    return lines


def summary_table(result: Assessment) -> Table:
    """Return the table for the terminal."""
    from rich.table import Table

    table = Table(title=f"{result.about['samples']['images']:,} samples", title_justify="left")
    for number, column in enumerate(_COLUMNS):
        table.add_column(column, justify="right" if number else "left")
    for line in rows(result):
        table.add_row(*line)
    return table


def assessment_page(result: Assessment, samples: Samples, reals: Reals, shown: Shown) -> Report:
    """Make the page.

    Args:
        result: What was measured.
        samples: The samples.
        reals: The real images.
        shown: Features for the pictures.
    """
    about = result.about
    against = about["held_out"] or about["real"]
    page = Report(
        f"Samples against {about['real']['name']}",
        f"{about['samples']['images']:,} samples ({_what(about['samples'])}), {about['real']['images']:,} training "
        + (f"images, {against['images']:,} held-out images." if about["held_out"] else "images, no held-out ones."),
    )
    for finding in result.findings:
        page.verdict(finding.kind, finding.words, finding.detail)
    if result.missing:
        page.text("Mind", result.missing)
    page.table("In numbers", _COLUMNS, rows(result), _numbers_note(result.closeness), difference=False)
    fidelity = result.closeness.fidelity
    bars = class_bars(fidelity, result.utility)
    if bars is not None:
        page.pictures("By class", [(bars, "The class furthest from real images first")], smooth=True)
        page.table("By class, in numbers", _PER_CLASS, _class_rows(fidelity), difference=False)
    page.pictures("Map", [(feature_map(shown, about["seed"]), _MAP)], smooth=True)
    picture = extremes(samples, shown)
    if picture is not None:
        page.pictures("Worst and best samples", [(picture, _EXTREMES)])
    for pair in neighbours(samples, reals, result.memorisation, about["seed"]):
        page.pictures("Samples over their nearest training images", [pair])
    copies = result.memorisation.copies
    if copies:
        lines = [[copy.sample, copy.nearest_training_image, f"{copy.distance:.2f}"] for copy in copies[:_LISTED]]
        note = "Distance 1 is the threshold." + (
            f" {len(copies):,} in all: see evaluation.json." if len(copies) > _LISTED else ""
        )
        page.table("Near-copies", ("sample", "training image", "distance"), lines, note, difference=False)
    page.text("How it was measured", _method(result))
    page.code("Again", about["command"])
    machine = about["machine"]
    page.footer(
        f"{about['seconds']:.0f} s on {machine['accelerator'] or machine['processor']} · "
        + " · ".join(f"{name} {version}" for name, version in about["versions"].items())
    )
    return page


_MAP = "One point an image, images with like features near each other (t-SNE). Good samples lie where real images lie."
_EXTREMES = (
    "By distance in features to the five nearest real images of their class, over what is usual among real images of it"
)


def _numbers_note(measured: Closeness) -> str:
    """Say on how many images the distances of the table are."""
    if measured.beside is None:
        return f"Distances on {measured.fidelity.samples:,} samples and as many real images, with the same classes."
    return (
        "New real images: what a perfect generator would reach. Distances on as many images of each class: "
        f"{measured.beside.samples:,}."
    )


def _what(samples: dict[str, object]) -> str:
    if samples["kind"] == "generator":
        return f"of a {samples['family']}, drawn with seed {samples['seed']}"
    return f"from {samples['name']}" if samples["kind"] == "source" else "from a bank"


def _number(fidelity: Fidelity | None, name: str, digits: int) -> str:
    return _MISSING if fidelity is None else f"{getattr(fidelity, name):,.{digits}f}"


def _interval(fidelity: Fidelity | None) -> str:
    return _MISSING if fidelity is None else " … ".join(f"{end:.3f}" for end in fidelity.kid_interval)


def _class_rows(fidelity: Fidelity) -> list[list[str]]:
    ordered = sorted(fidelity.per_class.items(), key=lambda item: -item[1].kid)
    return [
        [
            name,
            f"{one.kid:.3f}",
            f"{one.frechet_distance:,.0f}",
            *(f"{value:.2f}" for value in (one.precision, one.recall, one.density, one.coverage)),
            str(one.samples),
        ]
        for name, one in ordered
    ]


def _method(result: Assessment) -> list[str]:
    about, utility = result.about, result.utility
    network = "a classifier trained on the training images" if about["network"] == "classifier" else about["network"]
    points = [
        f"{result.closeness.fidelity.samples:,} samples and as many real images of each class; features of {network}: "
        "distances are not comparable with those on other networks' features.",
        "Fréchet distance (Heusel et al. 2017), KID (Bińkowski et al. 2018), precision and recall (Kynkäänniemi et al. "
        "2019, k = 3), density and coverage (Naeem et al. 2020, k = 5).",
        "Near-copies: exact or lightly changed (mirrored, moved, turned, brighter, noisy, compressed) training images, "
        "all of which were compared. The threshold was set on training images alone.",
    ]
    if result.memorisation.membership:
        first = result.memorisation.membership[0]
        points.append(
            f"Membership: {first.members:,} training images against {first.others:,} held-out ones, the same number of "
            "each class; intervals by DeLong et al. 1988, and by random divisions for nearness."
        )
    if utility is not None:
        points.append(
            f"Classifiers: {utility.settings['model']}, {utility.settings['steps']} steps of "
            f"{utility.settings['batch_size']} images, augmentation {utility.settings['augmentation']}, the same "
            f"weights and steps with and without samples, {len(utility.real)} seeds. Classification accuracy score: "
            "Ravuri & Vinyals 2019; the interval of the gain is over held-out images and seeds."
        )
    return points
