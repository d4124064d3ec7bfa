"""Variants of the training images themselves, for torchvision: made on the fly, or taken from a bank."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from synthaug.data import ImageDataset
from synthaug.generators import Generator
from synthaug.latent.varying.bank import VariantSampler
from synthaug.latent.varying.live import LiveVariation
from synthaug.latent.varying.vary import Variation
from synthaug.sampling.bank import SampleBank
from synthaug.sampling.draw import NOTHING, check_probability, uniform

from ._torchvision_base import (
    LabelsGetter,
    Parts,
    SyntheticTransform,
    check_labels_getter,
    check_tensor,
    like_tensor,
    pil_image,
    pil_shape,
    wrap,
)


class SyntheticVariation(SyntheticTransform):
    """Replace images by variants of themselves that keep the label.

    Takes what `SyntheticReplace` takes. Single images are varied on the processor, in DataLoader workers too (in one
    thread each); a batch is varied where it is, so that one on a GPU never leaves it. Images of another size or number
    of channels than the generator's are fitted to it, and keep their own. Randomness comes from torch's global state,
    as for `SyntheticReplace`.

    It costs two to three passes through the generator's networks for each image. `VariationDataset` takes variants
    from a bank instead, and costs none.

    Args:
        generator: A generator with an encoder, or the path of one. Each DataLoader worker loads a path for itself;
            a generator in memory is copied to spawned workers.
        p: Probability for each image.
        strength: From 0, the image itself, to 1, a new sample of its class; see `synthaug.latent.vary`.
        keep_residual: Add the detail that the decoder loses, faded by the strength.
        labels_getter: As for `SyntheticReplace`.
        classes: Names of the classes in the order of the training data's labels; checked against the generator's.

    Raises:
        ConfigError: If the family has no encoder, or a setting is out of range.
        LabelError: If a label is missing, out of range or no integer, or the classes differ.
        DataError: For masks, boxes, key points and videos, and for images of another type or range.

    Example:
        >>> from synthaug.generators import make_generator
        >>> gen = make_generator("vae", ["boot", "bag"], (1, 8, 8), options={"width": 8})
        >>> vary = SyntheticVariation(gen, p=1.0, strength=0.3)
        >>> images, labels = vary(torch.zeros(4, 1, 8, 8), torch.tensor([0, 1, 1, 0]))
        >>> images.shape, labels.tolist()
        (torch.Size([4, 1, 8, 8]), [0, 1, 1, 0])
    """

    def __init__(
        self,
        generator: Generator | str | os.PathLike[str],
        p: float = 0.5,
        strength: float = 0.3,
        *,
        keep_residual: bool = True,
        labels_getter: LabelsGetter | Literal["default"] = "default",
        classes: Sequence[str] | None = None,
    ) -> None:
        self._live = LiveVariation(generator, Variation(strength, keep_residual), classes)
        super().__init__(self._live, p, labels_getter)
        self.strength = self._live.variation.strength
        self.keep_residual = keep_residual

    def make(self, images: Tensor, labels: NDArray[np.int64], rows: NDArray[np.int64]) -> Tensor:
        """Return the variants with some names."""
        if images.dtype == torch.uint8:
            return self._live.vary(images, labels, rows)
        pixels = images.float().mul(255).round_().to(torch.uint8)
        return self._live.vary(pixels, labels, rows).to(images.dtype).div_(255)

    def make_pil(self, image: Image.Image, label: int, row: int) -> Image.Image:
        """Return the variant with a name."""
        channels, height, width = pil_shape(image)
        pixels = torch.from_numpy(np.array(image)).view(1, height, width, channels).permute(0, 3, 1, 2)
        made = self._live.vary(pixels, np.array([label]), np.array([row]))
        return pil_image(made[0].permute(1, 2, 0).contiguous().numpy())


class VariationDataset(torch.utils.data.Dataset[Any]):
    """A map-style dataset whose images are replaced by variants of themselves from a bank.

    A transform sees image and label, but not which image it is; this knows the position. (`SyntheticReplace` with the
    same bank takes variants of any image of the class.) Randomness comes from torch's global state.

    Args:
        dataset: The dataset that was varied, in the same order: (image, label) pairs, dicts or nested structures, with
            PIL images, ``tv_tensors.Image`` or tensors, before any augmentation.
        bank: A bank that `synthaug.latent.variation_bank` made of it, or its path.
        p: Probability for each image. Images without variants stay as they are.
        labels_getter: As for `SyntheticReplace`.
        classes: Names of the classes in the order of the dataset's labels; checked against the bank's.

    Raises:
        FormatError: If the bank holds no variants.
        DataError: If the bank is of another dataset, and for what `SyntheticReplace` refuses.
        LabelError: If an image's label is not that of its variants.

    Example:
        >>> data = VariationDataset(data, "variations", p=0.5)  # doctest: +SKIP
        >>> data = TransformedDataset(data, v2.Compose([v2.RandomHorizontalFlip(), v2.ToImage()]))  # doctest: +SKIP
    """

    def __init__(
        self,
        dataset: Any,
        bank: SampleBank | str | os.PathLike[str],
        p: float = 0.5,
        *,
        labels_getter: LabelsGetter | Literal["default"] = "default",
        classes: Sequence[str] | None = None,
    ) -> None:
        self.dataset = dataset
        self.p = check_probability(p)
        self._labels_getter = check_labels_getter(labels_getter)
        if classes is None and isinstance(dataset, ImageDataset):
            classes = dataset.classes
        self._sampler = VariantSampler(bank, classes)
        self._sampler.check_dataset(len(dataset), dataset.digest if isinstance(dataset, ImageDataset) else None)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: int) -> Any:
        parts = Parts(self.dataset[position], self._labels_getter, type(self).__name__)
        label = self._sampler.label(parts.labels)
        position = position + len(self) if position < 0 else position
        row = self._sampler.choose_variant(position, label, self.p, uniform())
        return parts.with_image(parts.image if row == NOTHING else self._variant(row, parts.image))

    def _variant(self, row: int, image: Any) -> Any:
        if isinstance(image, Image.Image):
            return pil_image(self._sampler.image(row, pil_shape(image)))
        check_tensor(image, 3)
        variant = self._sampler.image(row, tuple(image.shape))[None]
        return wrap(like_tensor(variant, image.as_subclass(Tensor))[0], image)
