"""Bringing one image over another: mirrored, turned, enlarged and shifted a little, whatever fits best.

Works on small grey images, where it costs little: for each variant (mirrored or not, some turns and sizes) the best
shift is read off the cross-correlation, which the Fourier transform gives for all shifts at once. From there OpenCV's
enhanced correlation coefficient (Evangelidis & Psarakis 2008) finds the affine map to a fraction of a pixel.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

LONGEST_SIDE, SMALLEST_SIDE = 32, 24
"""Pixels between which the longer side is brought before images are compared: turning a few pixels needs finer ones."""

TURNS, SIZES = (-4.0, 0.0, 4.0), (0.96, 1.0, 1.04)
"""Degrees, and factors, of the variants."""

_SHIFT = 0.12
_CHUNK = 512


def thumbnails(images: NDArray[np.uint8]) -> Tensor:
    """Turn images into small grey ones whose pixels have mean 0 and standard deviation 1.

    Args:
        images: uint8, (N, H, W, C) with 1 or 3 channels.

    Returns:
        float32, (N, h, w), the longer side of 32 pixels at most.

    Example:
        >>> thumbnails(np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), dtype=np.uint8)).shape
        torch.Size([2, 32, 24])
    """
    height, width = images.shape[1:3]
    longest = max(height, width)
    factor = LONGEST_SIDE / longest if longest > LONGEST_SIDE else max(1, SMALLEST_SIDE // longest)
    size = max(1, round(height * factor)), max(1, round(width * factor))
    parts = [torch.zeros(0, *size)]
    for start in range(0, len(images), _CHUNK):
        part = torch.from_numpy(np.array(images[start : start + _CHUNK])).permute(0, 3, 1, 2).float()
        grey = part.mean(dim=1, keepdim=True)
        if size != (height, width):
            mode = "bilinear" if factor < 1 else "bicubic"
            grey = F.interpolate(grey, size, mode=mode, antialias=factor < 1, align_corners=False)
        parts.append(standardise(grey[:, 0]))
    return torch.cat(parts)


def standardise(images: Tensor) -> Tensor:
    """Bring each image of (N, h, w) to mean 0 and standard deviation 1: brightness and contrast do not count."""
    centred = images - images.mean(dim=(1, 2), keepdim=True)
    return centred / centred.std(dim=(1, 2), keepdim=True).clamp(min=1e-3)


def blurred(images: Tensor) -> Tensor:
    """Blur images (N, h, w) by a pixel: what is lost when an image is moved by parts of a pixel then hardly counts."""
    kernel = torch.tensor([1.0, 2.0, 1.0]) / 4
    padded = F.pad(images[:, None], (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, (kernel[:, None] * kernel)[None, None])[:, 0]


_VARIANTS = [*itertools.product((1.0, -1.0), TURNS, SIZES)]


def _linear(mirror: float, turn: float, size: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the linear map from a variant's pixels to the image's, seen from the centre."""
    cosine, sine = math.cos(math.radians(turn)) / size, math.sin(math.radians(turn)) / size
    return (mirror * cosine, -sine), (mirror * sine, cosine)


def variants(images: Tensor) -> Tensor:
    """Return every image of (N, h, w) mirrored or not, turned and resized a little: (N, V, h, w)."""
    number, height, width = images.shape
    aspect = width / height
    made = []
    for parameters in _VARIANTS:
        (xx, xy), (yx, yy) = _linear(*parameters)
        matrix = torch.tensor([[xx, xy / aspect, 0.0], [yx * aspect, yy, 0.0]])
        grid = F.affine_grid(matrix.expand(1, 2, 3), [1, 1, height, width], align_corners=False)
        moved = F.grid_sample(
            images[:, None], grid.expand(number, -1, -1, -1), padding_mode="border", align_corners=False
        )
        made.append(moved[:, 0])
    return torch.stack(made, dim=1)


def shifts(images: Tensor) -> Tensor:
    """Return every image of (N, h, w) mirrored or not and shifted by up to a tenth: (N, V, h, w)."""
    height, width = images.shape[1:]
    down, right = max(1, round(0.08 * height)), max(1, round(0.08 * width))
    padded = F.pad(images[:, None], (right, right, down, down), mode="replicate")[:, 0]
    made = [
        padded[:, top : top + height, left : left + width]
        for top, left in itertools.product((0, down, 2 * down), (0, right, 2 * right))
    ]
    both = torch.stack(made, dim=1)
    return torch.cat([both, both.flip(3)], dim=1)


