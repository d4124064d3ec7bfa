"""Finds copies of training images among samples: exact ones, and mirrored, moved, recoloured or noisy ones.

A generator that memorises gives training images back; that is no new data, and it gives the images away. Whether an
image is a copy is decided in three steps, all fitted on training images alone:

1. *Retrieval.* The training images that resemble it most at low resolution, over small turns, sizes and mirroring.
2. *Alignment.* Each of them is laid over it as well as it goes, as a copy is a training image that was moved.
3. *Decision.* What still differs is measured by how unusual it is for light changes of one image (a Mahalanobis
   distance, as in linear discriminant analysis; Fisher 1936), and held against the distance from that training image to
   the one nearest to it: where images lie densely (trousers), a copy must be closer. The threshold follows from light
   changes of training images, which must be found, and from training images and *others*, which must not.
"""

from __future__ import annotations

import collections
import dataclasses
import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthaug.curation.alignment import (
    MIRRORS,
    align,
    best_correlation,
    blurred,
    enlarged,
    inside,
    moved,
    refine,
    shifts,
    standardise,
    thumbnails,
    variants,
)
from synthaug.curation.light_changes import CHANGES
from synthaug.data import ImageDataset
from synthaug.devices import seeded_on_host
from synthaug.errors import ConfigError, DataError

_RESEMBLING, _CANDIDATES, _REFINED = 256, 12, 8
_COARSE = 8
_COMPONENTS, _EXPLAINED = 128, 0.99
_FITTED_ON = 4000
_CHANGED = 500
_FOUND = 0.995
_NEAR, _FAR = 0.05, 0.25


@dataclasses.dataclass(frozen=True)
class Copies:
    """What a detector says of some images.

    Attributes:
        nearest: Position of the most similar training image, (N,).
        distance: How far it is from that image: 1 is the threshold, (N,).
        is_copy: Whether it counts as a copy of it, (N,).
    """

    nearest: NDArray[np.int64]
    distance: NDArray[np.float64]
    is_copy: NDArray[np.bool_]

    @property
    def share(self) -> float:
        """Share of copies, 0 to 1; 0 of no images."""
        return float(self.is_copy.mean()) if len(self.is_copy) else 0.0


