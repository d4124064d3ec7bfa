"""torchvision v2 transforms that bring synthetic images of the same class into training.

Place them before a normalisation, and before whatever makes labels one-hot or mixes them (MixUp, CutMix).
They see images *and* labels, while the ``transform=`` of torchvision's classification datasets sees the image
alone: wrap such a dataset, ``TransformedDataset(dataset, transform)``, or transform whole batches after collation.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten
from torchvision import tv_tensors
from torchvision.transforms import v2

from synthaug.errors import ConfigError, DataError, LabelError
from synthaug.sampling.bank import SampleBank
from synthaug.sampling.draw import NOTHING, ClassSampler, check_probability, uniform, uniforms
from synthaug.sampling.fit import beta_shares, cutmix, cutmix_box, mixup

_PIL_CHANNELS = {"L": 1, "RGB": 3}
_LABEL_KEYS = ("labels", "label", "targets", "target")

LabelsGetter = Callable[[Any], Any]


class _SyntheticTransform(v2.Transform, ABC):
    """What both transforms share: finding image and label, drawing a sample, and putting the result back."""

    def __init__(
        self,
        bank: SampleBank | str | os.PathLike[str],
        p: float = 0.5,
        *,
        labels_getter: LabelsGetter | Literal["default"] = "default",
        classes: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.p = check_probability(p)
        if labels_getter != "default" and not callable(labels_getter):
            raise ConfigError(
                f"labels_getter: expected 'default' or a callable that finds the labels, but got {labels_getter!r}."
            )
        self._labels_getter: LabelsGetter = find_labels if labels_getter == "default" else labels_getter
        self._plain = labels_getter == "default"
        self._sampler = ClassSampler(bank, classes)

    @abstractmethod
    def combine(self, real: Tensor, synthetic: Tensor) -> Tensor:
        """Make the new images of real and synthetic ones, both (N, C, H, W) of one type."""

    @abstractmethod
    def combine_pil(self, real: Image.Image, synthetic: Image.Image) -> Image.Image:
        """Make the new image of a real and a synthetic one of the same mode and size."""

    def forward(self, *inputs: Any) -> Any:
        """Return the sample or batch with synthetic images in it, in the structure in which it came."""
        sample = inputs if len(inputs) > 1 else inputs[0]
        if (
            self._plain
            and type(sample) is tuple
            and len(sample) == 2
            and isinstance(sample[1], (int, np.integer))
            and isinstance(sample[0], Image.Image)
        ):  # what a dataset gives; flattening the tree would cost as much as all the rest
            return self._single(sample[0], sample[1]), sample[1]
        leaves, structure = tree_flatten(sample)
        self.check_inputs(leaves)
        labels = self._labels_getter(sample)
        if labels is None:
            raise LabelError(
                f"{type(self).__name__}: expected labels beside the images, but labels_getter returned None."
            )
        position = _find_image(leaves, labels)
        image = leaves[position]
        batched = isinstance(image, Tensor) and image.ndim == 4
        leaves[position] = self._batch(image, labels) if batched else self._single(image, labels)
        return tree_unflatten(leaves, structure)

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Raise `DataError` where something belongs to the image that a synthetic one would make wrong."""
        for leaf in flat_inputs:
            if isinstance(leaf, tv_tensors.TVTensor) and not isinstance(leaf, tv_tensors.Image):
                raise DataError(
                    f"{type(self).__name__}: expected images and labels only, but got {type(leaf).__name__}; "
                    "it would not fit the synthetic image. Leave it out, or leave this transform out."
                )

    def _single(self, image: Any, label: Any) -> Any:
        row = self._sampler.choose(self._sampler.label(label), self.p, uniform())
        if row == NOTHING:
            return image
        if isinstance(image, Image.Image):
            return self.combine_pil(image, _pil_image(self._sampler.image(row, _pil_shape(image))))
        _check_tensor(image, 3)
        synthetic = _like(self._sampler.image(row, tuple(image.shape))[None], image)
        return _wrap(self.combine(image.unsqueeze(0), synthetic)[0], image)

    def _batch(self, images: Tensor, labels: Any) -> Tensor:
        _check_tensor(images, 4)
        wanted = self._sampler.labels(labels)
        if len(wanted) != len(images):
            raise LabelError(
                f"expected a label for each of the {len(images)} images of the batch, but got {len(wanted)}."
            )
        rows = self._sampler.choose_many(wanted, self.p, uniforms(len(wanted)))
        chosen = torch.from_numpy(np.flatnonzero(rows != NOTHING)).to(images.device)
        if not len(chosen):
            return images
        plain = images.as_subclass(Tensor)
        shape = (images.shape[1], images.shape[2], images.shape[3])
        synthetic = _like(self._sampler.images(rows[rows != NOTHING], shape), plain)
        replaced = plain.index_copy(0, chosen, self.combine(plain[chosen], synthetic))
        wrapped: Tensor = _wrap(replaced, images)
        return wrapped


