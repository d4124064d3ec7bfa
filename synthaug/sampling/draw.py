"""Draw same-class samples from a bank and fit them to the images they stand in for.

All integrations share this: they bring random numbers and images in their ecosystem's form, and hold no
algorithm.
Choosing is a pure function of numbers in [0, 1), so an adapter may take them from any source of randomness.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from synthaug.errors import ConfigError, DataError, LabelError
from synthaug.labels import check_labels, class_index
from synthaug.sampling.bank import SampleBank

NOTHING = -1
"""The row that stands for "leave this image as it is"."""

_scratch = threading.local()


class ClassSampler:
    """Chooses samples of a wanted class and gives them in a wanted shape.

    Pickles as cheaply as its bank does, and opens the bank's files in each process at the first draw.

    Args:
        bank: A bank, or the path of one.
        classes: Names of the classes as the training data orders them; if given, labels are read as theirs.

    Raises:
        LabelError: If ``classes`` are not the bank's.
        FormatError: If there is no bank at the path.

    Example:
        >>> images = np.zeros((3, 8, 8, 1), np.uint8)
        >>> bank = SampleBank.from_arrays(images, np.array([0, 1, 0]), ["boot", "sneaker"])
        >>> sampler = ClassSampler(bank)
        >>> sampler.choose(0, p=0.5, draw=0.4), sampler.choose(0, p=0.5, draw=0.6)
        (2, -1)
        >>> sampler.image(2, (3, 16, 16)).shape
        (16, 16, 3)
    """

    def __init__(
        self, bank: SampleBank | str | os.PathLike[str], classes: Sequence[str] | None = None
    ) -> None:
        self.bank = bank if isinstance(bank, SampleBank) else SampleBank.open(os.fspath(bank))
        self.classes = self.bank.classes
        self.image_shape = tuple(self.bank.image_shape)
        if classes is not None:
            check_same_classes(classes, self.classes)
        self._images: NDArray[np.uint8] | None = None
        self._order: NDArray[np.int64] | None = None
        self._starts: list[int] = []
        self._counts: list[int] = []

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_images": None, "_order": None, "_starts": [], "_counts": []}

    def _open(self) -> NDArray[np.int64]:
        """Return the rows sorted by class, and fill the tables that make choosing take constant time."""
        if self._order is None:
            rows = [self.bank.indices_of(label) for label in range(len(self.classes))]
            counts = [len(row) for row in rows]
            # A plain view of the memory map: slicing the map itself costs ten times as much.
            self._images = np.asarray(self.bank.images)
            self._counts = counts
            self._starts = [sum(counts[:label]) for label in range(len(counts))]
            self._order = np.concatenate(rows) if rows else np.empty(0, np.int64)
        return self._order

    def tables(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Rows sorted by class (N,), where each class starts among them, and how many it has."""
        order = self._open()
        return order, np.array(self._starts, dtype=np.int64), np.array(self._counts, dtype=np.int64)

    def label(self, value: Any) -> int:
        """Return a label given as integer, NumPy or torch scalar, or class name.

        Raises:
            LabelError: If it is none of these, or out of range.
        """
        if type(value) is int and 0 <= value < len(self.classes):
            return value
        if np.ndim(value) != 0:
            raise LabelError(f"expected one label, but got an array of shape {tuple(np.shape(value))}.")
        return class_index(value, self.classes)

    def labels(self, values: Any) -> NDArray[np.int64]:
        """Return the labels (N,) of a batch, given as tensor, array or sequence.

        Raises:
            LabelError: If they are not integers (one-hot or mixed labels, say) or out of range.
        """
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise LabelError(
                f"expected integer labels of shape (N,), but got {array.dtype} of shape {array.shape}. "
                "Place the transform before whatever makes labels one-hot or mixes them."
            )
        return check_labels(array, self.classes)

    def choose(self, label: int, p: float, draw: float) -> int:
        """Return the row of a sample of class ``label`` with probability ``p``, else `NOTHING`.

        Args:
            label: A checked label.
            p: Probability of a sample. A class without samples never gets one.
            draw: A uniform random number in [0, 1); it decides both whether and which.
        """
        if draw >= p:
            return NOTHING
        order = self._open()
        count = self._counts[label]
        if count == 0:
            return NOTHING
        # Given draw < p, draw / p is uniform again; rounding may bring it to 1.
        return int(order[self._starts[label] + min(int(draw / p * count), count - 1)])

    def choose_many(
        self, labels: NDArray[np.int64], p: float, draws: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Do as `choose` does for labels (N,) and draws (N,); returns rows (N,)."""
        order, starts, counts = self.tables()
        chosen = (draws < p) & (counts[labels] > 0)
        rows = np.full(len(labels), NOTHING, dtype=np.int64)
        number = counts[labels[chosen]]
        offset = np.minimum((draws[chosen] / p * number).astype(np.int64), number - 1)
        rows[chosen] = order[starts[labels[chosen]] + offset]
        return rows

    def image(self, row: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        """Return one sample as uint8 (H, W, C), fitted to ``shape`` (C, H, W); do not write into it."""
        if self._images is None:
            self._open()
        image: NDArray[np.uint8] = self._images[row]  # type: ignore[index]
        return image if shape == self.image_shape else fit(image[None], shape)[0]

    def images(self, rows: NDArray[np.int64], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        """Return samples as uint8 (N, H, W, C), fitted to ``shape`` (C, H, W)."""
        self._open()
        # Sorted reads, so that a bank larger than memory is walked through in one direction.
        order = np.argsort(rows, kind="stable")
        gathered = np.empty((len(rows), *self._images.shape[1:]), dtype=np.uint8)  # type: ignore[union-attr]
        gathered[order] = self._images[rows[order]]  # type: ignore[index]
        return gathered if shape == self.image_shape else fit(gathered, shape)


def check_same_classes(expected: Sequence[str], found: Sequence[str]) -> None:
    """Raise `LabelError` unless a bank's classes are the training data's, in the same order."""
    expected, found = tuple(expected), tuple(found)
    if expected == found:
        return
    if sorted(expected) == sorted(found):
        label = next(label for label, name in enumerate(expected) if name != found[label])
        reason = f"label {label} is {expected[label]!r} in the data and {found[label]!r} in the bank"
    else:
        reason = (
            f"only in the data: {sorted(set(expected) - set(found))[:5]}, "
            f"only in the bank: {sorted(set(found) - set(expected))[:5]}"
        )
    raise LabelError(
        f"expected a bank with the {len(expected)} classes of the data, but its {len(found)} classes differ "
        f"({reason}). "
        "Use a bank that was generated from a generator fitted to this data."
    )


def check_probability(p: float, name: str = "p") -> float:
    """Return a probability as float.

    Raises:
        ConfigError: If it is not a number from 0 to 1.
    """
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ConfigError(f"{name}: expected a probability from 0 to 1, but got {p!r}.")
    return float(p)


def uniform() -> float:
    """Draw a number in [0, 1) from torch's global random state, which each DataLoader worker seeds."""
    # Filling a scalar that is already there costs a third of torch.rand, and this runs for every image.
    try:
        return _scratch.number.uniform_().item()  # type: ignore[no-any-return]
    except AttributeError:
        _scratch.number = torch.empty((), dtype=torch.float64, device="cpu")
        return uniform()


def uniforms(number: int) -> NDArray[np.float64]:
    """Draw ``number`` numbers in [0, 1) from torch's global random state."""
    drawn: NDArray[np.float64] = torch.rand(number, dtype=torch.float64, device="cpu").numpy()
    return drawn


def fit(images: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Fit images to other channels and another size.

    Grey becomes RGB by repetition, RGB becomes grey by luma (ITU-R BT.601, as Pillow does); sizes change by
    antialiased bilinear interpolation (as torchvision's ``v2.Resize`` does).

    Args:
        images: uint8 (N, H, W, C) with 1 or 3 channels.
        shape: The wanted (C, H, W).

    Returns:
        uint8 (N, H, W, C).

    Raises:
        DataError: If channels other than 1 or 3 are wanted.

    Example:
        >>> fit(np.full((2, 8, 8, 3), 7, np.uint8), (1, 4, 6))[0, 0, 0].tolist()
        [7]
    """
    channels, height, width = shape
    if channels not in (1, 3):
        raise DataError(
            f"expected images with 1 or 3 channels, but got {channels}; a bank holds grey or RGB images, "
            "so convert the images before this transform."
        )
    if images.shape[3] == 3 and channels == 1:
        weighed = images.astype(np.uint32) @ np.array([19595, 38470, 7471], dtype=np.uint32)
        images = ((weighed + (1 << 15)) >> 16).astype(np.uint8)[..., None]
    if images.shape[1:3] != (height, width):
        stacked = torch.tensor(images).permute(0, 3, 1, 2)
        images = resize(stacked, height, width).permute(0, 2, 3, 1).contiguous().numpy()
    if images.shape[3] == 1 and channels == 3:
        images = np.repeat(images, 3, axis=3)
    return images


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Resize images (N, C, H, W), uint8 or float, by antialiased bilinear interpolation."""
    if images.shape[-2:] == (height, width):
        return images
    if images.dtype == torch.uint8 and images.device.type != "cpu":
        return resize(images.float(), height, width).round().clamp(0, 255).to(torch.uint8)
    return F.interpolate(images, size=(height, width), mode="bilinear", antialias=True, align_corners=False)


def mixup(real: Tensor, synthetic: Tensor, share: Tensor) -> Tensor:
    """Blend images: ``share`` of the real one, the rest of the synthetic one (Zhang et al. 2018, "mixup").

    Args:
        real: (N, C, H, W), uint8 or float.
        synthetic: The same shape and type.
        share: (N,) in [0, 1].
    """
    weight = share.to(real.device, torch.float32).view(-1, 1, 1, 1)
    mixed = torch.lerp(synthetic.float(), real.float(), weight)
    return mixed.round().clamp(0, 255).to(torch.uint8) if real.dtype == torch.uint8 else mixed.to(real.dtype)


def cutmix(real: Tensor, synthetic: Tensor, share: Tensor, centres: Tensor) -> Tensor:
    """Paste a box of the synthetic image into the real one (Yun et al. 2019, "CutMix").

    Args:
        real: (N, C, H, W).
        synthetic: The same shape and type.
        share: (N,) in [0, 1]; the box has 1 - ``share`` of the area before it is clipped at the border.
        centres: (N, 2) in [0, 1), the relative middle (y, x) of each box.
    """
    inside = real.new_ones((), dtype=torch.bool)
    for axis, length in enumerate(real.shape[-2:]):
        half = 0.5 * length * torch.sqrt(1 - share.double())
        middle = centres[:, axis].double() * length
        pixels = torch.arange(length, dtype=torch.float64) + 0.5
        within = ((pixels >= (middle - half)[:, None]) & (pixels < (middle + half)[:, None])).to(real.device)
        inside = inside & (within[:, :, None] if axis == 0 else within[:, None, :])
    return torch.where(inside[:, None], synthetic, real)
