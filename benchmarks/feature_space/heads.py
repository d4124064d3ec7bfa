"""Linear heads on features: on real ones alone, and with samples of features beside them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

Features = NDArray[np.floating]
Labels = NDArray[np.integer]

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of the penalty that are tried."""

SPREADS = (0.5, 1.0)
"""Factors on the deviation of samples that are tried."""

PER_CLASS = 100
"""Samples of each class."""


@dataclasses.dataclass(frozen=True)
class Head:
    """How a head learns.

    Attributes:
        penalty: Inverse strength of its penalty.
        spread: Factor on the deviation of the samples; `None` learns from real features alone.
    """

    penalty: float
    spread: float | None = None

    def train(self, features: Features, labels: Labels, seed: int) -> Pipeline:
        """Train on real features (N, D) and labels (N,), with samples beside them if it takes any."""
        return self.fit(*with_samples(features, labels, self.spread, seed))

    def fit(self, features: Features, labels: Labels) -> Pipeline:
        """Train on features that hold the samples already, every class weighing alike."""
        head = LogisticRegression(C=self.penalty, class_weight="balanced", max_iter=200)
        return make_pipeline(StandardScaler(), head).fit(features, labels)


def candidates(samples: bool) -> list[Head]:
    """Return the heads that are tried, with samples or without."""
    spreads: Sequence[float | None] = SPREADS if samples else (None,)
    return [Head(penalty, spread) for penalty, spread in itertools.product(PENALTIES, spreads)]


def choose(heads: Sequence[Head], features: Features, labels: Labels, seed: int) -> Head:
    """Return the head with the best mean balanced accuracy over two splits of the training features."""
    splits = list(StratifiedShuffleSplit(2, test_size=0.25, random_state=seed).split(features, labels))
    scores = dict.fromkeys(heads, 0.0)
    for (kept, held), spread in itertools.product(splits, dict.fromkeys(head.spread for head in heads)):
        part = with_samples(features[kept], labels[kept], spread, seed)  # drawn once for all penalties
        for head in scores:
            if head.spread == spread:
                scores[head] += balanced_accuracy_score(labels[held], head.fit(*part).predict(features[held]))
    return max(heads, key=lambda head: scores[head])


def with_samples(features: Features, labels: Labels, spread: float | None, seed: int) -> tuple[Features, Labels]:
    """Return real features and labels with samples beside them; with no spread as they are."""
    if spread is None:
        return features, labels
    drawn, of = sample_features(features, labels, spread, seed)
    return np.concatenate([features, drawn]), np.concatenate([labels, of])


def sample_features(features: Features, labels: Labels, spread: float, seed: int) -> tuple[Features, Labels]:
    """Draw features of each class from a Gaussian whose covariance all classes share.

    Rare classes borrow their variation from all others, as in Yang et al. 2021, "Free lunch for few-shot learning:
    distribution calibration"; the covariance is shrunk (Ledoit & Wolf 2004).

    Args:
        features: Of real images, (N, D).
        labels: Of real images, (N,).
        spread: Factor on the deviation.
        seed: Of the samples.

    Returns:
        Features (K × `PER_CLASS`, D) and their labels.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(20, 3))
        >>> drawn, of = sample_features(features, np.arange(20) % 2, 1.0, seed=0)
        >>> drawn.shape, np.bincount(of).tolist()
        ((200, 3), [100, 100])
    """
    classes = np.unique(labels)
    means = np.stack([features[labels == label].mean(axis=0) for label in classes])
    residuals = features - means[np.searchsorted(classes, labels)]
    covariance = LedoitWolf(assume_centered=True).fit(residuals).covariance_
    size = len(classes) * PER_CLASS
    noise = np.random.default_rng(seed).multivariate_normal(
        np.zeros(features.shape[1]), covariance, size, method="cholesky"
    )
    return np.repeat(means, PER_CLASS, axis=0) + spread * noise, np.repeat(classes, PER_CLASS)
