"""Filters in order: the first that rejects a candidate is the reason."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from synthaug.curation.base import Filter, FittedFilter, FittedSelection, Selection, filter_class
from synthaug.curation.reference import Candidates, Reference, ReferenceConfig
from synthaug.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from synthaug.data import ImageDataset

DEFAULT_FILTERS = ("confidence", "outlier", "duplicate")
SURPLUS = -2
_REFERENCE = "reference"

Filters = str | Sequence[str | Filter]
"""Names of filters, or filters with settings, in order; ``"a,b"`` will do."""


@dataclasses.dataclass(frozen=True)
class Curation:
    """Filters with their settings, in the order in which they judge; those that choose come last.

    Attributes:
        filters: Judges, then selections.
        reference: Settings of what they learn from the training split.

    Example:
        >>> Curation.make("confidence,diversity", {"confidence": {"quantile": 0.2}}).to_dict()["filters"][0]
        {'name': 'confidence', 'quantile': 0.2, 'agree': True}
    """

    filters: tuple[Filter, ...]
    reference: ReferenceConfig = dataclasses.field(default_factory=ReferenceConfig)

    def __post_init__(self) -> None:
        names = [filter_.name for filter_ in self.filters]
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"filters: expected one or more different filters, but got {', '.join(names) or 'none'}.")
        kinds = [isinstance(filter_, Selection) for filter_ in self.filters]
        if sorted(kinds) != kinds:
            last = names[kinds.index(True)]
            raise ConfigError(
                f"filters: expected those that choose among good samples last, but got {', '.join(names)}. "
                f"Put {last!r} at the end."
            )

    @classmethod
    def make(cls, filters: Filters | Curation, settings: Mapping[str, Mapping[str, Any]] | None = None) -> Curation:
        """Make a curation from names and settings.

        Args:
            filters: Names, or filters; a `Curation` is passed through.
            settings: By name of the filter; under ``"reference"`` fields of `ReferenceConfig`.

        Raises:
            ConfigError: On an unknown filter or setting, or settings of a filter that is not used.
        """
        settings = dict(settings or {})
        if isinstance(filters, Curation):
            if settings:
                raise ConfigError("settings: a Curation has its own; give names of filters with them instead.")
            return filters
        listed = filters.split(",") if isinstance(filters, str) else list(filters)
        names = [item.strip() if isinstance(item, str) else item.name for item in listed]
        for name in settings:
            if name not in (*names, _REFERENCE):
                raise ConfigError(
                    f"settings: expected those of {', '.join((*names, _REFERENCE))}, but got some of {name!r}."
                    f"{did_you_mean(name, (*names, _REFERENCE))}"
                )
        made = [
            filter_class(name).from_dict(settings.get(name, {}))
            if isinstance(item, str)
            else item.replace(**settings.get(name, {}))
            for name, item in zip(names, listed, strict=True)
        ]
        return cls(tuple(made), ReferenceConfig.from_dict(settings.get(_REFERENCE, {})))

    @property
    def selects(self) -> bool:
        """Whether a filter chooses among good samples."""
        return any(isinstance(filter_, Selection) for filter_ in self.filters)

    @property
    def share(self) -> float:
        """Share of the candidates that the selections keep of those that the judges accept."""
        return math.prod(filter_.share for filter_ in self.filters if isinstance(filter_, Selection))

    def to_dict(self) -> dict[str, Any]:
        """Return all settings, JSON-able."""
        return {
            "filters": [{"name": filter_.name} | filter_.to_dict() for filter_ in self.filters],
            "reference": self.reference.to_dict(),
        }

    def fit(self, train: ImageDataset | Reference, seed: int = 0, device: str = "auto") -> FittedCuration:
        """Fit all filters to the training split, and to nothing else.

        Args:
            train: The training split; or a `Reference` of it that was used before, which trains nothing anew and has
                its own seed and settings.
            seed: Of the classifiers.
            device: ``"auto"`` (a GPU if there is one) or a torch device.
        """
        reference = train if isinstance(train, Reference) else Reference(train, seed, self.reference, device)
        return FittedCuration(self, reference)


class FittedCuration:
    """Filters that know the training split.

    Args:
        curation: The filters.
        reference: What they learn from.
    """

    def __init__(self, curation: Curation, reference: Reference) -> None:
        self.curation, self.reference = curation, reference
        self._fitted = [filter_.fit(reference) for filter_ in curation.filters]

    def judge(self, candidates: Candidates, earlier: Candidates | None = None) -> Judgement:
        """Ask the filters that judge samples one by one.

        Args:
            candidates: In the order of their indices.
            earlier: Candidates accepted in rounds before.
        """
        judgement = Judgement.of(candidates, self.names)
        for number, fitted in enumerate(self._fitted):
            if isinstance(fitted, FittedFilter):
                alive = judgement.alive
                judgement = judgement.after(number, fitted.judge(alive, earlier), fitted)
        return judgement

    def good(self, judgement: Judgement) -> NDArray[np.bool_]:
        """Return which candidates all judges accepted and every selection may choose, bool (N,)."""
        good = judgement.accepted.copy()
        rows = np.flatnonzero(good)
        for fitted in self._fitted:
            if isinstance(fitted, FittedSelection):
                good[rows] &= fitted.able(judgement.alive)
        return good

    def choose(self, judgement: Judgement, wanted: NDArray[np.int64] | None = None) -> Judgement:
        """Let the selections choose among what the others accepted.

        Args:
            judgement: What the others said.
            wanted: Number of each class, (K,); `None` keeps each selection's share.
        """
        if wanted is not None:  # what one selection can never keep shall not fill the places that another gives
            judgement = self._without_what_no_selection_can_keep(judgement)
        later = self.curation.share
        for number, (filter_, fitted) in enumerate(zip(self.curation.filters, self._fitted, strict=True)):
            if isinstance(filter_, Selection) and isinstance(fitted, FittedSelection):
                alive = judgement.alive
                later /= filter_.share
                if wanted is None:
                    counts = np.bincount(alive.labels, minlength=len(self.reference.classes))
                    numbers = np.ceil(counts * filter_.share - 1e-9).astype(np.int64)
                else:
                    numbers = np.ceil(wanted / later - 1e-9).astype(np.int64)
                judgement = judgement.after(number, fitted.choose(alive, numbers), None)
        return judgement

    def _without_what_no_selection_can_keep(self, judgement: Judgement) -> Judgement:
        for number, fitted in enumerate(self._fitted):
            if isinstance(fitted, FittedSelection) and not fitted.able(judgement.alive).all():
                all_of_them = np.bincount(judgement.alive.labels, minlength=len(self.reference.classes))
                judgement = judgement.after(number, fitted.choose(judgement.alive, all_of_them), None)
        return judgement

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the filters, in order."""
        return tuple(filter_.name for filter_ in self.curation.filters)

    def describe(self) -> dict[str, Any]:
        """Return settings, thresholds by class and what was looked at, JSON-able."""
        filters = [
            {"name": filter_.name, "settings": filter_.to_dict(), "thresholds": self._thresholds(fitted)}
            for filter_, fitted in zip(self.curation.filters, self._fitted, strict=True)
        ]
        return {"filters": filters, "reference": self.reference.describe()}

    def _thresholds(self, fitted: FittedFilter | FittedSelection) -> dict[str, float | None] | None:
        if fitted.thresholds is None:
            return None
        values = [float(value) if math.isfinite(value) else None for value in fitted.thresholds.tolist()]
        return dict(zip(self.reference.classes, values, strict=True))


