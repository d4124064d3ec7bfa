"""Discriminators: what they have in common, and the one that is trained from scratch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor, nn

from synthaug.errors import ConfigError, did_you_mean
from synthaug.networks.blocks import ClassEmbedding, activation
from synthaug.networks.encoders import SmallResNet

_KINDS = ("resnet", "projected")


class Discriminator(nn.Module, ABC):
    """Scores images of known classes with one or more heads.

    Attributes:
        trains_features: Whether `activations` are trained too. The game then needs gradient penalties to converge;
            where they stay as they are, those of an image serve both players.
    """

    trains_features: ClassVar[bool] = True

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Map images (B, C, H, W) and labels (B,) to scores (B, heads); higher means more real."""
        return self.judge(self.activations(images), labels)

    @abstractmethod
    def activations(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of images (B, C, H, W), the largest first, by which two images can be compared."""

    @abstractmethod
    def judge(self, maps: list[Tensor], labels: Tensor) -> Tensor:
        """Map the feature maps of images and labels (B,) to scores (B, heads)."""


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
        from synthaug.networks.projected import ProjectedDiscriminator

        return ProjectedDiscriminator(image_shape, classes, network=network, min_size=min_size)
    raise ConfigError(
        f"expected a discriminator 'resnet' or 'projected', but got {kind!r}.{did_you_mean(kind, _KINDS)}"
    )


class ProjectionDiscriminator(Discriminator):
    """Features of a residual network without normalisation, projected on the class's vector.

    Source: Miyato & Koyama 2018, "cGANs with projection discriminator".

    Args:
        image_shape: (C, H, W) of the images.
        classes: Number of classes.
        width: Channels at half resolution.
        features: Length of the vector that is projected.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], classes: int, *, width: int = 64, features: int = 128
    ) -> None:
        super().__init__()
        self.backbone = SmallResNet(image_shape, width=width, normalise=False)
        self.project = nn.Linear(self.backbone.features, features)
        self.score = nn.Linear(features, 1, bias=False)  # a bias would cancel in the relativistic game
        self.embedding = ClassEmbedding(classes, features)
        # The backbone's map is flattened, so the vectors are scaled to keep scores of order one for any image size.
        self.scale = features**-0.5

    def activations(self, images: Tensor) -> list[Tensor]:
        """Return the maps after each block, the largest first."""
        return [activation(features) for features in self.backbone.activations(images)]

    def judge(self, maps: list[Tensor], labels: Tensor) -> Tensor:
        """Map the maps after each block and labels (B,) to scores (B, 1)."""
        vector = self.project(maps[-1].flatten(1))
        scores: Tensor = self.score(vector) + (vector * self.embedding(labels)).sum(1, keepdim=True) * self.scale
        return scores
