"""What the torchvision transforms share: finding image and label, drawing for each image, putting the result back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten
from torchvision import tv_tensors
from torchvision.transforms import v2

from synthaug.errors import ConfigError, DataError, LabelError
from synthaug.sampling import fit
from synthaug.sampling.draw import NOTHING, Chooser, check_probability, uniform, uniforms

_LABEL_KEYS = ("labels", "label", "targets", "target")

LabelsGetter = Callable[[Any], Any]


class SyntheticTransform(v2.Transform, ABC):
    """Base of the transforms: everything but how the new images are made.

    Args:
        chooser: Decides for each image whether a synthetic one comes, and which.
        p: Probability for each image.
        labels_getter: ``"default"``, or a callable from the whole sample to its labels.
    """

    def __init__(self, chooser: Chooser, p: float, labels_getter: LabelsGetter | Literal["default"]) -> None:
        super().__init__()
        self.p = check_probability(p)
        self._labels_getter = check_labels_getter(labels_getter)
        self._plain = labels_getter == "default"
        self._chooser = chooser

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that labels mean."""
        return tuple(self._chooser.classes)

    @abstractmethod
    def make(self, images: Tensor, labels: NDArray[np.int64], rows: NDArray[np.int64]) -> Tensor:
        """Make the new images of real ones.

        Args:
            images: (N, C, H, W), uint8 in [0, 255] or float in [0, 1].
            labels: Their labels, (N,).
            rows: What was chosen for each, (N,).

        Returns:
            Images of the same shape, type, range and device.
        """

    @abstractmethod
    def make_pil(self, image: Image.Image, label: int, row: int) -> Image.Image:
        """Make the new image, of the same mode and size, of a real one."""

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
        parts = Parts(sample, self._labels_getter, type(self).__name__)
        image = parts.image
        batched = isinstance(image, Tensor) and image.ndim == 4
        return parts.with_image(self._batch(image, parts.labels) if batched else self._single(image, parts.labels))

    def _single(self, image: Any, label: Any) -> Any:
        number = self._chooser.label(label)
        row = self._chooser.choose(number, self.p, uniform())
        if row == NOTHING:
            return image
        if isinstance(image, Image.Image):
            return self.make_pil(image, number, row)
        check_tensor(image, 3)
        batch = image.as_subclass(Tensor).unsqueeze(0)
        return wrap(self.make(batch, np.array([number]), np.array([row]))[0], image)

    def _batch(self, images: Tensor, labels: Any) -> Tensor:
        check_tensor(images, 4)
        wanted = self._chooser.labels(labels)
        if len(wanted) != len(images):
            raise LabelError(
                f"expected a label for each of the {len(images)} images of the batch, but got {len(wanted)}."
            )
        rows = self._chooser.choose_many(wanted, self.p, uniforms(len(wanted)))
        chosen = np.flatnonzero(rows != NOTHING)
        if not len(chosen):
            return images
        plain = images.as_subclass(Tensor)
        there = torch.from_numpy(chosen).to(images.device)
        made = self.make(plain[there], wanted[chosen], rows[chosen])
        wrapped: Tensor = wrap(plain.index_copy(0, there, made), images)
        return wrapped


def check_labels_getter(labels_getter: LabelsGetter | Literal["default"]) -> LabelsGetter:
    """Return the callable that finds the labels.

    Raises:
        ConfigError: If it is neither ``"default"`` nor a callable.
    """
    if labels_getter == "default":
        return find_labels
    if not callable(labels_getter):
        raise ConfigError(
            f"labels_getter: expected 'default' or a callable that finds the labels, but got {labels_getter!r}."
        )
    return labels_getter


class Parts:
    """A sample or batch taken apart.

    Args:
        sample: In any structure.
        labels_getter: Finds the labels in it.
        user: Who asks, for messages.

    Attributes:
        image: The image or batch of images.
        labels: Its label or labels, as they came.

    Raises:
        LabelError: If there are no labels.
        DataError: If there is no image, more than one, or something that belongs to the image and that a synthetic
            one would make wrong.
    """

    def __init__(self, sample: Any, labels_getter: LabelsGetter, user: str) -> None:
        self._leaves: list[Any]
        self._structure: TreeSpec
        self._leaves, self._structure = tree_flatten(sample)
        for leaf in self._leaves:
            if isinstance(leaf, tv_tensors.TVTensor) and not isinstance(leaf, tv_tensors.Image):
                raise DataError(
                    f"{user}: expected images and labels only, but got {type(leaf).__name__}; "
                    "it would not fit the synthetic image. Leave it out, or leave this transform out."
                )
        _find_image(self._leaves, None)  # where there is none, that is told rather than that labels are missing
        self.labels = labels_getter(sample)
        if self.labels is None:
            raise LabelError(f"{user}: expected labels beside the images, but labels_getter returned None.")
        self._place = _find_image(self._leaves, self.labels)
        self.image = self._leaves[self._place]

    def with_image(self, image: Any) -> Any:
        """Return the sample with another image."""
        self._leaves[self._place] = image
        return tree_unflatten(self._leaves, self._structure)


