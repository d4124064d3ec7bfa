"""The discriminator that is trained from scratch."""

from __future__ import annotations

from torch import Tensor, nn

from synthaug.networks.blocks import ClassEmbedding, activation
from synthaug.networks.discriminators.base import Discriminator
from synthaug.networks.encoders import SmallResNet


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
