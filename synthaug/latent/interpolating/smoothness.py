"""How smooth a latent space is: how evenly images change on the way from one code to another.

The perceptual path length (Karras et al. 2019, "A style-based generator architecture", StyleGAN) is how fast images
change along a path, squared: small steps of the code that make large steps of the image count most, and those are what
holes and cliffs of a latent space look like. Beside it stand how far a path strays from the shortest way, and how much
further from real images its middle is than its ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataError
from synthaug.generators import CHUNK, Generator
from synthaug.latent.inputs import as_generator, in_evaluation, read_images, relabelled, require_encoder
from synthaug.latent.interpolating.interpolate import Mode, between, resolve_mode
from synthaug.networks.perceptual import PerceptualDistance
from synthaug.networks.pretrained import load_pretrained
from synthaug.pixels import from_uint8
from synthaug.seeds import numbered_stream

Distance = Callable[[Tensor, Tensor], Tensor]
"""From two batches of images (B, C, H, W) in [-1, 1] to squared distances (B,), pair by pair."""

_SEGMENTS = 8
_REAL_PER_CLASS = 200
_SAME_IMAGE = 1e-4


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over paths with its uncertainty.

    Attributes:
        mean: Of the paths.
        ci: Half the width of its 95 % confidence interval (normal approximation).
    """

    mean: float
    ci: float

    def __str__(self) -> str:
        return f"{self.mean:.3g} ± {self.ci:.2g}"


@dataclasses.dataclass(frozen=True)
class PathLength:
    """How smooth a latent space is.

    Attributes:
        path_length: Perceptual path length: the squared speed of the image along a path that takes the time 1.
        detour: Length of a path, along its images, over the distance between its ends: 1 is the straight way.
        straying: Distance from a path's middle to the nearest real image over that from its ends: above 1 the middle
            is less like a real image than the ends are. ``None`` without a dataset.
        by_class: Mean perceptual path length of each class by name.
        pairs: Number of paths.
        mode: ``"linear"`` or ``"spherical"``.
    """

    path_length: Estimate
    detour: Estimate
    straying: Estimate | None
    by_class: Mapping[str, float]
    pairs: int
    mode: str

    @property
    def mean(self) -> float:
        """The perceptual path length."""
        return self.path_length.mean

    @property
    def ci(self) -> float:
        """Half the width of its 95 % confidence interval."""
        return self.path_length.ci


@dataclasses.dataclass(frozen=True)
class _Ends:
    """Codes (P, latent_size) between which paths lead, their labels, and the rows of the dataset they come from."""

    start: NDArray[np.float32]
    end: NDArray[np.float32]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64] | None = None


def perceptual_path_length(
    gen: Generator | str | Path,
    pairs: int = 256,
    epsilon: float = 1e-3,
    seed: int = 0,
    *,
    ends: Literal["samples", "images"] | str = "samples",
    data: ImageDataset | None = None,
    mode: Mode | str = "auto",
    distance: Distance | None = None,
) -> PathLength:
    """Measure how smooth a latent space is, on paths between two samples, or images, of the same class.

    The speed is measured where ``epsilon`` of the path lies between two images, at a random place of each path, and
    counted for the whole path as one unit of time, so that it compares families whose codes have other scales. It is
    no measure of quality: a generator of one image alone has length 0.

    Args:
        gen: A generator, or its folder.
        pairs: Number of paths, spread evenly over the classes.
        epsilon: Part of a path over which its speed is measured. Below 1e-4 rounding takes over.
        seed: In the names of the samples, and for the choice of images and places.
        ends: ``"samples"``, from the generator's prior, or ``"images"``: the codes of images in ``data``, which needs
            an encoder.
        data: Real images; needed for ``ends="images"``, and for `PathLength.straying`.
        mode: The paths, see `synthaug.latent.interpolate`.
        distance: Squared distance between images; `synthaug.networks.PerceptualDistance` if left out.

    Raises:
        ConfigError: If a setting is out of range, or the family has no encoder where one is needed.
        DataError: If the dataset has no class with two images.

    Example:
        >>> from synthaug.generators import make_generator
        >>> gen = make_generator("gan", ["boot", "bag"], (1, 8, 8), options={"width": 4})
        >>> pixels = lambda images, others: (images - others).square().mean((1, 2, 3))
        >>> result = perceptual_path_length(gen, pairs=4, distance=pixels)
        >>> result.pairs, result.mode, result.straying
        (4, 'spherical', None)
    """
    gen = as_generator(gen)
    way = resolve_mode(gen, mode)
    if pairs < 2 or not 0 < epsilon <= 0.5:
        raise ConfigError(f"expected 2 pairs or more and an epsilon up to 0.5, but got {pairs} and {epsilon}.")
    if ends not in ("samples", "images") or (ends == "images" and data is None):
        raise ConfigError(f"expected ends='samples', or ends='images' and a dataset, but got {ends!r} and {data!r}.")
    distance = distance or PerceptualDistance()
    data = None if data is None else relabelled(data, gen)
    chosen = (
        _sample_ends(gen, pairs, seed) if ends == "samples" or data is None else _image_ends(gen, data, pairs, seed)
    )
    places = numbered_stream(seed, 1).uniform(0, 1 - epsilon, pairs)

    speeds, lengths, straights, strays = [], [], [], []
    real = None if data is None else _RealImages(gen, data, np.unique(chosen.labels))
    with in_evaluation(gen), torch.no_grad(), _exact_convolutions():
        for begin in range(0, pairs, CHUNK):
            rows = slice(begin, begin + CHUNK)

            def image(place: NDArray[np.float64] | float, rows: slice = rows) -> Tensor:
                codes = between(chosen.start[rows], chosen.end[rows], np.reshape(place, (-1, 1)), way)
                return _decoded(gen, codes, chosen.labels[rows])

            here, there = image(places[rows]), image(places[rows] + epsilon)
            speeds.append(distance(here, there).double() / epsilon**2)
            marks = [image(place) for place in np.linspace(0, 1, _SEGMENTS + 1)]
            segments = [distance(*pair).double().sqrt() for pair in itertools.pairwise(marks)]
            lengths.append(torch.stack(segments).sum(0))
            straights.append(distance(marks[0], marks[-1]).double().sqrt())
            if real is not None:
                strays.append(
                    real.straying(marks, chosen.labels[rows], None if chosen.rows is None else chosen.rows[rows])
                )
    speed, length, straight = (torch.cat(parts).cpu().numpy() for parts in (speeds, lengths, straights))
    moved = straight > _SAME_IMAGE
    return PathLength(
        path_length=_estimate(speed),
        detour=_estimate(length[moved] / straight[moved]),
        straying=_estimate(np.concatenate(strays)) if strays else None,
        by_class={
            gen.classes[label]: float(speed[chosen.labels == label].mean()) for label in np.unique(chosen.labels)
        },
        pairs=pairs,
        mode=way,
    )


