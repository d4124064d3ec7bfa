"""Which images each training step sees: a pure function of seed and step, so resuming needs no saved order."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from synthaug.seeds import numbered_stream

_MASK = (1 << 64) - 1

BEFORE_FIRST_STEP = (1 << 32) - 1
"""Stands for the step in which the weights are initialised."""


class BatchStream:
    """Endless batches of positions.

    Equal weights give shuffled passes over the data, each image once a pass; otherwise images are drawn with
    replacement, so that rare classes come up more often.

    Args:
        labels: Labels of the images, (N,).
        batch_size: Positions a step.
        seed: Decides the order.
        balance: From 0 (classes as often as they occur) to 1 (all classes equally often).
    """

    def __init__(self, labels: NDArray[np.int64], batch_size: int, seed: int, balance: float) -> None:
        self.size = len(labels)
        self.batch_size = batch_size
        self.seed = seed
        counts = np.bincount(labels)
        weights = counts[labels] ** -float(balance)
        self.weights = None if np.allclose(weights, weights[0]) else weights / weights.sum()
        self._order = functools.lru_cache(maxsize=2)(self._make_order)

    def positions(self, step: int) -> NDArray[np.int64]:
        """Return the positions (batch_size,) of step ``step``."""
        start = step * self.batch_size
        parts = []
        while start < (step + 1) * self.batch_size:
            epoch, offset = divmod(start, self.size)
            part = self._order(epoch)[offset : offset + (step + 1) * self.batch_size - start]
            parts.append(part)
            start += len(part)
        return np.concatenate(parts)

    def _make_order(self, epoch: int) -> NDArray[np.int64]:
        random = numbered_stream(self.seed, epoch)
        if self.weights is None:
            return random.permutation(self.size)
        return random.choice(self.size, size=self.size, p=self.weights)


def step_seed(seed: int, step: int, process: int = 0) -> int:
    """Return the seed of torch's random state in one step of one process."""
    state = np.random.SeedSequence([seed & _MASK, step, process]).generate_state(1, np.uint64)
    return int(state[0])
