"""A quick world: classifiers take the nearest of few real images and all samples, and only their steps take time."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from synthaug.classifiers import Policy
from synthaug.data import ImageDataset
from synthaug.recommendation.candidates.maker import samples_per_class
from synthaug.recommendation.measuring import trial
from synthaug.sampling import SampleBank

STEP = 0.02


@dataclasses.dataclass
class FakeResult:
    values: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return self.values


class World:
    """Counts what is trained, and tells the time."""

    def __init__(self) -> None:
        self.time = 0.0
        self.calls: list[dict[str, Any]] = []
        self.kill_after: int | None = None

    def now(self) -> float:
        return self.time

    def fit_classifier(
        self,
        train: ImageDataset,
        *,
        seed: int,
        steps: int,
        bank: SampleBank | None = None,
        policy: Policy | None = None,
        **settings: Any,
    ) -> tuple[FakeResult, SimpleNamespace]:
        if self.kill_after is not None and len(self.calls) >= self.kill_after:
            raise KeyboardInterrupt
        call = {"train": train, "bank": bank, "policy": policy, "steps": steps}
        self.calls.append(call)
        self.time += STEP * steps
        random = np.random.default_rng(seed)
        rows = np.concatenate([random.permutation(np.flatnonzero(train.labels == label))[:2] for label in range(10)])
        images, labels = train.take(rows), train.labels[rows]
        if bank is not None:
            images, labels = np.concatenate([images, bank.images]), np.concatenate([labels, bank.labels])
        known = images.reshape(len(images), -1).astype(np.float32)

        def dataset_logits(validation: ImageDataset) -> np.ndarray:
            call["validation"] = validation
            asked = validation.images.reshape(len(validation), -1).astype(np.float32)
            distances = np.square(known).sum(1) - 2 * asked @ known.T
            return np.eye(10)[labels[distances.argmin(1)]]

        plain = {"synthetic_images": 0, "images": steps * 64, "loss": 0.0, "precision": "fp32"}
        return FakeResult(plain), SimpleNamespace(dataset_logits=dataset_logits)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(trial, "fit_classifier", made.fit_classifier)
    return made


class ArrayMaker:
    """Hands out images of a pool in place of a generator's; a candidate gets as many as it asks for."""

    def __init__(self, pool: ImageDataset | None = None) -> None:
        self.pool = pool

    def bank(self, part, candidate, class_names):
        number = samples_per_class(candidate.ratio, len(part), len(part.classes))
        wanted = [part.classes.index(name) for name in class_names or part.classes]
        labels = np.repeat(wanted, number)
        if self.pool is None:
            shape = (len(labels), *part.images.shape[1:])
            return SampleBank.from_arrays(
                np.random.default_rng(0).integers(0, 17, shape, np.uint8), labels, part.classes
            )
        rows = [np.resize(np.flatnonzero(self.pool.labels == label), number) for label in wanted]
        return SampleBank.from_arrays(self.pool.take(np.concatenate(rows)), labels, part.classes)

    def seconds(self, part, candidate):
        return 0.0

    def publish(self, data, candidate, folder):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")


@pytest.fixture(scope="session")
def few() -> ImageDataset:
    """Forty real images a class."""
    return ImageDataset.load("digits").few_shot(40, seed=0)


@pytest.fixture(scope="session")
def held_back() -> ImageDataset:
    """All the others."""
    digits = ImageDataset.load("digits")
    few = digits.few_shot(40, seed=0)
    return digits.subset(np.setdiff1d(np.arange(len(digits)), few._indices))


@pytest.fixture
def oracle(held_back) -> ArrayMaker:
    """Real images that nobody else sees: the best samples there can be."""
    return ArrayMaker(held_back)


@pytest.fixture
def noise() -> ArrayMaker:
    """The worst."""
    return ArrayMaker()


class LateMaker(ArrayMaker):
    """Good samples for those candidates alone that are tried late: the narrow and wide ones."""

    def bank(self, part, candidate, class_names):
        return (super() if candidate.sampling else ArrayMaker()).bank(part, candidate, class_names)


@pytest.fixture
def late(held_back) -> LateMaker:
    return LateMaker(held_back)


class FairMaker(ArrayMaker):
    """As good as real images for one class, and noise for the others."""

    def bank(self, part, candidate, class_names):
        good, bad = super().bank(part, candidate, class_names), ArrayMaker().bank(part, candidate, class_names)
        kept = (np.asarray(good.labels) == 4)[:, None, None, None]
        return SampleBank.from_arrays(np.where(kept, good.images, bad.images), good.labels, part.classes)


@pytest.fixture
def fair(held_back) -> FairMaker:
    return FairMaker(held_back)
