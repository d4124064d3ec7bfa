"""A prior over latent codes that is fitted after training: a Gaussian mixture for each class.

The aggregate posterior of a trained VAE is not N(0, I), and samples from the gap look wrong; a density fitted on the
codes afterwards closes it (Dai & Wipf 2019, "Diagnosing and enhancing VAE models"; Ghosh et al. 2020, "From
variational to deterministic autoencoders").
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

MOST_DIMENSIONS = 128
"""Longer codes (code maps) are described within their leading principal components."""

_IMAGES_PER_COMPONENT = 20
_MOST_IMAGES = 5_000
_MOST_NUMBERS = 50_000_000
_BLOCK = 1024


class MixturePrior(nn.Module):
    """Gaussian mixtures over codes, one a class, with full covariances.

    Covariances are shrunk towards the pooled within-class covariance, the more the fewer images a component has:
    a class with a single image gets its code as the mean and the variation of the other classes. The mixtures of codes
    longer than 128 live in the space of their 128 leading principal components.

    Args:
        classes: Number of classes.
        latent_dim: Length of a code.
        components: Components a class at most; classes with few images get fewer.
    """

    cumulative: Tensor
    means: Tensor
    scales: Tensor
    centre: Tensor
    basis: Tensor

    def __init__(self, classes: int, latent_dim: int, components: int) -> None:
        super().__init__()
        rank = min(latent_dim, MOST_DIMENSIONS)
        # A thousand classes times ten full covariances would outweigh the networks.
        affordable = max(1, _MOST_NUMBERS // (classes * rank**2))
        self.components = min(components, affordable)
        self.reduces = rank < latent_dim
        if self.reduces:
            self.register_buffer("centre", torch.zeros(latent_dim))
            self.register_buffer("basis", torch.eye(rank, latent_dim))
        shape = (classes, self.components, rank)
        self.register_buffer("cumulative", torch.ones(shape[:2]))
        self.register_buffer("means", torch.zeros(shape))
        self.register_buffer("scales", torch.eye(rank).expand(*shape, rank).clone())

    @property
    def noise_size(self) -> int:
        """Normals that one code takes: one for each dimension, and one to choose the component."""
        return self.means.shape[-1] + 1

    def forward(self, noise: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
        """Turn standard-normal noise (B, noise_size) and labels (B,) into codes (B, latent_dim)."""
        with torch.autocast(noise.device.type, enabled=False):
            uniform = torch.special.ndtr(noise[:, :1].double()).float()
            component = (uniform > self.cumulative[labels]).sum(1).clamp(max=self.components - 1)
            offset = torch.einsum("bij,bj->bi", self.scales[labels, component], noise[:, 1:])
            codes: Tensor = self.means[labels, component] + temperature * offset
            if self.reduces:
                codes = self.centre + codes @ self.basis
        return codes

    def fit(self, means: NDArray[np.float32], variances: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        """Fit the mixtures to the posteriors of the training images.

        Args:
            means: Posterior means, (N, latent_dim).
            variances: Posterior variances, (N, latent_dim); their mean widens the covariances, so that the mixture
                fits the aggregate posterior and not the means alone. Zeros for a deterministic encoder.
            labels: Labels, (N,).
        """
        if self.reduces:
            codes, variances = self._reduce(means, variances)
        else:
            codes = means.astype(np.float64)
        pooled = _pooled_covariance(codes, labels) + 1e-6 * np.eye(codes.shape[1])
        for label in range(len(self.means)):
            chosen = np.flatnonzero(labels == label)
            if len(chosen) == 0:  # nothing is known of this class but what all codes have in common
                centre, covariance = codes.mean(0), pooled + np.diag(codes.var(0))
                self._store(label, np.ones(1), centre[None], covariance[None])
                continue
            self._store(label, *_fit_class(codes[chosen], variances[chosen], pooled, self.components))

    def _reduce(
        self, means: NDArray[np.float32], variances: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Choose the basis, and return means and the diagonal of their posteriors' covariances in it."""
        centre, basis = means.mean(0, dtype=np.float64), np.zeros(self.basis.shape)
        if len(means) > 1:
            axes = principal_axes(means, len(basis))
            basis[: len(axes)] = axes
        else:  # a single code shows no direction, but where its posterior is wide
            widest = np.argsort(-variances[0], kind="stable")[: len(basis)]
            basis[np.arange(len(widest)), widest] = 1
        self.centre.copy_(torch.from_numpy(centre))
        self.basis.copy_(torch.from_numpy(basis))
        codes = np.empty((len(means), len(basis)))
        spreads = np.empty(codes.shape, dtype=np.float32)
        for start in range(0, len(means), _BLOCK):  # all of them in double precision would not fit
            part = slice(start, start + _BLOCK)
            codes[part] = (means[part] - centre) @ basis.T
            spreads[part] = variances[part] @ np.square(basis).T
        return codes, spreads

    def _store(
        self, label: int, weights: NDArray[np.float64], means: NDArray[np.float64], covariances: NDArray[np.float64]
    ) -> None:
        number = len(weights)
        self.cumulative[label] = 1.0
        self.cumulative[label, :number] = torch.from_numpy(np.minimum(np.cumsum(weights), 1.0))
        self.cumulative[label, number - 1 :] = 1.0
        self.means[label, :number] = torch.from_numpy(means)
        self.scales[label, :number] = torch.from_numpy(np.linalg.cholesky(covariances))


