"""Settings of the training loop, the same for all families."""

from __future__ import annotations

import dataclasses
from typing import Literal

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
        ema_decay: Decay of the moving average of the weights, reached after a ramp-up; samples come from the average.
        precision: ``"auto"`` is bf16 on GPUs that have it and fp32 elsewhere.
        seed: Of initial weights, data order, augmentation and noise.
        checkpoint_every: Steps between two checkpoints; 0 for the end only.
        preview_every: Steps between two sample grids and collapse checks; 0 for the end only.
        log_every: Steps that a line of ``metrics.jsonl`` averages over.
    """

    steps: int = 2000
    minutes: float | None = None
    batch_size: int = 64
    learning_rate: float | None = None
    learning_rate_warmup: int = 100
    weight_decay: float = 0.0
    balance: float = 0.5
    horizontal_flip: bool = False
    ema_decay: float = 0.999
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = 0
    checkpoint_every: int = 500
    preview_every: int = 500
    log_every: int = 20

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


RESUMABLE = frozenset({"steps", "minutes", "checkpoint_every", "preview_every", "log_every"})
"""Settings that may change when a run is resumed: the weights at a given step do not depend on them."""