class SyntheticReplace(_SyntheticTransform):
    """Replace images by synthetic ones of the same class.

    Takes (image, label) pairs, dicts, nested structures, and batches (N, C, H, W) with labels (N,). Images
    are PIL (grey or RGB), ``tv_tensors.Image`` or tensors, uint8 in [0, 255] or float in [0, 1]; labels are
    Python, NumPy or torch integers, or class names. Samples of another size or number of channels are fitted
    to the image. Randomness comes from torch's global state: it differs between workers and epochs, and
    reproduces under ``torch.manual_seed``.

    Args:
        bank: A bank, or the path of one. Each DataLoader worker maps its files for itself.
        p: Probability for each image. Images of a class without samples stay as they are.
        labels_getter: ``"default"`` takes the second item of a pair, or the value under ``labels``,
            ``label``, ``targets`` or ``target``; or a callable from the whole sample to its labels.
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

    def combine(self, real: Tensor, synthetic: Tensor) -> Tensor:
        """Return the synthetic images."""
        return synthetic

    def combine_pil(self, real: Image.Image, synthetic: Image.Image) -> Image.Image:
        """Return the synthetic image."""
        return synthetic


class SyntheticMix(_SyntheticTransform):
    """Mix images with synthetic ones of the same class, so that the label stays what it is.

    Takes what `SyntheticReplace` takes. Each real image's share is drawn from Beta(alpha, alpha).

    Args:
        bank: A bank, or the path of one.
        p: Probability for each image.
        mode: ``"mixup"`` blends the two images (Zhang et al. 2018, "mixup: Beyond empirical risk
            minimization"); ``"cutmix"`` pastes a box of the synthetic one (Yun et al. 2019, "CutMix").
        alpha: Of the Beta distribution; 1 is uniform, small values leave mostly one of the two images.
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

    def __init__(
        self,
        bank: SampleBank | str | os.PathLike[str],
        p: float = 0.5,
        mode: Literal["mixup", "cutmix"] = "mixup",
        alpha: float = 1.0,
        *,
        labels_getter: LabelsGetter | Literal["default"] = "default",
        classes: Sequence[str] | None = None,
    ) -> None:
        super().__init__(bank, p, labels_getter=labels_getter, classes=classes)
        if mode not in ("mixup", "cutmix"):
            raise ConfigError(f"mode: expected 'mixup' or 'cutmix', but got {mode!r}.")
        if not alpha > 0:
            raise ConfigError(f"alpha: expected a number above 0, but got {alpha!r}.")
        self.mode = mode
        self.alpha = float(alpha)

    def combine(self, real: Tensor, synthetic: Tensor) -> Tensor:
        """Return the mixtures."""
        shares = beta_shares(self.alpha, uniforms(len(real)))
        if self.mode == "mixup":
            return mixup(real, synthetic, shares)
        size = (real.shape[2], real.shape[3])
        return cutmix(real, synthetic, [cutmix_box(size, share, (uniform(), uniform())) for share in shares])

    def combine_pil(self, real: Image.Image, synthetic: Image.Image) -> Image.Image:
        """Return the mixture."""
        share = float(beta_shares(self.alpha, np.array(uniform())))
        if self.mode == "mixup":
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

    Example:
        >>> from torchvision.datasets import FakeData
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

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: int) -> Any:
        sample = self.dataset[position]
        return self.transform(*sample) if isinstance(sample, tuple) else self.transform(sample)


