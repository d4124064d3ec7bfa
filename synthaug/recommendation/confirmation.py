"""The honest number: the winner of the race against real images alone, on splits that chose nothing.

The best of many looks better than it is, so what the race measured is not reported as a gain. Splits of one training
set share images, so that their differences are correlated; the variance is corrected for it (Nadeau & Bengio 2003,
"Inference for the generalization error").
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from synthaug.evaluation.statistics import PairedDifference, paired_difference
from synthaug.recommendation.trial import Outcome


def corrected_difference(
    treatment: Sequence[float], control: Sequence[float], *, validation_ratio: float, confidence: float = 0.95
) -> PairedDifference:
    """Compare two arms over repeated splits of one dataset, with the corrected resampled t interval.

    Args:
        treatment: Values with samples, one a split.
        control: Values without, in the same order.
        validation_ratio: Validation images for each training image.
        confidence: Of the interval.

    Example:
        >>> wide = corrected_difference([0.82, 0.84, 0.83], [0.8, 0.81, 0.8], validation_ratio=1 / 3)
        >>> narrow = paired_difference([0.82, 0.84, 0.83], [0.8, 0.81, 0.8])
        >>> wide.mean == narrow.mean, wide.low < narrow.low
        (True, True)
    """
    plain = paired_difference(treatment, control, confidence=confidence)
    if plain.std is None:
        return plain
    from scipy.stats import t

    error = plain.std * math.sqrt(1 / plain.pairs + validation_ratio)
    half = float(t.ppf((1 + confidence) / 2, plain.pairs - 1)) * error
    return dataclasses.replace(plain, low=plain.mean - half, high=plain.mean + half)


def lower_end(gain: PairedDifference, confidence: float) -> float:
    """Return the lower end that the interval of a corrected difference has at another confidence.

    Args:
        gain: From `corrected_difference`, of two splits or more.
        confidence: Between 0 and 1, exclusive.

    Example:
        >>> gain = corrected_difference([0.82, 0.84, 0.83], [0.8, 0.81, 0.8], validation_ratio=1 / 3)
        >>> lower_end(gain, 0.95) == gain.low, lower_end(gain, 0.8) > gain.low
        (True, True)
    """
    from scipy.stats import t

    if gain.low is None:
        raise ValueError(f"expected the difference of two splits or more, but got {gain.pairs}.")
    if confidence == gain.confidence:
        return gain.low
    quantile, known = (t.ppf((1 + level) / 2, gain.pairs - 1) for level in (confidence, gain.confidence))
    return gain.mean - (gain.mean - gain.low) * float(quantile / known)


def mean_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    """Average the seeds of one split."""
    recall = [
        None if any(one is None for one in column) else float(np.mean(column))
        for column in zip(*(outcome.recall for outcome in outcomes), strict=True)
    ]
    return Outcome(float(np.mean([outcome.value for outcome in outcomes])), tuple(recall))


def difference_of(
    treatment: Sequence[Outcome], control: Sequence[Outcome], validation_ratio: float
) -> PairedDifference:
    """Compare the metric of two arms, split by split."""
    return corrected_difference(
        [outcome.value for outcome in treatment],
        [outcome.value for outcome in control],
        validation_ratio=validation_ratio,
    )


def class_differences(
    treatment: Sequence[Outcome], control: Sequence[Outcome], classes: Sequence[str], validation_ratio: float
) -> dict[str, PairedDifference]:
    """Compare the recall of each class that has validation images in every split."""
    found = {}
    for label, name in enumerate(classes):
        with_, without = ([outcome.recall[label] for outcome in arm] for arm in (treatment, control))
        pairs = [(one, other) for one, other in zip(with_, without, strict=True) if None not in (one, other)]
        if len(pairs) == len(treatment):
            first, second = zip(*pairs, strict=True)
            found[name] = corrected_difference(first, second, validation_ratio=validation_ratio)
    return found
