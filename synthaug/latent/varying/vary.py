"""Label-preserving variants of given images: the same thing, a little or a lot different.

An image is its code μ and a residual r, the detail that the decoder loses. A variant of strength s moves both from the
image towards a fresh sample of the image's class, whose code z' comes from the class's prior, with mean c, and whose
residual is unknown, hence 0:

    z = c + √(1 − s²) (μ − c) + s (z' − c)        x = decode(z) + √(1 − s²) r        r = image − decode(μ)

Strength 0 is the image itself (or, without the residual, its reconstruction), strength 1 a sample of the class. The
weights keep mean and covariance of the class's codes what they are at each strength, while the straight line
(1 − s) μ + s z' would draw all variants towards the class's mean. It is the proposal of the preconditioned
Crank–Nicolson sampler (Cotter et al. 2013, "MCMC methods for functions"), and on codes that are noise, a diffusion
model's, it is the spherical mix of two noises.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import operator
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from synthaug.config import Config
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, LabelError, listed
from synthaug.generators import Generator
from synthaug.generators.base import CHUNK
from synthaug.generators.noise import sample_noise
from synthaug.grids import row_grid
from synthaug.latent.inputs import ImagesLike, LabelsLike, as_generator, read_labelled, require_encoder

Codes = TypeVar("Codes", NDArray[np.float32], Tensor)

_PAIRS = 2 * CHUNK
"""Pairs of draws whose mean is taken for the mean of a class's prior."""


@dataclasses.dataclass(frozen=True)
class Variation(Config):
    """How far variants are from their image.

    Attributes:
        strength: 0 for the image itself, 1 for a new sample of its class.
        keep_residual: Whether variants keep the detail that the decoder loses, faded by the strength. Without it they
            are as blurred as the decoder's images are.
    """

    strength: float = 0.5
    keep_residual: bool = True

    def validate(self) -> None:
        """Check the range of the strength."""
        self.require(0 <= self.strength <= 1, "strength", "a number from 0 (the image) to 1 (any sample of its class)")

    @property
    def kept(self) -> float:
        """Weight of what is the image's own."""
        return math.sqrt(1 - self.strength**2)

    def mix(self, mu: Codes, fresh: Codes, centre: Codes) -> Codes:
        """Return the variants' codes, of codes, fresh codes and the means of their classes, all (N, latent_size)."""
        # Grouped so that strengths 0 and 1 give mu and fresh exactly.
        mixed: Codes = self.kept * mu + self.strength * fresh + (1 - self.kept - self.strength) * centre
        return mixed

    def finish(self, decoded: Tensor, images: Tensor, restored: Tensor | None) -> Tensor:
        """Return the variants, uint8.

        Args:
            decoded: What the variants' codes are decoded to, uint8.
            images: The images that are varied, uint8 of the same shape.
            restored: Their reconstructions, uint8 of the same shape; ``None`` without the residual.
        """
        if restored is None:
            return decoded
        residual = images.float().sub_(restored)
        return residual.mul_(self.kept).add_(decoded).round_().clamp_(0, 255).to(torch.uint8)


def vary(
    gen: Generator | str | Path,
    images: ImagesLike,
    labels: LabelsLike = None,
    strength: float = 0.5,
    number: int = 4,
    seed: int = 0,
    *,
    keep_residual: bool = True,
) -> NDArray[np.uint8]:
    """Make variants of images that keep their labels.

    A variant is a pure function of its image's pixels and label, the seed and its number: the same image has the same
    variants wherever it stands, and its first four are the same whether four or eight are asked for.

    Args:
        gen: A generator with an encoder, or its folder.
        images: In any form that `synthaug.latent.inputs.read_images` reads.
        labels: One class name or label for all images, or one for each; may be left out for an `ImageDataset`.
        strength: From 0, the image itself (without ``keep_residual`` its reconstruction), to 1, a new sample of its
            class.
        number: Variants of each image.
        seed: Other seeds give other variants.
        keep_residual: Add the detail that the decoder loses, faded by the strength.

    Returns:
        uint8 variants, (N, number, H, W, C).

    Raises:
        LabelError: If labels are missing or unknown.
        ConfigError: If the family has no encoder, or a setting is out of range.
        DataError: If an image cannot be read.

    Example:
        >>> variants = vary("runs/x", ["a.png", "b.png"], "boot", strength=0.3)  # doctest: +SKIP
        >>> variants.shape  # doctest: +SKIP
        (2, 4, 28, 28, 1)
    """
    variation = Variation(strength, keep_residual)
    check_number(number, "number")
    gen = as_generator(gen)
    require_encoder(gen, "varying images")
    if labels is None and not isinstance(images, ImageDataset):
        raise LabelError(
            "expected the labels of the images, since variants keep them, but got none. Pass a class name for all of "
            f"them, or one for each, of: {listed(gen.classes, 10)}."
        )
    pixels, numbers = read_labelled(images, labels, gen)
    return Varier(gen, variation, seed).variants(pixels, numbers, number)


