"""Generators and banks of the training parts: each generator is trained once and sees its part alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from synthaug.curation.drawing import curated_bank
from synthaug.curation.pipeline import FittedCuration
from synthaug.data import ImageDataset
from synthaug.errors import DivergenceError
from synthaug.generators import Generator, family_class, load, save
from synthaug.generators.folder import GENERATOR
from synthaug.labels import class_index
from synthaug.recommendation.bookkeeping.journal import Journal, Task
from synthaug.recommendation.candidates.curating import fit_curation
from synthaug.recommendation.candidates.space import Arm, Candidate
from synthaug.sampling import SampleBank
from synthaug.storage import new_directory
from synthaug.training import fit

_KEPT_BYTES = 512 << 20


class SampleMaker(Protocol):
    """Makes the samples that a candidate asks for."""

    def bank(self, part: ImageDataset, candidate: Candidate, class_names: tuple[str, ...] | None) -> SampleBank:
        """Return samples by a generator that has seen ``part`` alone, of some classes or (`None`) all."""

    def seconds(self, part: ImageDataset, candidate: Candidate) -> float:
        """Return how long `bank` will take, as far as is known."""

    def publish(self, data: ImageDataset, candidate: Candidate, folder: Path) -> None:
        """Write the generator of the candidate, trained on ``data``."""


class GeneratorMaker:
    """Trains generators and draws from them.

    Args:
        folder: Where generators are kept.
        journal: Knows what was trained before; of that the time is charged at once.
        seconds_each: Time for the first training of each kind; later ones take as many steps as it took.
        seed: Of the generators and samples.
        settings: Settings of `synthaug.fit` by family.
        steps: Optimiser steps of every generator, instead of a time.
        device: Where samples are drawn.

    Attributes:
        curation_steps: Steps of the classifiers that curation asks.
    """

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        *,
        seconds_each: float,
        seed: int,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        steps: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.folder, self.journal = folder, journal
        self.seconds_each, self.seed, self.steps, self.device = seconds_each, seed, steps, device
        self._settings = dict(settings or {})
        self._steps: dict[Arm, int] = {}
        self._loaded: dict[str, Generator] = {}
        self.curation_steps = 100
        self._curations: dict[str, FittedCuration] = {}
        self._banks: dict[tuple[Any, ...], SampleBank] = {}
        for record in journal.recorded("generator"):
            arm = Arm(record["task"]["family"], record["task"]["conditioning"])
            journal.costs.note(str(arm), record["result"]["seconds"])
            self._steps[arm] = max(self._steps.get(arm, 0), record["result"]["steps"])

    def seconds(self, part: ImageDataset, candidate: Candidate) -> float:
        """Return how long `bank` will take, as far as is known."""
        arm = candidate.arm
        trained = self.journal.done("generator", self._task(part, arm))
        costs = self.journal.costs
        seconds = costs.expected(f"draw {arm}") + (0 if trained else costs.expected(str(arm), self.seconds_each))
        if candidate.curated and part.digest not in self._curations:
            seconds += costs.expected("curate", self.seconds_each / 2)
        return seconds

    def bank(self, part: ImageDataset, candidate: Candidate, class_names: tuple[str, ...] | None) -> SampleBank:
        """Return samples by a generator that has seen ``part`` alone, of some classes or (`None`) all.

        Raises:
            DivergenceError: If the generator's training fails, or none of its samples passes the filters.
        """
        # The mode says how samples are used, and does not enter into making them.
        key = (part.digest, candidate.replace(mode="add", classes="all"), class_names)
        if key not in self._banks:
            generator = self.generator(part, candidate)
            start, kind = self.journal.now(), f"draw {candidate.arm}"
            curation = None
            if candidate.curated:
                if part.digest not in self._curations:
                    kind = "curate"
                curation = self._curation(part)
            made = draw(generator, part, candidate, class_names, self.seed, curation)
            if not len(made):  # it would be counted as a way to use samples that changes nothing
                raise DivergenceError(f"the generator ({candidate.family}): none of its samples passes the filters")
            self._keep(key, made)
            self.journal.costs.note(kind, self.journal.now() - start)
        return self._banks[key]

    def generator(self, part: ImageDataset, candidate: Candidate) -> Generator:
        """Return the candidate's generator, trained on ``part`` unless that was done before."""
        arm = candidate.arm
        task = self._task(part, arm)
        folder = self.folder / self.journal.key("generator", task)
        result = self.journal.once("generator", task, lambda: self._train(part, arm, folder), str(arm))
        if not result["error"] and not folder.is_dir():  # someone deleted it
            self.journal.forget("generator", task)
            result = self.journal.once("generator", task, lambda: self._train(part, arm, folder), str(arm))
        if result["error"]:
            raise DivergenceError(f"the generator ({arm.family}, {arm.conditioning}): {result['error']}")
        self._steps.setdefault(arm, result["steps"])
        if folder.name not in self._loaded:
            if len(self._loaded) >= 4:
                self._loaded.pop(next(iter(self._loaded)))
            self._loaded[folder.name] = load(folder, device=self.device)
        return self._loaded[folder.name].with_sampling(**candidate.sampling_settings)

    def publish(self, data: ImageDataset, candidate: Candidate, folder: Path) -> None:
        """Write the generator of the candidate, trained on ``data``."""
        generator = self.generator(data, candidate)
        with new_directory(folder, overwrite=True, what="generator", contents=GENERATOR) as temporary:
            save(generator, temporary)

    def _task(self, part: ImageDataset, arm: Arm) -> Task:
        settings = dict(self._settings.get(arm.family, small_images(part, arm.family)))
        return {"data": part.digest, "seed": self.seed, "steps": self.steps, "settings": settings, **arm.to_dict()}

    def _train(self, part: ImageDataset, arm: Arm, folder: Path) -> dict[str, Any]:
        most = self.steps or self._steps.get(arm) or family_class(arm.family).most_steps
        # Later trainings take as many steps as the first; twice its time is the limit should the machine be busy.
        limit = None if self.steps else (2 if arm in self._steps else 1) * self.seconds_each / 60
        settings = {"steps": most, "minutes": limit} | self._task(part, arm)["settings"]
        try:
            generator = fit(part, arm.family, conditioning=arm.conditioning, seed=self.seed, progress=False, **settings)
        except DivergenceError as error:
            return {"error": str(error), "steps": 0}
        shutil.rmtree(folder, ignore_errors=True)
        save(generator, folder)
        return {"error": None, "steps": generator.provenance["training"]["steps"]}

    def _curation(self, part: ImageDataset) -> FittedCuration:
        """Return the filters of a part; those of the last few parts are kept."""
        if part.digest not in self._curations:
            if len(self._curations) >= 4:
                self._curations.pop(next(iter(self._curations)))
            self._curations[part.digest] = fit_curation(part, self.curation_steps, self.seed, self.device)
        return self._curations[part.digest]

    def _keep(self, key: tuple[Any, ...], bank: SampleBank) -> None:
        self._banks[key] = bank
        while len(self._banks) > 1 and sum(kept.images.nbytes for kept in self._banks.values()) > _KEPT_BYTES:
            self._banks.pop(next(iter(self._banks)))


