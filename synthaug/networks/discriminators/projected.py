"""The projected discriminator (Sauer et al. 2021, "Projected GANs converge faster").

It looks at images through a frozen pretrained network. Its feature maps are mixed at random, once and for all, across
channels and across scales, so that no part of them can be ignored; a small head judges each scale. Only the heads are
trained, which takes few images and few steps, and a spectral norm on their weights takes the gradient penalty's place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from synthaug.networks.blocks import ClassEmbedding
from synthaug.networks.discriminators.base import Discriminator
from synthaug.networks.pretrained import BUNDLED, load_pretrained, single_precision_on_cpu

_GROUP = 8
"""Channels that are normalised together."""

_SMALLEST_SIDE = 32
"""Pixels of an image's shorter side; at 64 a step takes twice as long, and on a CPU more steps are worth more."""

_LARGEST_MAP = 4
"""Heads halve their map until no side is longer than this."""


class ProjectedDiscriminator(Discriminator):
    """One head a scale on the mixed features of a pretrained network, each with a projection on the class's vector.

    The pretrained network is neither trained nor saved with it. The random mixing is the same for every instance.

    Args:
        image_shape: (C, H, W) of the images; grey or RGB.
        classes: Number of classes.
        network: The bundled ``"efficientnet_lite0"`` or the name of a timm model.
        weights: Whether the network is pretrained, else random.
        width: Channels of the mixed maps and of the heads, a multiple of 8.
        min_size: Smaller images are enlarged so that their shorter side has this many pixels.

    Raises:
        ConfigError: If the network is unknown or its weights can't be had.

    Example:
        >>> discriminator = ProjectedDiscriminator((1, 28, 28), classes=10)
        >>> discriminator(torch.zeros(2, 1, 28, 28), torch.tensor([3, 4])).shape
        torch.Size([2, 4])
    """

    trains_features: ClassVar[bool] = False

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        network: str = BUNDLED,
        weights: bool = True,
        width: int = 64,
        min_size: int = _SMALLEST_SIDE,
    ) -> None:
        super().__init__()
        self.network = load_pretrained(network, weights=weights, min_size=min_size)
        with torch.no_grad():
            maps = self.network.maps(_smooth_noise(image_shape))
        self.mixing = RandomMixing(
            [features.float().square().mean().sqrt().item() for features in maps], self.network.map_channels, width
        )
        self.heads = nn.ModuleList(_Head(width, max(features.shape[2:]), classes) for features in maps)

    def activations(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of the pretrained network, the finest first."""
        return self.network.maps(images)

    def judge(self, maps: list[Tensor], labels: Tensor) -> Tensor:
        """Map the pretrained network's feature maps and labels (B,) to scores (B, 4), one for each scale."""
        # In bf16 a processor's gradients of strided convolutions over maps of width 1 may be anything (torch 2.14).
        with single_precision_on_cpu():
            mixed = self.mixing(maps)
            return torch.cat([head(features, labels) for head, features in zip(self.heads, mixed, strict=True)], 1)


class RandomMixing(nn.Module):
    """Fixed random convolutions: 1×1 within each map, then 3×3 from the coarsest map down to the finest.

    Args:
        sizes: Root mean square of the maps that come in, the finest first, by which they are divided: networks differ
            in how large their features are, layers too. It is not taken from each image, whose own contrast would be
            lost on the heads.
        channels: Of these maps.
        width: Channels of the maps that go out.
    """

    def __init__(self, sizes: Sequence[float], channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.register_buffer("sizes", torch.tensor(sizes).clamp(min=1e-4))
        random = torch.Generator().manual_seed(0)
        for level, number in enumerate(channels):
            self.register_buffer(f"channels{level}", _random_weights(width, number, 1, random))
            self.register_buffer(f"scales{level}", _random_weights(width, width, 3, random))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Map (B, channels[i], h, w) to (B, width, h, w), the finest first, with values of order one."""
        mixed: list[Tensor] = []
        for level in reversed(range(len(maps))):
            features = maps[level].float() / self.get_buffer("sizes")[level]
            h = F.conv2d(features, self.get_buffer(f"channels{level}"))
            if mixed:
                coarser = F.interpolate(mixed[0], size=h.shape[2:], mode="bilinear", align_corners=False)
                h = (h + coarser) * math.sqrt(0.5)
            mixed.insert(0, F.conv2d(h, self.get_buffer(f"scales{level}"), padding=1))
        return mixed


class _Head(nn.Module):
    """Judges one scale: strided convolutions down to 4×4, one more, and the mean over places."""

    def __init__(self, width: int, side: int, classes: int) -> None:
        super().__init__()
        halvings = max(0, math.ceil(math.log2(side / _LARGEST_MAP)))
        layers: list[nn.Module] = []
        for stride in [*[2] * halvings, 1]:
            convolution = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
            layers += [spectral_norm(convolution), nn.GroupNorm(max(1, width // _GROUP), width), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.score = spectral_norm(nn.Linear(width, 1, bias=False))
        self.embedding = ClassEmbedding(classes, width)
        self.scale = width**-0.5

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Map (B, width, h, w) and labels (B,) to scores (B, 1)."""
        vector = self.layers(features).mean((2, 3))
        scores: Tensor = self.score(vector) + (vector * self.embedding(labels)).sum(1, keepdim=True) * self.scale
        return scores


def _smooth_noise(image_shape: tuple[int, int, int]) -> Tensor:
    """Return eight blurred random images (8, C, H, W) in [-1, 1], always the same, to measure a network's maps on."""
    channels, *size = image_shape
    noise = torch.rand(8, channels, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return F.interpolate(noise, size=size, mode="bilinear", align_corners=False)


def _random_weights(outputs: int, inputs: int, side: int, random: torch.Generator) -> Tensor:
    """Draw a convolution's weights that keep the size of independent values on average."""
    return torch.randn(outputs, inputs, side, side, generator=random) / math.sqrt(inputs * side**2)
