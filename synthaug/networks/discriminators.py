"""The projection discriminator (Miyato & Koyama 2018, "cGANs with projection discriminator")."""

from __future__ import annotations

from torch import Tensor, nn

from synthaug.networks.blocks import ClassEmbedding
from synthaug.networks.encoders import SmallResNet


class ProjectionDiscriminator(nn.Module):
    """Scores images: features of a residual network without normalisation, projected on the class's vector.

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
        self.score = nn.Linear(features, 1)
        self.embedding = ClassEmbedding(classes, features)
        # The backbone's map is flattened, so the vectors are scaled to keep scores of order one for any image size.
        self.scale = features**-0.5

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Map images (B, C, H, W) and labels (B,) to scores (B,); higher means more real."""
        vector = self.project(self.backbone(images))
        scores: Tensor = self.score(vector).squeeze(1) + (vector * self.embedding(labels)).sum(1) * self.scale
        return scores
