"""One row of the table: a generator, its samples, and the classifier that learns from them alone."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import synthaug
from synthaug.classifiers import train_classifier
from synthaug.curation.reference import Reference, ReferenceConfig
from synthaug.data import ImageDataset
from synthaug.evaluation import describe_environment
from synthaug.storage import read_json, write_json
from synthaug.training.watcher import METRICS

REAL = "real"


@dataclasses.dataclass
class Experiment:
    """Makes rows, and keeps generators and samples in the work folder.

    Attributes:
        plan: What the YAML file says.
        work: For generators and banks.
        seed: Of generators, samples and classifiers.
    """

    plan: dict[str, Any]
    work: Path
    seed: int

    @property
    def names(self) -> list[str]:
        """Names of the rows, in order."""
        return [REAL, *self.plan["families"], *self.plan["curated"]]

    @cached_property
    def train(self) -> ImageDataset:
        """The training split, all that generators and filters see."""
        return ImageDataset.load(self.plan["source"], split=self.plan["split"])

    @cached_property
    def reference(self) -> Reference:
        """What the filters learn from the training split."""
        return Reference(self.train, self.seed, ReferenceConfig.from_dict(self.plan["reference"]))

    def row(self, name: str) -> dict[str, Any]:
        """Make a row from whatever of it is not there yet."""
        made: dict[str, Any] = {}
        source = self.train
        if name != REAL:
            curated = self.plan["curated"].get(name)
            generator, made = self._generator(curated["of"] if curated else name)
            if curated and "temperatures" in curated:
                made["chosen"] = self._temperature(name, generator, curated)
                generator = generator.with_sampling(temperature=made["chosen"]["temperature"])
            bank, drawn = self._bank(name, generator, curated)
            made |= drawn
            source = ImageDataset.from_arrays(bank.images, bank.labels, bank.classes, name=name)
        test = ImageDataset.load(self.plan["source"], split=self.plan["test_split"])
        result = train_classifier(source, test, seed=self.seed, **self.plan["classifier"])
        return {
            "accuracy": result.accuracy,
            "recall": result.recall,
            "images": len(source),
            **made,
            "seed": self.seed,
            **describe_environment(),
        }

    def _generator(self, name: str) -> tuple[synthaug.Generator, dict[str, Any]]:
        folder = self.work / name
        settings = {"steps": 10**9, "seed": self.seed, **self.plan["families"][name]}
        if (folder / "config.json").exists():
            generator = synthaug.load(folder)
        else:
            generator = synthaug.fit(self.train, out=folder, resume=True, **settings)
        last = json.loads((folder / METRICS).read_text(encoding="utf-8").splitlines()[-1])
        return generator, {
            "family": generator.family,
            "settings": settings,
            "steps": last["step"],
            "training_images_per_second": last["images_per_second"],
            "parameters": sum(parameter.numel() for parameter in generator.parameters()),
            "digest": generator.digest,
        }

    def _temperature(self, name: str, generator: synthaug.Generator, curated: Mapping[str, Any]) -> dict[str, Any]:
        """Return the temperature that was chosen for this generator, choosing it only once, and how."""
        about = self.work / f"{name}-temperature.json"
        asked = {"generator": generator.digest, "seed": self.seed, "curated": dict(curated)}
        if known := _known(about, asked):
            chosen: dict[str, Any] = known["chosen"]
            return chosen
        chosen = self._choose_temperature(name, generator, curated)
        write_json(about, asked | {"chosen": chosen})
        return chosen

    def _choose_temperature(
        self, name: str, generator: synthaug.Generator, curated: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Choose the temperature whose samples, a few, teach most about real training images."""
        choice = self.plan["choice"]
        labels = range(len(self.train.classes))
        first = [np.flatnonzero(self.train.labels == label)[: choice["images_per_class"]] for label in labels]
        judge = self.train.subset(np.concatenate(first))
        counts: dict[str | int, int] = dict.fromkeys(generator.classes, choice["samples_per_class"])
        settings = self.plan["classifier"] | {"steps": choice["steps"]}
        scores = {}
        for temperature in curated["temperatures"]:
            bank = self._draw(
                generator.with_sampling(temperature=temperature), counts, curated, self.work / f"{name}-choice"
            )
            source = ImageDataset.from_arrays(bank.images, bank.labels, bank.classes, name="choice")
            scores[temperature] = train_classifier(source, judge, seed=self.seed, **settings).accuracy
        best = max(scores, key=lambda temperature: scores[temperature])
        accuracies = {str(temperature): round(score, 4) for temperature, score in scores.items()}
        return {"temperature": best, "accuracy_on_training_images": accuracies}

    def _bank(
        self, name: str, generator: synthaug.Generator, curated: Mapping[str, Any] | None
    ) -> tuple[synthaug.SampleBank, dict[str, Any]]:
        """Draw as many samples of each class as there are real images, unless this generator's are there."""
        folder, about = self.work / f"{name}-bank", self.work / f"{name}-bank.json"
        asked = {"generator": generator.digest, "seed": self.seed, "curated": dict(curated) if curated else None}
        if known := _known(about, asked):
            return synthaug.SampleBank.open(folder), known["drawn"]
        counts: dict[str | int, int] = {label: int(count) for label, count in enumerate(self.train.class_counts)}
        started = time.process_time()
        bank = self._draw(generator, counts, curated, folder)
        drawn: dict[str, Any] = {"sampling_cpu_minutes": round((time.process_time() - started) / 60, 2)}
        if curated:
            drawn["rejected"] = len(bank.rejected)
        write_json(about, asked | {"drawn": drawn})
        return bank, drawn

    def _draw(
        self,
        generator: synthaug.Generator,
        counts: dict[str | int, int],
        curated: Mapping[str, Any] | None,
        folder: Path,
    ) -> synthaug.SampleBank:
        bank: synthaug.SampleBank | Path
        if not curated:
            bank = synthaug.generate(generator, counts=counts, seed=self.seed, out=folder, overwrite=True)
        else:
            bank = synthaug.generate_curated(
                generator,
                self.reference,
                counts=counts,
                filters=list(curated["filters"]),
                settings=curated["filters"],
                budget=curated["budget"],
                seed=self.seed,
                out=folder,
                overwrite=True,
            )
        if not isinstance(bank, synthaug.SampleBank):
            raise TypeError(f"expected a bank, but got {bank}.")
        return bank


def _known(about: Path, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a file says if it was made for just what is asked, else `None`."""
    known = read_json(about) if about.exists() else {}
    return known if {key: known.get(key) for key in asked} == asked else None
