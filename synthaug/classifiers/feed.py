"""Batches of real images and samples, as a policy wants them."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthaug.classifiers.batches import batch_order
from synthaug.classifiers.modes import MODES, Mode, drawn_counts
from synthaug.classifiers.policy import Policy
from synthaug.errors import DataError, DataWarning
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
        self._pool = np.empty(0, dtype=np.int64)
        self._weights = np.empty(0, dtype=np.float32)
        self._mode: Mode | None = None
        if bank is not None:
            self._let_in(bank)

    def _let_in(self, bank: SampleSource) -> None:
        """Take the samples that the policy wants."""
        if tuple(bank.image_shape) != tuple(self._train.image_shape):
            raise DataError(
                f"expected samples of shape {tuple(self._train.image_shape)} (C, H, W) like the training images, "
                f"but got {tuple(bank.image_shape)}. Load the data at the size the generator was trained on."
            )
        labels = np.asarray(bank.labels, dtype=np.int64)
        self._pool = self.policy.pool(labels, len(self._train), bank.classes)
        weights = getattr(bank, "weights", np.ones(len(labels), dtype=np.float32))
        self._weights = np.asarray(weights, dtype=np.float32)[self._pool]
        self._pool_labels = match_labels(labels[self._pool], bank.classes, self._train.classes)
        if not len(self._pool) and len(labels) and self.policy.ratio != 0:
            warnings.warn(
                f"of the bank's {len(labels)} samples the policy leaves none (ratio {self.policy.ratio}, classes "
                f"{self.policy.classes}): training sees real images alone.",
                DataWarning,
                stacklevel=4,
            )
        if len(self._pool):
            self._mode = MODES[self.policy.mode](
                policy=self.policy,
                real=self._labels,
                pool=self._pool_labels,
                weights=self._weights.astype(np.float64) * self.policy.loss_weight,
                classes=len(self._train.classes),
                batch_size=self.batch_size,
                seed=self.seed,
                balanced=self.balanced,
            )

    def class_counts(self, samples: bool) -> NDArray[np.float64]:
        """Return of how many images' worth of labels of each class batches are made, (K,).

        Evenly drawn classes count alike. A sample counts as it weighs in the loss, and one that is mixed into an image
        for the part of the label that is its own on average.

        Args:
            samples: While samples enter; else afterwards.
        """
        if samples and self._mode is not None:
            return self._mode.class_counts()
        return drawn_counts(self._labels, len(self._train.classes), self.balanced)

    def samples_until(self, steps: int) -> int:
        """Return the first of so many steps in which no samples enter any more."""
        return 0 if self._mode is None else round(self.policy.real_only_after * steps)

    def batches(self, steps: int) -> Iterator[Batch]:
        """Yield ``steps`` batches; the same ones at each call."""
        until = self.samples_until(steps)
        real = batch_order(self._labels, self.batch_size, self.seed, balanced=self.balanced)
        if self._mode is not None:
            for positions, partners in itertools.islice(self._mode.draw(real), until):
                batch = self._gather(positions)
                yield batch if partners is None else dataclasses.replace(batch, partner=self._gather(partners))
        for positions in itertools.islice(real, steps - until):
            yield self._gather(positions)

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
            weights[synthetic] = self._weights[wanted]
        return Batch(
            torch.from_numpy(images).permute(0, 3, 1, 2),
            torch.from_numpy(labels),
            torch.from_numpy(synthetic),
            torch.from_numpy(weights),
        )
