"""albumentations transforms that replace images by synthetic ones of the same class, or by variants of themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from synthaug.errors import ConfigError
from synthaug.sampling.draw import ClassSampler
from synthaug.sampling.policy_files import resolve_bank

from ._albumentations_base import SyntheticTransform, albumentations
from ._albumentations_variation import SyntheticVariation

__all__ = ["SyntheticReplace", "SyntheticVariation"]


class SyntheticReplace(SyntheticTransform):
    """Replace an image by a synthetic one of the same class.

    Takes ``image`` (H, W), (H, W, 1) or (H, W, 3), uint8 in [0, 255] or float32 in [0, 1], and its label;
    or ``images``, a batch of these with a sequence of labels, where each image is drawn for by itself.
    Samples of another size or number of channels are fitted to the image. Place it before ``Normalize`` and
    ``ToTensorV2``.

    Randomness comes from torch's global state, which differs between DataLoader workers and epochs, and
    reproduces under ``torch.manual_seed``; or, under ``Compose(seed=...)``, from that seed (in a worker mixed
    with the worker's own). Serialises with ``albumentations.save`` and ``to_dict``, by the bank's path.

    Args:
        bank_path: Folder of a sample bank, or path of a ``policy.yaml`` (or its folder) of `synthaug recommend`.
        p: Probability for each image; left out, the policy's, or 0.5 with a bank alone.
            Images of a class without samples stay as they are.
        label_key: Name under which the label (an integer, or a class name) is passed.
        classes: Names of the classes in the order of the training data's labels; checked against the bank's.

    Raises:
        LabelError: If the label is missing or unknown, or the classes differ.
        DataError: For masks, boxes, key points and volumes, and for images of another layout, type or range.

    Example:
        >>> import albumentations as A
        >>> augment = A.Compose([SyntheticReplace("bank", p=0.5), A.HorizontalFlip()])  # doctest: +SKIP
        >>> augment(image=image, label=3)["image"]  # doctest: +SKIP
    """

    class InitSchema(albumentations.ImageOnlyTransform.InitSchema):
        """What the library validates; the checks with our own messages are in the constructor."""

        bank_path: Any
        label_key: str
        classes: list[str] | tuple[str, ...] | None
        p: Annotated[float, Field(ge=0, le=1)] | None

    def __init__(
        self,
        bank_path: str | os.PathLike[str],
        p: float | None = None,
        label_key: str = "label",
        classes: list[str] | tuple[str, ...] | None = None,
    ) -> None:
        if not isinstance(bank_path, (str, Path)):
            raise ConfigError(
                f"bank_path: expected the path of a bank, so that the pipeline can be saved, but got "
                f"{type(bank_path).__name__}. Write a bank in memory with bank.save(path) first."
            )
        bank, p = resolve_bank(bank_path, p)
        self._sampler = ClassSampler(bank, classes)
        super().__init__(self._sampler, str(bank_path), p, label_key)
        self.bank_path = str(bank_path)
        self.classes = None if classes is None else list(classes)

    def make(self, image: NDArray[Any], row: int, label: int) -> NDArray[np.uint8]:
        """Return the sample in a row of the bank."""
        height, width, channels = image.shape
        return self._sampler.image(row, (channels, height, width))
