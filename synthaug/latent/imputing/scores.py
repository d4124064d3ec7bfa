"""How good completions are: PSNR at the missing pixels and honesty of the uncertainty, beside simple ways to fill."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from synthaug.errors import DataError
from synthaug.latent.imputing.impute import Imputation

_BEST = 100.0
_RADIUS = 3  # pixels around a missing one that OpenCV looks at: the value of its own examples


class ImputationScore(NamedTuple):
    """Figures for each image, NaN for one that misses nothing.

    Attributes:
        psnr: Of the mean, at the missing pixels, in dB, (N,).
        psnr_single: Of single completions, averaged, (N,).
        coverage: Share of the missing values within two standard deviations of the mean, (N,); about 0.95 where the
            uncertainty is right.
    """

    psnr: NDArray[np.float64]
    psnr_single: NDArray[np.float64]
    coverage: NDArray[np.float64]


def score_imputation(imputation: Imputation, originals: NDArray[np.uint8]) -> ImputationScore:
    """Compare completions with the whole images, uint8 (N, H, W, C).

    Raises:
        DataError: If the shapes differ.
    """
    mean, mask = imputation.mean, imputation.mask
    if originals.shape != mean.shape:
        raise DataError(f"expected originals of shape {mean.shape}, but got {originals.shape}.")
    single = np.stack([missing_psnr(one, originals, mask) for one in imputation.images.swapaxes(0, 1)])
    near = np.abs(mean.astype(np.float32) - originals) <= 2 * imputation.std
    coverage = np.array([one[where].mean() if where.any() else np.nan for one, where in zip(near, mask, strict=True)])
    return ImputationScore(missing_psnr(mean, originals, mask), single.mean(axis=0), coverage)


def missing_psnr(
    filled: NDArray[np.uint8], originals: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the PSNR at missing pixels in dB, (N,); at most 100, NaN where nothing is missing.

    Example:
        >>> filled, originals = np.full((1, 2, 2, 1), 10, np.uint8), np.zeros((1, 2, 2, 1), np.uint8)
        >>> missing_psnr(filled, originals, np.array([[[True, False], [False, False]]])).round(2)
        array([28.13])
    """
    result = np.full(len(originals), np.nan)
    for position, where in enumerate(mask):
        if where.any():
            error = np.square(filled[position][where].astype(np.float64) - originals[position][where]).mean()
            result[position] = min(_BEST, 10 * np.log10(255**2 / max(error, 1e-12)))
    return result


def simple_fills(
    images: NDArray[np.uint8], mask: NDArray[np.bool_], dataset_mean: NDArray[np.floating] | None = None
) -> dict[str, NDArray[np.uint8]]:
    """Fill missing pixels in the usual ways.

    Args:
        images: uint8 (N, H, W, C); missing pixels are not looked at.
        mask: bool (N, H, W), true where pixels are missing.
        dataset_mean: Mean image of a dataset, (H, W, C), for a fill with that.

    Returns:
        Filled images by method: ``image mean`` (of each image's observed pixels), ``dataset mean``, and OpenCV's
        ``telea`` (Telea 2004) and ``navier-stokes`` (Bertalmio et al. 2001).
    """
    fills = {"image mean": images.copy()}
    for image, where in zip(fills["image mean"], mask, strict=True):
        image[where] = 128 if where.all() else image[~where].mean(axis=0).round().astype(np.uint8)
    if dataset_mean is not None:
        fills["dataset mean"] = np.where(mask[..., None], dataset_mean.round().astype(np.uint8), images)
    for name, method in (("telea", cv2.INPAINT_TELEA), ("navier-stokes", cv2.INPAINT_NS)):
        fills[name] = np.empty_like(images)
        for position, (image, where) in enumerate(zip(images, mask, strict=True)):
            hidden = np.where(where[..., None], np.uint8(0), image)
            filled = cv2.inpaint(hidden, where.astype(np.uint8) * 255, _RADIUS, method)
            fills[name][position] = filled.reshape(image.shape)
    return fills
