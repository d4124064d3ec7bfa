"""The modes of a policy, a class each: which real images and samples make a batch, and how many labels that makes."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthaug.augmentation import Augmentation
from synthaug.classifiers.batches import batch_order
from synthaug.classifiers.policy import Policy


class Drawn(NamedTuple):
    """A batch by positions (B,) in the union of real images and samples, which come after the real ones.

    Attributes:
        positions: Of the images.
        partners: Of what each is to be mixed with, itself where it stays as it is; `None` where nothing is mixed.
    """

    positions: NDArray[np.int64]
    partners: NDArray[np.int64] | None = None


@dataclasses.dataclass(frozen=True)
class Mode(ABC):
    """How the samples of a pool enter batches of real images.

    Attributes:
        policy: With what probability and weight.
        real: Labels of the real images, (N,).
        pool: Labels of the samples, (M,), M at least 1.
        weights: Of the samples in the loss, (M,); a real image weighs 1.
        classes: Number of classes.
        batch_size: Images in a batch.
        seed: Decides order and choice.
        balanced: Draw classes evenly.
    """

    policy: Policy
    real: NDArray[np.int64]
    pool: NDArray[np.int64]
    weights: NDArray[np.float64]
    classes: int
    batch_size: int
    seed: int
    balanced: bool

    @abstractmethod
    def draw(self, real: Iterator[NDArray[np.int64]]) -> Iterator[Drawn]:
        """Yield batches for ever; ``real`` yields those of real images alone."""

    @abstractmethod
    def class_counts(self) -> NDArray[np.float64]:
        """Return of how many images' worth of labels of each class batches are made, (K,)."""

    def class_weights(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the number of samples of each class, (K,), and their mean weight, (K,), 0 where there are none."""
        number = np.bincount(self.pool, minlength=self.classes)
        return number, np.bincount(self.pool, self.weights, minlength=self.classes) / np.maximum(number, 1)


class Replace(Mode):
    """Some images of each real batch are swapped for samples of the same class."""

    def draw(self, real: Iterator[NDArray[np.int64]]) -> Iterator[Drawn]:
        """Yield real batches, of which each image is swapped with the policy's probability."""
        random = np.random.default_rng([self.seed, 0x5A3B])
        by_class = np.argsort(self.pool, kind="stable")
        counts = np.bincount(self.pool, minlength=self.classes)
        starts = np.cumsum(counts) - counts
        for positions in real:
            labels = self.real[positions]
            swapped = (random.random(len(labels)) < self.policy.replace_probability) & (counts[labels] > 0)
            picks = starts[labels] + (random.random(len(labels)) * counts[labels]).astype(np.int64)
            yield Drawn(np.where(swapped, len(self.real) + by_class[np.where(swapped, picks, 0)], positions))

    def class_counts(self) -> NDArray[np.float64]:
        """Count a swapped image as its sample weighs."""
        number, weight = self.class_weights()
        share = np.where(number > 0, self.policy.replace_probability, 0.0)
        return drawn_counts(self.real, self.classes, self.balanced) * (1 - share + share * weight)


class Add(Mode):
    """Batches are drawn from the union of real images and samples."""

    def draw(self, real: Iterator[NDArray[np.int64]]) -> Iterator[Drawn]:
        """Yield batches of the union; the real ones are left for afterwards."""
        union = np.concatenate([self.real, self.pool])
        yield from map(Drawn, batch_order(union, self.batch_size, self.seed, balanced=self.balanced))

    def class_counts(self) -> NDArray[np.float64]:
        """Count the union, a sample as it weighs."""
        weights = np.concatenate([np.ones(len(self.real)), self.weights])
        return drawn_counts(np.concatenate([self.real, self.pool]), self.classes, self.balanced, weights)


class Mix(Mode):
    """Some images of each real batch are mixed with samples, of whatever class, and their labels in proportion."""

    def draw(self, real: Iterator[NDArray[np.int64]]) -> Iterator[Drawn]:
        """Yield real batches, in which each image has a sample as partner with the policy's probability."""
        random = np.random.default_rng([self.seed, 0x313D])
        partners = batch_order(self.pool, self.batch_size, self.seed, balanced=self.balanced, stream=0x9A27)
        for positions, samples in zip(real, partners, strict=False):  # both are endless
            mixed = random.random(len(positions)) < self.policy.replace_probability
            yield Drawn(positions, np.where(mixed, len(self.real) + samples, positions))

    def class_counts(self) -> NDArray[np.float64]:
        """Count a partner for the part of the label that is its own on average, as it weighs."""
        share = self.policy.replace_probability * Augmentation(self.policy.mixing).partner_share
        _, weight = self.class_weights()
        counts = drawn_counts(self.real, self.classes, self.balanced)
        partners = drawn_counts(self.pool, self.classes, self.balanced)
        mixed: NDArray[np.float64] = counts * (1 - share) + share * counts.sum() / partners.sum() * partners * weight
        return mixed


MODES: dict[str, type[Mode]] = {"replace": Replace, "add": Add, "mix": Mix}
"""By the name that a policy has for it."""


def drawn_counts(
    labels: NDArray[np.int64], classes: int, balanced: bool, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Count labels as batches draw them: evenly drawn classes count alike, whatever weighs how much.

    Args:
        labels: Label of each image, (N,).
        classes: Number of classes, K.
        balanced: Whether classes are drawn evenly.
        weights: Of the images, (N,); 1 if left out.

    Returns:
        (K,), in images.

    Example:
        >>> drawn_counts(np.array([0, 0, 0, 1]), 3, balanced=True).tolist()
        [2.0, 2.0, 0.0]
    """
    if not balanced:
        return np.bincount(labels, weights, minlength=classes).astype(np.float64)
    present = np.bincount(labels, minlength=classes) > 0
    return np.where(present, len(labels) / np.count_nonzero(present), 0.0)
