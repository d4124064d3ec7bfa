"""Images with missing pixels: a mask beside them, transparency in them, or NaN."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from synthaug.data import ImageDataset
from synthaug.errors import DataError
from synthaug.generators import Generator
from synthaug.latent.inputs import ImagesLike, read_images

_SHARE = 1e-3  # of missing pixels, below which nothing of them shows
_HALF = 128


class MaskedImages(NamedTuple):
    """Images of a generator's shape.

    Attributes:
        images: uint8 (N, H, W, C).
        mask: bool (N, H, W), true where pixels are missing.
    """

    images: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def read_masked(images: ImagesLike, mask: ImagesLike, gen: Generator) -> MaskedImages:
    """Read images and where they are missing, at the generator's shape.

    When an image has another size, a pixel is missing as soon as a missing one has a share in it.

    Args:
        images: As `synthaug.latent.inputs.read_images` takes them, or a float array (N, H, W, C), (N, H, W) or (H, W)
            with pixels from 0 to 255, NaN where missing.
        mask: bool array (N, H, W) or (H, W) of the images' or the generator's size; or mask images, one for all or
            one for each, white where missing. ``None`` takes the images' own NaN or transparent pixels.
        gen: The generator that will take them.

    Raises:
        DataError: If they cannot be read or do not fit, or nothing says where pixels are missing.

    Example:
        >>> from synthaug.generators import make_generator
        >>> gen = make_generator("gan", ["a"], (1, 4, 4), options={"width": 4})
        >>> image = np.full((4, 4), 200.0)
        >>> image[2:] = np.nan
        >>> read_masked(image, None, gen).mask.sum(axis=2).tolist()
        [[0, 0, 4, 4]]
    """
    nan = _nan(images)
    if nan is not None:
        seen = np.asarray(images)[~np.isnan(np.asarray(images))]
        if seen.size and seen.max() <= 1 and seen.any():
            raise DataError(
                f"expected float images from 0 to 255, but got none above {seen.max():g}. Multiply those from 0 to 1 "
                "by 255."
            )
        images = np.nan_to_num(np.asarray(images), nan=0.0).clip(0, 255).round().astype(np.uint8)
    pixels = read_images(images, gen)
    found: list[NDArray[np.bool_]] | NDArray[np.bool_] | None
    found = nan if mask is None else _given(mask)
    if mask is None and nan is None:
        found = _transparent(images)
    if found is None:
        raise DataError(
            "expected a mask (--mask), or images with transparent or NaN pixels: nothing says which are missing."
        )
    masks = np.stack([_fitted(one, pixels.shape[1:3]) for one in found])
    if len(masks) not in (1, len(pixels)):
        raise DataError(
            f"expected one mask for all, or one for each of the {len(pixels)} images, but got {len(masks)}."
        )
    return MaskedImages(pixels, np.ascontiguousarray(np.broadcast_to(masks, pixels.shape[:3])))


def _nan(images: ImagesLike) -> NDArray[np.bool_] | None:
    """Return where a float array is NaN, (N, H, W); None for anything else."""
    if not isinstance(images, np.ndarray) or images.dtype.kind != "f":
        return None
    nan = np.isnan(images)
    missing: NDArray[np.bool_] = np.asarray(nan.any(axis=3) if images.ndim == 4 else nan)
    return missing[None] if missing.ndim == 2 else missing


def _given(mask: ImagesLike) -> NDArray[np.bool_] | list[NDArray[np.bool_]]:
    if isinstance(mask, (str, os.PathLike, Image.Image)):
        mask = [mask]
    if isinstance(mask, Sequence) and all(isinstance(one, (str, os.PathLike, Image.Image)) for one in mask):
        masks = [_opened(one, "L") >= _HALF for one in mask]
        if masks and not any(one.any() for one in masks):
            raise DataError(
                "mask: expected white (128 or more of 255) where pixels are missing, but nothing is white in "
                f"{'it' if len(masks) == 1 else 'any'}. A mask of 0 and 1 has to be multiplied by 255."
            )
        return masks
    array = np.asarray(mask)
    if array.dtype != bool or array.ndim not in (2, 3):
        raise DataError(
            f"mask: expected booleans of shape (N, H, W) or (H, W), true where pixels are missing, or mask images, "
            f"but got {array.dtype} of shape {array.shape}."
        )
    return array[None] if array.ndim == 2 else array


def _transparent(images: ImagesLike) -> list[NDArray[np.bool_]] | None:
    """Return where images are transparent; None when none of them is."""
    if isinstance(images, ImageDataset):
        return None
    one = isinstance(images, (str, os.PathLike, Image.Image)) or getattr(images, "ndim", 4) == 3
    masks: list[NDArray[np.bool_] | None] = [_alpha(image) for image in ([images] if one else images)]
    if all(mask is None for mask in masks):
        return None
    return [np.zeros((1, 1), dtype=bool) if mask is None else mask for mask in masks]


def _alpha(image: Any) -> NDArray[np.bool_] | None:
    if isinstance(image, np.ndarray):
        return image[..., 3] < _HALF if image.ndim == 3 and image.shape[2] == 4 else None
    if not isinstance(image, (str, os.PathLike, Image.Image)):
        return None
    pixels = _opened(image, "RGBA")
    return None if (pixels[..., 3] == 255).all() else pixels[..., 3] < _HALF


def _opened(image: str | os.PathLike[str] | Image.Image, mode: str) -> NDArray[np.uint8]:
    if isinstance(image, Image.Image):
        return np.asarray(ImageOps.exif_transpose(image).convert(mode))
    try:
        with Image.open(Path(image)) as opened:
            return np.asarray(ImageOps.exif_transpose(opened).convert(mode))
    except OSError as error:
        raise DataError(f"{image}: cannot be read as an image ({error}).") from error


def _fitted(mask: NDArray[np.bool_], size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Bring a mask to the size (H, W)."""
    if mask.shape == tuple(size):
        return mask
    # The same filter as the images': what it mixes with missing pixels is missing, also where their share is negative.
    shares = Image.fromarray(mask.astype(np.float32)).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    touched: NDArray[np.bool_] = np.abs(np.asarray(shares)) > _SHARE
    return touched
