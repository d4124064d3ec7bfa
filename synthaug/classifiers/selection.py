"""Choosing a classifier's settings on validation splits that are cut off the training split.

The real-only arm is tuned this way, and what was chosen for it serves the arm with samples as well: a gain is never
the tuning that only one arm had. The choice is by what is found and by the probability of the right class
(`synthaug.classifiers.calibration`) together, their mean: where few images validate, that loses less than accuracy
alone (``benchmarks/yardsticks``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.classifiers.classifier import fit_classifier
from synthaug.classifiers.judgement import judge
from synthaug.classifiers.settings import ClassifierConfig
from synthaug.errors import ConfigError, DataError

if TYPE_CHECKING:
    from synthaug.data import ImageDataset


@dataclasses.dataclass(frozen=True)
class Choice:
    """Candidates with their validation scores.

    Attributes:
        best: The settings whose mean of both scores is highest; the first of equal ones.
        candidates: All settings, in the order given.
        accuracies: Validation balanced accuracy of each candidate, one value a split.
        probabilities: Mean probability of the right class, classes counting alike.
    """

    best: dict[str, Any]
    candidates: tuple[dict[str, Any], ...]
    accuracies: tuple[tuple[float, ...], ...]
    probabilities: tuple[tuple[float, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as JSON-able values."""
        return {
            "best": self.best,
            "candidates": [
                {"settings": settings, "balanced_accuracy": list(found), "probability": list(believed)}
                for settings, found, believed in zip(self.candidates, self.accuracies, self.probabilities, strict=True)
            ],
        }


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

    Raises:
        ConfigError: If there are no candidates, on what is no setting of a classifier (a bank or test images, say), or
            on a holdout outside (0, 1) or less than one split.

    Example:
        >>> grid = [{"learning_rate": 1e-3}, {"learning_rate": 3e-3}]
        >>> tune_classifier(train, grid, model="test_resnet", steps=100).best  # doctest: +SKIP
        {'learning_rate': 0.003}
    """
    if not 0 < holdout < 1 or splits < 1 or not candidates:
        raise ConfigError(
            "tune_classifier: expected candidates, a holdout between 0 and 1 and 1 split or more, but got "
            f"{len(candidates)} candidates, {holdout} and {splits}."
        )
    for name in {*settings, *(name for candidate in candidates for name in candidate)}:
        if name not in (*ClassifierConfig.field_names(), "device", "model_options"):
            raise ConfigError(
                f"tune_classifier: expected settings of a classifier, device or model_options, but got {name!r}. "
                "Settings are chosen on real images of the training split alone."
            )
    accuracies: list[list[float]] = [[] for _ in candidates]
    probabilities: list[list[float]] = [[] for _ in candidates]
    for split in range(splits):
        part, validation = train.split(1 - holdout, seed=seed + split)
        labels = np.asarray(validation.labels)
        if not len(labels):
            raise DataError(
                "tune_classifier: expected a class with two images or more, of which some can be held out, but got "
                f"{train.class_counts.tolist()}."
            )
        for place, candidate in enumerate(candidates):
            _, classifier = fit_classifier(part, seed=seed + split, **(settings | dict(candidate)))
            found = judge(classifier.dataset_logits(validation), labels)
            accuracies[place].append(found.scores.balanced_accuracy)
            probabilities[place].append(found.probability)
    both = np.mean(accuracies, axis=1) + np.mean(probabilities, axis=1)
    return Choice(
        best=dict(candidates[int(both.argmax())]),
        candidates=tuple(dict(candidate) for candidate in candidates),
        accuracies=tuple(map(tuple, accuracies)),
        probabilities=tuple(map(tuple, probabilities)),
    )
