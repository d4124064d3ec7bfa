"""What a filter is: its settings, fitted to the training split, then asked about candidates."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from synthaug.config import Config
from synthaug.curation.reference import Candidates, Reference
from synthaug.registry import Registry


@dataclasses.dataclass(frozen=True, eq=False)
class Verdict:
    """What a filter thinks of some candidates.

    Attributes:
        scores: What it looks at, (N,); its direction is the filter's own.
        accepted: Which to keep, bool (N,).
    """

    scores: NDArray[np.floating]
    accepted: NDArray[np.bool_]


class FittedFilter(ABC):
    """A filter that knows the training split.

    Attributes:
        thresholds: Where each class is cut, (K,); `None` where nothing is cut by class.
    """

    thresholds: NDArray[np.floating] | None = None

    @abstractmethod
    def judge(self, candidates: Candidates, earlier: Candidates | None = None) -> Verdict:
        """Judge candidates one by one.

        Args:
            candidates: Those that all filters before accepted.
            earlier: Candidates accepted in rounds before; only what compares samples with each other looks at them.
        """

    def weigh(self, scores: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return weights in (0, 1] for accepted candidates by their scores; `None` if the filter weighs nothing."""
        return None


class FittedSelection(ABC):
    """A selection that knows the training split."""

    thresholds: NDArray[np.floating] | None = None

    def able(self, candidates: Candidates) -> NDArray[np.bool_]:
        """Return which candidates it may choose at all, bool (N,); of others more have to be drawn."""
        return np.ones(len(candidates), dtype=bool)

    @abstractmethod
    def choose(self, candidates: Candidates, wanted: NDArray[np.int64]) -> Verdict:
        """Choose among candidates, as a set.

        Args:
            candidates: Those that all filters before accepted.
            wanted: Number to keep of each class, (K,); where there are fewer, fewer are kept.
        """


@dataclasses.dataclass(frozen=True)
class Filter(Config, ABC):
    """Settings of a filter; `fit` makes the filter that judges. A new one is one new file in `curation/filters/`."""

    name: ClassVar[str] = ""

    @abstractmethod
    def fit(self, reference: Reference) -> FittedFilter | FittedSelection:
        """Learn from the training split what real images score."""


@dataclasses.dataclass(frozen=True)
class Selection(Filter):
    """Settings of a filter that chooses among good candidates rather than judging each.

    Attributes:
        share: Share of a class's candidates that is kept, where no number is asked for. `generate_curated` draws
            1 / share times the number wanted, within its budget, to choose from.
    """

    share: float = 0.5

    def validate(self) -> None:
        """Check the ranges."""
        self.require(0 < self.share <= 1, "share", "a share above 0 and up to 1")

    @abstractmethod
    def fit(self, reference: Reference) -> FittedSelection:
        """Learn from the training split what the choice needs."""


_FILTERS: Registry[type[Filter]] = Registry("filter", "synthaug.curation.filters")

FilterClass = TypeVar("FilterClass", bound=type[Filter])


def register_filter(name: str) -> Callable[[FilterClass], FilterClass]:
    """Register a `Filter` class under ``name``, which names its column of scores and the reason it rejects for.

    Example:
        >>> @register_filter("mine")  # doctest: +SKIP
        ... @dataclasses.dataclass(frozen=True)
        ... class Mine(Filter): ...
    """

    def register(cls: FilterClass) -> FilterClass:
        cls.name = name
        return _FILTERS.register(name)(cls)

    return register


def list_filters() -> list[str]:
    """Return the names of all filters, sorted.

    Example:
        >>> list_filters()
        ['confidence', 'diversity', 'duplicate', 'hardness', 'outlier', 'realism']
    """
    return _FILTERS.names()


def filter_class(name: str) -> type[Filter]:
    """Return the class of filter ``name``.

    Raises:
        ConfigError: If there is none of that name; the message names close ones.
    """
    return _FILTERS.get(name)
