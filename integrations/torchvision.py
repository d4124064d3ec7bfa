"""torchvision v2 transforms that bring synthetic images of the same class into training.

Place them before a normalisation, and before whatever makes labels one-hot or mixes them (MixUp, CutMix).
They see images *and* labels, while the ``transform=`` of torchvision's classification datasets sees the image
alone: wrap such a dataset, ``TransformedDataset(dataset, transform)``, or transform whole batches after collation.
"""

from __future__ import annotations

import math
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from synthaug.augmentation.named import MIXING_ALPHA
from synthaug.config import is_number
from synthaug.data.sources.mapstyle import inner_class_names
from synthaug.errors import ConfigError
from synthaug.sampling.bank import SampleBank
from synthaug.sampling.draw import ClassSampler, check_aligned, uniform, uniforms
from synthaug.sampling.fit import beta_shares, cutmix, cutmix_box, mixup
from synthaug.sampling.policy_files import resolve_bank

from ._torchvision_base import LabelsGetter, SyntheticTransform, find_labels, like_tensor, pil_image, pil_shape
from ._torchvision_variation import SyntheticVariation, VariationDataset

__all__ = [
    "SyntheticMix",
    "SyntheticReplace",
    "SyntheticVariation",
    "TransformedDataset",
    "VariationDataset",
    "find_labels",
]

_BOTH = "mixup+cutmix"


class _BankTransform(SyntheticTransform):
    """What both transforms from a bank share: a sample of the class, and what becomes of it and the real image."""

    mixes: ClassVar[bool]

    def __init__(
        self,
        bank: SampleBank | str | os.PathLike[str],
        p: float | None = None,
        *,
        labels_getter: LabelsGetter | Literal["default"] = "default",
        classes: Sequence[str] | None = None,
    ) -> None:
        bank, p = resolve_bank(bank, p, mixes=self.mixes)
        self._sampler = ClassSampler(bank, classes)
        super().__init__(self._sampler, p, labels_getter)

    @abstractmethod
    def combine(self, real: Tensor, synthetic: Tensor) -> Tensor:
        """Make the new images of real and synthetic ones, both (N, C, H, W) of one type."""

    @abstractmethod
    def combine_pil(self, real: Image.Image, synthetic: Image.Image) -> Image.Image:
        """Make the new image of a real and a synthetic one of the same mode and size."""

    def make(self, images: Tensor, labels: NDArray[np.int64], rows: NDArray[np.int64]) -> Tensor:
        """Combine the images with the samples in some rows of the bank."""
        shape = (images.shape[1], images.shape[2], images.shape[3])
        return self.combine(images, like_tensor(self._sampler.images(rows, shape), images))

    def make_pil(self, image: Image.Image, label: int, row: int) -> Image.Image:
        """Combine the image with the sample in a row of the bank."""
        return self.combine_pil(image, pil_image(self._sampler.image(row, pil_shape(image))))


class SyntheticReplace(_BankTransform):
    """Replace images by synthetic ones of the same class.

    Takes (image, label) pairs, dicts, nested structures, and batches (N, C, H, W) with labels (N,). Images
    are PIL (grey or RGB), ``tv_tensors.Image`` or tensors, uint8 in [0, 255] or float in [0, 1]; labels are
    Python, NumPy or torch integers, or class names. Samples of another size or number of channels are fitted
    to the image. Randomness comes from torch's global state: it differs between workers and epochs, and
    reproduces under ``torch.manual_seed``.

    Args:
        bank: A bank, the path of one, or of a ``policy.yaml`` (or its folder) as `synthaug recommend` writes it. Each
            DataLoader worker maps its files for itself.
        p: Probability for each image; left out, the policy's, or 0.5 with a bank alone.
            Images of a class without samples stay as they are.
        labels_getter: ``"default"`` takes the item after the image in a tuple or list, or the value under ``labels``,
            ``label``, ``targets`` or ``target`` (see `find_labels`); or a callable from the whole sample to its labels.
        classes: Names of the classes in the order of the training data's labels; checked against the bank's.

    Raises:
        LabelError: If a label is missing, out of range or no integer, or the classes differ.
        DataError: For masks, boxes, key points and videos, and for images of another type or range.

    Example:
        >>> bank = SampleBank.from_arrays(np.full((2, 8, 8, 1), 255, np.uint8), [0, 1], ["boot", "sneaker"])
        >>> replace = SyntheticReplace(bank, p=1.0)
        >>> image, label = replace(torch.zeros(3, 8, 8), 1)
        >>> image.mean().item(), label
        (1.0, 1)
    """

    mixes = False

    def combine(self, real: Tensor, synthetic: Tensor) -> Tensor:
        """Return the synthetic images."""
        return synthetic

    def combine_pil(self, real: Image.Image, synthetic: Image.Image) -> Image.Image:
        """Return the synthetic image."""
        return synthetic


