"""What a classifier comes to on images by two yardsticks: what it finds, and how probable it holds the right class."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from synthaug.classifiers.calibration import true_class_probability
from synthaug.classifiers.scores import Metric, Scores, image_weights, score


@dataclasses.dataclass(frozen=True)
class Judgement:
    """Both yardsticks, of each image and overall.

    Attributes:
        scores: By what is found.
        probability: Mean probability of the right class, with images weighted as in the metric; from 0 to 1.
        hits: Whether the class of each image is found, (N,).
        beliefs: Probability of the right class of each image, (N,).
    """

    scores: Scores
    probability: float
    hits: NDArray[np.bool_]
    beliefs: NDArray[np.float64]


def judge(logits: NDArray[np.floating], labels: NDArray[np.integer], metric: Metric = "balanced_accuracy") -> Judgement:
    """Judge a classifier by its logits, at the temperature that fits these images best.

    Args:
        logits: Of images that the classifier was not trained on, (N, K).
        labels: Their true labels, (N,).
        metric: Whose weights images get; for balanced accuracy classes count alike.

    Raises:
        DataError: If there are no images, or the arrays do not fit each other.

    Example:
        >>> logits = np.array([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
        >>> found = judge(logits, np.zeros(4, int))
        >>> found.scores.accuracy, round(found.probability, 2)
        (0.75, 0.62)
    """
    weights = image_weights(labels, metric)
    beliefs = true_class_probability(logits, labels, weights)
    predictions = logits.argmax(axis=1)
    return Judgement(
        scores=score(predictions, labels, logits.shape[1]),
        probability=float(weights @ beliefs),
        hits=predictions == labels,
        beliefs=beliefs,
    )
