"""Anomaly detection: a generator of normal images does not know how to make, or where to put, anything else.

Two signs are added up. An image that the decoder cannot make is rebuilt badly: squared error, in each pixel relative to
what is usual there. An image that it can make, but that is unlike the normal ones, has an unusual code: Mahalanobis
distance of the code, among the leading principal components where codes are long. Both are logarithms standardised on
normal images kept out of training, so that neither counts more for being larger. ``benchmarks.latent.anomalies``
measures their sum beside each alone.

The threshold comes from normal images that the generator has not seen; `synthaug.latent.anomalies.unseen` checks that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.covariance import LedoitWolf
from sklearn.utils.validation import check_is_fitted

from synthaug.data import ImageDataset
from synthaug.devices import resolve_device
from synthaug.errors import ConfigError, DataError
from synthaug.generators import Generator
from synthaug.generators.priors import MOST_DIMENSIONS, principal_axes
from synthaug.latent.anomalies.unseen import as_normal, check_calibration, check_disjoint, check_held_out
from synthaug.latent.inputs import ImagesLike, as_generator, read_images, read_labelled, require_encoder
from synthaug.spread import evenly_spread

_USUAL = 1e-3  # of squared pixels from 0 to 1: keeps ever-black rims from shouting over the rest
_MOST_FITTED = 5000
_BLOCK = 1024
_LEAST_HELD_OUT = 10


class AnomalyDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn carries no types
    """Scores how normal images are, in the manner of scikit-learn's outlier detectors.

    Args:
        generator: A trained generator of normal images, or its folder. It must not have seen the images that set the
            threshold: see `fit`. Left out, `fit` trains one, and sees to that.
        family: Family to train: vae, autoencoder, vaegan; any with an encoder.
        steps: Optimiser steps of that training.
        false_positive_rate: Share of normal images that `predict` may call anomalies.
        held_out: Share of the normal images that is kept out of training, for the threshold; of no effect where `fit`
            gets images for it.
        smoothing: Standard deviation of the Gaussian that smooths heat maps, in pixels.
        seed: Of the training and of what is held out.
        settings: Other settings of the training or the family, as `synthaug.fit` takes them (``latent_dim``, …).

    Attributes:
        generator_: The generator.
        offset_: The threshold: images with lower scores are anomalies.
        held_out_scores_: Scores of the normal images that set the threshold, ascending.

    Example:
        >>> detector = AnomalyDetector(family="vae", steps=500).fit(normal)  # doctest: +SKIP
        >>> detector.predict(images)  # doctest: +SKIP
        array([ 1,  1, -1])
    """

    def __init__(
        self,
        generator: Generator | str | None = None,
        *,
        family: str = "vae",
        steps: int = 1000,
        false_positive_rate: float = 0.05,
        held_out: float = 0.1,
        smoothing: float = 1.5,
        seed: int = 0,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.generator = generator
        self.family = family
        self.steps = steps
        self.false_positive_rate = false_positive_rate
        self.held_out = held_out
        self.smoothing = smoothing
        self.seed = seed
        self.settings = settings

    def fit(self, X: ImagesLike, y: Any = None, *, calibration: ImagesLike | None = None) -> Self:
        """Learn what is normal.

        A given generator has usually been trained on all normal images there are, and then none of them can set the
        threshold: give ``calibration``. Without it, the generator must have been trained on what is kept of ``X``, as
        one is that a detector has trained with the same images, ``seed`` and ``held_out``.

        Args:
            X: Normal images only: an `ImageDataset`, or uint8 (N, H, W), (N, H, W, C) or (N, C, H, W) tensors. With a
                generator of several classes, the labels of the dataset are used.
            y: Ignored.
            calibration: Other normal images, in the same forms, that the generator has not seen: they set the
                threshold, and no part of ``X`` is held out.

        Raises:
            ConfigError: If the generator has no encoder, or a parameter is out of range.
            DataError: If there are too few images for the threshold, or the generator was trained on them.

        Warns:
            DataWarning: If a given generator's provenance does not tell whether it has seen the held-out images, or if
                some images of ``calibration`` are in ``X`` too.
        """
        self._check()
        data = _as_dataset(X)
        if calibration is None:
            number = round(self.held_out * len(data))
            self._check_number(number, f"{self.held_out:g} of {len(data)} are", "images or a larger held_out")
            kept, held_out = data.split(1 - self.held_out, seed=self.seed)
        else:
            kept, held_out = data, _as_dataset(calibration)
            self._check_number(len(held_out), "calibration has", "of them")
            check_disjoint(kept, held_out)
        if self.generator is None:
            self.generator_ = self._train(kept)
        else:
            self.generator_ = as_generator(self.generator)
            require_encoder(self.generator_, "scoring images")
            if calibration is None:
                check_held_out(self.generator_, data, kept)
            else:
                check_calibration(self.generator_, held_out)
        self._calibrate(kept, held_out, labelled=isinstance(X, ImageDataset))
        self.offset_ = self.threshold_for(self.false_positive_rate)
        return self

    def score_samples(self, X: ImagesLike) -> NDArray[np.float64]:
        """Return how normal images are, (N,): higher is more normal; held-out normal images have a mean of 0.

        Raises:
            sklearn.exceptions.NotFittedError: Before `fit`.
        """
        scores: NDArray[np.float64] = -self.signs(X).sum(axis=1)
        return scores

    def signs(self, X: ImagesLike) -> NDArray[np.float64]:
        """Return the two signs that scores sum up, (N, 2): relative error and distance of the code, higher is odder.

        Both are logarithms, with mean 0 and standard deviation 1 over held-out normal images.
        """
        check_is_fitted(self)
        images = read_images(X, self.generator_)
        standardised: NDArray[np.float64] = (self._signs(images, self._labels(images)) - self.means_) / self.spreads_
        return standardised

    def decision_function(self, X: ImagesLike) -> NDArray[np.float64]:
        """Return the score less the threshold, (N,): negative for anomalies."""
        scores = self.score_samples(X)
        return scores - self.offset_

    def predict(self, X: ImagesLike) -> NDArray[np.int64]:
        """Return 1 for normal images and −1 for anomalies, (N,)."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def anomaly_map(self, X: ImagesLike) -> NDArray[np.float32]:
        """Return where images are not as expected, float32 (N, H, W): smoothed error over what is usual there.

        About 1 in every pixel of normal images, on average; each colour channel counts the same.
        """
        check_is_fitted(self)
        images = read_images(X, self.generator_)
        usual = gaussian_filter(self.usual_error_.mean(axis=2), self.smoothing)
        maps = np.empty(images.shape[:3], np.float32)
        for part, _, error in self._rebuilt(images, self._labels(images)):
            smooth = gaussian_filter(error.mean(axis=3), (0, self.smoothing, self.smoothing))
            maps[part] = smooth / (usual + _USUAL)
        return maps

    def threshold_for(self, false_positive_rate: float) -> float:
        """Return the score below which normal images fall with at most the given probability.

        The k-th lowest of n held-out scores, where k = ⌊rate · (n + 1)⌋: a new normal image of the same kind falls
        below it with a probability of about k / (n + 1), less where n is a dozen, whatever the scores' distribution,
        as long as the n images were as new to the generator as it is. That is the mean over draws of the n images:
        with one draw of 100 and a rate of 5 %, two detectors in three flag between 3 and 7 %.

        Raises:
            ConfigError: If the rate is not between 0 and 1, or too small for so few held-out images.
        """
        check_is_fitted(self, "held_out_scores_")
        number = len(self.held_out_scores_)
        position = int(np.floor(false_positive_rate * (number + 1) + 1e-9))
        if not 0 < false_positive_rate < 1 or position < 1:
            raise ConfigError(
                f"false_positive_rate: expected a share from {1 / (number + 1):.2g} to below 1, since {number} normal "
                f"images were held out, but got {false_positive_rate!r}. Give more normal images or a larger held_out."
            )
        return float(self.held_out_scores_[min(position, number) - 1])

    def _check(self) -> None:
        for name in ("false_positive_rate", "held_out"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise ConfigError(f"{name}: expected a share between 0 and 1, but got {value!r}.")
        if self.smoothing < 0:
            raise ConfigError(f"smoothing: expected pixels, 0 or more, but got {self.smoothing!r}.")

    def _check_number(self, number: int, came: str, more: str) -> None:
        """Check that a number of images suffices for the threshold."""
        least = max(int(np.ceil(1 / self.false_positive_rate)) - 1, _LEAST_HELD_OUT)
        if number < least:
            raise DataError(
                f"expected at least {least} held-out normal images for a threshold of "
                f"false_positive_rate={self.false_positive_rate:g}, but {came} {number}. Give more {more}."
            )

    def _train(self, data: ImageDataset) -> Generator:
        from synthaug.generators import family_class
        from synthaug.training import fit

        if not family_class(self.family).has_encoder:
            raise ConfigError(
                f"family: expected one with an encoder, such as vae or autoencoder, but got {self.family!r}."
            )
        options: dict[str, Any] = {"progress": False, "checkpoint_every": 0, "preview_every": 0}
        options |= self.settings or {}
        generator = fit(as_normal(data), self.family, steps=self.steps, seed=self.seed, **options)
        return generator.to(resolve_device())

    def _calibrate(self, kept: ImageDataset, held_out: ImageDataset, labelled: bool) -> None:
        """Learn what is usual: the codes' spread from images seen in training, the rest from those kept out.

        Each held-out image is scored by what is usual among the others, as a new image is by what is among them all:
        else they would look more normal than new ones, and more of these than promised would be flagged.
        """
        gen = self.generator_
        rows = evenly_spread(len(kept), _MOST_FITTED)
        present = {name for name, count in zip(kept.classes, kept.class_counts, strict=True) if count}
        known = labelled and present <= set(gen.classes)
        seen, labels = read_labelled(kept.subset(rows) if known else kept.take(rows), None, gen)
        self.labels_ = np.unique(labels)
        codes, _ = gen.encode_images(seen, labels)
        # A class has its own place among the codes; how they spread around it is taken to be alike.
        self.centres_ = np.zeros((len(gen.classes), gen.latent_size))
        for label in self.labels_:
            self.centres_[label] = codes[labels == label].mean(axis=0)
        around = codes - self.centres_[labels]
        self.axes_ = principal_axes(around, MOST_DIMENSIONS) if gen.latent_size > MOST_DIMENSIONS else None
        self.covariance_ = LedoitWolf(assume_centered=True).fit(self._reduced(around))
        images = read_images(held_out, gen)
        labels = self._labels(images)
        self.usual_error_ = sum(error.sum(axis=0) for _, _, error in self._rebuilt(images, labels)) / len(images)
        signs = self._signs(images, labels, others=len(images) - 1)
        self.means_, self.spreads_ = signs.mean(axis=0), np.maximum(signs.std(axis=0), 1e-6)
        self.held_out_scores_ = np.sort(-standardised_by_the_others(signs).sum(axis=1))

    def _signs(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], others: int | None = None
    ) -> NDArray[np.float64]:
        """Return the logarithms of relative error and of the code's squared distance, (N, 2).

        Args:
            images: To judge.
            labels: Their normal classes.
            others: How many others made the usual error, where these images did with them.
        """
        signs = np.empty((len(images), 2))
        for part, codes, error in self._rebuilt(images, labels):
            usual = self.usual_error_
            if others is not None:
                usual = usual + (usual - error) / others
            signs[part, 0] = (error / (usual + _USUAL)).mean(axis=(1, 2, 3))
            signs[part, 1] = self.covariance_.mahalanobis(self._reduced(codes - self.centres_[labels[part]]))
        return np.log(np.maximum(signs, 1e-12))

    def _reduced(self, codes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return centred codes (N, latent_size) within the 128 axes of most variation, if they are longer."""
        return codes if self.axes_ is None else codes @ self.axes_.T

    def _labels(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the normal class under which each image is rebuilt best."""
        if len(self.labels_) == 1:
            return np.full(len(images), self.labels_[0])
        errors = np.empty((len(images), len(self.labels_)))
        for column, label in enumerate(self.labels_):
            for part, _, error in self._rebuilt(images, np.full(len(images), label)):
                errors[part, column] = error.mean(axis=(1, 2, 3))
        best: NDArray[np.int64] = self.labels_[errors.argmin(axis=1)]
        return best

    def _rebuilt(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64]
    ) -> Iterator[tuple[slice, NDArray[np.float32], NDArray[np.float32]]]:
        """Yield, block by block: which images, their codes (n, latent_size), and squared errors (n, H, W, C)."""
        for start in range(0, len(images), _BLOCK):
            part = slice(start, start + _BLOCK)
            codes, _ = self.generator_.encode_images(images[part], labels[part])
            rebuilt = self.generator_.decode_codes(codes, labels[part])
            yield part, codes, np.square((images[part].astype(np.float32) - rebuilt) / 255)


def _as_dataset(images: ImagesLike) -> ImageDataset:
    if isinstance(images, ImageDataset):
        return images
    return ImageDataset.from_arrays(images, np.zeros(len(images), np.int64))


def standardised_by_the_others(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values (N, D) less the mean of the other rows, over their standard deviation.

    Example:
        >>> standardised_by_the_others(np.array([[0.0], [1.0], [5.0]]))[2].tolist()
        [9.0]
    """
    others = len(values) - 1
    means = (values.sum(axis=0) - values) / others
    squares = (np.square(values).sum(axis=0) - np.square(values)) / others
    spreads: NDArray[np.float64] = np.sqrt(np.maximum(squares - np.square(means), 0))
    standardised: NDArray[np.float64] = (values - means) / np.maximum(spreads, 1e-6)
    return standardised
