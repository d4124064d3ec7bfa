"""The denoising U-Net of diffusers (Ronneberger et al. 2015; Ho et al. 2020), for small images on any machine."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthaug.errors import require_extra

_TIME_SCALE = 100.0
"""Diffusers' sinusoids are made for times of about 0 to 1000, ours are logarithms of noise levels, about -5 to 5."""


class DenoisingUNet(nn.Module):
    """Diffusers' class-conditional `UNet2DModel` on folded images.

    Blocks of ``patch`` × ``patch`` pixels are folded into channels before the U-Net and unfolded after it: at the same
    cost for each place the network has patch² times fewer places, which is what makes diffusion affordable on a
    processor. Sides that do not divide are padded with zeros, and the result is cropped.

    Args:
        shape: (C, H, W) of what is denoised.
        classes: Number of classes; label ``classes`` stands for "no class in particular".
        channels: Features of each level; each level halves the sides of the one before.
        layers: Residual blocks a level on the way down, and one more on the way up.
        patch: Side of the blocks folded into channels.
        attention: Whether places attend to each other at the lowest resolution.

    Raises:
        MissingExtraError: If diffusers is not installed.

    Example:
        >>> network = DenoisingUNet((1, 28, 28), classes=10, channels=(8, 16), patch=2)
        >>> network(torch.zeros(2, 1, 28, 28), torch.zeros(2), torch.tensor([3, 10])).shape
        torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        *,
        channels: Sequence[int] = (32, 64),
        layers: int = 1,
        patch: int = 1,
        attention: bool = True,
    ) -> None:
        super().__init__()
        try:
            from diffusers import UNet2DModel
        except ImportError as error:
            raise require_extra("diffusers", "diffusion", error) from error
        self.patch = patch
        self.multiple = patch * 2 ** (len(channels) - 1)
        folded = shape[0] * patch**2
        self.unet: nn.Module = UNet2DModel(
            in_channels=folded,
            out_channels=folded,
            down_block_types=("DownBlock2D",) * len(channels),
            up_block_types=("UpBlock2D",) * len(channels),
            block_out_channels=tuple(channels),
            layers_per_block=layers,
            norm_num_groups=_groups(channels),
            attention_head_dim=math.gcd(32, channels[-1]),
            add_attention=attention,
            resnet_time_scale_shift="scale_shift",
            num_class_embeds=classes + 1,
        )
        # An untrained network answers nothing, rather than something arbitrary: training starts from the best guess
        # that needs no network.
        last = self.unet.conv_out
        if isinstance(last, nn.Conv2d):
            nn.init.zeros_(last.weight)

    def forward(self, x: Tensor, log_level: Tensor, labels: Tensor) -> Tensor:
        """Map noisy (B, C, H, W), logarithms of noise levels (B,) and labels (B,) to (B, C, H, W)."""
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple))
        x = F.pixel_unshuffle(x, self.patch).contiguous(memory_format=torch.channels_last)
        (x,) = self.unet(x, _TIME_SCALE * log_level, labels, return_dict=False)
        return F.pixel_shuffle(x, self.patch)[:, :, :height, :width]


def _groups(channels: Sequence[int]) -> int:
    """Return into how many groups all levels' channels can be normalised, with two channels or more in each.

    A group of a single channel has nothing to be normalised by where a map has shrunk to one place.
    """
    groups = math.gcd(8, *channels)
    return groups if min(channels) >= 2 * groups else max(1, groups // 2)