def principal_axes(codes: NDArray[np.floating], number: int) -> NDArray[np.float64]:
    """Return unit vectors (n, D), n up to ``number``, along which codes (N, D) vary most.

    They are found by at most 5,000 of the two or more codes, evenly chosen.
    """
    from sklearn.decomposition import PCA

    every = -(-len(codes) // _MOST_IMAGES)
    pca = PCA(min(number, len(codes)), svd_solver="randomized", random_state=0)
    axes: NDArray[np.float64] = pca.fit(codes[::every].astype(np.float64)).components_
    return axes


def _fit_class(
    codes: NDArray[np.float64], variances: NDArray[np.float32], pooled: NDArray[np.float64], components: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return weights, means and shrunk covariances of one class's mixture."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    dimensions = codes.shape[1]
    number = int(np.clip(len(codes) // _IMAGES_PER_COMPONENT, 1, components))
    if number == 1:
        weights, centres = np.ones(1), codes.mean(0, keepdims=True)
        covariances = _covariance(codes)[None]
    else:
        every = -(-len(codes) // _MOST_IMAGES)
        mixture = GaussianMixture(number, covariance_type="full", reg_covar=1e-4, max_iter=50, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a rough fit serves: it is shrunk below
            mixture.fit(codes[::every])
        weights, centres, covariances = mixture.weights_, mixture.means_, mixture.covariances_
    images = (weights * len(codes))[:, None, None]
    covariances = (images * covariances + dimensions * pooled) / (images + dimensions)
    return weights, centres, covariances + np.diag(variances.mean(0, dtype=np.float64) + 1e-6)


def _pooled_covariance(codes: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Covariance of the codes around their class means."""
    centred = codes.copy()
    freedom = len(codes)
    for label in np.unique(labels):
        chosen = labels == label
        centred[chosen] -= codes[chosen].mean(0)
        freedom -= 1
    if freedom == 0:  # one image a class: nothing varies within classes, so borrow some of what varies between them
        return 0.1 * (_covariance(codes) if len(codes) > 1 else np.eye(codes.shape[1]))
    return centred.T @ centred / freedom


def _covariance(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the covariance (D, D) of codes (N, D) around their mean; zeros for a single code.

    `numpy.cov` takes a single row for a single variable before NumPy 2.2, and returns one number.
    """
    centred = codes - codes.mean(0)
    covariance: NDArray[np.float64] = centred.T @ centred * (1 / len(codes))
    return covariance
