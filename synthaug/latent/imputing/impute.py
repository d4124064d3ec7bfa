"""Imputation: what may have been in the missing part of an image, several times, and how sure that is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError
from synthaug.generators import Generator
from synthaug.grids import row_grid
from synthaug.images import encode_pngs
from synthaug.latent.imputing.masks import read_masked
from synthaug.latent.imputing.posterior import complete, nearest_samples
from synthaug.latent.inputs import (
    ImagesLike,
    LabelsLike,
    as_generator,
    dataset_labels,
    in_evaluation,
    resolve_labels,
)


@dataclasses.dataclass(frozen=True)
class Imputation:
    """Several completions of each image, and what they say together.

    Attributes:
        images: uint8 (N, number, H, W, C); observed pixels are those given, byte for byte.
        mean: Mean of the completions, uint8 (N, H, W, C): what to take where one image is wanted.
        std: How uncertain each pixel of the mean is, float32 (N, H, W, C), in units of pixels from 0 to 255; 0 where
            it was observed. It joins the spread of the completions with the error that they make at observed pixels.
        mask: bool (N, H, W), true where pixels were missing.
        labels: Class of each completion, int64 (N, number).
    """

    images: NDArray[np.uint8]
    mean: NDArray[np.uint8]
    std: NDArray[np.float32]
    mask: NDArray[np.bool_]
    labels: NDArray[np.int64]

    @property
    def doubt(self) -> NDArray[np.uint8]:
        """The uncertainty as images, uint8 (N, H, W, C): white is a deviation of 64 or more."""
        return np.clip(4 * self.std, 0, 255).round().astype(np.uint8)

    def png_files(self) -> dict[str, bytes]:
        """Return mean, uncertainty and completions as contents of PNG files, by name (``00000_mean.png``, …)."""
        kinds = {"mean": self.mean, "doubt": self.doubt}
        kinds |= {str(number + 1): self.images[:, number] for number in range(self.images.shape[1])}
        return {
            f"{image:05d}_{kind}.png": png
            for kind, images in kinds.items()
            for image, png in enumerate(encode_pngs(np.ascontiguousarray(images)))
        }

    def picture(self, most: int = 12) -> Image.Image:
        """Draw a row for each image: what was given, the mean, its uncertainty (white: a deviation of 64), and all."""
        given = np.where(self.mask[..., None], np.uint8(128), self.mean)
        shown = [given[:, None], self.mean[:, None], self.doubt[:, None], self.images]
        rows = list(np.concatenate([part[:most] for part in shown], axis=1))
        numbers = [str(number + 1) for number in range(self.images.shape[1])]
        return row_grid(rows, headings=["given", "mean", "doubt", *numbers])


def impute(
    gen: Generator | str | Path,
    images: ImagesLike,
    mask: ImagesLike = None,
    labels: LabelsLike = None,
    number: int = 8,
    seed: int = 0,
    *,
    gradient_steps: int = 60,
) -> Imputation:
    """Fill in missing pixels, ``number`` times, with samples of what the observed ones allow (see `posterior`).

    Costs ``number`` × ``gradient_steps`` passes through the decoder and back for each image. Works with any family;
    with diffusion every pass is the whole way of its solver, so take few images there, few solver steps
    (``gen.with_sampling(steps=4)``) and few gradient steps.

    Args:
        gen: A generator, or its folder.
        images: Images, in any form that `synthaug.latent.inputs.read_images` reads; or a float array with pixels from
            0 to 255 that is NaN where pixels are missing.
        mask: Where pixels are missing: bool (N, H, W), or (H, W) for all; or mask images, white where missing. Left
            out, pixels that are NaN or transparent.
        labels: Classes of the images. Left out, a dataset's own are taken; of other images, each completion takes the
            class of the sample that it starts from: where the observed pixels leave the class open, so do the
            completions.
        number: Completions of each image.
        seed: Other seeds give other completions.
        gradient_steps: Steps of each completion; 0 takes the samples it would start from.

    Returns:
        The completions; each depends on its image, its position, its number and the seed alone.

    Raises:
        DataError: If images or masks cannot be read or do not fit, or no mask is given.
        LabelError: If a class is unknown, or classes are left out and there are more than 32.
        ConfigError: If a number is out of range.

    Example:
        >>> hidden = np.zeros((28, 28), bool); hidden[14:] = True  # doctest: +SKIP
        >>> imputation = impute(gen, "a.png", hidden, "boot", number=8)  # doctest: +SKIP
        >>> imputation.images.shape, imputation.std.max()  # doctest: +SKIP
        ((1, 8, 28, 28, 1), 71.3)
    """
    for name, value, least in (("number", number, 1), ("gradient_steps", gradient_steps, 0)):
        if value < least:
            raise ConfigError(f"{name}: expected a number of {least} or more, but got {value}.")
    gen = as_generator(gen)
    pixels, missing = read_masked(images, mask, gen)
    given = None if labels is None else resolve_labels(labels, gen, pixels)
    if labels is None and isinstance(images, ImageDataset):
        given = dataset_labels(images, gen)
    with in_evaluation(gen):
        chosen, indices = nearest_samples(gen, pixels, missing, given, number, seed)
        made, errors = complete(gen, pixels, missing, chosen, indices, seed, gradient_steps)
    hidden = missing[:, None, ..., None]
    completed = np.where(hidden, made, pixels[:, None])
    spread = completed.astype(np.float32).var(axis=1, ddof=1 if number > 1 else 0)
    variance = spread + errors.mean(axis=1, dtype=np.float32)[:, None, None, None]
    return Imputation(
        images=completed,
        mean=completed.mean(axis=1).round().astype(np.uint8),
        std=np.where(hidden[:, 0], np.sqrt(variance), np.float32(0)),
        mask=missing,
        labels=chosen,
    )
