"""Standard augmentations by name, which classifiers and generators see training images through."""

from __future__ import annotations

from synthaug.augmentation.named import AUGMENTATIONS, Augmentation

__all__ = ["AUGMENTATIONS", "Augmentation"]
