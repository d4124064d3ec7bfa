"""`ImageDataset`: labelled images of one size, as a view of rows on an array or a memory-mapped cache."""

from __future__ import annotations

import functools
import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthaug import storage
from synthaug.data import cache, splits
from synthaug.data.sources.base import Problem
from synthaug.errors import ConfigError, DataError, LabelError
from synthaug.labels import ClassKey, check_labels, class_index


class ImageDataset:
    """Labelled uint8 images of one size.

    Made by `load`, `from_arrays` or by choosing rows of another one; choosing copies no pixels. It is a
    map-style torch dataset of (PIL image, label), and pickles as a path when its images lie in the cache, so
    that DataLoader workers share one memory map.

    Attributes:
        classes: Class names; a label is a position in them.
        name: Short human name of the source.
        problems: What the source held and could not be used.

    Example:
        >>> data = ImageDataset.load("digits")
        >>> data.image_shape, len(data), data.classes[3]
        ((1, 8, 8), 1797, '3')
        >>> few = data.few_shot(per_class=10, seed=0)
        >>> few.class_counts.tolist()
        [10, 10, 10, 10, 10, 10, 10, 10, 10, 10]
    """

    def __init__(
        self,
        stored: cache.Stored,
        *,
        name: str,
        problems: Sequence[Problem] = (),
        indices: NDArray[np.int64] | None = None,
        kept: tuple[int, ...] | None = None,
    ) -> None:
        self._stored = stored
        self._indices = indices
        self._kept = kept  # the stored labels that are classes here, in this order; None for all
        self.classes = stored.classes if kept is None else tuple(stored.classes[label] for label in kept)
        self.name = name
        self.problems = tuple(problems)

    @classmethod
    def load(
        cls,
        source: Any,
        image_size: int | tuple[int, int] | None = None,
        *,
        channels: int | str = "auto",
        split: str | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
        strict: bool = False,
        cache_dir: str | os.PathLike[str] | None = None,
        name: str | None = None,
        refresh: bool = False,
    ) -> ImageDataset:
        """Read labelled images from wherever they are; decoded once, then memory-mapped from a cache.

        Args:
            source: A folder of class folders, with or without train/val/test above them; a Parquet file, glob
                or folder; a Hugging Face dataset (object, ``save_to_disk`` folder, or ``"owner/name"``); a
                torchvision or other map-style dataset (its transforms are left out: the raw images are
                wanted); arrays ``(images, labels)`` or ``(images, labels, classes)``, uint8; ``"digits"`` or
                ``"fashion-mnist"``; or an `ImageDataset`, which is passed through. A local folder called
                ``digits`` is ``"./digits"``.
            image_size: Side of square images, or (height, width); images are stretched to it. None keeps the
                common size, or, where sizes differ, takes the median height and the median width.
            channels: 1, 3, or "auto": 1 when no image has colour (whatever the files' modes), else 3.
            split: Which part of a source that has train, validation and test parts; None takes train there.
            image_column: Column of a table that holds the images, when it cannot be told.
            label_column: Column that holds the labels, when it cannot be told.
            strict: Raise on anything unusable instead of leaving it out with a warning.
            cache_dir: Folder for decoded images; default ``$SYNTHAUG_CACHE``, else the user's cache folder.
            name: Name to show instead of the source's own.
            refresh: Decode again even if the cache has the images.

        Raises:
            DataError: If the source is missing, unknown or holds nothing usable, or, with ``strict``, if any
                part of it cannot be used.

        Warns:
            DataWarning: Once, with the number and the first few entries that were left out.
        """
        from synthaug.data.loading import load

        return load(
            source,
            image_size,
            channels=channels,
            split=split,
            image_column=image_column,
            label_column=label_column,
            strict=strict,
            cache_dir=cache_dir,
            name=name,
            refresh=refresh,
        )

    @classmethod
    def from_arrays(
        cls, images: Any, labels: Any, classes: Sequence[str] | None = None, name: str = "arrays"
    ) -> ImageDataset:
        """Wrap images that are already in memory; nothing is copied, resized or written.

        Args:
            images: uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), or a uint8 tensor, also (N, C, H, W).
            labels: Integers (N,), or class names.
            classes: Class names; default ``"0"`` … ``"max"`` for integers, the sorted names for text.
            name: Short human name.

        Raises:
            DataError: If the images are no uint8 images of one size, or there are none.
            LabelError: If a label is unknown or out of range.

        Example:
            >>> ImageDataset.from_arrays(np.zeros((2, 8, 8), np.uint8), [0, 1], ["cat", "dog"])
            ImageDataset('arrays', 2 images, 1×8×8, 2 classes)
        """
        from synthaug.data.sources.arrays import check_images, resolve_labels

        pixels = check_images(images, channels=(1, 3))
        numbers, names = resolve_labels(labels, classes, len(pixels))
        return cls(cache.Stored(pixels, check_labels(numbers, names), names), name=name)

    @property
    def images(self) -> NDArray[np.uint8]:
        """All images, uint8 (N, H, W, C): a memory map, or, for a subset, gathered on first use."""
        return self._stored.images if self._indices is None else self._gathered

    @functools.cached_property
    def _gathered(self) -> NDArray[np.uint8]:
        return self.take(np.arange(len(self)))

    @functools.cached_property
    def labels(self) -> NDArray[np.int64]:
        """Labels, int64 (N,)."""
        labels = self._stored.labels if self._indices is None else self._stored.labels[self._indices]
        if self._kept is None:
            labels = labels.view()
        else:
            position = np.full(len(self._stored.classes), -1, dtype=np.int64)
            position[list(self._kept)] = np.arange(len(self._kept))
            labels = position[labels]
        labels.flags.writeable = False
        return labels

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 (hex) that names the images, their order, the labels and the class names."""
        if self._indices is None:
            return self._stored.digest
        rows = self._indices.astype("<i8").tobytes()
        return storage.digest(self._stored.digest, "rows", rows, storage.canonical_json(self._kept))

    @property
    def source_digest(self) -> str:
        """The digest of the whole dataset that the images were chosen from; `digest` where they are all of it."""
        return self._stored.digest

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        _, height, width, channels = self._stored.images.shape
        return channels, height, width

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """Images of every class, int64 (number of classes,)."""
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)

    def __len__(self) -> int:
        return len(self._stored.images) if self._indices is None else len(self._indices)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"expected an index below {len(self)}, but got {position}.")
        row = position if self._indices is None else int(self._indices[position])
        pixels = self._stored.pixels[row]
        return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), int(self.labels[position])

    def __iter__(self) -> Iterator[tuple[Image.Image, int]]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.image_shape))
        return f"ImageDataset({self.name!r}, {len(self):,} images, {shape}, {len(self.classes):,} classes)"

    def take(self, indices: Any) -> NDArray[np.uint8]:
        """Return the images at ``indices`` (n,) as a new uint8 array (n, H, W, C)."""
        return np.take(self._stored.pixels, self._rows(indices), axis=0)

    def subset(self, indices: Any) -> ImageDataset:
        """Return the dataset of the given rows, in that order: integers (n,), or a mask (N,)."""
        return ImageDataset(
            self._stored,
            name=self.name,
            problems=self.problems,
            indices=self._rows(indices),
            kept=self._kept,
        )

    def joined(self, images: Any, labels: Any) -> ImageDataset:
        """Return a dataset, in memory, of these images and then others of the same shape and classes.

        Args:
            images: uint8 (n, H, W, C).
            labels: Their labels, integers (n,).

        Raises:
            DataError: If the images are of another type or shape, there are none, or the numbers of images and labels
                differ.
            LabelError: If a label is out of range.

        Example:
            >>> digits = ImageDataset.load("digits")
            >>> digits.joined(digits.images[:3], [0, 1, 2])
            ImageDataset('digits', 1,800 images, 1×8×8, 10 classes)
        """
        others = ImageDataset.from_arrays(images, labels, self.classes)
        if others.image_shape != self.image_shape:
            raise DataError(f"expected images of shape {self.image_shape} (C, H, W), but got {others.image_shape}.")
        pixels = np.concatenate([self.images, others.images])
        return ImageDataset.from_arrays(pixels, np.concatenate([self.labels, others.labels]), self.classes, self.name)

    def only(self, *classes: ClassKey) -> ImageDataset:
        """Return the images of some classes, by name or label, which become classes 0, 1, … in that order.

        Raises:
            LabelError: If a class is unknown or named twice, or none is named.

        Example:
            >>> ImageDataset.load("digits").only("7", "1").classes
            ('7', '1')
        """
        labels = [class_index(key, self.classes) for key in classes]
        if not labels or len(set(labels)) != len(labels):
            raise LabelError(f"expected one or more different classes, but got {list(classes)!r}.")
        subset = self.subset(np.isin(self.labels, labels))
        kept = labels if self._kept is None else [self._kept[label] for label in labels]
        return ImageDataset(
            self._stored, name=self.name, problems=self.problems, indices=subset._indices, kept=tuple(kept)
        )

    def few_shot(self, per_class: int, seed: int = 0) -> ImageDataset:
        """Return ``per_class`` images of every class, or all of a class that has fewer.

        The choice for a smaller ``per_class`` is contained in that for a larger one of the same seed.

        Raises:
            ConfigError: If ``per_class`` is below 1.
        """
        return self.subset(splits.few_shot_indices(self.labels, len(self.classes), per_class, seed))

    def long_tail(
        self, imbalance: float, seed: int = 0, head: int | None = None, order: splits.Order = "kept"
    ) -> ImageDataset:
        """Return a long-tailed subset: class i of K keeps ``head · imbalance^(-i / (K - 1))`` images.

        Every class keeps at least one; a class that has fewer images keeps all of them.

        Source: Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019.

        Args:
            imbalance: Size of the largest class over that of the smallest, 1 or more.
            seed: Chooses the images, and the order when that is shuffled.
            head: Size of the largest class; default the largest that there is.
            order: ``"kept"`` makes class 0 the head and the last class the tail, as in the paper;
                ``"shuffled"`` lets the seed choose which classes are large, so that averages over seeds do
                not depend on class order.

        Raises:
            ConfigError: If a value is out of range.
        """
        return self.subset(splits.long_tail_indices(self.labels, len(self.classes), imbalance, seed, head, order))

    def split(self, fraction: float, seed: int = 0) -> tuple[ImageDataset, ImageDataset]:
        """Return two disjoint parts, stratified; the first holds ``fraction`` of the images.

        A class with two images or more is in both parts; a class with one image is in the first.

        Raises:
            ConfigError: If ``fraction`` is not between 0 and 1.
        """
        first, second = splits.split_indices(self.labels, len(self.classes), fraction, seed)
        return self.subset(first), self.subset(second)

    def folds(self, number: int, seed: int = 0) -> list[tuple[ImageDataset, ImageDataset]]:
        """Return that many splits for cross-validation: all images but those of one fold, and the fold.

        Folds are disjoint and stratified, and no more than the largest class has images. The image of a class that has
        but one is in no fold, and in every first part.

        Raises:
            ConfigError: If ``number`` is no integer of 2 or more, no class has two images or more, or the seed is
                negative.
        """
        number = splits.at_least(number, 2, "folds")
        most = int(self.class_counts.max(initial=0))
        if most < 2:
            raise ConfigError(
                f"folds: expected a class with two images or more, but got at most {most} of a class. Add images."
            )
        count = min(number, most)
        fold = splits.fold_numbers(self.labels, count, seed)
        return [(self.subset(fold != one), self.subset(fold == one)) for one in range(count)]

    def _rows(self, indices: Any) -> NDArray[np.int64]:
        """Return rows of the stored arrays for positions in this dataset."""
        chosen = np.asarray(indices)
        if chosen.dtype == bool:
            if chosen.shape != (len(self),):
                raise IndexError(f"expected a mask of shape ({len(self)},), but got {chosen.shape}.")
            chosen = np.flatnonzero(chosen)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise IndexError(f"expected integers of shape (n,), but got shape {chosen.shape} of {chosen.dtype}.")
        chosen = chosen.astype(np.int64)
        if chosen.size and not (-len(self) <= chosen.min() and chosen.max() < len(self)):
            raise IndexError(f"expected indices below {len(self)}, but got {chosen.min()} to {chosen.max()}.")
        chosen = np.where(chosen < 0, chosen + len(self), chosen)
        return chosen if self._indices is None else self._indices[chosen]

    def __getstate__(self) -> dict[str, Any]:
        computed = ("_gathered", "labels")  # can be made again, and may be large
        return {key: value for key, value in self.__dict__.items() if key not in computed}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
