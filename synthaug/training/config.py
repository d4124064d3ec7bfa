"""Settings of the training loop, the same for all families."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from synthaug.augmentation import Augmentation
from synthaug.config import Config


@dataclasses.dataclass(frozen=True)
class TrainingConfig(Config):
    """How a generator is trained.

    The learning rate rises over the warm-up and then stays: the moving average of the weights takes the place of
    decay, and a run can be prolonged at any time as if it had been meant to be longer.

    Attributes:
        steps: Optimiser steps. With one model a class they are shared out evenly over the classes.
        minutes: Stop after this many minutes of training, or after ``steps``, whichever comes first; with one model a
            class shared out evenly over the classes. A resumed run gets its minutes anew.
        batch_size: Images a step, over all processes together.
        learning_rate: Of AdamW; each family's own default if left out.
        learning_rate_warmup: Steps over which the learning rate rises linearly.
        weight_decay: Of AdamW.
        balance: How often rare classes are drawn: 0 as often as they occur, 1 as often as every other class, 0.5 in
            between, by the square root of their size.
        horizontal_flip: Whether training images are mirrored at random.
        augmentation: What else is done to training images at random: parts joined by ``+``, without those that mix
            images; see `synthaug.augmentation.named`. It shows in the samples, though less in an encoder-decoder's,
            whose prior is fitted to the codes of the images as they are (``benchmarks/leakage``).
        ema_decay: Decay of the moving average of the weights, reached after a ramp-up; samples come from the average.
        precision: ``"auto"`` is bf16 on GPUs that have it and fp32 elsewhere. On processors with AVX512-BF16, and only
            there, ``"bf16"`` trains diffusion 1.25 times as fast; other families gain little.
        seed: Of initial weights, data order, augmentation and noise.
        checkpoint_every: Steps between two checkpoints; 0 for the end only.
        preview_every: Steps between two sample grids and collapse checks; 0 for the end only.
        log_every: Steps that a line of ``metrics.jsonl`` averages over.
        privacy_epsilon: Train with differential privacy (VAE only): the ε that the run may spend. See
            `synthaug.training.privacy`.
        privacy_delta: Probability with which that bound may fail; if left out the largest power of ten below one in
            the number of images.
        privacy_clip: Norm to which each image's gradient is clipped.
        privacy_seed: Makes batches and noise of a private run repeatable, for research: whoever knows it can take the
            noise away. Left out, they come from a secret that is thrown away when the run is complete.
    """

    steps: int = 2000
    minutes: float | None = None
    batch_size: int = 64
    learning_rate: float | None = None
    learning_rate_warmup: int = 100
    weight_decay: float = 0.0
    balance: float = 0.5
    horizontal_flip: bool = False
    augmentation: str = "none"
    ema_decay: float = 0.999
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = 0
    checkpoint_every: int = 500
    preview_every: int = 500
    log_every: int = 20
    privacy_epsilon: float | None = None
    privacy_delta: float | None = None
    privacy_clip: float = 1.0
    privacy_seed: int | None = None

    def validate(self) -> None:
        """Check the ranges."""
        for name in ("steps", "batch_size", "log_every"):
            self.require(getattr(self, name) >= 1, name, "a whole number of 1 or more")
        for name in ("learning_rate_warmup", "weight_decay", "checkpoint_every", "preview_every"):
            self.require(getattr(self, name) >= 0, name, "a number of 0 or more")
        self.require(self.minutes is None or self.minutes > 0, "minutes", "a number above 0")
        self.require(self.learning_rate is None or self.learning_rate > 0, "learning_rate", "a number above 0")
        self.require(0 <= self.balance <= 1, "balance", "a number from 0 to 1")
        self.require(0 <= self.ema_decay < 1, "ema_decay", "a number from 0 to below 1")
        mixes = Augmentation(self.augmentation).mixes
        self.require(not mixes, "augmentation", "one without mixup and cutmix, as an image has one class")
        self._validate_privacy()

    @property
    def augmented(self) -> Augmentation:
        """All that is done to training images at random."""
        return Augmentation(f"flip+{self.augmentation}" if self.horizontal_flip else self.augmentation)

    def _validate_privacy(self) -> None:
        epsilon, delta = self.privacy_epsilon, self.privacy_delta
        self.require(epsilon is None or epsilon > 0, "privacy_epsilon", "a number above 0")
        self.require(delta is None or 0 < delta < 1, "privacy_delta", "a number between 0 and 1")
        self.require(self.privacy_clip > 0, "privacy_clip", "a number above 0")
        if epsilon is None:
            for name in ("privacy_delta", "privacy_seed"):
                self.require(getattr(self, name) is None, name, "None without privacy_epsilon")
            return
        because = "with privacy_epsilon, for"
        self.require(self.balance == 0, "balance", f"0 {because} each image must be drawn as often as any other")
        self.require(self.precision != "bf16", "precision", f"fp32 {because} gradients are taken by image")
        self.require(self.minutes is None, "minutes", f"None {because} the noise is chosen for a number of steps")


RESUMABLE = frozenset({"steps", "minutes", "checkpoint_every", "preview_every", "log_every"})
"""Settings that may change when a run is resumed: the weights at a given step do not depend on them."""

_RESOLVED = frozenset({"precision"})
"""Settings whose default says something else on another machine: `run_folder` compares what became of them."""


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the names of settings (of `TrainingConfig`, as dictionaries) that forbid to go on with a run.

    Settings that ``before`` lacks had their defaults: they came with a later version. The noise of a private run is
    chosen for its number of steps, which is fixed then. The precision is left out, for ``"auto"`` does not tell it.
    """
    may_change = _RESOLVED | (RESUMABLE if now["privacy_epsilon"] is None else RESUMABLE - {"steps"})
    whole = TrainingConfig.from_dict(before).to_dict()
    return [name for name in now if name not in may_change and whole[name] != now[name]]
