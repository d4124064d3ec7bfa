"""With samples against real images alone, image by image: the gain, and how sure it is.

Two yardsticks see the same classifiers. Whether each image's class is found is what the user wants, but says little an
image: a few hundred images tell accuracies apart by several points. The probability of the right class says more, as it
moves on every image, and follows accuracy closely. But it moves further than accuracy does, and not everywhere alike.
Both together give the gain: with few images mostly the probability, at what it is worth, with many mostly what was
found.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from synthaug.classifiers.scores import Metric
from synthaug.evaluation.estimate import Estimate, FoldScores, Images
from synthaug.evaluation.statistics import PairedDifference

WORTH, WORTH_SPREAD = 0.8, 0.006
"""What a point of the probability's gain is worth in points of the metric, and by how much that may be off (a share).

Both are rounded from ``worth`` in benchmarks/results/recommendation_curated.json: gains on test by either yardstick.
"""

_WEIGHTS = tuple(step / 20 for step in range(21))
"""Of what was found; the probability gets the rest."""


@dataclasses.dataclass(frozen=True)
class FoldOutcomes:
    """Both yardsticks on the images of one fold.

    Attributes:
        hits: Whether the class was found.
        beliefs: Probability of the right class.
    """

    hits: FoldScores
    beliefs: FoldScores

    def blend(self, weight: float) -> FoldScores:
        """Return scores of which ``weight`` are hits and the rest beliefs, at what these are worth."""
        arms = (
            weight * hits + (1 - weight) * WORTH * beliefs
            for hits, beliefs in (
                (self.hits.treatment, self.beliefs.treatment),
                (self.hits.control, self.beliefs.control),
            )
        )
        return FoldScores(self.hits.labels, *arms)


def cross_validated_difference(
    folds: Sequence[FoldScores], metric: Metric = "balanced_accuracy", confidence: float = 0.95
) -> PairedDifference:
    """Compare two arms over folds of one dataset, image by image.

    The interval is the normal one of cross-validation (Bayle et al. 2020, "Cross-validation confidence intervals for
    test error"): the variance of the mean is that of the images, by class for balanced accuracy, plus that of the
    seeds; Student's t with the degrees of freedom of Welch and Satterthwaite. What one seed does to one image shows in
    both, and is taken off once, as every image is judged with every seed (crossed random effects: Searle, Casella &
    McCulloch 1992, "Variance components"). With a single seed it is that of the images alone. What another generator,
    or other training images, would have done is not in it.

    Args:
        folds: With as many seeds each, and an image at least; no image is in two of them.
        metric: What is compared.
        confidence: Of the interval.

    Returns:
        The difference of the metric over all images. Its ``differences`` are those of each fold and seed.

    Example:
        >>> import numpy as np
        >>> random = np.random.default_rng(0)
        >>> labels = np.repeat([0, 1], 100)
        >>> better, worse = (random.random((3, 200)) < share for share in (0.9, 0.6))
        >>> gain = cross_validated_difference([FoldScores(labels, better, worse)])
        >>> 0.2 < gain.low < gain.mean < gain.high < 0.4
        True
    """
    return Estimate.of(folds, metric).difference(confidence)


def expected_gain(
    folds: Sequence[FoldOutcomes], metric: Metric = "balanced_accuracy", confidence: float = 0.95
) -> PairedDifference:
    """Estimate the gain in a metric from both yardsticks, weighted so that its variance is least.

    A gain of the probability of the right class counts as `WORTH` of a gain in the metric, with `WORTH_SPREAD` in the
    variance: the more images there are, the more what was found decides. That both see the same images is in the
    variance, since they are blended image by image.

    Args:
        folds: With as many seeds each, and an image at least; no image is in two of them.
        metric: What is estimated.
        confidence: Of the interval.

    Example:
        >>> import numpy as np
        >>> random = np.random.default_rng(0)
        >>> labels = np.repeat([0, 1], 50)
        >>> easy = random.random(100)
        >>> beliefs = FoldScores(labels, *(np.tile(easy**power, (3, 1)) for power in (0.8, 1.0)))
        >>> hits = FoldScores(labels, *(random.random((3, 100)) < share for share in (0.56, 0.5)))
        >>> both = expected_gain([FoldOutcomes(hits, beliefs)])
        >>> alone = cross_validated_difference([hits])
        >>> both.high - both.low < (alone.high - alone.low) / 3
        True
    """
    return _blended(folds, metric).difference(confidence)


def chance_of_gain(folds: Sequence[FoldOutcomes], metric: Metric = "balanced_accuracy") -> float | None:
    """Return how likely the expected gain is above 0, if nothing but these images is known; `None` if that is open.

    One half where both arms are the same.
    """
    return _blended(folds, metric).chance()


def class_differences(folds: Sequence[FoldScores], classes: Sequence[str]) -> dict[str, PairedDifference]:
    """Compare the recall of each class that has images in every fold; variances are drawn towards that of all."""
    usual = Images.of(folds, "balanced_accuracy").usual_variance(1.0)
    found = {}
    for label, name in enumerate(classes):
        parts = [fold.of_class(label) for fold in folds]
        if all(len(part.labels) for part in parts):
            found[name] = Estimate.of(parts, "accuracy", usual=usual).difference(0.95)
    return found


def _blended(folds: Sequence[FoldOutcomes], metric: Metric) -> Estimate:
    """Return the blend of both yardsticks whose variance is least."""
    estimates = [
        Estimate.of([fold.blend(weight) for fold in folds], metric, weight).less_sure((1 - weight) * WORTH_SPREAD)
        for weight in _WEIGHTS
    ]
    return min(estimates, key=lambda one: one.variance)