def find_labels(sample: Any) -> Any:
    """Find the labels of a sample or batch: the default ``labels_getter``.

    They are the second item of a tuple or list whose first item is the image (or a mapping with the image and no
    labels), unless that second item is a structure other than a list of labels; or the value in a mapping under
    ``labels``, ``label``, ``targets`` or ``target`` (in any case) or under the only key that contains ``label``. The
    outermost such place counts. In a mapping's values only further mappings are looked through, so that a list of
    tags or a shape is never taken for labels.

    Raises:
        LabelError: If there are none, or more than one may be meant.

    Example:
        >>> find_labels({"image": ..., "meta": {"Label": 3}, "shape": (8, 1)})
        3
    """
    level = _inside((sample,), True)
    while level:
        found = [place for part, pairs in level for place in _labels_here(part, pairs)]
        if len(found) > 1:
            raise LabelError(
                f"expected one place that holds the labels, but got {sorted(name for name, _ in found)}; "
                "name it with labels_getter=lambda sample: sample['...']."
            )
        if found:
            return found[0][1]
        level = [inner for part, pairs in level for inner in _inside(part, pairs)]
    raise LabelError(
        f"expected labels beside the images: (image, label), or a mapping with a key 'label', but got "
        f"{_describe(sample)}. A torchvision dataset's transform= sees the image alone, so use "
        "TransformedDataset(dataset, transform); or pass labels_getter."
    )


def _labels_here(part: Any, pairs: bool) -> list[tuple[str, Any]]:
    """Return what may be the labels on this level of a sample, with a name for each."""
    if isinstance(part, Mapping):
        by_name = {str(key).lower(): value for key, value in part.items()}
        exact = [name for name in _LABEL_KEYS if name in by_name][:1]
        return [(name, by_name[name]) for name in exact or [name for name in by_name if "label" in name]]
    if pairs and len(part) > 1 and _holds_image_alone(part[0]) and _may_be_labels(part[1]):
        return [("the second item", part[1])]
    return []


def _inside(part: Any, pairs: bool) -> list[tuple[Any, bool]]:
    """Return the structures inside one, and whether they may be pairs of image and label."""
    values = part.values() if isinstance(part, Mapping) else part
    pairs = pairs and not isinstance(part, Mapping)
    return [(value, pairs) for value in values if isinstance(value, (Mapping, tuple, list))]


def _holds_image_alone(first: Any) -> bool:
    if isinstance(first, Mapping):
        return any(_is_image(value) for value in first.values()) and not _labels_here(first, False)
    return _is_image(first)


def _may_be_labels(second: Any) -> bool:
    if isinstance(second, (tuple, list)):
        return bool(second) and all(_is_label(value) for value in second)
    return not isinstance(second, Mapping)


def _is_label(value: Any) -> bool:
    return isinstance(value, (int, np.integer, str)) or (isinstance(value, Tensor) and value.ndim == 0)


def _is_image(leaf: Any) -> bool:
    return isinstance(leaf, Image.Image) or (isinstance(leaf, Tensor) and leaf.ndim >= 3)


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
        if _is_image(leaf) and leaf is not labels:
            return position
    raise DataError(
        "expected a PIL image, a tv_tensors.Image or a tensor (C, H, W) or (N, C, H, W), but got "
        f"{', '.join(type(leaf).__name__ for leaf in leaves) or 'nothing'}."
    )


def pil_shape(image: Any) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of a PIL image.

    Raises:
        DataError: If it is neither grey nor RGB.
    """
    return fit.pil_shape(image, "Convert it first with v2.RGB() or v2.Grayscale().")


def pil_image(image: NDArray[np.uint8]) -> Image.Image:
    """Turn uint8 (H, W, C) into a PIL image, in three quarters of the time of `PIL.Image.fromarray`."""
    height, width, channels = image.shape
    return Image.frombytes("L" if channels == 1 else "RGB", (width, height), image.tobytes())


def check_tensor(image: Any, dimensions: int) -> None:
    """Check an image (C, H, W) or a batch (N, C, H, W).

    Raises:
        DataError: If it is no tensor of so many dimensions, of another type, or out of range.
    """
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


def channels_first(images: NDArray[np.uint8]) -> Tensor:
    """Turn arrays (N, H, W, C) into tensors (N, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def like_tensor(images: NDArray[np.uint8], image: Tensor) -> Tensor:
    """Turn uint8 arrays (N, H, W, C) into tensors (N, C, H, W) of the type, range and device of ``image``."""
    if not images.flags.writeable:
        images = images.copy()
    tensor = channels_first(images).to(image.device)
    return tensor if image.dtype == torch.uint8 else tensor.to(image.dtype).div_(255)


def wrap(image: Tensor, like: Any) -> Any:
    """Turn a tensor into a ``tv_tensors.Image`` where ``like`` is one."""
    return tv_tensors.wrap(image, like=like) if isinstance(like, tv_tensors.Image) else image
