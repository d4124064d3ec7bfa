"""How likely a classifier finds the right class of an image: its probability, with the temperature put right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import DataError

_COLDEST, _HOTTEST = 0.05, 20.0


def temperature(
    logits: NDArray[np.floating], labels: NDArray[np.integer], weights: NDArray[np.floating] | None = None
) -> float:
    """Find the temperature by which logits must be divided so that their probabilities fit the labels best.

    It has the lowest negative log-likelihood (Guo et al. 2017, "On calibration of modern neural networks"). Above 1 the
    classifier was surer than it should be.

    Args:
        logits: Of images that the classifier was not trained on, (N, K).
        labels: Their true labels, (N,).
        weights: Of the images, (N,); all alike if left out.

    Returns:
        From 0.05 to 20; an end of that where every image is found, or none is.

    Raises:
        DataError: If there are no images, or the arrays do not fit each other.

    Example:
        >>> sure = np.array([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0], [0.0, 9.0]])  # right in three of four
        >>> round(temperature(sure, np.zeros(4, int)), 1)
        8.2
    """
    from scipy.optimize import minimize_scalar

    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise DataError(
            f"temperature: expected logits (N, K) and labels (N,) with N of 1 or more, but got {logits.shape} and "
            f"{labels.shape}."
        )

    def loss(log_temperature: float) -> float:
        likelihood = _log_probability(logits / np.exp(log_temperature), labels)
        return float(-np.average(likelihood, weights=weights))

    found = minimize_scalar(loss, bounds=(np.log(_COLDEST), np.log(_HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def true_class_probability(
    logits: NDArray[np.floating], labels: NDArray[np.integer], weights: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """Return the probability that a classifier gives the right class of each image, at its best temperature.

    Its mean is a smoother yardstick than accuracy: an image that is found a little more surely counts a little.

    Args:
        logits: Of images that the classifier was not trained on, (N, K).
        labels: Their true labels, (N,).
        weights: Of the images when the temperature is found, (N,); all alike if left out.

    Returns:
        From 0 to 1, (N,).

    Raises:
        DataError: If there are no images, or the arrays do not fit each other.

    Example:
        >>> sure = np.array([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
        >>> true_class_probability(sure, np.zeros(4, int)).round(2)
        array([0.75, 0.75, 0.75, 0.25])
    """
    found = temperature(logits, labels, weights)
    return np.exp(_log_probability(logits / found, labels))


def _log_probability(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    from scipy.special import log_softmax

    rows = log_softmax(np.asarray(logits, dtype=np.float64), axis=1)
    chosen: NDArray[np.float64] = rows[np.arange(len(labels)), labels]
    return chosen