class SyntheticMix(_BankTransform):
    """Mix images with synthetic ones of the same class, so that the label stays what it is.

    Takes what `SyntheticReplace` takes. Each real image's share is drawn from Beta(alpha, alpha).

    By the policies of `synthaug.recommend` an image is mixed with a sample of any class, and their labels are too; here
    the label stays a class.

    Args:
        bank: As for `SyntheticReplace`.
        p: As for `SyntheticReplace`.
        mode: ``"mixup"`` blends the two images (Zhang et al. 2018, "mixup: Beyond empirical risk
            minimization"); ``"cutmix"`` pastes a box of the synthetic one (Yun et al. 2019, "CutMix");
            ``"mixup+cutmix"`` does one of the two with each image, as often.
        alpha: Of the Beta distribution; 1 is uniform, small values leave mostly one of the two images. Left out, what
            the augmentations of `synthaug.augmentation` have: 0.4 for mixup, 1 for cutmix.
        labels_getter: As for `SyntheticReplace`.
        classes: As for `SyntheticReplace`.

    Raises:
        ConfigError: If mode or alpha are none of these.
        LabelError: If a label is missing, out of range or no integer, or the classes differ.
        DataError: For masks, boxes, key points and videos, and for images of another type or range.

    Example:
        >>> bank = SampleBank.from_arrays(np.full((2, 8, 8, 1), 255, np.uint8), [0, 1], ["boot", "sneaker"])
        >>> mix = SyntheticMix(bank, p=1.0, mode="cutmix")
        >>> images, labels = mix(torch.zeros(4, 1, 8, 8), torch.tensor([0, 1, 1, 0]))
        >>> images.shape, labels.tolist()
        (torch.Size([4, 1, 8, 8]), [0, 1, 1, 0])
    """

    mixes = True

    def __init__(
        self,
        bank: SampleBank | str | os.PathLike[str],
        p: float | None = None,
        mode: Literal["mixup", "cutmix", "mixup+cutmix"] = "mixup",
        alpha: float | None = None,
        *,
        labels_getter: LabelsGetter | Literal["default"] = "default",
        classes: Sequence[str] | None = None,
    ) -> None:
        super().__init__(bank, p, labels_getter=labels_getter, classes=classes)
        if mode not in (*MIXING_ALPHA, _BOTH):
            raise ConfigError(f"mode: expected 'mixup', 'cutmix' or {_BOTH!r}, but got {mode!r}.")
        if alpha is not None and not (is_number(alpha) and 0 < alpha < math.inf):
            raise ConfigError(f"alpha: expected a number above 0, but got {alpha!r}.")
        self.mode = mode
        self.alpha = None if alpha is None else float(alpha)

    def combine(self, real: Tensor, synthetic: Tensor) -> Tensor:
        """Return the mixtures."""
        if self.mode != _BOTH:
            return self._mixed(real, synthetic, self.mode)
        mixed, blended = torch.empty_like(real), torch.from_numpy(uniforms(len(real)) < 0.5).to(real.device)
        for mode, rows in (("mixup", blended), ("cutmix", ~blended)):
            if rows.any():
                mixed[rows] = self._mixed(real[rows], synthetic[rows], mode)
        return mixed

    def _mixed(self, real: Tensor, synthetic: Tensor, mode: str) -> Tensor:
        shares = beta_shares(self._alpha(mode), uniforms(len(real)))
        if mode == "mixup":
            return mixup(real, synthetic, shares)
        size = (real.shape[2], real.shape[3])
        return cutmix(real, synthetic, [cutmix_box(size, share, (uniform(), uniform())) for share in shares])

    def _alpha(self, mode: str) -> float:
        return MIXING_ALPHA[mode] if self.alpha is None else self.alpha

    def combine_pil(self, real: Image.Image, synthetic: Image.Image) -> Image.Image:
        """Return the mixture."""
        mode = ("mixup" if uniform() < 0.5 else "cutmix") if self.mode == _BOTH else self.mode
        share = float(beta_shares(self._alpha(mode), np.array(uniform())))
        if mode == "mixup":
            return Image.blend(synthetic, real, share)
        top, bottom, left, right = cutmix_box((real.height, real.width), share, (uniform(), uniform()))
        mixed = real.copy()
        if top < bottom and left < right:
            mixed.paste(synthetic.crop((left, top, right, bottom)), (left, top))
        return mixed


class TransformedDataset(torch.utils.data.Dataset[Any]):
    """A map-style dataset whose transform sees image *and* label.

    Args:
        dataset: Any map-style dataset of (image, label) pairs or dicts, without a transform that makes tensors
            of another range.
        transform: Called with each sample; usually a ``v2.Compose``.

    Raises:
        LabelError: If the dataset names its classes (``classes``, as torchvision's do, or one column of class labels,
            as Hugging Face's) and a label means another class to a transform of synthaug in ``transform``.

    Example:
        >>> from torchvision.datasets import FakeData
        >>> from torchvision.transforms import v2
        >>> bank = SampleBank.from_arrays(np.zeros((2, 8, 8, 3), np.uint8), [0, 1], ["boot", "sneaker"])
        >>> transform = v2.Compose([SyntheticReplace(bank), v2.RandomHorizontalFlip(), v2.ToImage()])
        >>> dataset = TransformedDataset(FakeData(10, (3, 8, 8), num_classes=2), transform)
        >>> image, label = dataset[0]
        >>> image.shape
        torch.Size([3, 8, 8])
    """

    def __init__(self, dataset: Any, transform: Callable[..., Any]) -> None:
        self.dataset = dataset
        self.transform = transform
        names = inner_class_names(dataset)
        if names is not None:
            for synthetic in _synthetic(transform):
                check_aligned(names, synthetic.classes)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: int) -> Any:
        sample = self.dataset[position]
        return self.transform(*sample) if isinstance(sample, tuple) else self.transform(sample)


def _synthetic(transform: Any) -> Iterator[SyntheticTransform]:
    """Yield the transforms of synthaug in a transform that may be made of others."""
    if isinstance(transform, SyntheticTransform):
        yield transform
    for part in getattr(transform, "transforms", ()):
        yield from _synthetic(part)
