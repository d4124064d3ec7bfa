"""Between our images, uint8 (N, H, W, C), and those of other libraries, floats (N, C, side, side) in [0, 1]."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from synthaug.data import ImageDataset


def read_images(train: ImageDataset, positions: NDArray[np.int64], side: int | None = None) -> Tensor:
    """Return images as floats (N, C, H, W) in [0, 1]; with ``side`` their last row and column are repeated up to it."""
    images = torch.from_numpy(train.take(positions)).permute(0, 3, 1, 2).float().div(255).contiguous()
    if side is None:
        return images
    height, width = images.shape[2:]
    return F.pad(images, (0, side - width, 0, side - height), mode="replicate")


def to_pixels(samples: Tensor, train: ImageDataset) -> NDArray[np.uint8]:
    """Return samples (N, C, ≥H, ≥W) as uint8 (N, H, W, C) of the size of the training images, without the padding."""
    _, height, width = train.image_shape
    kept = samples[:, :, :height, :width]
    pixels: NDArray[np.uint8] = kept.mul(255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return pixels
