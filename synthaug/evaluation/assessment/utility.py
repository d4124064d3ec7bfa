"""What samples teach a classifier: alone, and beside the real images, as a policy lets them enter."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.classifiers import Policy, fit_classifier
from synthaug.classifiers.scores import Scores, score
from synthaug.data import ImageDataset
from synthaug.evaluation.assessment.inputs import Samples
from synthaug.evaluation.estimate import Estimate, FoldScores
from synthaug.evaluation.statistics import PairedDifference
from synthaug.sampling import SampleBank

CLASSIFIER: dict[str, Any] = {"model": "test_resnet", "augmentation": "affine", "batch_size": 64, "learning_rate": 2e-3}
"""A small classifier, so that an evaluation takes a minute; what helps it may not help a larger one."""

_SMALLEST_SIDE = 16
_ARMS = ("real", "samples", "both")


@dataclasses.dataclass(frozen=True)
class Utility:
    """Accuracies on held-out images, from 0 to 1.

    Attributes:
        real: Trained on real images alone, one a seed.
        samples: Trained on samples alone (classification accuracy score), one a seed.
        both: Trained on real images and samples by the policy, one a seed.
        gain: ``both`` − ``real``, image by image: its interval says how sure the mean is for other held-out images and
            other seeds, but with the same samples.
        recall: Mean recall over the seeds by class, of each arm; `None` where nothing is held out.
        settings: Of the classifier.
        policy: How the samples entered.
    """

    real: tuple[float, ...]
    samples: tuple[float, ...]
    both: tuple[float, ...]
    gain: PairedDifference
    recall: dict[str, dict[str, float | None]]
    settings: dict[str, Any]
    policy: Policy

    @property
    def way(self) -> str:
        """How the samples entered, in words that follow "samples"."""
        share = f"{100 * self.policy.replace_probability:g} %"
        return {
            "replace": f"in place of {share} of the real images",
            "add": "added to the real images",
            "mix": f"mixed into {share} of the real images",
        }[self.policy.mode]

    def mean(self, arm: str) -> float:
        """Return the mean accuracy of ``"real"``, ``"samples"`` or ``"both"``."""
        return float(np.mean(getattr(self, arm)))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {
            "accuracy_of_real": list(self.real),
            "classification_accuracy_score": list(self.samples),
            "accuracy_of_both": list(self.both),
            "gain": self.gain.to_dict(),
            "recall": self.recall,
            "classifier": self.settings,
            "policy": self.policy.to_dict(),
        }


def classifier_settings(train: ImageDataset, steps: int, **changes: Any) -> dict[str, Any]:
    """Return the settings of a classifier that suits small images too."""
    small = min(train.image_shape[1:]) < _SMALLEST_SIDE
    return CLASSIFIER | {"steps": steps} | ({"input_size": _SMALLEST_SIDE} if small else {}) | changes


def measure_utility(
    samples: Samples,
    train: ImageDataset,
    held_out: ImageDataset,
    *,
    seeds: Sequence[int],
    policy: Policy,
    settings: dict[str, Any],
    device: str = "auto",
    say: Callable[[str], None] = lambda _: None,
) -> Utility:
    """Train classifiers with and without samples, same seed, weights and number of steps, and test them.

    Source of the classification accuracy score: Ravuri & Vinyals 2019. All classifiers are tested on the same images,
    so the interval of the gain has the variance of the images as well as that of the seeds: by the seeds alone, samples
    that change answers at random would be found better or worse in up to half of the cases.

    Args:
        samples: Samples; classes without any are missing from what the second arm learns.
        train: Real training images.
        held_out: Read by each classifier once, after its last step.
        seeds: Of the classifiers of each arm, one or more.
        policy: How samples enter training beside real images.
        settings: Fields of `ClassifierConfig`.
        device: ``"auto"`` (a GPU if there is one) or a torch device.
        say: Told what is being done.
    """
    bank = SampleBank.from_arrays(samples.images, samples.labels, train.classes)
    alone = ImageDataset.from_arrays(samples.images, samples.labels, train.classes)
    labels = np.asarray(held_out.labels)
    scores: dict[str, list[Scores]] = {arm: [] for arm in _ARMS}
    hits: dict[str, list[NDArray[np.bool_]]] = {arm: [] for arm in _ARMS}
    for number, seed in enumerate(seeds, start=1):
        for arm in _ARMS:
            say(f"classifier {number} of {len(seeds)}, trained on {arm}")
            _, classifier = fit_classifier(
                alone if arm == "samples" else train,
                bank=bank if arm == "both" else None,
                policy=policy,
                seed=seed,
                device=device,
                **settings,
            )
            found = classifier.predictions(held_out)
            scores[arm].append(score(found, labels, len(train.classes)))
            hits[arm].append(found == labels)
    accuracy = {arm: tuple(one.accuracy for one in scores[arm]) for arm in _ARMS}
    recall = {
        name: {arm: _mean([one.recall[label] for one in scores[arm]]) for arm in _ARMS}
        for label, name in enumerate(train.classes)
    }
    outcomes = FoldScores(labels, np.stack(hits["both"]), np.stack(hits["real"]))
    gain = Estimate.of([outcomes], "accuracy").difference(0.95)
    return Utility(accuracy["real"], accuracy["samples"], accuracy["both"], gain, recall, settings, policy)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