class CopyDetector:
    """Finds copies of a dataset's images.

    Args:
        train: The images that a generator was trained on.
        false_alarms: Share of training images that may be taken for copies of *other* training images, at most. Where
            light changes are told apart with fewer, there are fewer.
        seed: Of what the detector is fitted on.

    Raises:
        DataError: If there are fewer than three training images.
        ConfigError: If ``false_alarms`` is not between 0 and 0.5.

    Example:
        >>> data = ImageDataset.load("digits").subset(np.arange(200))
        >>> found = CopyDetector(data).find(data.take(np.arange(3)))
        >>> found.nearest.tolist(), found.is_copy.tolist()
        ([0, 1, 2], [True, True, True])
    """

    def __init__(self, train: ImageDataset, *, false_alarms: float = 0.005, seed: int = 0) -> None:
        if len(train) < 3:
            raise DataError(f"expected three training images or more to compare with, but got {len(train)}.")
        if not 0 < false_alarms < 0.5:
            raise ConfigError(f"false_alarms: expected a share between 0 and 0.5, but got {false_alarms!r}.")
        self.image_shape = train.image_shape
        self._random = np.random.default_rng([seed, 0xC0B1])
        self._small = thumbnails(train.take(np.arange(len(train))))
        self._train = enlarged(self._small)
        self._enlargement = self._train.shape[1] / self._small.shape[1]
        self._coarse = _coarse(self._train)
        self._metric = torch.eye(0)
        self._fit(train)
        self.threshold = self._calibrate(train, false_alarms)

    def find(self, images: NDArray[np.uint8]) -> Copies:
        """Look for copies among images.

        Args:
            images: uint8, (N, H, W, C), of the training images' shape.

        Raises:
            DataError: If they are of another shape or type.
        """
        channels, height, width = self.image_shape
        if images.dtype != np.uint8 or images.shape[1:] != (height, width, channels):
            raise DataError(
                f"expected uint8 images of shape (N, {height}, {width}, {channels}) like the training images, but got "
                f"{images.dtype} of shape {images.shape}."
            )
        nearest, distance = self._judge(thumbnails(images))
        return Copies(nearest, distance / self.threshold, distance < self.threshold)

    def _fit(self, train: ImageDataset) -> None:
        """Learn which differences light changes leave after alignment, in the images' principal components."""
        rows = self._random.choice(len(train), min(len(train), _FITTED_ON), replace=False)
        flat = _comparable(self._small[rows])
        with seeded_on_host(0):
            _, scales, components = torch.pca_lowrank(flat, q=min(_COMPONENTS, *flat.shape), niter=3)
        # Directions in which images hardly vary show noise alone, and would make a noisy copy look far away.
        explained = scales.square().cumsum(0) / (flat - flat.mean(dim=0)).square().sum()
        components = components[:, : int((explained < _EXPLAINED).sum()) + 1]
        self._components = components
        originals, changed = self._light_changes(train)
        self._changed = changed
        trained, large = self._train[originals], enlarged(changed)
        ways = [refine(trained, large, align(trained, large, mirror).maps) for mirror in MIRRORS]
        each = torch.stack([self._differences(originals, changed, maps) for maps in ways])
        fits = each.square().sum(dim=2).argmin(dim=0)
        differences = each[fits, torch.arange(len(originals))] @ components
        spread = differences.T @ differences / len(differences)
        # Directions in which light changes hardly differ must not decide alone.
        spread += 0.2 * spread.diagonal().mean() * torch.eye(len(spread))
        self._metric = torch.linalg.cholesky(torch.linalg.inv(spread.double())).float()

    def _light_changes(self, train: ImageDataset) -> tuple[Tensor, Tensor]:
        """Return positions of training images, and the images lightly changed, each kind alike often."""
        rows = np.resize(self._random.permutation(len(train)), _CHANGED)
        kinds = [*CHANGES.values()]
        images = [kinds[number % len(kinds)](image, self._random) for number, image in enumerate(train.take(rows))]
        return torch.from_numpy(rows), thumbnails(np.stack(images))

    def _calibrate(self, train: ImageDataset, false_alarms: float) -> float:
        """Choose the distance below which an image is a copy."""
        _, apart = self._nearest(self._changed)
        self._least = float(np.quantile(apart, 0.75))
        _, changed = self._judge(self._changed)
        # Images that the dataset holds twice say nothing of how near others come.
        keys = [image.tobytes() for image in self._small.numpy()]
        often = collections.Counter(keys)
        single = np.flatnonzero([often[key] == 1 for key in keys])
        known = single if len(single) else np.arange(len(train))
        rows = np.sort(self._random.choice(known, min(len(known), 2 * _CHANGED), replace=False))
        _, others = self._judge(self._small[rows], itself=rows)
        found = np.quantile(changed, _FOUND)
        allowed = _lower_tail(others, false_alarms)
        # Between the two where they lie apart: new copies and new images will pass them a little.
        return float(max(np.sqrt(found * allowed) if found < allowed else allowed, 1e-6))

    def _judge(
        self, images: Tensor, itself: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the nearest training image, and how far it is beside the distance from there to the next one."""
        nearest, distance = self._nearest(images, None if itself is None else itself[:, None])
        seen = nearest[:, None] if itself is None else np.column_stack([nearest, itself])
        apart = np.full(len(images), np.inf)
        # Only what may be a copy is worth a second look.
        close = np.flatnonzero(distance < 8 * self._least)
        _, apart[close] = self._nearest(self._small[nearest[close]], seen[close])
        return nearest, distance / np.clip(apart, self._least, 4 * self._least)

    def _nearest(
        self, images: Tensor, without: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the most similar training image of each image (N, h, w) but some, (N, m), and its distance."""
        nearest, distances = np.empty(len(images), np.int64), np.empty(len(images))
        for start in range(0, len(images), 256):
            part = images[start : start + 256]
            own = None if without is None else torch.from_numpy(without[start : start + 256])
            large = enlarged(part)
            candidates = self._candidates(large, own)
            count = candidates.shape[1]
            pairs, rows = torch.arange(len(part)).repeat_interleave(count), candidates.flatten()
            ways = [align(self._train[rows], large[pairs], mirror) for mirror in MIRRORS]
            correlation = torch.cat([way.correlation.view(-1, count) for way in ways], dim=1)
            best = correlation.topk(min(_REFINED, len(MIRRORS) * count), dim=1).indices
            chosen = candidates.gather(1, best % count)
            again = torch.arange(len(part)).repeat_interleave(best.shape[1])
            kept = (again * count + (best % count).flatten()).numpy()
            maps = np.stack([way.maps for way in ways])[(best // count).flatten().numpy(), kept]
            maps = refine(self._train[chosen.flatten()], large[again], maps)
            fine = self._distance(chosen.flatten(), part[again], maps).view(best.shape)
            closest = fine.argmin(dim=1, keepdim=True)
            nearest[start : start + len(part)] = chosen.gather(1, closest)[:, 0].numpy()
            distances[start : start + len(part)] = fine.gather(1, closest)[:, 0].numpy()
        return nearest, distances

    def _distance(self, rows: Tensor, images: Tensor, maps: NDArray[np.float32]) -> Tensor:
        """Return how unusual for light changes it is what differs between images and moved training images, (N,)."""
        difference = self._differences(rows, images, maps) @ self._components @ self._metric
        return difference.square().mean(dim=1).sqrt()

    def _differences(self, rows: Tensor, images: Tensor, maps: NDArray[np.float32]) -> Tensor:
        """Return the differences (N, D) of images (N, h, w) to training images that are moved over them.

        A copy is a training image that was moved, so that is what is done here: moving the copy back would lose detail.
        """
        return _comparable(images) - _comparable(moved(self._small[rows], maps, self._enlargement))

    def _candidates(self, images: Tensor, without: Tensor | None) -> Tensor:
        """Return the training images (N, k) that resemble each image most, without some (N, m)."""
        similarity = functools.reduce(
            torch.maximum,
            (
                _coarse(variant) @ self._coarse.T
                for variant in torch.cat([variants(images), shifts(images)], 1).unbind(1)
            ),
        )
        if without is not None:
            similarity.scatter_(1, without, -torch.inf)
        count = min(_RESEMBLING, len(self._train) - (0 if without is None else without.shape[1]))
        rough = similarity.topk(count, dim=1).indices
        pairs = zip(images, rough, strict=True)
        fine = torch.stack([best_correlation(image, self._train[rows]) for image, rows in pairs])
        return rough.gather(1, fine.topk(min(_CANDIDATES, count), dim=1).indices)


def _lower_tail(distances: NDArray[np.float64], share: float) -> float:
    """Return the distance below which a small share of images is to be expected.

    Datasets hold copies of their own images, which are no false alarms, but the nearest of all. Distances to nearest
    neighbours grow with a power of the share of images within them (Levina & Bickel 2004), so those of the nearest
    twentieth to quarter tell what the tail is without copies.
    """
    near, far = np.quantile(distances, [_NEAR, _FAR])
    power = np.log(_FAR / _NEAR) / np.log(max(far / max(near, 1e-12), 1 + 1e-9))
    expected = near * (min(share, _NEAR) / _NEAR) ** (1 / power)
    return float(max(expected, np.quantile(distances, share, method="lower")))


def _comparable(images: Tensor) -> Tensor:
    """Return what is compared of images (N, h, w): pixels without borders, blurred and standardised, (N, D)."""
    return inside(blurred(images)).flatten(1)


def _coarse(images: Tensor) -> Tensor:
    """Return unit vectors (N, 64) of images (N, h, w) at low resolution."""
    small = torch.nn.functional.interpolate(
        images[:, None], (_COARSE, _COARSE), mode="bilinear", antialias=True, align_corners=False
    )
    return standardise(small[:, 0]).flatten(1) / _COARSE
