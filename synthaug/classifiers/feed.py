"""Batches of real images and samples, as a policy wants them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthaug.augmentation import Augmentation
from synthaug.classifiers.batches import batch_order
from synthaug.classifiers.policy import Policy
from synthaug.errors import DataError
from synthaug.labels import match_labels

if TYPE_CHECKING:
    from synthaug.data import ImageDataset

_IN_MEMORY = 2 << 30
"""Bytes up to which the training images are held in memory; beyond, each batch is gathered from the memory map."""


class SampleSource(Protocol):
    """What training needs of a `SampleBank`. Its ``weights`` (N,), if it has any, weigh its samples in the loss."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """The samples, uint8 (N, H, W, C)."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Their labels, (N,)."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """One batch.

    Attributes:
        images: uint8, (B, C, H, W).
        labels: (B,).
        synthetic: Which images are samples, (B,).
        weights: The bank's weight of each sample, float32 (B,); 1 for a real image.
        partner: What each image is to be mixed with: a sample, or the image itself where it stays as it is. `None`
            where the policy mixes nothing.
    """

    images: Tensor
    labels: Tensor
    synthetic: Tensor
    weights: Tensor
    partner: Batch | None = None

    @property
    def synthetic_count(self) -> int:
        """Samples in the batch, partners included."""
        return int(self.synthetic.sum()) + (0 if self.partner is None else self.partner.synthetic_count)


