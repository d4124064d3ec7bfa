"""Real images without labels in place of samples: classifiers of the training part label them, which is journaled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.classifiers.labelling import pseudo_labels
from synthaug.data import ImageDataset
from synthaug.errors import DivergenceError
from synthaug.recommendation.bookkeeping.journal import Journal, Task
from synthaug.recommendation.candidates.maker import SampleMaker
from synthaug.recommendation.candidates.space import UNLABELLED, Candidate
from synthaug.sampling import SampleBank

CLASSIFIERS = 3


class LabellingMaker:
    """Hands out unlabelled images, and leaves samples to another maker.

    Args:
        samples: Makes all other candidates' samples.
        images: The images without labels.
        journal: Knows what was labelled before.
        seed: Of the classifiers that label.
        device: Where they are trained.
        model_options: Further arguments of `timm.create_model`.

    Attributes:
        settings: Of those classifiers; the best ones of real images alone, once these are known.
    """

    def __init__(
        self,
        samples: SampleMaker,
        images: ImageDataset,
        journal: Journal,
        *,
        seed: int,
        device: str,
        model_options: Mapping[str, Any] | None,
    ) -> None:
        self.samples, self.images, self.journal = samples, images, journal
        self.seed, self.device, self.model_options = seed, device, model_options
        self.settings: dict[str, Any] = {}

    def seconds(self, part: ImageDataset, candidate: Candidate) -> float:
        """Return how long `bank` will take, as far as is known."""
        if candidate.family != UNLABELLED:
            return self.samples.seconds(part, candidate)
        if self.journal.done("labels", self._task(part)):
            return 0.0
        costs = self.journal.costs
        return costs.expected("labels", CLASSIFIERS * costs.expected("classifier"))

    def bank(self, part: ImageDataset, candidate: Candidate, class_names: tuple[str, ...] | None) -> SampleBank:
        """Return all unlabelled images with the labels that classifiers of ``part`` find, or samples.

        Raises:
            DivergenceError: If a training fails.
        """
        if candidate.family != UNLABELLED:
            return self.samples.bank(part, candidate, class_names)
        found = self.journal.once("labels", self._task(part), lambda: self._label(part), "labels")
        if found["error"]:
            raise DivergenceError(f"labels of the unlabelled images: {found['error']}")
        labels = np.frombuffer(bytes.fromhex(found["labels"]), "<u2").astype(np.int64)
        provenance = {"family": UNLABELLED, "labelled_by": self.settings, "images": self.images.digest}
        return SampleBank.from_arrays(self.images.images, labels, part.classes, provenance=provenance)

    def publish(self, data: ImageDataset, candidate: Candidate, folder: Path) -> None:
        """Write the generator of the candidate, if it has one."""
        if candidate.family != UNLABELLED:
            self.samples.publish(data, candidate, folder)

    def _task(self, part: ImageDataset) -> Task:
        settings = {name: self.settings[name] for name in sorted(self.settings)}
        return {"data": part.digest, "images": self.images.digest, "seed": self.seed, "settings": settings}

    def _label(self, part: ImageDataset) -> dict[str, Any]:
        try:
            found = pseudo_labels(
                part,
                self.images.images,
                classifiers=CLASSIFIERS,
                seed=self.seed,
                device=self.device,
                model_options=self.model_options or None,
                **self.settings,
            )
        except DivergenceError as error:
            return {"error": str(error)}
        return {"error": None, "labels": found.labels.astype("<u2").tobytes().hex()}
