"""An over-sampler for imbalanced-learn: where SMOTE blends rows of pixels, a generator draws new images."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

import synthaug
from synthaug.errors import ConfigError, DataError, require_extra
from synthaug.generators.base import Generator
from synthaug.labels import class_index
from synthaug.sampling.fit import fit
from synthaug.sampling.generating import load_generator

try:
    from imblearn.over_sampling.base import BaseOverSampler
    from imblearn.utils import check_target_type
except ImportError as error:
    raise require_extra("imbalanced-learn", "imblearn", error) from error


class SyntheticOverSampler(BaseOverSampler):
    """Fill classes up with samples of a generator.

    Like every sampler of imbalanced-learn it works on the training part alone inside ``imblearn.pipeline.Pipeline``;
    so does the generator that it trains where none is given, anew in each fold. Images keep their type, shape and
    place: the real ones come first, the samples after them, class by class.

    Args:
        generator: A trained generator, its folder or its name on the hub. A class of ``y`` is its class of that name
            or, where ``y`` are whole numbers and not all of them name one, its class at that position. Left out, one
            is trained on the images.
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
        DataError: If ``X`` are no images: uint8, or whole numbers from 0 to 255, (N, H, W) or (N, H, W, C), or rows
            with ``image_shape``.
        LabelError: If the generator knows no such class.
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
        sampling_strategy: Any = "auto",
        image_shape: Sequence[int] | None = None,
        random_state: Any = None,
        family: str = "vae",
        steps: int = 2000,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.generator = generator
        self.image_shape = image_shape
        self.random_state = random_state
        self.family = family
        self.steps = steps
        self.settings = settings

    def _check_X_y(  # noqa: N802 - the name that imbalanced-learn calls
        self, X: Any, y: Any, accept_sparse: Any = None
    ) -> tuple[NDArray[Any], NDArray[Any], bool]:
        """Return pixels, still of the shape and type that they came in, labels, and whether these are binarised."""
        labels, binarised = check_target_type(y, indicate_one_vs_all=True)
        pixels, labels = np.asarray(X), np.asarray(labels)
        if len(pixels) != len(labels):
            raise DataError(f"expected one label an image, but got {len(pixels)} images and {len(labels)} labels.")
        self._images(pixels)
        if pixels.ndim == 2:
            self.n_features_in_ = pixels.shape[1]
        return pixels, labels, binarised

    def _fit_resample(self, X: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return real images and samples, and their labels."""
        wanted = {value: int(number) for value, number in self.sampling_strategy_.items() if number}
        self.generator_ = None
        if not wanted:
            return X.copy(), y.copy()
        images = self._images(X)
        seed = self._seed()
        self.generator_ = generator = self._generator(images, y, seed)
        values = np.repeat(np.array(list(wanted), dtype=y.dtype), list(wanted.values()))
        indices = np.concatenate([np.arange(number) for number in wanted.values()])
        places = _places(list(wanted), np.unique(y), generator.classes)
        samples = generator.sample_named(np.repeat(places, list(wanted.values())), indices, seed)
        _, height, width, channels = images.shape
        samples = fit(samples, (channels, height, width)).reshape(len(samples), *X.shape[1:]).astype(X.dtype)
        return np.concatenate([X, samples]), np.concatenate([y, values])

    def _images(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """Return what came as uint8 images (N, H, W, C)."""
        if pixels.dtype != np.uint8:
            whole = pixels.dtype.kind in "iuf" and bool((pixels == np.round(pixels)).all()) and pixels.size > 0
            if not whole or pixels.min() < 0 or not 1 < pixels.max() <= 255:
                raise DataError(
                    f"expected pixels as whole numbers from 0 to 255, but got {pixels.dtype}{_extent(pixels)}. "
                    "Scale them first, for instance (X * 255).round().astype('uint8') for values from 0 to 1."
                )
            pixels = pixels.astype(np.uint8)
        shape = pixels.shape[1:]
        if self.image_shape is not None:
            shape = tuple(self.image_shape)
            if len(shape) not in (2, 3) or math.prod(shape) != math.prod(pixels.shape[1:]):
                raise ConfigError(
                    f"image_shape: expected (H, W) or (H, W, C) with as many values as an image has, "
                    f"{math.prod(pixels.shape[1:])}, but got {shape}."
                )
        elif pixels.ndim == 2:
            raise ConfigError(
                f"expected image_shape, as X holds rows of {pixels.shape[1]} pixels; for instance image_shape=(28, 28)."
            )
        images = pixels.reshape(len(pixels), *shape)
        images = images[..., None] if images.ndim == 3 else images
        if images.ndim != 4 or images.shape[3] not in (1, 3):
            raise DataError(
                f"expected images of shape (N, H, W) or (N, H, W, C) with C in 1, 3, but got {pixels.shape}."
            )
        return images

    def _generator(self, images: NDArray[np.uint8], y: NDArray[Any], seed: int) -> Generator:
        """Return the generator that was given, or one trained on the images."""
        if isinstance(self.generator, Generator):
            return self.generator
        if self.generator is not None:
            return load_generator(os.fspath(self.generator))
        values, labels = np.unique(y, return_inverse=True)
        data = synthaug.ImageDataset.from_arrays(images, labels, [str(value) for value in values.tolist()])
        settings = {"progress": False, **(self.settings or {})}
        return synthaug.fit(data, self.family, steps=self.steps, seed=seed, **settings)

    def _seed(self) -> int:
        if isinstance(self.random_state, (int, np.integer)):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))


def _places(wanted: Sequence[Any], values: NDArray[Any], classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the generator's label for each class wanted of all ``values`` of ``y``: by name, else by position."""
    by_position = values.dtype.kind in "iu" and not {str(value) for value in values.tolist()} <= set(classes)
    keys = [int(value) if by_position else str(value) for value in wanted]
    return np.array([class_index(key, classes) for key in keys], dtype=np.int64)


def _extent(pixels: NDArray[Any]) -> str:
    return f" from {pixels.min():g} to {pixels.max():g}" if pixels.dtype.kind in "iuf" and pixels.size else ""
