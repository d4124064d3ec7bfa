"""Images as bytes outside the networks, as floats in [-1, 1] inside them."""

from __future__ import annotations

import torch
from torch import Tensor


def to_uint8(images: Tensor) -> Tensor:
    """Turn images in [-1, 1] into uint8, rounded and clamped."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def from_uint8(images: Tensor) -> Tensor:
    """Turn uint8 images into float32 in [-1, 1]."""
    return images.float().div(127.5).sub(1)
