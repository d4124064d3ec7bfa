"""An albumentations transform that replaces images by variants of themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synthaug.errors import ConfigError
from synthaug.latent.varying.live import LiveVariation
from synthaug.latent.varying.vary import Variation

from ._albumentations_base import UINT8, SyntheticTransform, albumentations


class SyntheticVariation(SyntheticTransform):
    """Replace an image by a variant of itself that keeps the label.

    Takes what `SyntheticReplace` takes, on the processor. Each DataLoader worker loads the generator for itself.
    Images of another size or number of channels than the generator's are fitted to it, and keep their own. Place it
    before ``Normalize`` and ``ToTensorV2``. Randomness and serialisation are as for `SyntheticReplace`, by the
    generator's path.

    Args:
        generator_path: Folder (or hub id) of a generator with an encoder.
        p: Probability for each image.
        strength: From 0, the image itself, to 1, a new sample of its class; see `synthaug.latent.vary`.
        keep_residual: Add the detail that the decoder loses, faded by the strength.
        label_key: Name under which the label (an integer, or a class name) is passed.
        classes: Names of the classes in the order of the training data's labels; checked against the generator's.

    Raises:
        ConfigError: If the family has no encoder, or a setting is out of range.
        LabelError: If the label is missing or unknown, or the classes differ.
        DataError: For masks, boxes, key points and volumes, and for images of another layout, type or range.

    Example:
        >>> import albumentations as A
        >>> augment = A.Compose([SyntheticVariation("runs/x", p=0.5), A.HorizontalFlip()])  # doctest: +SKIP
        >>> augment(image=image, label=3)["image"]  # doctest: +SKIP
    """

    class InitSchema(albumentations.ImageOnlyTransform.InitSchema):
        """What the library validates; the checks with our own messages are in the constructor."""

        generator_path: Any
        strength: Any
        keep_residual: Any
        label_key: str
        classes: list[str] | tuple[str, ...] | None

    def __init__(
        self,
        generator_path: str | os.PathLike[str],
        p: float = 0.5,
        strength: float = 0.3,
        keep_residual: bool = True,
        label_key: str = "label",
        classes: list[str] | tuple[str, ...] | None = None,
    ) -> None:
        if not isinstance(generator_path, (str, Path)):
            raise ConfigError(
                f"generator_path: expected the path of a generator, so that the pipeline can be saved, but got "
                f"{type(generator_path).__name__}. Write a generator with synthaug.save(generator, path) first."
            )
        self._live = LiveVariation(str(generator_path), Variation(strength, keep_residual), classes)
        super().__init__(self._live, str(generator_path), p, label_key)
        self.generator_path = str(generator_path)
        self.strength = self._live.variation.strength
        self.keep_residual = keep_residual
        self.classes = None if classes is None else list(classes)

    def make(self, image: NDArray[Any], row: int, label: int) -> NDArray[np.uint8]:
        """Return the variant with a name."""
        pixels = image if image.dtype == UINT8 else (image * 255).round().astype(np.uint8)
        batch = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
        made: NDArray[np.uint8] = self._live.vary(batch, np.array([label]), np.array([row]))[0].permute(1, 2, 0).numpy()
        return made
