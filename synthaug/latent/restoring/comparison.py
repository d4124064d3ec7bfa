"""Restored images beside their originals and beside what others make of them: figures and a picture."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthaug.generators import Generator
from synthaug.grids import row_grid
from synthaug.images import encode_pngs
from synthaug.latent.inputs import ImagesLike, LabelsLike, read_labelled
from synthaug.latent.quality import psnr, ssim

OURS = "synthaug"
_TUNED_ON = 64


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What several methods made of the same images.

    Attributes:
        originals: uint8 (N, H, W, C).
        made: By method, uint8 (N, H, W, C).
        notes: By method, what was set.
    """

    originals: NDArray[np.uint8]
    made: dict[str, NDArray[np.uint8]]
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return PSNR (dB) and SSIM of each method as JSON-able values: mean and standard deviation over images."""
        figures = {}
        for method, images in self.made.items():
            decibels, similarity = psnr(images, self.originals), ssim(images, self.originals)
            figures[method] = {
                "n": len(images),
                "psnr_mean": float(decibels.mean()),
                "psnr_std": float(decibels.std()),
                "ssim_mean": float(similarity.mean()),
                "ssim_std": float(similarity.std()),
            } | ({"settings": self.notes[method]} if method in self.notes else {})
        return figures

    def lines(self) -> list[str]:
        """Return the figures as lines of text."""
        return [
            f"{method:<24} PSNR {figures['psnr_mean']:6.2f} ± {figures['psnr_std']:.2f} dB   "
            f"SSIM {figures['ssim_mean']:.3f} ± {figures['ssim_std']:.3f}"
            for method, figures in self.to_dict().items()
        ]

    def picture(self, most: int = 12) -> Image.Image:
        """Draw the first images: the originals and, row by row, what each method made."""
        rows = [self.originals[:most], *(images[:most] for images in self.made.values())]
        return row_grid(rows, ["original", *self.made])


def compare_denoising(
    gen: Generator, images: ImagesLike, labels: LabelsLike = None, sigma: float = 0.2, *, steps: int = 0, seed: int = 0
) -> Comparison:
    """Add Gaussian noise to clean images, take it out again, and do the same with OpenCV's non-local means.

    Non-local means gets the settings that are best on these very images (at most 64 of them), as no user could choose
    them without the originals; ours is told the noise's standard deviation and nothing else.

    Args:
        gen: A generator with an encoder; see `synthaug.latent.denoise`.
        images: Clean images.
        labels: Their classes.
        sigma: Standard deviation of the noise, with pixels from 0 to 1.
        steps: Gradient steps of the projection.
        seed: Of the noise.
    """
    from synthaug.latent.restoring.classical import tune_non_local_means
    from synthaug.latent.restoring.restore import denoise

    originals, numbers = read_labelled(images, labels, gen)
    noisy = add_noise(originals, sigma, seed)
    tuned = tune_non_local_means(noisy[:_TUNED_ON], originals[:_TUNED_ON], sigma)
    made = {
        "noisy": noisy,
        "non-local means": tuned.denoise(noisy),
        OURS: denoise(gen, noisy, numbers, sigma, steps=steps),
    }
    return Comparison(originals, made, {"non-local means": tuned._asdict()})


def compare_upscaling(
    gen: Generator, images: ImagesLike, labels: LabelsLike = None, factor: int = 2, *, steps: int = 40
) -> Comparison:
    """Shrink images, enlarge them again, and do the same with bicubic interpolation.

    Args:
        gen: A generator with an encoder; see `synthaug.latent.upscale`.
        images: Images of the full size.
        labels: Their classes.
        factor: 2 or 4.
        steps: Gradient steps of the projection.

    Raises:
        DataError: If the sides are no multiples of the factor.
    """
    from synthaug.latent.restoring.restore import enlarge, shrink, upscale

    originals, numbers = read_labelled(images, labels, gen)
    small = shrink(originals, factor)
    made = {
        "small": small.repeat(factor, axis=1).repeat(factor, axis=2),
        "bicubic": enlarge(small, factor),
        OURS: upscale(gen, small, factor, numbers, steps=steps),
    }
    return Comparison(originals, made)


def add_noise(images: NDArray[np.uint8], sigma: float, seed: int = 0) -> NDArray[np.uint8]:
    """Add Gaussian noise to uint8 images (N, H, W, C) and cut it off at black and white, as a camera would.

    Example:
        >>> add_noise(np.full((1, 8, 8, 1), 128, np.uint8), 0.1).shape
        (1, 8, 8, 1)
    """
    noise = np.random.Generator(np.random.Philox(key=seed)).standard_normal(images.shape)
    return np.rint(np.clip(images + 255 * sigma * noise, 0, 255)).astype(np.uint8)


def png_files(images: NDArray[np.uint8]) -> dict[str, bytes]:
    """Return images as the contents of PNG files, by name (``00000.png``, ``00001.png``, …)."""
    digits = max(5, len(str(len(images))))
    return {f"{number:0{digits}d}.png": png for number, png in enumerate(encode_pngs(images))}
