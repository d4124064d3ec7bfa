"""Bringing one image over another: mirrored, turned, enlarged and shifted a little, whatever fits best.

Works on small grey images, where it costs little: for each variant (mirrored or not, some turns and sizes) the best
shift is read off the cross-correlation, which the Fourier transform gives for all shifts at once. From there OpenCV's
enhanced correlation coefficient (Evangelidis & Psarakis 2008) finds the affine map to a fraction of a pixel.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

LONGEST_SIDE, SMALLEST_SIDE = 32, 24
"""Pixels to which larger images are brought before they are compared, and smaller ones before they are aligned."""

TURNS, SIZES = (-4.0, 0.0, 4.0), (0.96, 1.0, 1.04)
"""Degrees, and factors, of the variants."""

_SHORTEST_SIDE = 4
"""Pixels that the shorter side of a long image keeps, so that something is left inside its borders."""

_BORDER = 0.1
"""Share of each side that does not count, and by which images are shifted: those that were show other things there."""

_CHUNK = 512


def thumbnails(images: NDArray[np.uint8]) -> Tensor:
    """Turn images into small grey ones whose pixels have mean 0 and standard deviation 1.

    Args:
        images: uint8, (N, H, W, C) with 1 or 3 channels.

    Returns:
        float32, (N, h, w), the longer side of 32 pixels at most, or more where the shorter would be under 4.

    Example:
        >>> thumbnails(np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), dtype=np.uint8)).shape
        torch.Size([2, 32, 24])
    """
    height, width = images.shape[1:3]
    factor = min(1.0, max(LONGEST_SIDE / max(height, width), _SHORTEST_SIDE / min(height, width)))
    size = max(1, round(height * factor)), max(1, round(width * factor))
    parts = [torch.zeros(0, *size)]
    for start in range(0, len(images), _CHUNK):
        part = torch.from_numpy(np.array(images[start : start + _CHUNK])).permute(0, 3, 1, 2).float()
        grey = part.mean(dim=1, keepdim=True)
        if size != (height, width):
            grey = F.interpolate(grey, size, mode="bilinear", antialias=True, align_corners=False)
        parts.append(standardise(grey[:, 0]))
    return torch.cat(parts)


def standardise(images: Tensor) -> Tensor:
    """Bring each image of (N, h, w) to mean 0 and standard deviation 1: brightness and contrast do not count."""
    centred = images - images.mean(dim=(1, 2), keepdim=True)
    return centred / centred.std(dim=(1, 2), keepdim=True).clamp(min=1e-3)


def blurred(images: Tensor) -> Tensor:
    """Blur images (N, h, w) a little: detail that an interpolation may have lost then hardly counts."""
    kernel = torch.tensor([1.0, 2.0, 1.0]) / 4
    padded = F.pad(images[:, None], (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, (kernel[:, None] * kernel)[None, None])[:, 0]


def enlarged(images: Tensor) -> Tensor:
    """Enlarge images (N, h, w) whose sides are short, by a whole factor: turns by a few pixels need finer ones."""
    factor = max(1, SMALLEST_SIDE // max(images.shape[1:]))
    if factor == 1:
        return images
    size = factor * images.shape[1], factor * images.shape[2]
    return F.interpolate(images[:, None], size, mode="bicubic", align_corners=False)[:, 0]


MIRRORS = (1.0, -1.0)
"""As the image is, and mirrored."""


def _linear(mirror: float, turn: float, size: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the linear map from a variant's pixels to the image's, seen from the centre."""
    cosine, sine = math.cos(math.radians(turn)) / size, math.sin(math.radians(turn)) / size
    return (mirror * cosine, -sine), (mirror * sine, cosine)


def variants(images: Tensor, mirrors: Sequence[float] = MIRRORS) -> Tensor:
    """Return every image of (N, h, w) mirrored or not, turned and resized a little: (N, V, h, w)."""
    number, height, width = images.shape
    aspect = width / height
    made = []
    for parameters in itertools.product(mirrors, TURNS, SIZES):
        (xx, xy), (yx, yy) = _linear(*parameters)
        matrix = torch.tensor([[xx, xy / aspect, 0.0], [yx * aspect, yy, 0.0]])
        grid = F.affine_grid(matrix.expand(1, 2, 3), [1, 1, height, width], align_corners=False)
        variant = F.grid_sample(
            images[:, None], grid.expand(number, -1, -1, -1), padding_mode="border", align_corners=False
        )
        made.append(variant[:, 0])
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


def margins(images: Tensor) -> tuple[int, int]:
    """Return the rows and columns at each border of images (…, h, w) that do not count."""
    height, width = images.shape[-2:]
    return max(1, round(_BORDER * height)), max(1, round(_BORDER * width))


def inside(images: Tensor) -> Tensor:
    """Return images (N, h, w) without their borders, standardised."""
    top, left = margins(images)
    return standardise(images[:, top:-top, left:-left])


def best_correlation(image: Tensor, targets: Tensor) -> Tensor:
    """Return the highest correlation of the inside of an image (h, w), mirrored or not, with parts of (N, h, w)."""
    templates = inside(torch.stack([image, image.flip(1)]))[None]
    return _over_shifts(templates, targets[:, None]).flatten(1).amax(dim=1)