def find_labels(sample: Any) -> Any:
    """Find the labels of a sample or batch: the default ``labels_getter``.

    They are the second item of a pair (unless that is a structure itself), or the value in a mapping under
    ``labels``, ``label``, ``targets`` or ``target`` (in any case) or under the only key that contains
    ``label``. The outermost such place counts.

    Raises:
        LabelError: If there are none, or more than one may be meant.

    Example:
        >>> find_labels({"image": ..., "meta": {"Label": 3}})
        3
    """
    level = [sample]
    while level:
        for part in level:
            found = _labels_here(part)
            if len(found) > 1:
                raise LabelError(
                    f"expected one key that holds the labels, but got {sorted(found)}; "
                    "name it with labels_getter=lambda sample: sample['...']."
                )
            if found:
                return next(iter(found.values()))
        level = [
            inner
            for part in level
            if isinstance(part, (Mapping, tuple, list))
            for inner in (part.values() if isinstance(part, Mapping) else part)
            if isinstance(inner, (Mapping, tuple, list))
        ]
    raise LabelError(
        f"expected labels beside the images: (image, label), or a mapping with a key 'label', but got "
        f"{_describe(sample)}. A torchvision dataset's transform= sees the image alone, so use "
        "TransformedDataset(dataset, transform); or pass labels_getter."
    )


def _labels_here(part: Any) -> dict[str, Any]:
    """Return what may be the labels on this level of a sample, by name."""
    if isinstance(part, Mapping):
        by_name = {str(key).lower(): value for key, value in part.items()}
        exact = [name for name in _LABEL_KEYS if name in by_name][:1]
        return {name: by_name[name] for name in exact or [name for name in by_name if "label" in name]}
    if isinstance(part, (tuple, list)) and len(part) > 1 and not isinstance(part[1], Mapping):
        second = part[1]
        if not isinstance(second, (tuple, list)) or (second and all(isinstance(x, int) for x in second)):
            return {"second": second}
    return {}


def _describe(sample: Any) -> str:
    if isinstance(sample, Mapping):
        return f"the keys {list(sample)}"
    if isinstance(sample, (tuple, list)):
        return f"({', '.join(type(part).__name__ for part in sample)})"
    return type(sample).__name__


def _find_image(leaves: list[Any], labels: Any) -> int:
    """Return the position of the image: an explicit one, else the first tensor that is not the labels."""
    explicit = [n for n, leaf in enumerate(leaves) if isinstance(leaf, (tv_tensors.Image, Image.Image))]
    if len(explicit) > 1:
        raise DataError(
            f"expected one image in a sample, but got {len(explicit)}; which one the label names is unclear."
        )
    if explicit:
        return explicit[0]
    for position, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor) and leaf is not labels and leaf.ndim >= 3:
            return position
    raise DataError(
        "expected a PIL image, a tv_tensors.Image or a tensor (C, H, W) or (N, C, H, W), but got "
        f"{', '.join(type(leaf).__name__ for leaf in leaves) or 'nothing'}."
    )


def _pil_shape(image: Image.Image) -> tuple[int, int, int]:
    if image.mode not in _PIL_CHANNELS:
        raise DataError(
            f"expected a PIL image of mode L or RGB, but got {image.mode}; convert it first with v2.RGB() or "
            "v2.Grayscale()."
        )
    return _PIL_CHANNELS[image.mode], image.height, image.width


def _pil_image(image: NDArray[np.uint8]) -> Image.Image:
    """Turn uint8 (H, W, C) into a PIL image, in three quarters of the time of `PIL.Image.fromarray`."""
    height, width, channels = image.shape
    return Image.frombytes("L" if channels == 1 else "RGB", (width, height), image.tobytes())


def _check_tensor(image: Any, dimensions: int) -> None:
    if not isinstance(image, Tensor) or image.ndim != dimensions:
        shape = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise DataError(f"expected an image (C, H, W) or a batch (N, C, H, W), but got {shape}.")
    if image.dtype == torch.uint8:
        return
    if not image.is_floating_point():
        raise DataError(f"expected uint8 or float images, but got {image.dtype}; convert them with v2.ToDtype.")
    low, high = torch.aminmax(image) if image.numel() else (0.0, 0.0)
    if low < 0 or high > 1:
        raise DataError(
            f"expected float images in [0, 1], but got values from {float(low):.3g} to {float(high):.3g}. "
            "Place this transform after v2.ToDtype(torch.float32, scale=True) and before v2.Normalize."
        )


def _channels_first(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def _like(images: NDArray[np.uint8], image: Tensor) -> Tensor:
    """Turn uint8 arrays (N, H, W, C) into tensors (N, C, H, W) of the type, range and device of ``image``."""
    if not images.flags.writeable:
        images = images.copy()
    tensor = _channels_first(images).to(image.device)
    return tensor if image.dtype == torch.uint8 else tensor.to(image.dtype).div_(255)


def _wrap(image: Tensor, like: Any) -> Any:
    return tv_tensors.wrap(image, like=like) if isinstance(like, tv_tensors.Image) else image
