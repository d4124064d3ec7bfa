"""What people would rather look at than read: a map of features, bars by class, samples beside real images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synthaug.curation.neighbours import mean_distance
from synthaug.evaluation.assessment.inputs import Reals, Samples
from synthaug.evaluation.assessment.memorisation import Memorisation
from synthaug.evaluation.assessment.utility import Utility
from synthaug.evaluation.quality import Fidelity
from synthaug.evaluation.report import figure_png
from synthaug.grids import row_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL import Image

_MAPPED = 400  # images of each kind
_NEIGHBOURS = 5
_BARS = 30
_COLUMNS = 12
_COLOURS = {"training images": "#9aa4b0", "held-out images": "#2f6fab", "real images": "#2f6fab", "samples": "#d9681d"}


@dataclasses.dataclass(frozen=True, eq=False)
class Shown:
    """Features that pictures are made from.

    Attributes:
        rows: Positions of the samples that were measured, (M,).
        of_samples: Their features, (M, D).
        labels: Their labels, (M,).
        of_reals: Features of the real images they were measured against, (N, D).
        real_labels: Labels of these, (N,).
        of_train: Features of training images, where others are held out; else `None`.
    """

    rows: NDArray[np.int64]
    of_samples: NDArray[np.float32]
    labels: NDArray[np.int64]
    of_reals: NDArray[np.float32]
    real_labels: NDArray[np.int64]
    of_train: NDArray[np.float32] | None = None


def feature_map(shown: Shown, seed: int = 0) -> bytes:
    """Draw real images and samples as points, alike ones near each other, as PNG bytes.

    Source: van der Maaten & Hinton 2008, "Visualizing data using t-SNE", on the first 30 principal components.
    """
    from matplotlib.figure import Figure
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    random = np.random.default_rng([seed, 0x3A9])
    kinds = {"held-out images": shown.of_reals, "samples": shown.of_samples}
    if shown.of_train is None:
        kinds = {"real images": shown.of_reals, "samples": shown.of_samples}
    else:
        kinds = {"training images": shown.of_train} | kinds
    chosen = {kind: features[random.permutation(len(features))[:_MAPPED]] for kind, features in kinds.items()}
    points = np.concatenate([*chosen.values()])
    small = PCA(min(30, *points.shape), random_state=seed).fit_transform(points)
    places = TSNE(perplexity=min(30.0, len(points) / 4), init="pca", random_state=seed).fit_transform(small)
    figure = Figure(figsize=(7.2, 5.6), layout="constrained")
    axes = figure.subplots()
    start = 0
    for kind, features in chosen.items():
        part = places[start : start + len(features)]
        start += len(features)
        axes.scatter(part[:, 0], part[:, 1], s=11, alpha=0.65, linewidths=0, color=_COLOURS[kind], label=kind)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9, markerscale=2)
    return figure_png(figure)


def class_bars(fidelity: Fidelity, utility: Utility | None) -> bytes | None:
    """Draw fidelity and, where it was measured, recall by class, the class furthest from real images first.

    Returns:
        PNG bytes; `None` where no class has enough images.
    """
    from matplotlib.figure import Figure

    per_class = dict(sorted(fidelity.per_class.items(), key=lambda item: -item[1].kid)[:_BARS])
    if not per_class:
        return None
    names = [*per_class]
    panels = 2 if utility is None else 3
    figure = Figure(figsize=(3.5 * panels, 1.0 + 0.32 * len(names)), layout="constrained")
    kid, shares, *recalls = figure.subplots(1, panels, sharey=True)
    _bars(kid, {"KID": [one.kid for one in per_class.values()]}, ["#d9681d"])
    kid.set_title("KID (lower is better)", fontsize=9, pad=20)
    both = {
        "precision": [one.precision for one in per_class.values()],
        "coverage": [one.coverage for one in per_class.values()],
    }
    _bars(shares, both, ["#d9681d", "#f0b48c"])
    shares.set_title("among real images, and covering them", fontsize=9, pad=20)
    if utility is not None:
        recall = {
            words: [utility.recall[name][arm] or 0.0 for name in names]
            for arm, words in (("real", "real images"), ("samples", "samples alone"), ("both", "both"))
        }
        _bars(recalls[0], recall, ["#9aa4b0", "#d9681d", "#2f6fab"])
        recalls[0].set_title("recall of a classifier trained on", fontsize=9, pad=20)
    kid.set_yticks(range(len(names)), [name[:24] for name in names], fontsize=8, parse_math=False)
    kid.set_ylim(len(names) - 0.4, -0.6)
    return figure_png(figure)


def extremes(samples: Samples, shown: Shown) -> Image.Image | None:
    """Show the samples that are furthest from real images of their class, and the nearest, in that order.

    Returns:
        A picture; `None` where no class has enough real images.
    """
    scores = np.full(len(shown.rows), np.nan)
    for label in np.unique(shown.labels):
        reals = shown.of_reals[shown.real_labels == label]
        mine = shown.labels == label
        if len(reals) >= _NEIGHBOURS:
            # Relative to how far real images of the class are from each other: classes differ in variety.
            usual = float(np.median(mean_distance(reals, None, _NEIGHBOURS)))
            scores[mine] = mean_distance(reals, shown.of_samples[mine], _NEIGHBOURS) / max(usual, 1e-9)
    order = np.argsort(scores, kind="stable")[: np.isfinite(scores).sum()]
    if not len(order):
        return None
    worst, best = order[::-1][:_COLUMNS], order[:_COLUMNS]
    return row_grid([samples.images[shown.rows[part]] for part in (worst, best)], ["worst", "best"])


def neighbours(
    samples: Samples, reals: Reals, memorisation: Memorisation, seed: int = 0
) -> list[tuple[Image.Image, str]]:
    """Show samples over the training images that they resemble most: the nearest ones, and some at random.

    Returns:
        Pictures with their captions.
    """
    order = np.argsort(memorisation.distances, kind="stable")
    at_random = np.sort(np.random.default_rng([seed, 0x2E1]).permutation(len(order))[:_COLUMNS])
    copies = [copy.sample_position for copy in memorisation.copies[: 4 * _COLUMNS]]
    pictures = []
    if copies:
        shown = (
            f"the {len(copies)} nearest of {len(memorisation.copies)}"
            if len(memorisation.copies) > len(copies)
            else "all"
        )
        pictures.append((_pairs(samples, reals, memorisation, copies), f"Near-copies, {shown}"))
    else:
        pictures.append((_pairs(samples, reals, memorisation, order[:_COLUMNS]), "The nearest to a training image"))
    return [*pictures, (_pairs(samples, reals, memorisation, at_random), "Chosen at random")]


def _pairs(
    samples: Samples, reals: Reals, memorisation: Memorisation, rows: Sequence[int] | NDArray[np.int64]
) -> Image.Image:
    positions = np.asarray(rows, dtype=np.int64)
    lines, captions = [], []
    for start in range(0, len(positions), _COLUMNS):
        part = positions[start : start + _COLUMNS]
        lines += [samples.images[part], reals.train.take(memorisation.nearest[part])]
        captions += ["sample", "training"]
    return row_grid(lines, captions)


def _bars(axes: Axes, values: dict[str, list[float]], colours: Sequence[str]) -> None:
    width = 0.8 / len(values)
    for number, ((name, lengths), colour) in enumerate(zip(values.items(), colours, strict=True)):
        rows = np.arange(len(lengths)) + width * (number - (len(values) - 1) / 2)
        axes.barh(rows, lengths, height=0.9 * width, color=colour, label=name)
    if len(values) > 1:
        axes.legend(fontsize=7, frameon=False, ncols=len(values), loc="lower left", bbox_to_anchor=(-0.02, 1.0))
    axes.grid(axis="x", alpha=0.3)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
