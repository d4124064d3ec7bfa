"""An over-sampler for imbalanced-learn: where SMOTE blends rows of pixels, a generator draws new images."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

import synthaug
from synthaug.errors import ConfigError, DataError, DataWarning, LabelError, require_extra
from synthaug.generators.base import Generator
from synthaug.labels import class_index
from synthaug.sampling.fit import fit
from synthaug.sampling.generating import load_generator
from synthaug.sampling.plan import Plan, warn_of_unseen

try:
    from imblearn.over_sampling.base import BaseOverSampler
    from imblearn.utils import check_target_type
except ImportError as error:
    raise require_extra("imbalanced-learn", "imblearn", error) from error

_DARK = 64
_OWN = ("data", "family", "steps", "seed", "out")
"""Arguments of `synthaug.fit` that are none of ``settings``."""


class SyntheticOverSampler(BaseOverSampler):
    """Fill classes up with samples of a generator.

    Like every sampler of imbalanced-learn it works on the training part alone inside ``imblearn.pipeline.Pipeline``;
    so does the generator that it trains where none is given, anew in each fold. Images keep their type, shape and
    place: the real ones come first, the samples after them, class by class.

    Args:
        generator: A trained generator, its folder or its name on the hub. Left out, one is trained on the images. Text
            labels are names of its classes; whole numbers their positions, or their names where classes are named by
            numbers. Where both could be meant and differ, ``classes`` has to say.
        classes: Names of the labels 0, 1, … of ``y``.
        sampling_strategy: Which classes get how many, as in all of imbalanced-learn: ``"auto"`` fills all up to the
            largest; ``"minority"``, a dictionary of sizes, a ratio, or a function of ``y``.
        image_shape: (H, W) or (H, W, C) of an image where ``X`` holds rows of pixels (N, H·W·C); left out where
            ``X`` are images.
        random_state: Of the samples, and of the generator that is trained. A whole number is the seed itself: the
            samples are those of ``generator.sample(…, seed=random_state)``.
        family: Of the generator that is trained.
        steps: Its optimiser steps.
        settings: Further arguments of `synthaug.fit`.

    Attributes:
        generator_: The generator that drew, of the last ``fit_resample``; `None` where nothing was missing.
        sampling_strategy_: Samples of each class that got any.

    Raises:
        DataError: If ``X`` are no images: uint8, or whole numbers from 0 to 255 of a type that holds them, (N, H, W) or
            (N, H, W, C), or rows with ``image_shape``.
        LabelError: If a label is missing, the generator knows no such class, or it cannot be told which is meant.
        MissingExtraError: On import, if imbalanced-learn is not installed.

    Example:
        >>> X, y = np.random.default_rng(0).integers(0, 256, (12, 8, 8), np.uint8), [0] * 8 + [1] * 4
        >>> sampler = SyntheticOverSampler(steps=1, settings={"width": 8}, random_state=0)
        >>> images, labels = sampler.fit_resample(X, y)
        >>> images.shape, np.bincount(labels).tolist()
        ((16, 8, 8), [8, 8])
    """

    def __init__(
        self,
        generator: Generator | str | os.PathLike[str] | None = None,
        *,
        classes: Sequence[str] | None = None,
        sampling_strategy: Any = "auto",
        image_shape: Sequence[int] | None = None,
        random_state: Any = None,
        family: str = "vae",
        steps: int = 2000,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.generator = generator
        self.classes = classes
        self.image_shape = image_shape
        self.random_state = random_state
        self.family = family
        self.steps = steps
        self.settings = settings

    def fit_resample(self, X: Any, y: Any, **params: Any) -> Any:
        """Return real images and samples, and their labels, in the forms in which ``X`` and ``y`` came."""
        _refuse_missing(y)
        return super().fit_resample(X, y, **params)

    def _check_X_y(  # noqa: N802 - the name that imbalanced-learn calls
        self, X: Any, y: Any, accept_sparse: Any = None
    ) -> tuple[NDArray[Any], NDArray[Any], bool]:
        """Return pixels, still of the shape and type that they came in, labels, and whether these are one-hot."""
        labels, self._one_hot = check_target_type(y, indicate_one_vs_all=True)
        pixels, labels = _pixels(X), np.asarray(labels)
        if len(pixels) != len(labels):
            raise DataError(f"expected one label an image, but got {len(pixels)} images and {len(labels)} labels.")
        _check_pixels(pixels)
        self._image_shape(pixels)
        if pixels.ndim == 2:
            self.n_features_in_ = pixels.shape[1]
        return pixels, labels, self._one_hot

    def _fit_resample(self, X: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return real images and samples, and their labels."""
        wanted = {value: int(number) for value, number in self.sampling_strategy_.items() if number}
        self.generator_ = None
        if not wanted:
            return X.copy(), y.copy()
        shape, seed = self._image_shape(X), self._seed()
        images = X.astype(np.uint8, copy=False).reshape(len(X), *shape)
        values, positions = np.unique(y, return_inverse=True)
        if self.generator is None:
            generator, places = self._trained(images, positions, values, seed), np.arange(len(values))
        else:
            given = self.generator
            generator = given if isinstance(given, Generator) else load_generator(os.fspath(given))
            places = self._places(values, generator.classes)
        self.generator_ = generator
        numbers = list(wanted.values())
        labels = np.repeat([places[np.flatnonzero(values == value)[0]] for value in wanted], numbers)
        plan = Plan(labels, np.concatenate([np.arange(number) for number in numbers]))
        warn_of_unseen(plan, generator)
        samples = generator.sample_named(plan.labels, plan.indices, seed)
        height, width, channels = shape
        samples = fit(samples, (channels, height, width)).reshape(len(samples), *X.shape[1:]).astype(X.dtype)
        return np.concatenate([X, samples]), np.concatenate([y, np.repeat(np.array(list(wanted), y.dtype), numbers)])

    def _image_shape(self, pixels: NDArray[Any]) -> tuple[int, int, int]:
        """Return the shape (H, W, C) of an image."""
        if self.image_shape is None and pixels.ndim == 2:
            raise ConfigError(
                f"expected image_shape, as X holds rows of {pixels.shape[1]} pixels; for instance image_shape=(28, 28)."
            )
        shape = pixels.shape[1:] if self.image_shape is None else tuple(self.image_shape)
        channels = shape[2] if len(shape) == 3 else 1
        if len(shape) not in (2, 3) or channels not in (1, 3) or math.prod(shape) != math.prod(pixels.shape[1:]):
            hint = " Channels come last." if len(shape) == 3 and shape[0] in (1, 3) and channels not in (1, 3) else ""
            what = "X" if self.image_shape is None else f"image_shape {shape} and X"
            raise DataError(
                f"expected images of shape (N, H, W) or (N, H, W, C) with C in 1, 3, or rows of H·W·C pixels with "
                f"image_shape, but got {what} of shape {pixels.shape}.{hint}"
            )
        return shape[0], shape[1], channels

    def _trained(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], values: NDArray[Any], seed: int
    ) -> Generator:
        """Return a generator trained on the images, whose classes are the values of ``y`` in order."""
        settings = {"progress": False, **(self.settings or {})}
        if clash := [name for name in _OWN if name in settings]:
            raise ConfigError(f"settings: expected none of {', '.join(_OWN)}, but got {clash[0]!r}.")
        names = [self._name(value) for value in values.tolist()]
        data = synthaug.ImageDataset.from_arrays(images, labels, names)
        return synthaug.fit(data, self.family, steps=self.steps, seed=seed, **settings)

    def _name(self, value: Any) -> str:
        """Return the name of a value of ``y``."""
        key = _key(value)
        if self.classes is None:
            return str(key)
        return str(self.classes[class_index(key, self.classes)])

    def _places(self, values: NDArray[Any], known: Sequence[str]) -> NDArray[np.int64]:
        """Return the generator's label for each value of ``y``."""
        keys = [_key(value) for value in values.tolist()]
        if self.classes is not None:
            return np.array([class_index(self._name(key), known) for key in keys], dtype=np.int64)
        whole = [key for key in keys if isinstance(key, int)]
        if self._one_hot or len(whole) < len(keys):
            return np.array([class_index(key, known) for key in keys], dtype=np.int64)
        named, placed = {str(key) for key in whole} <= set(known), all(0 <= key < len(known) for key in whole)
        differ = [key for key in whole if named and placed and known[key] != str(key)]
        if differ:
            raise LabelError(
                f"the label {differ[0]} is the name of one class of the generator and the position of another, "
                f"{known[differ[0]]!r}. Give the names of the labels 0, 1, … with classes, or names as text labels."
            )
        return np.array([class_index(str(key) if named else key, known) for key in whole], dtype=np.int64)

    def _seed(self) -> int:
        if isinstance(self.random_state, (int, np.integer)):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))