def best_correlation(image: Tensor, targets: Tensor) -> Tensor:
    """Return the highest correlation of an image (h, w), mirrored or not, with each of (N, h, w) over small shifts."""
    correlation, *_ = _over_shifts(torch.stack([image, image.flip(1)])[None], targets)
    return correlation.flatten(1).amax(dim=1)


def _over_shifts(made: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the correlations (N, V, r, c) of variants (N or 1, V, h, w) with targets, and their shifts."""
    height, width = targets.shape[1:]
    up, left = max(1, round(_SHIFT * height)), max(1, round(_SHIFT * width))
    padded = (height + up, width + left)  # so that what leaves on one side does not come in on the other
    spectrum = torch.fft.rfft2(targets, s=padded)[:, None] * torch.fft.rfft2(made, s=padded).conj()
    correlation = torch.fft.irfft2(spectrum, s=padded)
    rows, columns = torch.arange(-up, up + 1), torch.arange(-left, left + 1)
    return correlation[:, :, rows % padded[0]][:, :, :, columns % padded[1]], rows, columns


class Aligned(NamedTuple):
    """Images laid over their targets.

    Attributes:
        images: Standardised, (N, h, w).
        maps: From each target's pixels (x, y, 1) to the image's, (N, 2, 3).
    """

    images: Tensor
    maps: NDArray[np.float32]


def align(images: Tensor, targets: Tensor) -> Aligned:
    """Lay each image over its target, by the variant and shift under which the two correlate most.

    Args:
        images: Standardised, (N, h, w).
        targets: Standardised, (N, h, w).

    Example:
        >>> image = torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> moved = align(standardise(image.flip(2).roll(1, dims=2)), standardise(image))
        >>> bool((moved.images * standardise(image)).mean() > 0.8)
        True
    """
    parts = [Aligned(torch.zeros(0, *targets.shape[1:]), np.zeros((0, 2, 3), np.float32))]
    for start in range(0, len(images), _CHUNK):
        parts.append(_align(images[start : start + _CHUNK], targets[start : start + _CHUNK]))
    return Aligned(torch.cat([part.images for part in parts]), np.concatenate([part.maps for part in parts]))


def _align(images: Tensor, targets: Tensor) -> Aligned:
    height, width = targets.shape[1:]
    made = variants(images)
    correlation, rows, columns = _over_shifts(made, targets)
    best = correlation.flatten(1).argmax(dim=1)
    variant, place = best // (len(rows) * len(columns)), best % (len(rows) * len(columns))
    down, right = rows[place // len(columns)], columns[place % len(columns)]
    chosen = made[torch.arange(len(made)), variant]
    y = (torch.arange(height) - down[:, None]).clamp(0, height - 1)
    x = (torch.arange(width) - right[:, None]).clamp(0, width - 1)
    each = torch.arange(len(chosen))[:, None, None]
    linear = np.array([_linear(*parameters) for parameters in _VARIANTS], np.float32)[variant.numpy()]
    centre = np.array([width - 1, height - 1], np.float32) / 2
    shift = np.stack([right.numpy(), down.numpy()], axis=1)
    offset = centre - (linear @ (centre + shift)[:, :, None])[:, :, 0]
    maps = np.concatenate([linear, offset[:, :, None]], axis=2).astype(np.float32)
    return Aligned(standardise(chosen[each, y[:, :, None], x[:, None, :]]), maps)


def refine(images: Tensor, targets: Tensor, maps: NDArray[np.float32]) -> Tensor:
    """Lay each image over its target by the affine map, near a given one, under which the two correlate most.

    Source: Evangelidis & Psarakis 2008, "Parametric image alignment using enhanced correlation coefficient
    maximization", as OpenCV has it. Each image is interpolated once, so that little of its detail is lost.

    Args:
        images: As they were before `align`, (N, h, w).
        targets: Standardised, (N, h, w).
        maps: Where `align` laid them, (N, 2, 3).

    Returns:
        The moved images, standardised, (N, h, w).
    """
    made = torch.empty_like(targets)
    height, width = targets.shape[1:]
    for number, (image, target) in enumerate(zip(images.numpy(), targets.numpy(), strict=True)):
        matrix = maps[number]
        with contextlib.suppress(cv2.error):  # no correlation to follow: two blank images, say
            _, matrix = cv2.findTransformECC(target, image, matrix.copy(), *_AFFINE)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        made[number] = torch.from_numpy(np.asarray(moved))
    return standardise(made)


_AFFINE = (cv2.MOTION_AFFINE, (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4), None, 3)
"""Kind of map, when to stop, no mask, and the width of the blur that smooths the way."""