@dataclasses.dataclass(frozen=True, eq=False)
class Judgement:
    """What became of some candidates.

    Attributes:
        names: Of the filters, in order.
        labels: Of the candidates, (N,).
        scores: By filter, (N,); NaN where an earlier filter had rejected.
        reasons: Position of the filter that rejected, (N,); −1 where none did; `SURPLUS` for good candidates beyond
            those that are wanted, which are neither kept nor rejected.
        weights: In (0, 1], (N,).
        alive: The candidates that none rejected, with what is known of them.
        weighing: Which of the filters gave weights.
    """

    names: tuple[str, ...]
    labels: NDArray[np.int64]
    scores: dict[str, NDArray[np.float64]]
    reasons: NDArray[np.int64]
    weights: NDArray[np.float32]
    alive: Candidates
    weighing: frozenset[str] = frozenset()

    @classmethod
    def of(cls, candidates: Candidates, names: tuple[str, ...]) -> Self:
        """Begin with candidates that nobody has judged."""
        number = len(candidates)
        return cls(
            names=names,
            labels=candidates.labels,
            scores={name: np.full(number, np.nan) for name in names},
            reasons=np.full(number, -1, dtype=np.int64),
            weights=np.ones(number, dtype=np.float32),
            alive=candidates,
        )

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """Which candidates none rejected, (N,)."""
        accepted: NDArray[np.bool_] = self.reasons == -1
        return accepted

    def after(self, number: int, verdict: Any, fitted: FittedFilter | None) -> Judgement:
        """Return the judgement after one more filter, which was asked about those alive."""
        rows = np.flatnonzero(self.accepted)
        scores, reasons, weights = dict(self.scores), self.reasons.copy(), self.weights.copy()
        scores[self.names[number]] = self.scores[self.names[number]].copy()
        scores[self.names[number]][rows] = verdict.scores
        reasons[rows[~verdict.accepted]] = number
        own = None if fitted is None else fitted.weigh(verdict.scores, self.alive.labels)
        if own is not None:
            weights[rows] *= own
        return dataclasses.replace(
            self,
            weighing=self.weighing if own is None else self.weighing | {self.names[number]},
            scores=scores,
            reasons=reasons,
            weights=weights,
            alive=self.alive.take(np.flatnonzero(verdict.accepted)),
        )

    def joined(self, others: Judgement) -> Judgement:
        """Return these candidates and then the others'."""
        return dataclasses.replace(
            self,
            labels=np.concatenate([self.labels, others.labels]),
            scores={name: np.concatenate([self.scores[name], others.scores[name]]) for name in self.names},
            reasons=np.concatenate([self.reasons, others.reasons]),
            weights=np.concatenate([self.weights, others.weights]),
            alive=self.alive.joined(others.alive),
        )

    def counts(self, classes: Sequence[str], labels: NDArray[np.int64]) -> dict[str, Any]:
        """Return numbers of accepted and rejected candidates by class, and by reason, JSON-able.

        Args:
            classes: Names of the classes.
            labels: Of the candidates among these, (N,).
        """
        accepted, rejected = {}, {}
        for label in np.unique(labels).tolist():
            mine = self.reasons[labels == label]
            accepted[classes[label]] = int((mine == -1).sum())
            found = {name: int((mine == number).sum()) for number, name in enumerate(self.names)}
            rejected[classes[label]] = {name: number for name, number in found.items() if number}
        return {"candidates": len(labels), "accepted": accepted, "rejected": rejected}
