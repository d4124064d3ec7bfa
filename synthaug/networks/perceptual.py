"""The perceptual distance between two images (Zhang et al. 2018, "The unreasonable effectiveness of deep features")."""

from __future__ import annotations

import torch
from torch import Tensor

from synthaug.networks.pretrained import BUNDLED, SMALLEST_SIDE, load_pretrained

_EPSILON = 1e-10


class PerceptualDistance:
    """How far two images are apart in the features of a pretrained network.

    At each place of each feature map the channels are scaled to unit length; the distance is the squared difference,
    averaged over places and maps. It is LPIPS without the learned weights, between 0 and 4. Gradients flow to both
    images; there is nothing to train or to save.

    Args:
        network: The bundled ``"efficientnet_lite0"`` or the name of a timm model.
        weights: Whether the network is pretrained, else random.
        min_size: Smaller images are enlarged so that their shorter side has this many pixels.

    Raises:
        ConfigError: If the network is unknown or its weights can't be had.

    Example:
        >>> distance = PerceptualDistance()
        >>> images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
        >>> distance(images, images).tolist()
        [0.0, 0.0]
        >>> bool((distance(images, -images) > distance(images, 0.9 * images)).all())
        True
    """

    def __init__(self, network: str = BUNDLED, *, weights: bool = True, min_size: int = SMALLEST_SIDE) -> None:
        self.network = load_pretrained(network, weights=weights, min_size=min_size)

    def __call__(self, images: Tensor, others: Tensor) -> Tensor:
        """Return the distances (B,) between images (B, C, H, W) in [-1, 1], pair by pair.

        Raises:
            DataError: If the images have neither 1 nor 3 channels.
        """
        distances = [
            (_unit(features) - _unit(other)).square().sum(1).mean((1, 2))
            for features, other in zip(self.network.maps(images), self.network.maps(others), strict=True)
        ]
        return torch.stack(distances).mean(0)


def _unit(features: Tensor) -> Tensor:
    features = features.float()
    return features * (features.square().sum(1, keepdim=True) + _EPSILON).rsqrt()
