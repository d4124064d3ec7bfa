"""Fit synthetic images to the real ones they stand in for, or mix the two."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from synthaug.errors import DataError


def fit(images: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Fit images to other channels and another size: `fit_tensor` for arrays (N, H, W, C).

    Example:
        >>> fit(np.full((2, 8, 8, 3), 7, np.uint8), (1, 4, 6))[0, 0, 0].tolist()
        [7]
    """
    fitted = fit_tensor(torch.tensor(images).permute(0, 3, 1, 2), shape)
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


def mixup(real: Tensor, synthetic: Tensor, share: Tensor) -> Tensor:
    """Blend images: ``share`` of the real one, the rest of the synthetic one (Zhang et al. 2018, "mixup").

    Args:
        real: (N, C, H, W), uint8 or float.
        synthetic: The same shape and type.
        share: (N,) in [0, 1].
    """
    weight = share.to(real.device, torch.float32).view(-1, 1, 1, 1)
    mixed = torch.lerp(synthetic.float(), real.float(), weight)
    return mixed.round().clamp(0, 255).to(torch.uint8) if real.dtype == torch.uint8 else mixed.to(real.dtype)


def cutmix(real: Tensor, synthetic: Tensor, share: Tensor, centres: Tensor) -> Tensor:
    """Paste a box of the synthetic image into the real one (Yun et al. 2019, "CutMix").

    Args:
        real: (N, C, H, W).
        synthetic: The same shape and type.
        share: (N,) in [0, 1]; the box has 1 - ``share`` of the area before it is clipped at the border.
        centres: (N, 2) in [0, 1), the relative middle (y, x) of each box.
    """
    inside = real.new_ones((), dtype=torch.bool)
    for axis, length in enumerate(real.shape[-2:]):
        half = 0.5 * length * torch.sqrt(1 - share.double())
        middle = centres[:, axis].double() * length
        pixels = torch.arange(length, dtype=torch.float64) + 0.5
        within = ((pixels >= (middle - half)[:, None]) & (pixels < (middle + half)[:, None])).to(real.device)
        inside = inside & (within[:, :, None] if axis == 0 else within[:, None, :])
    return torch.where(inside[:, None], synthetic, real)
