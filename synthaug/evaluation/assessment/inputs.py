"""What is assessed, and against what: samples from wherever they are, training images, held-out images."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.data import ImageDataset
from synthaug.data.overlap import without_training_images
from synthaug.data.sources.find import find_source
from synthaug.data.sources.folder import FolderSource
from synthaug.errors import ConfigError, DataError
from synthaug.generators import Generator
from synthaug.labels import class_index, match_labels
from synthaug.sampling import SampleBank, load_generator, plan_samples

_LEAST = 12
_FEWEST, _MOST, _IN_ALL = 20, 200, 2000  # samples of a class, and of all, where nothing is asked for


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """Samples, with labels among the real images' classes.

    Attributes:
        images: uint8, (N, H, W, C).
        labels: int64, (N,).
        names: One a sample: a file, or class, index and seed.
        about: What they are, JSON-able.
        generator: What drew them, if that was given.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: Sequence[str]
    about: dict[str, Any]
    generator: Generator | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Reals:
    """Real images.

    Attributes:
        train: What the generator was trained on.
        held_out: What it never saw, of the same classes; `None` where there is nothing.
        files: Names of the training images' files; `None` where they have none.
    """

    train: ImageDataset
    held_out: ImageDataset | None
    files: Sequence[str] | None

    def training_image(self, position: int) -> str:
        """Return the name of a training image."""
        return f"{self.train.name} #{position}" if self.files is None else self.files[position]


class SampleSource:
    """Samples from any other source; not decoded again for the shape that they were loaded in before.

    Args:
        source: Anything that `ImageDataset.load` takes.
    """

    def __init__(self, source: Any) -> None:
        self.source = source
        self._loaded: ImageDataset | None = None

    def shape(self, image_size: int | tuple[int, int] | None) -> tuple[int, int, int]:
        """Return (C, H, W) of the samples at a size, or at their own."""
        self._loaded = ImageDataset.load(self.source, image_size)
        return self._loaded.image_shape

    def images(self, shape: tuple[int, int, int]) -> ImageDataset:
        """Return the samples in a shape (C, H, W)."""
        if self._loaded is None or self._loaded.image_shape != shape:
            self._loaded = ImageDataset.load(self.source, shape[1:], channels=shape[0])
        return self._loaded


Opened = Generator | SampleBank | SampleSource


def open_samples(samples: Any, device: str | None = None) -> Opened:
    """Load a generator from its folder, or open a bank; anything else is a source."""
    if isinstance(samples, (str, os.PathLike)):
        folder = Path(samples).expanduser()
        if (folder / "bank.json").is_file():
            return SampleBank.open(folder)
        if (folder / "model.safetensors").is_file() or (folder / "trainer_state").is_dir():
            return load_generator(folder, device)
    return samples if isinstance(samples, (Generator, SampleBank)) else SampleSource(samples)


def read_reals(
    real: Any,
    holdout: Any = None,
    *,
    like: Opened,
    image_size: int | tuple[int, int] | None = None,
    channels: int | str = "auto",
    split: str | None = None,
    holdout_split: str | None = None,
) -> Reals:
    """Load training and held-out images, by default in the size and channels that the samples have.

    Args:
        real: Training split that the generator saw: anything that `ImageDataset.load` takes.
        holdout: Images that it did not see; left out, the test part of ``real`` if it has one.
        like: The opened samples.
        image_size: As of `ImageDataset.load`.
        channels: As of `ImageDataset.load`.
        split: Part of ``real``; the train part if left out.
        holdout_split: Part of ``holdout``, or, without one, of ``real``.

    Raises:
        DataError: If a source cannot be read, or held-out images are too few or the training images themselves.
        LabelError: If held-out images have a class that the training images have not.
    """
    if image_size is None or channels == "auto":
        shape = like.shape(image_size) if isinstance(like, SampleSource) else like.image_shape
        image_size = (shape[1], shape[2]) if image_size is None else image_size
        channels = shape[0] if channels == "auto" else channels
    train = ImageDataset.load(real, image_size, channels=channels, split=split)
    depth, height, width = train.image_shape
    size: dict[str, Any] = {"image_size": (height, width), "channels": depth}
    held_out: ImageDataset | None = None
    if holdout is not None:
        held_out = ImageDataset.load(holdout, split=holdout_split, **size)
    elif holdout_split is not None:
        held_out = ImageDataset.load(real, split=holdout_split, **size)
    elif not isinstance(real, ImageDataset):
        held_out = _test_part(real, size)
        if held_out is not None and held_out.digest == train.digest:  # asked for as the training images
            held_out = None
    if held_out is not None:
        held_out = _as_classes_of(train, held_out)
    return Reals(train, held_out, _files(real, split, train))


