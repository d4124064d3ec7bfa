"""Discriminators by name."""

from __future__ import annotations

from typing import Literal

from synthaug.errors import ConfigError, did_you_mean
from synthaug.networks.discriminators.base import Discriminator
from synthaug.networks.discriminators.projected import ProjectedDiscriminator
from synthaug.networks.discriminators.projection import ProjectionDiscriminator

_KINDS = ("resnet", "projected")


def make_discriminator(
    kind: Literal["resnet", "projected"],
    image_shape: tuple[int, int, int],
    classes: int,
    *,
    width: int = 48,
    network: str = "efficientnet_lite0",
    min_size: int = 32,
) -> Discriminator:
    """Make a discriminator.

    Args:
        kind: ``"resnet"`` is trained from scratch; ``"projected"`` looks through a pretrained network.
        image_shape: (C, H, W) of the images.
        classes: Number of classes.
        width: Channels at half resolution (resnet only).
        network: The pretrained network (projected only).
        min_size: Smaller images are enlarged to this side for it (projected only).

    Raises:
        ConfigError: If the kind or the network is unknown.
    """
    if kind == "resnet":
        return ProjectionDiscriminator(image_shape, classes, width=width)
    if kind == "projected":
        return ProjectedDiscriminator(image_shape, classes, network=network, min_size=min_size)
    raise ConfigError(
        f"expected a discriminator 'resnet' or 'projected', but got {kind!r}.{did_you_mean(kind, _KINDS)}"
    )
