"""One trial: a classifier trained on a part of the training split, with or without samples, scored on the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.classifiers.classifier import fit_classifier
from synthaug.classifiers.judgement import judge
from synthaug.classifiers.scores import Metric
from synthaug.classifiers.settings import ClassifierConfig
from synthaug.data import ImageDataset
from synthaug.errors import DivergenceError
from synthaug.recommendation.bookkeeping.clock import Clock
from synthaug.recommendation.bookkeeping.journal import Journal
from synthaug.recommendation.candidates.maker import SampleMaker
from synthaug.recommendation.candidates.space import Candidate, ClassSets

SAFETY = 1.25
"""Nothing is begun that would end late if it took this many times what it is expected to take."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """What the arms of a comparison share.

    Attributes:
        fold: Number of the fold that validates; all others are trained on.
        seed: Of the classifier: its weights, order and augmentation.
    """

    fold: int
    seed: int


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came out of a trial.

    Attributes:
        value: The metric on the validation part.
        belief: The same mean of the probability of the right class.
        recall: Share found of each class there; `None` for a class without validation images.
        hits: Whether the class of each validation image was found, (N,); where training failed, none.
        beliefs: Probability of the right class of each, (N,), at the temperature that fits these images best.
        seconds: That it took.
    """

    value: float
    belief: float
    recall: tuple[float | None, ...]
    hits: NDArray[np.bool_]
    beliefs: NDArray[np.float64]
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether training failed."""
        return not len(self.hits)


class Trials:
    """Runs trials, each once, as long as there is time.

    Args:
        data: The training split; nothing else is looked at.
        maker: Makes samples; it is handed training parts alone.
        journal: Knows what was done before.
        clock: Tells how much time is left.
        folds: Parts that the training split is cut into, each of which can validate.
        seed: Of the cut.
        metric: What is compared.
        device: Where classifiers are trained.
        model_options: Further arguments of `timm.create_model`.
    """

    def __init__(
        self,
        data: ImageDataset,
        maker: SampleMaker,
        journal: Journal,
        clock: Clock,
        *,
        folds: int,
        seed: int,
        metric: Metric,
        device: str = "auto",
        model_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.data, self.maker, self.journal, self.clock = data, maker, journal, clock
        self.metric, self.device = metric, device
        self.model_options = dict(model_options or {})
        self.failures: list[str] = []
        self.folds = data.folds(folds, seed)

    def real(self, pair: Pair, settings: Mapping[str, Any], *, reserve: float = 0.0) -> Outcome | None:
        """Train on real images alone.

        Args:
            pair: Fold and seed.
            settings: Of the classifier.
            reserve: Seconds that must be left afterwards.

        Returns:
            What came out, or `None` if there is no time for it.
        """
        task = self.task(pair, settings)
        if not self.journal.done("trial", task) and not self._affordable(settings, 0.0, reserve):
            return None
        return self._run(task, lambda part: {}, pair, settings)

    def with_samples(
        self,
        pair: Pair,
        settings: Mapping[str, Any],
        candidate: Candidate,
        sets: ClassSets,
        *,
        reserve: float = 0.0,
    ) -> Outcome | None:
        """Train with a candidate's samples; else as `real`.

        Raises:
            DivergenceError: If the generator's or the classifier's training fails.
        """
        names = sets.names(candidate.classes)
        policy = candidate.policy(names)
        task = self.task(pair, settings) | {"candidate": candidate.to_dict(), "classes": names and list(names)}
        part, _ = self.folds[pair.fold]
        if not self.journal.done("trial", task) and not self._affordable(
            settings, self.maker.seconds(part, candidate), reserve
        ):
            return None
        return self._run(
            task, lambda part: {"bank": self.maker.bank(part, candidate, names), "policy": policy}, pair, settings
        )

    def _affordable(self, settings: Mapping[str, Any], preparation: float, reserve: float) -> bool:
        return SAFETY * (self.journal.costs.expected("classifier") + preparation) + reserve <= self.clock.left

    def task(self, pair: Pair, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return what names a trial on real images alone."""
        part, validation = self.folds[pair.fold]
        return {
            "train": part.digest,
            "validation": validation.digest,
            "pair": dataclasses.asdict(pair),
            "settings": ClassifierConfig.from_dict(settings).to_dict(),
            "model_options": {name: str(value) for name, value in self.model_options.items()},
        }

    def _run(
        self,
        task: dict[str, Any],
        samples: Callable[[ImageDataset], dict[str, Any]],
        pair: Pair,
        settings: Mapping[str, Any],
    ) -> Outcome:
        part, validation = self.folds[pair.fold]

        def work() -> dict[str, Any]:
            arguments = samples(part)
            try:
                result, classifier = fit_classifier(
                    part,
                    seed=pair.seed,
                    device=self.device,
                    model_options=self.model_options or None,
                    **arguments,
                    **settings,
                )
            except DivergenceError as error:
                return {"error": str(error)}
            plain = result.to_dict()
            judged = judge(classifier.dataset_logits(validation), np.asarray(validation.labels), self.metric)
            return {
                "validation": judged.scores.to_dict(),
                "belief": judged.probability,
                "hits": np.packbits(judged.hits).tobytes().hex(),
                "beliefs": judged.beliefs.astype("<f2").tobytes().hex(),
                **{name: plain[name] for name in ("synthetic_images", "images", "loss", "precision")},
            }

        # What a trial needs is made beforehand, so that its time is counted once, as a generator's.
        if not self.journal.done("trial", task):
            samples(part)
        found = self.journal.once("trial", task, work, "classifier")
        if "error" in found:
            raise DivergenceError(found["error"])
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(found["hits"]), np.uint8), count=len(validation))
        scores = found["validation"]
        beliefs = np.frombuffer(bytes.fromhex(found["beliefs"]), "<f2").astype(np.float64)
        return Outcome(
            value=scores[self.metric],
            belief=found["belief"],
            recall=tuple(scores["recall"]),
            hits=bits.astype(bool),
            beliefs=beliefs,
            seconds=found["seconds"],
        )


def not_failed(trials: Trials, measure: Callable[[], Outcome | None]) -> Outcome | None:
    """Measure; where a training diverges, note why in ``trials.failures``, and let what was tried come out last."""
    try:
        return measure()
    except DivergenceError as error:
        if str(error) not in trials.failures:
            trials.failures.append(str(error))
        return Outcome(0.0, 0.0, (), np.zeros(0, bool), np.zeros(0))
