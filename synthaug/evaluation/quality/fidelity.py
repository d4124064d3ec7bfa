"""One measurement of all: how close samples are to real images, overall and class by class."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import DataError
from synthaug.evaluation.quality.distances import check_features, frechet_distance, kernel_distance
from synthaug.evaluation.quality.manifolds import manifold_scores

LEAST_IMAGES = 6
"""Images that a manifold of five neighbours takes."""
_SUBSETS, _SUBSETS_OF_A_CLASS = 50, 20


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """Distances and manifold scores of samples against real images.

    Attributes:
        frechet_distance: Lower is better; see `frechet_distance`.
        kid: Kernel distance, mean over subsets; lower is better.
        kid_std: Its standard deviation over subsets.
        kid_interval: Where 95 % of subsets fall.
        precision: Samples that lie among real images, 0 to 1.
        recall: Real images that lie among samples, 0 to 1.
        density: Like precision, but counts how densely; may pass 1.
        coverage: Real images with a sample nearby, 0 to 1.
        reals: Real images measured.
        samples: Samples measured.
        features: Features an image.
        warning: What to mind when reading the numbers, or `None`.
        per_class: The same for each class that has enough images of both; empty where it was not asked for.
    """

    frechet_distance: float
    kid: float
    kid_std: float
    kid_interval: tuple[float, float]
    precision: float
    recall: float
    density: float
    coverage: float
    reals: int
    samples: int
    features: int
    warning: str | None = None
    per_class: dict[str, Fidelity] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        values = dataclasses.asdict(self) | {"kid_interval": list(self.kid_interval)}
        return values | {"per_class": {name: one.to_dict() for name, one in self.per_class.items()}}


def measure_fidelity(
    reals: NDArray[np.floating],
    samples: NDArray[np.floating],
    *,
    real_labels: NDArray[np.integer] | None = None,
    sample_labels: NDArray[np.integer] | None = None,
    classes: Sequence[str] = (),
    seed: int = 0,
) -> Fidelity:
    """Measure samples against real images, by their features.

    Args:
        reals: Features of real images that the generator was not trained on, (N, D); see `extract_features`.
        samples: Features of samples, (M, D); best as many, with the same shares of the classes.
        real_labels: Labels of the real images, (N,). With these and ``sample_labels`` each class is measured too.
        sample_labels: Labels of the samples, (M,).
        classes: Names of the classes, in the order of the labels.
        seed: Of the random subsets of the kernel distance.

    Raises:
        DataError: If there are fewer than six images of either, the numbers of features differ, or labels do not fit.
        MissingExtraError: If torchmetrics is not installed.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(60, 4))
        >>> result = measure_fidelity(features[:30], features[30:])
        >>> result.reals, result.warning
        (30, None)
    """
    overall = _measure(reals, samples, seed, _SUBSETS)
    if real_labels is None or sample_labels is None:
        return overall
    if len(real_labels) != len(reals) or len(sample_labels) != len(samples):
        raise DataError(
            f"expected a label for each of {len(reals)} real images and {len(samples)} samples, but got "
            f"{len(real_labels)} and {len(sample_labels)}."
        )
    per_class = {}
    for label, name in enumerate(classes):
        real, fake = reals[real_labels == label], samples[sample_labels == label]
        if min(len(real), len(fake)) >= LEAST_IMAGES:
            per_class[name] = _measure(real, fake, seed, _SUBSETS_OF_A_CLASS)
    return dataclasses.replace(overall, per_class=per_class)


def _measure(reals: NDArray[np.floating], samples: NDArray[np.floating], seed: int, subsets: int) -> Fidelity:
    check_features(reals, samples, least=LEAST_IMAGES)
    kernel = kernel_distance(reals, samples, subsets=subsets, seed=seed)
    manifolds = manifold_scores(reals, samples)
    return Fidelity(
        frechet_distance=frechet_distance(reals, samples),
        kid=kernel.mean,
        kid_std=kernel.std,
        kid_interval=kernel.interval,
        **dataclasses.asdict(manifolds),
        reals=len(reals),
        samples=len(samples),
        features=reals.shape[1],
        warning=_small_sample_warning(len(reals), len(samples), reals.shape[1]),
    )


def _small_sample_warning(reals: int, samples: int, features: int) -> str | None:
    if min(reals, samples) > features:
        return None
    return (
        f"{reals} real images and {samples} samples are too few for covariances of {features} features: the Fréchet "
        "distance is biased upwards, and comparable only with others on the same numbers; trust KID more."
    )
