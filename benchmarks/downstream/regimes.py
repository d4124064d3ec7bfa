"""How the training images of one seed are drawn."""

from __future__ import annotations

import dataclasses

import numpy as np

from synthaug.data import ImageDataset
from synthaug.data.overlap import among
from synthaug.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Regime:
    """How the training subset is drawn: ``few-shot:20``, ``long-tail:100@500`` (imbalance @ head) or ``full``."""

    name: str
    kind: str
    per_class: int = 0
    imbalance: float = 1.0
    head: int | None = None

    @classmethod
    def parse(cls, text: str) -> Regime:
        """Read a regime from its short form."""
        kind, _, detail = text.partition(":")
        try:
            if kind == "few-shot":
                return cls(text, kind, per_class=int(detail))
            if kind == "long-tail":
                imbalance, _, head = detail.partition("@")
                return cls(text, kind, imbalance=float(imbalance), head=int(head) if head else None)
            if text == "full":
                return cls(text, kind)
        except ValueError:
            pass
        raise ConfigError(f"expected a regime like few-shot:20, long-tail:100@500 or full, but got {text!r}.")

    @property
    def place(self) -> tuple[str, int, float, int]:
        """Where it stands among others: by kind, then from few images to many and from even classes to uneven ones."""
        return self.kind, self.per_class, self.imbalance, self.head or 0

    def subset(self, train: ImageDataset, seed: int) -> ImageDataset:
        """Draw the training images of one seed; in a long tail the seed also shuffles which classes are rare."""
        if self.kind == "few-shot":
            return train.few_shot(per_class=self.per_class, seed=seed)
        if self.kind == "long-tail":
            return train.long_tail(imbalance=self.imbalance, seed=seed, head=self.head, order="shuffled")
        return train


def others(train: ImageDataset, subset: ImageDataset, number: int, seed: int) -> ImageDataset:
    """Return up to so many images of the training split that a subset does not have, in random order."""
    order = np.random.default_rng(seed).permutation(len(train))[: number + len(subset)]
    chosen = train.subset(order)
    return chosen.subset(np.flatnonzero(~among(chosen, subset))[:number])
