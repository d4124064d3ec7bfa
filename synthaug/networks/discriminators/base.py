"""What all discriminators have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn


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
