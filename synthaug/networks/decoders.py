"""The decoder: from a vector and a class to an image."""

from __future__ import annotations

import math

from torch import Tensor, nn

from synthaug.networks.blocks import ResidualBlock, activation, pyramid, widths


class Decoder(nn.Module):
    """A residual network that starts from a small feature map and doubles it up to the image.

    Args:
        image_shape: (C, H, W) of the images.
        features: Length of the vectors that come in, or, with ``halvings``, channels of the maps that do.
        width: Channels at half resolution; see `widths`.
        condition: Length of the condition vector, 0 for none.
        normalise: Whether to use group normalisation.
        halvings: Start from a map that is the image halved this often, instead of from a vector.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        features: int,
        *,
        width: int = 64,
        condition: int = 0,
        normalise: bool = True,
        halvings: int | None = None,
    ) -> None:
        super().__init__()
        channels, height, image_width = image_shape
        sizes = pyramid(height, image_width, halvings)[::-1]
        levels = widths(len(sizes), width)[::-1]
        self.project: nn.Module
        if halvings is None:
            start = (levels[0], *sizes[0])
            self.project = nn.Sequential(nn.Linear(features, math.prod(start)), nn.Unflatten(1, start))
        else:
            self.project = nn.Conv2d(features, levels[0], 1)
        steps = list(zip([levels[0], *levels], levels, [sizes[0], *sizes], sizes, strict=False))
        self.blocks = nn.ModuleList(
            ResidualBlock(c_in, c_out, s_in, s_out, condition=condition, normalise=normalise)
            for c_in, c_out, s_in, s_out in steps
        )
        self.head = nn.Conv2d(levels[-1], channels, 3, padding=1)

    def forward(self, vectors: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map vectors (B, features), or maps, and conditions (B, condition) to unbounded images (B, C, H, W)."""
        h = self.project(vectors)
        for block in self.blocks:
            h = block(h, condition)
        images: Tensor = self.head(activation(h))
        return images