def _sample_ends(gen: Generator, pairs: int, seed: int) -> _Ends:
    """Pair i of a class leads from its sample 2i to its sample 2i + 1."""
    labels = np.sort(np.arange(pairs) % len(gen.classes))
    indices = np.concatenate([2 * np.arange(count) for count in np.bincount(labels)])
    return _Ends(gen.draw_codes(labels, indices, seed), gen.draw_codes(labels, indices + 1, seed), labels)


def _image_ends(gen: Generator, data: ImageDataset, pairs: int, seed: int) -> _Ends:
    """Two images of a class for each pair, drawn anew for each."""
    require_encoder(gen, "measuring paths between images")
    random = numbered_stream(seed, 2)
    classes = [label for label in range(len(data.classes)) if data.class_counts[label] >= 2]
    if not classes:
        raise DataError("expected a class with two images or more, between which a path can lead.")
    labels = np.sort(np.resize(classes, pairs))
    rows = np.stack([random.choice(np.flatnonzero(data.labels == label), 2, replace=False) for label in labels])
    pixels = [read_images(data.subset(side), gen) for side in rows.T]
    start, end = (gen.encode_images(side, labels)[0] for side in pixels)
    return _Ends(start, end, labels, rows)


class _RealImages:
    """Up to 200 real images of each class, in the features of the bundled network."""

    def __init__(self, gen: Generator, data: ImageDataset, labels: NDArray[np.int64]) -> None:
        rows = [np.flatnonzero(data.labels == label)[:_REAL_PER_CLASS] for label in labels]
        self._rows = np.concatenate(rows)
        if not len(self._rows):
            raise DataError("expected real images of the generator's classes to compare with, but got none.")
        self._labels = data.labels[self._rows]
        self._network = load_pretrained()
        pixels = torch.from_numpy(read_images(data.subset(self._rows), gen)).permute(0, 3, 1, 2)
        with torch.no_grad():
            parts = [self._of(from_uint8(part.to(gen.device))) for part in torch.split(pixels, CHUNK)]
        self._features = torch.cat(parts)

    def _of(self, images: Tensor) -> Tensor:
        return self._network.pooled(images).float().cpu()

    def straying(
        self, marks: list[Tensor], labels: NDArray[np.int64], origins: NDArray[np.int64] | None
    ) -> NDArray[np.float64]:
        """Return the distance of paths' middles to the nearest real image of the class over that of their ends.

        Args:
            marks: Images at even places along the paths, (B, C, H, W) each.
            labels: Of the paths, (B,).
            origins: Rows of the dataset that the paths lead between, (B, 2): no image is its own neighbour.
        """
        allowed = self._labels[None] == labels[:, None]
        if origins is not None:
            allowed &= (self._rows[None, None] != origins[:, :, None]).all(axis=1)
        start, middle, end = (
            torch.cdist(self._of(marks[place]), self._features)
            .masked_fill(~torch.from_numpy(allowed), torch.inf)
            .amin(1)
            for place in (0, len(marks) // 2, -1)
        )
        ratio: NDArray[np.float64] = (2 * middle / (start + end)).double().numpy()
        return ratio[np.isfinite(ratio)]


def _decoded(gen: Generator, codes: NDArray[np.float32], labels: NDArray[np.int64]) -> Tensor:
    """Decode in float32 and without rounding, for the differences are small."""
    return gen.reconstruct(torch.from_numpy(codes).to(gen.device), torch.from_numpy(labels).to(gen.device))


@contextlib.contextmanager
def _exact_convolutions() -> Iterator[None]:
    """Let GPUs convolve in float32: TF32, their default, rounds off more than a small step changes."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _estimate(values: NDArray[np.float64]) -> Estimate:
    if len(values) < 2:
        return Estimate(float(values.mean()) if len(values) else float("nan"), float("nan"))
    return Estimate(float(values.mean()), float(1.96 * values.std(ddof=1) / np.sqrt(len(values))))
