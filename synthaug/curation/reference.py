"""What the training split teaches about its classes: features, and classifiers asked about images they never saw.

Filters share one `Reference`, so nothing is computed twice, and look at nothing else: neither validation nor test.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synthaug.config import Config
from synthaug.data.splits import fold_numbers
from synthaug.errors import DataError
from synthaug.labels import match_labels
from synthaug.seeds import folded

if TYPE_CHECKING:
    from synthaug.classifiers import Classifier
    from synthaug.curation.copies import CopyDetector
    from synthaug.data import ImageDataset


@dataclasses.dataclass(frozen=True)
class ReferenceConfig(Config):
    """Settings of what is learnt from the training split.

    Attributes:
        network: Pretrained network of the features; see `synthaug.networks.features`.
        model: timm model of the classifiers; small ones do, since only the order of images matters.
        folds: Classifiers; each is trained without its own share of the images, which it is then asked about.
        steps: Optimiser steps of each classifier.
        batch_size: Images in a step.
        learning_rate: Peak of the schedule.
        augmentation: Of the classifiers' training; the default keeps left and right apart.
    """

    network: str = "efficientnet_lite0"
    model: str = "test_resnet"
    folds: int = 3
    steps: int = 400
    batch_size: int = 64
    learning_rate: float = 2e-3
    augmentation: str = "affine"

    def validate(self) -> None:
        """Check the ranges; those of the classifiers' training are checked there."""
        self.require(self.folds >= 2, "folds", "2 folds or more")

    @property
    def classifier(self) -> dict[str, Any]:
        """Settings of `synthaug.classifiers.fit_classifier`."""
        return {
            "model": self.model,
            "steps": self.steps,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "augmentation": self.augmentation,
            "balanced_sampling": True,
        }


