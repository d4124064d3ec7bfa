"""How near restored images are to the originals: PSNR and SSIM, image by image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from synthaug.errors import DataError

_BEST = 100.0
"""Decibels of an exact copy, whose PSNR would be infinite: far above any other, and means stay finite."""

_WINDOW = 1.5  # standard deviation of SSIM's Gaussian window, in pixels
_TRUNCATE = 3.5  # the window then is 11 pixels wide, as in the paper
_STABILISERS = ((0.01 * 255) ** 2, (0.03 * 255) ** 2)


def psnr(images: NDArray[np.uint8], originals: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the peak signal-to-noise ratio of each image in dB, (N,); 100 for exact copies.

    Args:
        images: uint8 (N, H, W, C).
        originals: uint8 of the same shape.

    Raises:
        DataError: If the shapes differ.

    Example:
        >>> psnr(np.full((1, 4, 4, 1), 10, np.uint8), np.zeros((1, 4, 4, 1), np.uint8)).round(2)
        array([28.13])
    """
    _check(images, originals)
    error = np.square(images.astype(np.float64) - originals).mean(axis=(1, 2, 3))
    decibels: NDArray[np.float64] = np.minimum(_BEST, 10 * np.log10(255**2 / np.maximum(error, 1e-12)))
    return decibels


def ssim(images: NDArray[np.uint8], originals: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the structural similarity of each image, (N,), at most 1 (Wang et al. 2004; Gaussian window of 11 pixels).

    Channels are averaged, as is the whole image: edges are mirrored, so that small images keep their rims.

    Args:
        images: uint8 (N, H, W, C).
        originals: uint8 of the same shape.

    Raises:
        DataError: If the shapes differ.

    Example:
        >>> image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
        >>> ssim(image, image)
        array([1.])
    """
    _check(images, originals)
    x, y = images.astype(np.float64), originals.astype(np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    variances = _blur(x * x) - mean_x**2 + _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    first, second = _STABILISERS
    likeness = (2 * mean_x * mean_y + first) * (2 * covariance + second)
    likeness /= (mean_x**2 + mean_y**2 + first) * (variances + second)
    result: NDArray[np.float64] = likeness.mean(axis=(1, 2, 3))
    return result


def _blur(images: NDArray[np.float64]) -> NDArray[np.float64]:
    blurred: NDArray[np.float64] = gaussian_filter(images, (0, _WINDOW, _WINDOW, 0), truncate=_TRUNCATE)
    return blurred


def _check(images: NDArray[np.uint8], originals: NDArray[np.uint8]) -> None:
    if images.shape != originals.shape or images.ndim != 4 or images.dtype != np.uint8 or originals.dtype != np.uint8:
        raise DataError(
            f"expected two uint8 arrays of one shape (N, H, W, C), but got {images.dtype} {images.shape} and "
            f"{originals.dtype} {originals.shape}."
        )