def _over_shifts(templates: Tensor, images: Tensor) -> Tensor:
    """Return the correlation of templates with all parts of images of their size.

    Args:
        templates: What `inside` gives, (N or 1, V or 1, h − 2 top, w − 2 left).
        images: (N, V or 1, h, w).

    Returns:
        (N, V, 2 top + 1, 2 left + 1), from −1 to 1.
    """
    height, width = images.shape[2:]
    top, left = margins(images)
    spectrum = torch.fft.rfft2(images) * torch.fft.rfft2(templates, s=(height, width)).conj()
    products = torch.fft.irfft2(spectrum, s=(height, width))[:, :, : 2 * top + 1, : 2 * left + 1]
    window = height - 2 * top, width - 2 * left
    mean, square = (_window_sums(each, window) / (window[0] * window[1]) for each in (images, images.square()))
    spread = (square - mean.square()).clamp(min=1e-4).sqrt()
    correlation: Tensor = products / (window[0] * window[1]) / spread
    return correlation


def _window_sums(images: Tensor, window: tuple[int, int]) -> Tensor:
    """Return the sums over all windows of images (N, V, h, w): (N, V, h − window[0] + 1, w − window[1] + 1)."""
    height, width = window
    sums = F.pad(images.cumsum(dim=2), (0, 0, 1, 0))
    sums = F.pad((sums[:, :, height:] - sums[:, :, :-height]).cumsum(dim=3), (1, 0))
    return sums[:, :, :, width:] - sums[:, :, :, :-width]


class Laid(NamedTuple):
    """How images are laid over their targets.

    Attributes:
        maps: From each target's pixels (x, y, 1) to the image's, (N, 2, 3).
        correlation: Of the two, not standardised again, (N,).
    """

    maps: NDArray[np.float32]
    correlation: Tensor


def align(images: Tensor, targets: Tensor, mirror: float = 1.0) -> Laid:
    """Find the variant and shift under which each image correlates most with its target.

    Args:
        images: Standardised, (N, h, w).
        targets: Standardised, (N, h, w).
        mirror: 1, or −1 for mirrored images. Which of the two fits better only tells after `refine`.

    Example:
        >>> image = torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> align(standardise(image.roll(1, dims=2)), standardise(image)).maps[0, :, 2].round(3).tolist()
        [1.0, 0.0]
    """
    parts = [Laid(np.zeros((0, 2, 3), np.float32), torch.zeros(0))]
    for start in range(0, len(images), _CHUNK):
        parts.append(_align(images[start : start + _CHUNK], targets[start : start + _CHUNK], mirror))
    return Laid(np.concatenate([part.maps for part in parts]), torch.cat([part.correlation for part in parts]))


def _align(images: Tensor, targets: Tensor, mirror: float) -> Laid:
    height, width = targets.shape[1:]
    correlation = _over_shifts(inside(targets)[:, None], variants(images, [mirror]))
    highest, best = correlation.flatten(1).max(dim=1)
    (top, left), columns = margins(targets), correlation.shape[3]
    variant, place = best // (correlation.shape[2] * columns), best % (correlation.shape[2] * columns)
    shift = torch.stack([place % columns - left, place // columns - top], dim=1).numpy()
    every = [_linear(*parameters) for parameters in itertools.product([mirror], TURNS, SIZES)]
    linear = np.array(every, np.float32)[variant.numpy()]
    centre = np.array([width - 1, height - 1], np.float32) / 2
    offset = centre - (linear @ (centre - shift)[:, :, None])[:, :, 0]
    return Laid(np.concatenate([linear, offset[:, :, None]], axis=2).astype(np.float32), highest)


def refine(images: Tensor, targets: Tensor, maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Find the affine map, near a given one, under which each image correlates most with its target.

    Source: Evangelidis & Psarakis 2008, "Parametric image alignment using enhanced correlation coefficient
    maximization", as OpenCV has it.

    Args:
        images: (N, h, w).
        targets: (N, h, w).
        maps: Where `align` laid the images, (N, 2, 3).

    Returns:
        Maps, (N, 2, 3).
    """
    refined = maps.copy()
    for number, (image, target) in enumerate(zip(images.numpy(), targets.numpy(), strict=True)):
        with contextlib.suppress(cv2.error):  # no correlation to follow: two blank images, say
            _, refined[number] = cv2.findTransformECC(target, image, maps[number].copy(), *_AFFINE)
    return refined


def moved(images: Tensor, maps: NDArray[np.float32], enlargement: float = 1.0) -> Tensor:
    """Move images as maps say, interpolated once.

    Args:
        images: (N, h, w).
        maps: From pixels of the result to pixels of the images, as both were enlarged, (N, 2, 3).
        enlargement: By which they were.

    Returns:
        Standardised, (N, h, w).
    """
    made = torch.empty_like(images)
    height, width = images.shape[1:]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for number, (image, matrix) in enumerate(zip(images.numpy(), maps, strict=True)):
        linear, offset = matrix[:, :2], matrix[:, 2]
        # Pixels are squares, whose centres lie half a pixel in.
        offset = (linear.sum(axis=1) * (enlargement - 1) / 2 + offset + 0.5) / enlargement - 0.5
        smaller = np.column_stack([linear, offset])
        result = cv2.warpAffine(image, smaller, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        made[number] = torch.from_numpy(np.asarray(result))
    return standardise(made)


_AFFINE = (cv2.MOTION_AFFINE, (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 15, 1e-4), None, 3)
"""Kind of map, when to stop, no mask, and the width of the blur that smooths the way."""
