"""Fit synthetic images to the real ones they stand in for, or mix the two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.special import betaincinv
from torch import Tensor
from torch.nn import functional as F

from synthaug.errors import DataError

Box = tuple[int, int, int, int]

PIL_CHANNELS = {"L": 1, "RGB": 3}
"""Channels of the modes of PIL images that samples are fitted to."""


def pil_shape(image: Any, advice: str) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of a grey or RGB PIL image.

    Args:
        image: The image.
        advice: What to do if it is something else, for the message.

    Raises:
        DataError: If it is no PIL image of mode L or RGB.

    Example:
        >>> pil_shape(Image.new("RGB", (8, 6)), "Convert it first.")
        (3, 6, 8)
    """
    mode = image.mode if isinstance(image, Image.Image) else type(image).__name__
    if mode not in PIL_CHANNELS:
        raise DataError(f"expected a PIL image of mode L or RGB, but got {mode}. {advice}")
    return PIL_CHANNELS[mode], image.height, image.width


def fit(images: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Fit images to other channels and another size: `fit_tensor` for arrays (N, H, W, C).

    Example:
        >>> fit(np.full((2, 8, 8, 3), 7, np.uint8), (1, 4, 6))[0, 0, 0].tolist()
        [7]
    """
    fitted = fit_tensor(torch.tensor(images, device="cpu").permute(0, 3, 1, 2), shape)
    array: NDArray[np.uint8] = fitted.permute(0, 2, 3, 1).contiguous().numpy()
    return array


def fit_tensor(images: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Fit images to other channels and another size.

    Grey becomes RGB by repetition, RGB becomes grey by luma (ITU-R BT.601, as Pillow does); sizes change by
    antialiased bilinear interpolation (as torchvision's ``v2.Resize`` does).

    Args:
        images: uint8 (N, C, H, W) with 1 or 3 channels.
        shape: The wanted (C, H, W).

    Returns:
        uint8 (N, C, H, W).

    Raises:
        DataError: If channels other than 1 or 3 are wanted.
    """
    channels, *size = shape
    if channels not in (1, 3):
        raise DataError(
            f"expected images with 1 or 3 channels, but got {channels}; a bank holds grey or RGB images, "
            "so convert the images before this transform."
        )
    if images.shape[1] == 3 and channels == 1:
        red, green, blue = torch.split(images.int(), 1, dim=1)
        images = ((19595 * red + 38470 * green + 7471 * blue + (1 << 15)) >> 16).to(torch.uint8)
    if list(images.shape[2:]) != size:
        # On accelerators interpolation takes floats only.
        source = images if images.device.type == "cpu" else images.float()
        images = F.interpolate(source, size=size, mode="bilinear", antialias=True, align_corners=False)
        if images.is_floating_point():
            images = images.round().clamp(0, 255).to(torch.uint8)
    return images.expand(-1, channels, -1, -1)


def beta_shares(alpha: float, draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn uniform numbers in [0, 1) into shares distributed as Beta(alpha, alpha).

    Example:
        >>> beta_shares(0.2, np.array([0.2, 0.5, 0.8])).round(3).tolist()
        [0.008, 0.5, 0.992]
    """
    if alpha == 1:
        return draws
    shares: NDArray[np.float64] = betaincinv(alpha, alpha, draws)
    return shares


def mixup(real: Tensor, synthetic: Tensor, shares: NDArray[np.float64]) -> Tensor:
    """Blend images: a share of the real one, the rest of the synthetic one (Zhang et al. 2018, "mixup").

    Args:
        real: (N, C, H, W), uint8 or float.
        synthetic: The same shape and type.
        shares: (N,) in [0, 1].
    """
    weight = torch.from_numpy(shares.astype(np.float32)).to(real.device).view(-1, 1, 1, 1)
    mixed = torch.lerp(synthetic.float(), real.float(), weight)
    return mixed.round_().to(torch.uint8) if real.dtype == torch.uint8 else mixed.to(real.dtype)


def cutmix(real: Tensor, synthetic: Tensor, boxes: Sequence[Box]) -> Tensor:
    """Paste a box of the synthetic image into the real one (Yun et al. 2019, "CutMix").

    Args:
        real: (N, C, H, W).
        synthetic: The same shape and type.
        boxes: Of each image, from `cutmix_box`.
    """
    mixed = real.clone()
    for position, (top, bottom, left, right) in enumerate(boxes):
        mixed[position, :, top:bottom, left:right] = synthetic[position, :, top:bottom, left:right]
    return mixed


def cutmix_box(size: tuple[int, int], share: float, centre: tuple[float, float]) -> Box:
    """Return the pixels (top, bottom, left, right) that come from the synthetic image.

    Args:
        size: (H, W).
        share: Of the real image; the box has the rest of the area before it is clipped at the border.
        centre: Relative middle (y, x) of the box, in [0, 1).

    Example:
        >>> cutmix_box((20, 40), share=0.75, centre=(0.5, 0.0))
        (5, 15, 0, 10)
    """
    side = 0.5 * math.sqrt(1 - share)
    # A pixel is inside when its middle is.
    top, bottom, left, right = (
        min(max(math.ceil(length * (middle + sign * side) - 0.5), 0), length)
        for length, middle in zip(size, centre, strict=True)
        for sign in (-1, 1)
    )
    return top, bottom, left, right