def small_images(part: ImageDataset, family: str) -> dict[str, Any]:
    """Return settings that suit images of 16 pixels or less; others take the family's own."""
    return dict(family_class(family).small_image_settings) if max(part.image_shape[1:]) <= 16 else {}


def samples_per_class(ratio: float, images: int, classes: int) -> int:
    """Return how many samples each class gets: the ratio's share of all, spread evenly.

    Example:
        >>> samples_per_class(2, images=1000, classes=10)
        200
    """
    return max(1, round(ratio * images / classes))


def draw(
    generator: Generator,
    part: ImageDataset,
    candidate: Candidate,
    class_names: tuple[str, ...] | None,
    seed: int,
    curation: FittedCuration | None = None,
) -> SampleBank:
    """Draw the samples that a candidate asks for.

    Args:
        generator: Trained on ``part`` alone.
        part: Real training images.
        candidate: Says how many.
        class_names: The classes wanted; `None` for all. A class without a real image gets none: the generator has
            not learnt it.
        seed: In the samples' names.
        curation: Filters, fitted to ``part``, that the samples pass; `None` takes them as they come.
    """
    present = [name for name, count in zip(part.classes, part.class_counts, strict=True) if count]
    number = samples_per_class(candidate.ratio, len(part), len(present))
    names = present if class_names is None else [name for name in class_names if name in present]
    if curation is not None:
        return curated_bank(generator, curation, dict.fromkeys(names, number), seed=seed)
    wanted = [class_index(name, part.classes) for name in names]
    labels = np.repeat(np.array(wanted, dtype=np.int64), number)
    images = generator.sample_named(labels, np.tile(np.arange(number), len(wanted)), seed)
    provenance = {"generator": generator.digest, "family": generator.family, "seed": seed}
    return SampleBank.from_arrays(images, labels, part.classes, provenance=provenance)
