"""Images without labels: classifiers of a training part label them; they replace samples, and teach generators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.classifiers.labelling import pseudo_labels
from synthaug.data import ImageDataset
from synthaug.errors import DivergenceError
from synthaug.recommendation.bookkeeping.journal import Journal, Task
from synthaug.recommendation.candidates.maker import SampleMaker
from synthaug.recommendation.candidates.space import UNLABELLED, Candidate
from synthaug.sampling import SampleBank

CLASSIFIERS = 3
_KEPT_PARTS = 4


class LabellingMaker:
    """Hands out unlabelled images, and has another maker's generators learn from them as well.

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
        self._parts: dict[str, ImageDataset] = {}

    def seconds(self, part: ImageDataset, candidate: Candidate) -> float:
        """Return how long `bank` will take, as far as is known."""
        costs = self.journal.costs
        if not self.journal.done("labels", self._task(part)):
            labels = costs.expected("labels", CLASSIFIERS * costs.expected("classifier"))
            # Of a part that is not labelled yet nothing else can be known either.
            return labels + (0.0 if candidate.family == UNLABELLED else self.samples.seconds(part, candidate))
        return 0.0 if candidate.family == UNLABELLED else self.samples.seconds(self._joined(part), candidate)

    def bank(self, part: ImageDataset, candidate: Candidate, class_names: tuple[str, ...] | None) -> SampleBank:
        """Return all unlabelled images with the labels that classifiers of ``part`` find, or samples.

        Raises:
            DivergenceError: If a training fails.
        """
        if candidate.family != UNLABELLED:
            joined = self._joined(part)
            # As many samples for each image of the part: those without labels do not count.
            fewer = candidate.replace(ratio=candidate.ratio * len(part) / len(joined))
            return self.samples.bank(joined, fewer, class_names)
        provenance = {"family": UNLABELLED, "labelled_by": self.settings, "images": self.images.digest}
        return SampleBank.from_arrays(self.images.images, self._labels(part), part.classes, provenance=provenance)

    def publish(self, data: ImageDataset, candidate: Candidate, folder: Path) -> None:
        """Write the generator of the candidate, if it has one."""
        if candidate.family != UNLABELLED:
            self.samples.publish(self._joined(data), candidate, folder)

    def _joined(self, part: ImageDataset) -> ImageDataset:
        """Return a part with the images that its classifiers labelled; the part alone where that failed."""
        if part.digest not in self._parts:
            if len(self._parts) >= _KEPT_PARTS:
                self._parts.pop(next(iter(self._parts)))
            try:
                self._parts[part.digest] = part.joined(self.images.images, self._labels(part))
            except DivergenceError:
                self._parts[part.digest] = part
        return self._parts[part.digest]

    def _labels(self, part: ImageDataset) -> NDArray[np.int64]:
        found = self.journal.once("labels", self._task(part), lambda: self._label(part), "labels")
        if found["error"]:
            raise DivergenceError(f"labels of the unlabelled images: {found['error']}")
        return np.frombuffer(bytes.fromhex(found["labels"]), "<u2").astype(np.int64)

    def _task(self, part: ImageDataset) -> Task:
        return {"data": part.digest, "images": self.images.digest, "seed": self.seed, "settings": self.settings}

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
