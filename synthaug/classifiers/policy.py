"""How samples enter training: which are used, in place of or beside real images, and how much they weigh."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from synthaug.config import Config
from synthaug.errors import ConfigError
from synthaug.labels import class_index


@dataclasses.dataclass(frozen=True)
class Policy(Config):
    """How samples enter the training of a classifier. The number of optimiser steps never depends on it.

    Attributes:
        mode: ``"replace"`` swaps images of a real batch for samples of the same class, so the classes keep their
            shares. ``"add"`` puts the samples into the training set and draws batches from the union, so a bank that
            tops rare classes up also balances them. ``"mix"`` blends images of a real batch with samples of any class
            by MixUp or CutMix, and their labels in the same proportions; what the augmentation mixes comes on top.
        ratio: Synthetic images in the pool for each real image. The pool keeps the bank's shares of the classes, and
            of each class its first samples. `None` takes the whole bank.
        replace_probability: Probability with which an image of a batch is swapped, in mode ``"replace"``, or mixed, in
            mode ``"mix"``.
        mixing: How images are mixed in mode ``"mix"``, a name of `synthaug.augmentation.named`; with both, each
            batch gets one of the two.
        classes: Names of the classes whose samples are used, of those that ``ratio`` leaves; `None` takes all.
        loss_weight: Weight of a synthetic image in the loss; a real image weighs 1, and the loss is the weighted mean.
        real_only_after: Share of the steps after which batches are real only ("synthetic first, then fine-tune on
            real"); 1 never stops using samples.

    Raises:
        ConfigError: If a value is out of range.

    Example:
        >>> Policy(replace_probability=0.3, loss_weight=0.5).to_dict()["mode"]
        'replace'
    """

    mode: Literal["replace", "add", "mix"] = "replace"
    ratio: float | None = None
    replace_probability: float = 0.5
    loss_weight: float = 1.0
    real_only_after: float = 1.0
    mixing: Literal["mixup", "cutmix", "mixup+cutmix"] = "mixup+cutmix"
    classes: None | tuple[str, ...] = None  # noqa: RUF036 - the first type that takes a value counts; a tuple takes None

    def validate(self) -> None:
        """Check the ranges."""
        self.require(self.ratio is None or self.ratio >= 0, "ratio", "a number of 0 or more, or None")
        self.require(0 <= self.replace_probability <= 1, "replace_probability", "a probability from 0 to 1")
        self.require(0 <= self.loss_weight <= 100, "loss_weight", "a weight from 0 to 100")
        self.require(0 <= self.real_only_after <= 1, "real_only_after", "a share of the steps from 0 to 1")
        self.require(self.classes is None or len(self.classes) > 0, "classes", "one class name or more, or None")

    def pool(
        self, bank_labels: NDArray[np.int64], real_count: int, bank_classes: Sequence[str] = ()
    ) -> NDArray[np.int64]:
        """Return the positions in the bank that training may use, sorted.

        Args:
            bank_labels: Labels of the bank's samples, (N,).
            real_count: Number of real training images.
            bank_classes: Names of the bank's classes; needed when the policy names classes.

        Raises:
            ConfigError: If the bank holds fewer samples than ``ratio`` asks for.
            LabelError: If the policy names a class that the bank does not know.

        Example:
            >>> Policy(ratio=0.5).pool(np.array([0, 0, 1, 1]), real_count=4).tolist()
            [0, 2]
        """
        chosen = self._share(bank_labels, real_count)
        if self.classes is None:
            return chosen
        wanted = [class_index(name, bank_classes) for name in self.classes]
        return chosen[np.isin(bank_labels[chosen], wanted)]

    def _share(self, bank_labels: NDArray[np.int64], real_count: int) -> NDArray[np.int64]:
        """Return the positions of the samples that the ratio leaves."""
        if self.ratio is None:
            return np.arange(len(bank_labels), dtype=np.int64)
        wanted = round(self.ratio * real_count)
        if wanted > len(bank_labels):
            raise ConfigError(
                f"Policy.ratio: expected a bank of {wanted} samples or more ({self.ratio:g} for each of "
                f"{real_count} real images), but got {len(bank_labels)}. Generate more, or lower the ratio."
            )
        # A sample's rank within its class, as a share of the class: the smallest shares are the first of every class.
        order = np.argsort(bank_labels, kind="stable")
        starts = np.searchsorted(bank_labels[order], bank_labels[order])
        counts = np.bincount(bank_labels)[bank_labels[order]]
        share = np.empty(len(bank_labels))
        share[order] = (np.arange(len(bank_labels)) - starts + 0.5) / counts
        return np.sort(np.argsort(share, kind="stable")[:wanted])
