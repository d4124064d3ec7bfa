"""Labels for images that have none, by classifiers of those that have: self-training.

Pseudo-labels are those of Lee 2013 ("Pseudo-Label"), here by the mean probability of several classifiers, which
differ in their first weights and order (Lakshminarayanan et al. 2017, arXiv 1612.01474), once they are trained, and for
all images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthaug.classifiers.classifier import fit_classifier
from synthaug.errors import ConfigError, DataError
from synthaug.seeds import check_seed

if TYPE_CHECKING:
    from synthaug.data import ImageDataset


class PseudoLabels(NamedTuple):
    """What classifiers take images for.

    Attributes:
        labels: The likeliest class of each image, int64 (N,).
        probabilities: Its probability, the mean of the classifiers', float32 (N,).
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def pseudo_labels(
    train: ImageDataset, images: NDArray[np.uint8], *, classifiers: int = 3, seed: int = 0, **settings: Any
) -> PseudoLabels:
    """Label images that have no labels.

    Args:
        train: Labelled images; nothing else is learnt from.
        images: Images without labels, uint8 (N, H, W, C), of the same shape.
        classifiers: Number of classifiers that are trained; seeds differ, settings do not.
        seed: Of the first one.
        **settings: As in `train_classifier`: fields of `ClassifierConfig`, ``device`` and ``model_options``.

    Raises:
        ConfigError: If there is to be no classifier, or a setting is unknown.
        DataError: If the images are of another shape than the training images.

    Example:
        >>> digits = synthaug.ImageDataset.load("digits")  # doctest: +SKIP
        >>> few = digits.few_shot(per_class=10, seed=0)  # doctest: +SKIP
        >>> found = pseudo_labels(few, digits.images, augmentation="affine+contrast")  # doctest: +SKIP
        >>> float((found.labels == digits.labels).mean())  # doctest: +SKIP
        0.93
    """
    from scipy.special import softmax

    channels, height, width = train.image_shape
    if images.dtype != np.uint8 or images.shape[1:] != (height, width, channels):
        raise DataError(
            f"pseudo_labels: expected uint8 images of shape (N, {height}, {width}, {channels}) like the labelled ones, "
            f"but got {images.dtype} of shape {images.shape}."
        )
    if classifiers < 1:
        raise ConfigError(f"pseudo_labels: expected one classifier or more, but got {classifiers}.")
    check_seed(seed + classifiers - 1)
    total = np.zeros((len(images), len(train.classes)), dtype=np.float32)
    for number in range(classifiers):
        _, classifier = fit_classifier(train, seed=seed + number, **settings)
        if len(images):
            total += softmax(classifier.logits(images), axis=1)
    labels = total.argmax(axis=1)
    return PseudoLabels(labels.astype(np.int64), total[np.arange(len(images)), labels] / classifiers)