class Feed:
    """An endless stream of batches from a training set and, by a policy, a sample bank.

    In the modes ``"replace"`` and ``"mix"`` the real images come in the same order with and without a bank, so that two
    arms with the same seed differ in nothing but the samples.

    Args:
        train: The real training images.
        bank: Samples of the same shape; classes are matched by name. `None` trains on real images alone.
        policy: How the samples enter.
        batch_size: Images in a batch.
        seed: Decides order and replacements.
        balanced: Draw classes evenly.

    Raises:
        DataError: If there are no training images, or the bank's images have another shape.
        LabelError: If the bank holds a class that the training set does not know.
    """

    def __init__(
        self,
        train: ImageDataset,
        bank: SampleSource | None,
        policy: Policy,
        *,
        batch_size: int,
        seed: int,
        balanced: bool = False,
    ) -> None:
        if not len(train):
            raise DataError("expected at least one training image, but got an empty dataset.")
        self.batch_size, self.seed, self.balanced, self.policy = batch_size, seed, balanced, policy
        self._train = train
        self._labels = np.asarray(train.labels, dtype=np.int64)
        fits = len(train) * int(np.prod(train.image_shape)) <= _IN_MEMORY
        self._images = train.take(np.arange(len(train))) if fits else None
        self._bank = bank
        self._pool, self._pool_labels = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        self._pool_weights = np.empty(0, dtype=np.float32)
        if bank is not None:
            if tuple(bank.image_shape) != tuple(train.image_shape):
                raise DataError(
                    f"expected samples of shape {tuple(train.image_shape)} (C, H, W) like the training images, "
                    f"but got {tuple(bank.image_shape)}. Load the data at the size the generator was trained on."
                )
            labels = np.asarray(bank.labels, dtype=np.int64)
            ours = match_labels(labels, bank.classes, train.classes)
            self._pool = policy.pool(labels, len(train), bank.classes)
            self._pool_labels = ours[self._pool]
            weights = getattr(bank, "weights", np.ones(len(labels), dtype=np.float32))
            self._pool_weights = np.asarray(weights, dtype=np.float32)[self._pool]

    def class_counts(self, samples: bool) -> NDArray[np.float64]:
        """Return of how many images' worth of labels of each class batches are made, (K,).

        Evenly drawn classes count alike. A sample counts as it weighs in the loss, and one that is mixed into an image
        for the part of the label that is its own on average.

        Args:
            samples: While samples enter; else afterwards.
        """
        real = self._drawn(self._labels)
        if not samples or not len(self._pool):
            return real
        weights = self._pool_weights.astype(np.float64) * self.policy.loss_weight
        if self.policy.mode == "add":
            return self._drawn(np.concatenate([self._labels, self._pool_labels]), weights)
        number = np.bincount(self._pool_labels, minlength=len(real))
        weight = np.bincount(self._pool_labels, weights, minlength=len(real)) / np.maximum(number, 1)
        probability = self.policy.replace_probability
        if self.policy.mode == "replace":
            counts = real * np.where(number > 0, 1 - probability + probability * weight, 1.0)
        else:
            share = probability * Augmentation(self.policy.mixing).partner_share
            partners = self._drawn(self._pool_labels)
            counts = real * (1 - share) + share * real.sum() / partners.sum() * partners * weight
        return counts.astype(np.float64)

    def _drawn(self, labels: NDArray[np.int64], weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Count labels as they are drawn, (K,); ``weights`` are those of the last ones, the others weigh 1."""
        each = np.ones(len(labels))
        if weights is not None:
            each[len(labels) - len(weights) :] = weights
        counts = np.bincount(labels, None if self.balanced else each, minlength=len(self._train.classes))
        if self.balanced:
            counts = np.where(counts > 0, len(labels) / np.count_nonzero(counts), 0)
        return counts.astype(np.float64)

    def samples_until(self, steps: int) -> int:
        """Return the first of so many steps in which no samples enter any more."""
        return round(self.policy.real_only_after * steps) if len(self._pool) else 0

    def batches(self, steps: int) -> Iterator[Batch]:
        """Yield ``steps`` batches; the same ones at each call."""
        until = self.samples_until(steps)
        real = batch_order(self._labels, self.batch_size, self.seed, balanced=self.balanced)
        if self.policy.mode == "add" and until:
            union = np.concatenate([self._labels, self._pool_labels])
            both = batch_order(union, self.batch_size, self.seed, balanced=self.balanced)
            for step in range(steps):
                yield self._gather(next(both if step < until else real))
            return
        if self.policy.mode == "mix" and until:
            yield from self._mixed(real, steps, until)
            return
        random = np.random.default_rng([self.seed, 0x5A3B])
        by_class = np.argsort(self._pool_labels, kind="stable")
        counts = np.bincount(self._pool_labels, minlength=len(self._train.classes))
        starts = np.cumsum(counts) - counts
        for step in range(steps):
            positions = next(real)
            if step < until:
                labels = self._labels[positions]
                swapped = (random.random(len(labels)) < self.policy.replace_probability) & (counts[labels] > 0)
                picks = starts[labels] + (random.random(len(labels)) * counts[labels]).astype(np.int64)
                positions = np.where(swapped, len(self._labels) + by_class[np.where(swapped, picks, 0)], positions)
            yield self._gather(positions)

    def _mixed(self, real: Iterator[NDArray[np.int64]], steps: int, until: int) -> Iterator[Batch]:
        """Yield real batches, of which some images have a sample, of whatever class, as partner."""
        random = np.random.default_rng([self.seed, 0x313D])
        samples = batch_order(self._pool_labels, self.batch_size, self.seed, balanced=self.balanced)
        for step in range(steps):
            positions = next(real)
            batch = self._gather(positions)
            if step < until:
                mixed = random.random(len(positions)) < self.policy.replace_probability
                partners = np.where(mixed, len(self._labels) + next(samples), positions)
                batch = dataclasses.replace(batch, partner=self._gather(partners))
            yield batch

    def _gather(self, positions: NDArray[np.int64]) -> Batch:
        """Read images by position in the union of training set and pool."""
        synthetic = positions >= len(self._labels)
        real = ~synthetic
        channels, height, width = self._train.image_shape
        images = np.empty((len(positions), height, width, channels), dtype=np.uint8)
        labels = np.empty(len(positions), dtype=np.int64)
        weights = np.ones(len(positions), dtype=np.float32)
        if real.any():
            wanted = positions[real]
            images[real] = self._images[wanted] if self._images is not None else self._train.take(wanted)
            labels[real] = self._labels[wanted]
        if self._bank is not None and synthetic.any():
            wanted = positions[synthetic] - len(self._labels)
            images[synthetic] = self._bank.images[self._pool[wanted]]
            labels[synthetic] = self._pool_labels[wanted]
            weights[synthetic] = self._pool_weights[wanted]
        return Batch(
            torch.from_numpy(images).permute(0, 3, 1, 2),
            torch.from_numpy(labels),
            torch.from_numpy(synthetic),
            torch.from_numpy(weights),
        )