def gather(samples: Opened, train: ImageDataset, per_class: int | None, seed: int) -> Samples:
    """Draw samples, or take those that are there, with labels among the training images' classes.

    Args:
        samples: What `open_samples` gave.
        train: The training images.
        per_class: Samples of each class to draw, or, of samples that are there, to take at most; left out, a
            generator draws 20 to 200, some 2,000 in all, and of others all are taken.
        seed: In the names of drawn samples; also chooses among many.

    Raises:
        DataError: If samples are not of the training images' shape, or there are too few.
        LabelError: If they have a class that the training images have not.
    """
    if per_class is not None and per_class < 1:
        raise ConfigError(f"per_class: expected 1 or more, but got {per_class}.")
    if isinstance(samples, Generator):
        found = _drawn(samples, train, per_class, seed)
    elif isinstance(samples, SampleBank):
        found = _of_bank(samples)
    else:
        found = _of_source(samples, train)
    labels = match_labels(found.labels, found.about["classes"], train.classes)
    channels, height, width = train.image_shape
    if found.images.shape[1:] != (height, width, channels):
        raise DataError(
            f"expected samples of the real images' size {height}×{width} with {channels} channels, but got "
            f"{'×'.join(map(str, found.images.shape[1:3]))} with {found.images.shape[3]}. Leave image_size out, or "
            f"pass image_size={found.images.shape[1:3]} (--image-size {found.images.shape[1]}x{found.images.shape[2]})."
        )
    found = dataclasses.replace(found, labels=labels)
    if per_class is not None and not isinstance(samples, Generator):
        found = _some(found, per_class, seed)
    if len(found.labels) < _LEAST:
        raise DataError(f"expected {_LEAST} samples or more to measure, but got {len(found.labels)}.")
    return dataclasses.replace(found, about=found.about | {"images": len(found.labels)})


def _drawn(gen: Generator, train: ImageDataset, per_class: int | None, seed: int) -> Samples:
    number = per_class or min(_MOST, max(_FEWEST, _IN_ALL // len(gen.classes)))
    present = {name for name, count in zip(train.classes, train.class_counts, strict=True) if count}
    counts: dict[str | int, int] = {label: number for label, name in enumerate(gen.classes) if name in present}
    if not counts:
        class_index(gen.classes[0], train.classes)  # says which classes there are
    plan = plan_samples(gen.classes, counts=counts)
    pairs = zip(plan.labels.tolist(), plan.indices.tolist(), strict=True)
    names = [f"{gen.classes[label]} {index} (seed {seed})" for label, index in pairs]
    about = {"kind": "generator", "family": gen.family, "digest": gen.digest, "seed": seed, "classes": gen.classes}
    return Samples(gen.sample_named(plan.labels, plan.indices, seed), plan.labels, names, about, gen)


def _of_bank(bank: SampleBank) -> Samples:
    columns = {
        name: bank.table.column(name).to_pylist() for name in ("index", "seed") if name in bank.table.column_names
    }
    indices = columns.get("index", range(len(bank)))
    seeds = columns.get("seed", [None] * len(bank))
    names = [
        f"{bank.classes[label]} {index}" + ("" if seed is None else f" (seed {seed})")
        for label, index, seed in zip(bank.labels.tolist(), indices, seeds, strict=True)
    ]
    about = {"kind": "bank", "digest": bank.digest, "classes": bank.classes}
    return Samples(bank.images, np.asarray(bank.labels), names, about)


def _of_source(samples: SampleSource, train: ImageDataset) -> Samples:
    data = samples.images(train.image_shape)
    names = _files(samples.source, None, data) or [f"{data.name} #{row}" for row in range(len(data))]
    about = {"kind": "source", "name": data.name, "digest": data.digest, "classes": data.classes}
    return Samples(data.images, np.asarray(data.labels), names, about)


def _some(samples: Samples, per_class: int, seed: int) -> Samples:
    """Take some of each class at random: the first of a folder may be alike."""
    random = np.random.default_rng([seed, 0x5E1])
    rows = np.sort(
        np.concatenate(
            [
                random.permutation(np.flatnonzero(samples.labels == label))[:per_class]
                for label in np.unique(samples.labels)
            ]
        )
    )
    return dataclasses.replace(
        samples, images=samples.images[rows], labels=samples.labels[rows], names=[samples.names[row] for row in rows]
    )


def _test_part(source: Any, size: dict[str, Any]) -> ImageDataset | None:
    try:
        return ImageDataset.load(source, split="test", **size)
    except DataError:
        return None


def _as_classes_of(train: ImageDataset, held_out: ImageDataset) -> ImageDataset:
    """Return held-out images with labels among the training images' classes."""
    held_out = without_training_images(held_out, train)
    if len(held_out) < _LEAST:
        raise DataError(f"expected {_LEAST} held-out images or more to measure against, but got {len(held_out)}.")
    if held_out.classes == train.classes:
        return held_out
    labels = match_labels(held_out.labels, held_out.classes, train.classes)
    return ImageDataset.from_arrays(held_out.images, labels, train.classes, held_out.name)


def _files(source: Any, split: str | None, data: ImageDataset) -> list[str] | None:
    """Return the file of each image of an image folder; None for other sources."""
    if not isinstance(source, (str, os.PathLike)) or not Path(source).expanduser().is_dir():
        return None
    found = find_source(source, split=split)
    if not isinstance(found, FolderSource):
        return None
    unusable = {problem.path for problem in data.problems}
    files = [row.where for row in found.rows() if row.where not in unusable]
    return files if len(files) == len(data) else None
