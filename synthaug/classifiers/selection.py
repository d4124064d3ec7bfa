"""Choosing a classifier's settings on validation splits that are cut off the training split.

The real-only arm is tuned this way, and what was chosen for it serves the arm with samples as well: a gain is never
the tuning that only one arm had.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.classifiers.classifier import train_classifier
from synthaug.errors import ConfigError

if TYPE_CHECKING:
    from synthaug.data import ImageDataset


@dataclasses.dataclass(frozen=True)
class Choice:
    """Candidates with their validation scores.

    Attributes:
        best: The settings with the highest mean; the first of equal ones.
        candidates: All settings, in the order given.
        scores: Validation balanced accuracy of each candidate, one value a split.
    """

    best: dict[str, Any]
    candidates: tuple[dict[str, Any], ...]
    scores: tuple[tuple[float, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as JSON-able values."""
        return {
            "best": self.best,
            "candidates": [
                {"settings": settings, "validation": list(values), "mean": float(np.mean(values))}
                for settings, values in zip(self.candidates, self.scores, strict=True)
            ],
        }


def choose(candidates: Sequence[Mapping[str, Any]], scores: Sequence[Sequence[float]]) -> Choice:
    """Take the candidate with the best mean validation score.

    Raises:
        ConfigError: If there are no candidates, or not the same number of scores for each.

    Example:
        >>> choose([{"learning_rate": 1e-3}, {"learning_rate": 2e-3}], [[0.7, 0.8], [0.8, 0.8]]).best
        {'learning_rate': 0.002}
    """
    lengths = {len(values) for values in scores}
    if not candidates or len(candidates) != len(scores) or len(lengths) != 1 or 0 in lengths:
        raise ConfigError(
            f"choose: expected candidates with the same number of scores each, but got {len(candidates)} candidates "
            f"and {[len(values) for values in scores]} scores."
        )
    means = [float(np.mean(values)) for values in scores]
    return Choice(
        best=dict(candidates[int(np.argmax(means))]),
        candidates=tuple(dict(candidate) for candidate in candidates),
        scores=tuple(tuple(values) for values in scores),
    )


def tune_classifier(
    train: ImageDataset,
    candidates: Sequence[Mapping[str, Any]],
    *,
    holdout: float = 0.25,
    splits: int = 3,
    seed: int = 0,
    **settings: Any,
) -> Choice:
    """Choose among settings by training on parts of the training split and scoring on the rest.

    Args:
        train: The training split; nothing else is looked at.
        candidates: Settings of `train_classifier` to choose among.
        holdout: Share held out for validation.
        splits: Different splits that are averaged, since a small validation split is noisy.
        seed: Of the splits and of the classifiers.
        **settings: Settings that all candidates share; a candidate's own take precedence.

    Example:
        >>> grid = [{"learning_rate": 1e-3}, {"learning_rate": 3e-3}]
        >>> tune_classifier(train, grid, model="test_resnet", steps=100).best  # doctest: +SKIP
        {'learning_rate': 0.003}
    """
    if not 0 < holdout < 1 or splits < 1:
        raise ConfigError(
            f"tune_classifier: expected a holdout between 0 and 1 and 1 split or more, but got {holdout} and {splits}."
        )
    scores: list[list[float]] = [[] for _ in candidates]
    for split in range(splits):
        part, validation = train.split(1 - holdout, seed=seed + split)
        for values, candidate in zip(scores, candidates, strict=True):
            result = train_classifier(part, validation=validation, seed=seed + split, **(settings | dict(candidate)))
            if result.validation is not None:
                values.append(result.validation.balanced_accuracy)
    return choose(candidates, scores)