def _key(value: Any) -> int | str:
    """Return a label as a whole number or as text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and float(value).is_integer():
        return int(value)
    return str(value)


def _refuse_missing(y: Any) -> None:
    """Raise `LabelError` where an image has no label, or a one-hot row not just one."""
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] > 1 and labels.dtype.kind in "iufb":
        wrong = np.flatnonzero(labels.sum(axis=1) != 1)
        if wrong.size:
            raise LabelError(f"expected one class in each row of y, but row {wrong[0]} has {labels[wrong[0]].sum():g}.")
    for row, label in enumerate(labels.ravel().tolist() if labels.dtype.kind in "fO" else ()):
        if _is_missing(label):
            raise LabelError(f"expected a label for each image, but that of row {row} is missing.")


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)
    except TypeError:  # pandas' NA is neither equal nor unequal to itself
        return True


def _pixels(images: Any) -> NDArray[Any]:
    if hasattr(images, "toarray"):
        raise DataError("expected images as a dense array, but got a sparse matrix: X.toarray().")
    try:
        return np.asarray(images)
    except ValueError as error:
        raise DataError(f"expected images of one size, but they do not form one array ({error}).") from error


def _check_pixels(pixels: NDArray[Any]) -> None:
    """Raise `DataError` unless pixels are uint8 or, of a type that holds them, whole numbers from 0 to 255."""
    if pixels.dtype == np.uint8:
        return
    number = pixels.dtype.kind in "iuf" and pixels.size > 0
    holds = number and (pixels.dtype.kind == "f" or np.iinfo(pixels.dtype).max >= 255)
    if not holds or (pixels != np.round(pixels)).any() or pixels.min() < 0 or not 1 < pixels.max() <= 255:
        extent = f" from {pixels.min():g} to {pixels.max():g}" if number else ""
        raise DataError(
            "expected pixels as whole numbers from 0 to 255, in a type that holds them, but got "
            f"{pixels.dtype}{extent}. Scale them first, for instance (X * 255).round().astype('uint8') for 0 to 1."
        )
    if pixels.max() < _DARK:
        warnings.warn(
            f"the brightest of all pixels is {pixels.max():g} of 255: are they scaled otherwise? Images and samples of "
            "a generator that was trained on brighter ones do not go together.",
            DataWarning,
            stacklevel=2,
        )
