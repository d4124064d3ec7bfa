"""Differentiable augmentation of real and generated images alike (Zhao et al. 2020, DiffAugment).

The discriminator sees augmented images only, on both sides and in both updates, so a small training set is not
memorised and the augmentation does not leak into the samples.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from synthaug.errors import ConfigError, did_you_mean


def diff_augment(images: Tensor, policy: tuple[str, ...]) -> Tensor:
    """Augment images (B, C, H, W) in [-1, 1] at random, differentiably.

    Args:
        images: The images.
        policy: Names among ``color``, ``translation`` and ``cutout``, applied in order.

    Raises:
        ConfigError: If a name is unknown.
    """
    for name in policy:
        images = _OPERATIONS[check_operation(name)](images)
    return images


def check_operation(name: str) -> str:
    """Return ``name`` if it is an operation of `diff_augment`, else raise `ConfigError`."""
    if name not in _OPERATIONS:
        raise ConfigError(
            f"expected augmentations among {', '.join(_OPERATIONS)}, but got {name!r}.{did_you_mean(name, _OPERATIONS)}"
        )
    return name


def _color(images: Tensor) -> Tensor:
    """Brightness by ±0.5, saturation by a factor of 0 to 2 (RGB only), contrast by a factor of 0.5 to 1.5."""
    images = images + (_uniform(images) - 0.5)
    if images.shape[1] == 3:
        grey = images.mean(1, keepdim=True)
        images = grey + (images - grey) * (2 * _uniform(images))
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (_uniform(images) + 0.5)


def _translation(images: Tensor) -> Tensor:
    """Shift by up to an eighth of each side, filling with black as the original does with zeros."""
    batch, _, height, width = images.shape
    reach_y, reach_x = max(1, round(height / 8)), max(1, round(width / 8))
    shift_y = torch.randint(-reach_y, reach_y + 1, (batch, 1), device=images.device)
    shift_x = torch.randint(-reach_x, reach_x + 1, (batch, 1), device=images.device)
    rows = (torch.arange(height, device=images.device) + shift_y).clamp(-1, height) + 1
    columns = (torch.arange(width, device=images.device) + shift_x).clamp(-1, width) + 1
    padded = F.pad(images, (1, 1, 1, 1), value=-1.0).permute(0, 2, 3, 1)
    each = torch.arange(batch, device=images.device)[:, None, None]
    return padded[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _cutout(images: Tensor) -> Tensor:
    """Blank a box of half the height and width at a random place."""
    batch, _, height, width = images.shape
    inside_y = _span(batch, height, images.device)[:, :, None]
    inside_x = _span(batch, width, images.device)[:, None, :]
    return images.masked_fill((inside_y & inside_x)[:, None], 0.0)


def _span(batch: int, side: int, device: torch.device) -> Tensor:
    length = side // 2
    centre = torch.randint(0, side + 1 - length % 2, (batch, 1), device=device)
    position = torch.arange(side, device=device)
    return (position >= centre - length // 2) & (position < centre - length // 2 + length)


def _uniform(images: Tensor) -> Tensor:
    return torch.rand(len(images), 1, 1, 1, dtype=images.dtype, device=images.device)


_OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}