class Varier:
    """Makes variants with one generator, and remembers the means of its classes' priors.

    Args:
        gen: A generator with an encoder.
        variation: How far variants are from their image.
        seed: Other seeds give other variants.
    """

    def __init__(self, gen: Generator, variation: Variation, seed: int = 0) -> None:
        self.gen, self.variation, self.seed = gen, variation, seed
        self._centres = ClassCentres(gen)

    def variants(self, images: NDArray[np.uint8], labels: NDArray[np.int64], number: int) -> NDArray[np.uint8]:
        """Return ``number`` variants (N, number, H, W, C) of each uint8 image (N, H, W, C) of the generator's shape."""
        gen, size = self.gen, self.gen.latent_size
        names = np.array([variant_names(image, number) for image in images], dtype=np.uint64).reshape(-1)
        labels_each = np.repeat(labels, number)
        means, _ = gen.encode_images(images, labels)
        fresh = gen.draw_codes(labels_each, names, self.seed).reshape(len(images), number, size)
        codes = self.variation.mix(means[:, None], fresh, self._centres.of(labels).cpu().numpy()[:, None])
        decoded = torch.from_numpy(gen.decode_codes(codes.reshape(-1, size), labels_each))
        restored = torch.from_numpy(gen.decode_codes(means, labels)) if self.variation.keep_residual else None
        decoded = decoded.reshape(len(images), number, *decoded.shape[1:])
        made = self.variation.finish(
            decoded,
            torch.from_numpy(np.array(images))[:, None].expand_as(decoded),
            None if restored is None else restored[:, None],
        )
        variants: NDArray[np.uint8] = made.numpy()
        return variants


class ClassCentres:
    """The means of the classes' priors, each taken over many draws when it is first asked for.

    Draws come in pairs of opposite noise, so that the mean of noise itself, a diffusion model's codes, is exact.
    """

    def __init__(self, gen: Generator) -> None:
        self._gen = gen
        self._known: dict[int, Tensor] = {}

    def of(self, labels: NDArray[np.integer]) -> Tensor:
        """Return the means (N, latent_size) for labels (N,), on the generator's device."""
        if not len(labels):
            return torch.empty(0, self._gen.latent_size, device=self._gen.device)
        return torch.stack([self._centre(label) for label in labels.tolist()])

    def _centre(self, label: int) -> Tensor:
        if label not in self._known:
            self._known[label] = self._mean(label)
        return self._known[label]

    @torch.no_grad()
    def _mean(self, label: int) -> Tensor:
        gen = self._gen
        noise = torch.from_numpy(sample_noise(0, np.full(_PAIRS, label), np.arange(_PAIRS), gen.noise_size))
        labels = torch.full((CHUNK,), label, device=gen.device)
        total = torch.zeros(gen.latent_size, device=gen.device)
        with gen.autocast():
            for start in range(0, _PAIRS, CHUNK):
                part = noise[start : start + CHUNK].to(gen.device)
                total += (gen.codes(part, labels).float() + gen.codes(-part, labels).float()).sum(0)
        return total / (2 * _PAIRS)


def variant_names(image: NDArray[np.uint8], number: int) -> list[int]:
    """Return the indices, among its class's samples, of the fresh codes of an image's variants.

    They are digests of the pixels and the variant's number, so that each image has fresh codes of its own, and the
    same ones wherever it stands.
    """
    pixels = hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=16).digest()
    return [
        int.from_bytes(hashlib.blake2b(pixels + index.to_bytes(8, "little"), digest_size=8).digest(), "little")
        for index in range(number)
    ]


def variation_picture(
    images: NDArray[np.uint8], variants: NDArray[np.uint8], captions: Iterable[str] = ()
) -> Image.Image:
    """Draw each image (N, H, W, C) with its variants (N, number, H, W, C) beside it."""
    rows = [np.concatenate([image[None], own]) for image, own in zip(images, variants, strict=True)]
    headings = ["image", *map(str, range(1, variants.shape[1] + 1))]
    return row_grid(rows, list(captions), headings=headings)


def check_number(number: int, name: str) -> None:
    """Raise `ConfigError` unless a number of variants is a whole number of 1 or more."""
    try:
        fine = operator.index(number) >= 1 and not isinstance(number, bool)
    except TypeError:
        fine = False
    if not fine:
        raise ConfigError(f"{name}: expected a whole number of 1 or more, but got {number!r}.")
