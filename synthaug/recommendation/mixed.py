"""A map-style dataset of real images and samples, as a policy wants them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from synthaug.classifiers.policy import Policy
from synthaug.errors import DataError
from synthaug.sampling import SampleBank
from synthaug.sampling.draw import NOTHING, ClassSampler, check_same_classes, uniform

_CHANNELS = {"L": 1, "RGB": 3}


class MixedDataset(torch.utils.data.Dataset[Any]):
    """Real images with samples among them; items are (PIL image, label), or what the real dataset's transforms make.

    In mode ``"add"`` the samples come after the real images; else each real image is swapped for a sample of its class
    with the policy's probability, drawn from torch's global random state. Samples take size and mode of the first real
    image, and go through the real dataset's ``transforms`` if it has any, as torchvision's datasets have.

    Args:
        real: A map-style dataset of (image, label).
        bank: The samples.
        policy: How they enter. Loss weight and schedule are a matter of the training loop.

    Raises:
        LabelError: If ``real`` names its classes, and they are not the bank's.
    """

    def __init__(self, real: Any, bank: SampleBank, policy: Policy) -> None:
        names = getattr(real, "classes", None)
        if names is not None:
            check_same_classes([str(name) for name in names], bank.classes)
        self.real, self.bank, self.policy = real, bank, policy
        self._sampler = ClassSampler(bank)
        self._transforms = getattr(real, "transforms", None)
        self._shape = bank.image_shape
        if self._transforms is None and len(real):
            self._shape = _pil_shape(real[0][0])

    @property
    def added(self) -> int:
        """Samples that come after the real images."""
        return len(self.bank) if self.policy.mode == "add" else 0

    def __len__(self) -> int:
        return len(self.real) + self.added

    def __getitem__(self, position: int) -> tuple[Any, int]:
        if not -len(self) <= position < len(self):
            raise IndexError(f"expected an index below {len(self)}, but got {position}.")
        position %= len(self)
        if position >= len(self.real):
            row = position - len(self.real)
            return self._sample(row, int(self.bank.labels[row]))
        item: tuple[Any, int] = self.real[position]
        if self.policy.mode == "add":
            return item
        label = self._sampler.label(item[1])
        row = self._sampler.choose(label, self.policy.replace_probability, uniform())
        return item if row == NOTHING else self._sample(row, label)

    def is_synthetic(self, position: int) -> bool:
        """Say whether an item is one of the samples that come after the real images."""
        return position % len(self) >= len(self.real)

    def _sample(self, row: int, label: int) -> tuple[Any, int]:
        pixels = np.ascontiguousarray(self._sampler.image(row, self._shape))
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        return (image, label) if self._transforms is None else self._transforms(image, label)


def _pil_shape(image: Any) -> tuple[int, int, int]:
    if not isinstance(image, Image.Image) or image.mode not in _CHANNELS:
        raise DataError(
            f"expected a dataset of grey or RGB PIL images, but got {getattr(image, 'mode', type(image).__name__)}. "
            "Leave its transform out, and transform the mixed dataset's items instead."
        )
    return _CHANNELS[image.mode], image.height, image.width