class Reference:
    """Real training images with their features and with classifiers trained on them; made lazily, once.

    Args:
        train: The training split.
        seed: Of folds and classifiers.
        config: Settings.
        device: ``"auto"`` (a GPU if there is one) or a torch device.

    Raises:
        DataError: If there are no images.

    Example:
        >>> reference = Reference(train, seed=0)  # doctest: +SKIP
        >>> reference.held_out.shape  # doctest: +SKIP
        (200, 10)
    """

    def __init__(
        self, train: ImageDataset, seed: int = 0, config: ReferenceConfig | None = None, device: str = "auto"
    ) -> None:
        if not len(train):
            raise DataError("expected at least one training image to judge samples by, but got an empty dataset.")
        self.train, self.seed, self.device = train, seed, device
        self.config = config or ReferenceConfig()
        self.classes = tuple(train.classes)
        self.labels = np.asarray(train.labels)
        self.counts = train.class_counts
        self._detectors: dict[float, CopyDetector] = {}

    @functools.cached_property
    def images(self) -> NDArray[np.uint8]:
        """The training images, uint8 (N, H, W, C)."""
        return self.train.images

    @functools.cached_property
    def features(self) -> NDArray[np.float32]:
        """Their features, (N, D)."""
        from synthaug.networks.features import extract_features

        return extract_features(self.images, self.config.network, device=self.device)

    def features_of(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features (M, D) of other images (M, H, W, C)."""
        from synthaug.networks.features import extract_features

        return extract_features(images, self.config.network, cache=False, device=self.device)

    @functools.cached_property
    def folds(self) -> NDArray[np.int64]:
        """Fold of each training image, (N,); −1 for the only image of a class, which every classifier needs."""
        return fold_numbers(self.labels, self.config.folds, self.seed)

    @functools.cached_property
    def classifiers(self) -> list[Classifier]:
        """One classifier a fold, trained on the images of the others."""
        from synthaug.classifiers import fit_classifier

        return [
            fit_classifier(
                self.train.subset(self.folds != fold),
                seed=folded(self.seed + fold),
                device=self.device,
                **self.config.classifier,
            )[1]
            for fold in range(self.config.folds)
        ]

    @functools.cached_property
    def held_out(self) -> NDArray[np.float32]:
        """Class probabilities of each training image by the classifier that never saw it, (N, K).

        Rows are NaN where no such classifier knows the image's class.
        """
        probabilities = np.full((len(self.labels), len(self.classes)), np.nan, dtype=np.float32)
        for fold, classifier in enumerate(self.classifiers):
            known = np.bincount(self.labels[self.folds != fold], minlength=len(self.classes)) > 0
            rows = np.flatnonzero((self.folds == fold) & known[self.labels])
            if len(rows):
                probabilities[rows] = softmax(classifier.logits(self.train.take(rows)))
        return probabilities

    def detector(self, false_alarms: float) -> CopyDetector:
        """Return a detector of copies of the training images, fitted once.

        Raises:
            DataError: If there are fewer than three training images.
        """
        from synthaug.curation.copies import CopyDetector

        if false_alarms not in self._detectors:
            self._detectors[false_alarms] = CopyDetector(self.train, false_alarms=false_alarms, seed=self.seed)
        return self._detectors[false_alarms]

    def probabilities_of(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the class probabilities (M, K) of other images, the mean over the classifiers."""
        if not len(images):
            return np.empty((0, len(self.classes)), dtype=np.float32)
        means: NDArray[np.float32] = np.mean([softmax(net.logits(images)) for net in self.classifiers], axis=0)
        return means

    def labels_of(self, labels: NDArray[np.integer], classes: Sequence[str]) -> NDArray[np.int64]:
        """Return labels among the training split's classes for labels among others, matched by name.

        Raises:
            LabelError: If a class that occurs is none of the training split's.
            DataError: If the training split has no image of it.
        """
        found = match_labels(labels, classes, self.classes)
        missing = np.flatnonzero(np.asarray(self.counts)[found] == 0)
        if len(missing):
            raise DataError(
                f"expected real training images of every class whose samples are judged, but got none of "
                f"{self.classes[found[missing[0]]]!r}. Add some, or leave the class out."
            )
        return found

    def candidates(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Candidates:
        """Return images (M, H, W, C) with labels among the training split's classes as candidates.

        Raises:
            DataError: If the images are not of the training images' shape.
        """
        channels, height, width = self.train.image_shape
        if images.shape[1:] != (height, width, channels):
            raise DataError(
                f"expected samples of shape {(height, width, channels)} (H, W, C) like the training images, but got "
                f"{images.shape[1:]}. Load the training images at the size the generator was trained on."
            )
        return Candidates(self, images, labels)

    def describe(self) -> dict[str, Any]:
        """Return what was looked at, JSON-able."""
        return {
            "train": {"digest": self.train.digest, "images": len(self.train)},
            "seed": self.seed,
            "settings": self.config.to_dict(),
        }


class Candidates:
    """Samples to be judged; features and probabilities are computed when first asked for, and then kept.

    Attributes:
        images: uint8, (N, H, W, C).
        labels: Among the training split's classes, int64 (N,).
    """

    def __init__(self, reference: Reference, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        self._reference = reference
        self.images, self.labels = images, labels

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the training split's classes."""
        return self._reference.classes

    @functools.cached_property
    def features(self) -> NDArray[np.float32]:
        """Features of the pretrained network, (N, D)."""
        return self._reference.features_of(self.images)

    @functools.cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Class probabilities, the mean over the classifiers, (N, K)."""
        return self._reference.probabilities_of(self.images)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """Probability of each candidate's own label, (N,)."""
        return self.probabilities[np.arange(len(self)), self.labels]

    def take(self, rows: NDArray[np.integer]) -> Candidates:
        """Return some of the candidates, with whatever is known of them."""
        part = Candidates(self._reference, self.images[rows], self.labels[rows])
        for name in _COMPUTED:
            if name in self.__dict__:
                part.__dict__[name] = self.__dict__[name][rows]
        return part

    def joined(self, others: Candidates) -> Candidates:
        """Return these and then the others, with what is known of both."""
        both = Candidates(
            self._reference,
            np.concatenate([self.images, others.images]),
            np.concatenate([self.labels, others.labels]),
        )
        for name in _COMPUTED:
            if name in self.__dict__ and name in others.__dict__:
                both.__dict__[name] = np.concatenate([self.__dict__[name], others.__dict__[name]])
        return both

    def __len__(self) -> int:
        return len(self.labels)


_COMPUTED = ("features", "probabilities")


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities (N, K) for logits (N, K).

    Example:
        >>> softmax(np.zeros((1, 2), np.float32)).tolist()
        [[0.5, 0.5]]
    """
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return shares
