"""Distances between two sets of features: Fréchet and kernel, computed by torchmetrics."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthaug.devices import seeded_on_host
from synthaug.errors import DataError, require_extra


class _AsTheyAre(nn.Module):
    """Stands where torchmetrics wants a network: the features are there already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def require_torchmetrics() -> None:
    """Check that distances can be computed, before anything is drawn or trained for them.

    Raises:
        MissingExtraError: If torchmetrics is not installed.
    """
    try:
        import torchmetrics.image  # noqa: F401
    except ImportError as error:
        raise require_extra("torchmetrics", "evaluate", error) from error


def frechet_distance(reals: NDArray[np.floating], samples: NDArray[np.floating]) -> float:
    """Return the Fréchet distance between the Gaussians that fit two sets of features best.

    Source: Heusel et al. 2017, "GANs trained by a two time-scale update rule converge to a local Nash equilibrium".

    Args:
        reals: Features of real images, (N, D).
        samples: Features of samples, (M, D).

    Returns:
        The squared distance that is called FID with Inception's features; 0 for equal means and covariances. With
        fewer images than features it is biased upwards: compare only what was measured on the same numbers of images.

    Raises:
        DataError: If there are fewer than two of either, or they have different numbers of features.
        MissingExtraError: If torchmetrics is not installed.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(100, 4))
        >>> round(frechet_distance(features, features + 1), 6)
        4.0
    """
    check_features(reals, samples, least=2)
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
    except ImportError as error:
        raise require_extra("torchmetrics", "evaluate", error) from error
    first, second = _in_their_span(reals, samples)
    metric = FrechetInceptionDistance(feature=_AsTheyAre(first.shape[1]))
    metric.update(first, real=True)
    metric.update(second, real=False)
    return max(0.0, float(metric.compute()))


def _in_their_span(reals: NDArray[np.floating], samples: NDArray[np.floating]) -> tuple[Tensor, Tensor]:
    """Write few features of many dimensions in an orthonormal basis of what they span.

    Neither the shift nor the rotation changes the distance; eigenvalues of small matrices are cheaper, and those that
    are 0 by nature bring in no rounding.
    """
    both = torch.from_numpy(np.concatenate([reals, samples]).astype(np.float64))
    both = both - both.mean(0)
    if len(both) < both.shape[1]:
        basis, _ = torch.linalg.qr(both.T)
        both = both @ basis
    return both[: len(reals)], both[len(reals) :]


@dataclasses.dataclass(frozen=True)
class KernelDistance:
    """The kernel distance over random subsets.

    Attributes:
        mean: Over the subsets; an unbiased estimate, so it may fall a little below 0.
        std: Over the subsets.
        subsets: Their number.
        subset_size: Images of each set in a subset.
    """

    mean: float
    std: float
    subsets: int
    subset_size: int

    @property
    def interval(self) -> tuple[float, float]:
        """Where 95 % of subsets of this size fall, if they fall normally."""
        return self.mean - 1.96 * self.std, self.mean + 1.96 * self.std


def kernel_distance(
    reals: NDArray[np.floating],
    samples: NDArray[np.floating],
    *,
    subsets: int = 50,
    subset_size: int = 500,
    seed: int = 0,
) -> KernelDistance:
    """Return the squared maximum mean discrepancy with a cubic kernel, called KID with Inception's features.

    Unlike the Fréchet distance it is unbiased, hence the better of the two where images are few.

    Source: Bińkowski et al. 2018, "Demystifying MMD GANs".

    Args:
        reals: Features of real images, (N, D).
        samples: Features of samples, (M, D).
        subsets: Random subsets to average over.
        subset_size: Images of each set in a subset; at most half of the smaller set, so that subsets differ.
        seed: Of the choice of subsets.

    Raises:
        DataError: If there are fewer than four of either, or they have different numbers of features.
        MissingExtraError: If torchmetrics is not installed.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(100, 4))
        >>> kernel_distance(features, features + 1, subsets=5).mean > 0.1
        True
    """
    check_features(reals, samples, least=4)
    try:
        from torchmetrics.image.kid import KernelInceptionDistance
    except ImportError as error:
        raise require_extra("torchmetrics", "evaluate", error) from error
    size = min(subset_size, len(reals) // 2, len(samples) // 2)
    # torchmetrics draws subsets from the global random state.
    with warnings.catch_warnings(), seeded_on_host(seed):
        warnings.filterwarnings("ignore", message=".*will save all extracted features", category=UserWarning)
        metric = KernelInceptionDistance(feature=_AsTheyAre(reals.shape[1]), subsets=subsets, subset_size=size)
        metric.update(torch.from_numpy(np.asarray(reals, dtype=np.float64)), real=True)
        metric.update(torch.from_numpy(np.asarray(samples, dtype=np.float64)), real=False)
        mean, std = metric.compute()
    return KernelDistance(float(mean), float(std), subsets, size)


def check_features(reals: NDArray[np.floating], samples: NDArray[np.floating], least: int) -> None:
    """Check that two sets of features can be compared.

    Raises:
        DataError: If they are not of shapes (N, D) and (M, D) with N and M at least ``least``, or not finite.
    """
    if reals.ndim != 2 or samples.ndim != 2 or reals.shape[1] != samples.shape[1]:
        raise DataError(f"expected features of shapes (N, D) and (M, D), but got {reals.shape} and {samples.shape}.")
    if min(len(reals), len(samples)) < least:
        raise DataError(f"expected {least} images or more of each, but got {len(reals)} real and {len(samples)}.")
    if not (np.isfinite(reals).all() and np.isfinite(samples).all()):
        raise DataError("expected finite features, but got NaN or infinity: the images or the network are damaged.")
