"""The residual block that encoders, decoders and discriminators are built from, and the sizes it passes through."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

Size = tuple[int, int]

_SMALLEST = 8
"""A side is halved as long as it has this many pixels or more, so features end between 4 and 7 pixels."""


def pyramid(height: int, width: int, halvings: int | None = None) -> list[Size]:
    """Return the feature sizes from the image down, each side halved (rounded up) until it is below 8 pixels.

    Sides shrink independently, so long narrow images keep their shorter side.

    Args:
        height: Of the image.
        width: Of the image.
        halvings: Stop after this many.

    Example:
        >>> pyramid(28, 28)
        [(28, 28), (14, 14), (7, 7)]
        >>> pyramid(8, 32)
        [(8, 32), (4, 16), (4, 8), (4, 4)]
        >>> pyramid(64, 64, halvings=2)
        [(64, 64), (32, 32), (16, 16)]
    """
    sizes = [(height, width)]
    while max(sizes[-1]) >= _SMALLEST and (halvings is None or len(sizes) <= halvings):
        sizes.append((_halve(sizes[-1][0]), _halve(sizes[-1][1])))
    return sizes


def _halve(side: int) -> int:
    return (side + 1) // 2 if side >= _SMALLEST else side


def widths(levels: int, base: int, most: int = 256) -> list[int]:
    """Return the number of channels of each pyramid level: ``base`` at half resolution, doubled at every halving.

    Full resolution gets a quarter of ``base`` only: most of the arithmetic would be spent there, for the least gain.

    Example:
        >>> widths(4, 64)
        [16, 64, 128, 256]
    """
    return [max(1, base // 4), *(min(base * 2**level, max(base, most)) for level in range(levels - 1))]


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a skip connection, resampling from one size to another.

    The second convolution starts at zero, so that a deep stack starts as the identity and trains without
    normalisation too (fix-up initialisation, Zhang et al. 2019).

    Args:
        channels_in: Channels that come in.
        channels_out: Channels that go out.
        size_in: (H, W) that comes in.
        size_out: (H, W) that goes out; smaller sizes are reached by a strided first convolution, larger ones by
            nearest-neighbour interpolation after it, so that it runs at the cheaper size in both cases.
        condition: Length of the condition vector that scales and shifts the features (Perez et al. 2018, FiLM);
            0 for none.
        normalise: Whether to use group normalisation. Discriminators under a gradient penalty go without
            (Huang et al. 2024, R3GAN).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        size_in: Size,
        size_out: Size,
        *,
        condition: int = 0,
        normalise: bool = True,
    ) -> None:
        super().__init__()
        self.size_out = size_out
        self.grows = size_out[0] > size_in[0] or size_out[1] > size_in[1]
        stride = (1, 1) if self.grows else (_stride(size_in[0], size_out[0]), _stride(size_in[1], size_out[1]))
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride != (1, 1) else nn.Identity()
        self.norm1 = _norm(channels_in) if normalise else nn.Identity()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1)
        self.norm2 = _norm(channels_out) if normalise else nn.Identity()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.skip = (
            nn.Conv2d(channels_in, channels_out, 1, bias=False) if channels_in != channels_out else nn.Identity()
        )
        self.modulation = nn.Linear(condition, 2 * channels_out) if condition else None
        nn.init.zeros_(self.conv2.weight)
        if self.conv2.bias is not None:
            nn.init.zeros_(self.conv2.bias)
        if self.modulation is not None:
            nn.init.zeros_(self.modulation.weight)
            nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map (B, channels_in, *size_in) and (B, condition) to (B, channels_out, *size_out)."""
        h = self.conv1(activation(self.norm1(x)))
        if self.grows:
            h = F.interpolate(h, size=self.size_out, mode="nearest")
        h = self.norm2(h)
        if self.modulation is not None and condition is not None:
            scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        h = self.conv2(activation(h))
        skip = self.skip(self.pool(x))
        if self.grows:
            skip = F.interpolate(skip, size=self.size_out, mode="nearest")
        result: Tensor = skip + h
        return result


def activation(x: Tensor) -> Tensor:
    """Leaky ReLU with slope 0.2, the activation of all networks here."""
    return F.leaky_relu(x, 0.2)


class ClassEmbedding(nn.Module):
    """Turns labels into condition vectors.

    Args:
        classes: Number of classes.
        size: Length of a vector.
    """

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.table = nn.Embedding(classes, size)

    def forward(self, labels: Tensor) -> Tensor:
        """Map labels (B,) to vectors (B, size)."""
        vectors: Tensor = self.table(labels)
        return vectors


def _stride(size_in: int, size_out: int) -> int:
    return 2 if size_out < size_in else 1


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(next(groups for groups in (8, 4, 2, 1) if channels % groups == 0), channels)
