"""A map-style dataset of real images and samples, as a policy wants them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from synthaug.classifiers.policy import Policy
from synthaug.data.sources.mapstyle import inner_class_names
from synthaug.sampling import SampleBank
from synthaug.sampling.draw import NOTHING, ClassSampler, check_same_classes, uniform
from synthaug.sampling.fit import pil_shape

_ADVICE = "Leave out what makes images something else, and do that with the mixed dataset's items instead."


class MixedDataset(torch.utils.data.Dataset[Any]):
    """Real images with samples among them; items are (PIL image, label), or what the real dataset's transforms make.

    In mode ``"add"`` the samples come after the real images; else each real image is swapped for a sample of its class,
    or mixed with one, with the policy's probability, drawn from torch's global random state. Samples take size and mode
    of the first real image. If the real dataset has ``transforms``, as torchvision's have, real images and samples go
    through them after that.

    Args:
        real: A map-style dataset of (image, label).
        bank: The samples.
        policy: How they enter. Loss weight and schedule are a matter of the training loop.
        mix: In mode ``"mix"`` mixes some images with samples: called with (PIL image, label), returns the same.

    Raises:
        DataError: If images, before the dataset's transforms, are no grey or RGB PIL images.
        LabelError: If ``real`` names its classes, and they are not the bank's.
    """

    def __init__(
        self, real: Any, bank: SampleBank, policy: Policy, mix: Callable[[Any, int], tuple[Any, int]] | None = None
    ) -> None:
        names = inner_class_names(real)
        if names is not None:
            check_same_classes(names, bank.classes)
        self.real, self.bank, self.policy = real, bank, policy
        self._mix = mix
        self._sampler = ClassSampler(bank)
        self._raw, self._transforms = _taken_apart(real)
        self._shape = pil_shape(self._raw[0][0], _ADVICE) if len(real) else bank.image_shape

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
        image, label = self._raw[position]
        if self._mix is not None:
            image, label = self._mix(image, label)
        elif self.policy.mode == "replace":
            checked = self._sampler.label(label)
            row = self._sampler.choose(checked, self.policy.replace_probability, uniform())
            if row != NOTHING:
                return self._sample(row, checked)
        return self._transformed(image, label)

    def is_synthetic(self, position: int) -> bool:
        """Say whether an item is one of the samples that come after the real images."""
        return position % len(self) >= len(self.real)

    def _sample(self, row: int, label: int) -> tuple[Any, int]:
        pixels = np.ascontiguousarray(self._sampler.image(row, self._shape))
        return self._transformed(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), label)

    def _transformed(self, image: Any, label: int) -> tuple[Any, int]:
        return (image, label) if self._transforms is None else self._transforms(image, label)


def _taken_apart(real: Any) -> tuple[Any, Callable[[Any, int], tuple[Any, int]] | None]:
    """Return a torchvision dataset without the transforms of its images, and these; another dataset as it is.

    What it makes of labels it goes on doing: a sample's label is one of those that come out.
    """
    from torchvision.datasets.vision import StandardTransform, VisionDataset

    transforms = getattr(real, "transforms", None)
    if transforms is None or not isinstance(real, VisionDataset):
        return real, None
    raw = copy.copy(real)
    raw.transforms = raw.transform = None
    if not isinstance(transforms, StandardTransform):
        return raw, transforms
    if transforms.target_transform is not None:
        raw.transforms = StandardTransform(None, transforms.target_transform)
    return raw, StandardTransform(transforms.transform, None)
