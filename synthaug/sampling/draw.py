"""Draw same-class samples from a bank.

All integrations share this: they bring random numbers and images in their ecosystem's form, and hold no
algorithm.
Choosing is a pure function of numbers in [0, 1), so an adapter may take them from any source of randomness.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthaug.config import is_number
from synthaug.errors import ConfigError, DataWarning, LabelError, listed
from synthaug.labels import check_labels, class_index
from synthaug.sampling.bank import SampleBank
from synthaug.sampling.fit import fit

NOTHING = -1
"""The row that stands for "leave this image as it is"."""

_scratch = threading.local()


class Chooser(Protocol):
    """Reads labels, and decides for each image whether a synthetic one comes, and which."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by label."""

    def label(self, value: Any) -> int:
        """Return a checked label."""

    def labels(self, values: Any) -> NDArray[np.int64]:
        """Return the checked labels (N,) of a batch."""

    def choose(self, label: int, p: float, draw: float) -> int:
        """Return which image comes with probability ``p``, else `NOTHING`."""

    def choose_many(self, labels: NDArray[np.int64], p: float, draws: NDArray[np.float64]) -> NDArray[np.int64]:
        """Do as `choose` does for labels (N,) and draws (N,)."""


class LabelReader:
    """Reads the labels that come with images, in whatever form an ecosystem has them.

    Args:
        classes: Names of the classes, in the order of their labels.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)

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
        """Return the labels (N,) of a batch, given as tensor, array or sequence, or its class names.

        Raises:
            LabelError: If they are neither integers nor names (one-hot or mixed labels, say), unknown, or out of range.
        """
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
        if array.ndim == 0:
            raise LabelError(f"expected a label for each image of the batch, but got one: {values!r}.")
        if array.ndim == 1 and array.dtype.kind in "UO":
            return np.array([self.label(value) for value in values], dtype=np.int64)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise LabelError(
                f"expected integer labels or class names of shape (N,), but got {array.dtype} of shape {array.shape}. "
                "Place the transform before whatever makes labels one-hot or mixes them."
            )
        return check_labels(array, self.classes)


class ClassSampler(LabelReader):
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

    def __init__(self, bank: SampleBank | str | os.PathLike[str], classes: Sequence[str] | None = None) -> None:
        self.bank = bank if isinstance(bank, SampleBank) else SampleBank.open(os.fspath(bank))
        super().__init__(self.bank.classes)
        self.image_shape = self.bank.image_shape
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
            self._counts = counts
            self._starts = [sum(counts[:label]) for label in range(len(counts))]
            self._order = np.concatenate(rows) if rows else np.empty(0, np.int64)
        return self._order

    def _plain(self) -> NDArray[np.uint8]:
        """Return a plain view of the memory map of images: slicing the map itself costs ten times as much."""
        if self._images is None:
            self._images = np.asarray(self.bank.images)
        return self._images

    def tables(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Rows sorted by class (N,), where each class starts among them, and how many it has."""
        order = self._open()
        return order, np.array(self._starts, dtype=np.int64), np.array(self._counts, dtype=np.int64)

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

    def choose_many(self, labels: NDArray[np.int64], p: float, draws: NDArray[np.float64]) -> NDArray[np.int64]:
        """Do as `choose` does for labels (N,) and draws (N,); returns rows (N,)."""
        order, starts, counts = (torch.from_numpy(table) for table in self.tables())
        rows: NDArray[np.int64] = pick_rows(
            order, starts, counts, torch.from_numpy(labels), p, torch.from_numpy(draws)
        ).numpy()
        return rows

    def image(self, row: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        """Return one sample as uint8 (H, W, C), fitted to ``shape`` (C, H, W); do not write into it."""
        image: NDArray[np.uint8] = self._plain()[row]
        return image if shape == self.image_shape else fit(image[None], shape)[0]

    def images(self, rows: NDArray[np.int64], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        """Return samples as uint8 (N, H, W, C), fitted to ``shape`` (C, H, W)."""
        images = self._plain()
        # Sorted reads, so that a bank larger than memory is walked through in one direction.
        order = np.argsort(rows, kind="stable")
        gathered = np.empty((len(rows), *images.shape[1:]), dtype=np.uint8)
        gathered[order] = images[rows[order]]
        return gathered if shape == self.image_shape else fit(gathered, shape)


def check_same_classes(expected: Sequence[str], found: Sequence[str], what: str = "bank") -> None:
    """Raise `LabelError` unless a bank's or generator's classes are the training data's, in the same order."""
    expected, found = tuple(expected), tuple(found)
    if expected == found:
        return
    if sorted(expected) == sorted(found):
        label = next(label for label, name in enumerate(expected) if name != found[label])
        reason = f"label {label} is {expected[label]!r} in the data and {found[label]!r} in the {what}"
    else:
        reason = (
            f"only in the data: {sorted(set(expected) - set(found))[:5]}, "
            f"only in the {what}: {sorted(set(found) - set(expected))[:5]}"
        )
    raise LabelError(
        f"expected a {what} with the {len(expected)} classes of the data, but its {len(found)} classes differ "
        f"({reason}). "
        f"Use a {what} that was made from this data."
    )


def check_aligned(names: Sequence[str], known: Sequence[str]) -> None:
    """Raise `LabelError` where a label means another of the known classes to a dataset with these class names.

    Upper and lower case are the same here. Names that are not among the known classes tell nothing where those of one
    side are numbers; else, if none is among them, a `DataWarning` says that these seem to be other classes.

    Example:
        >>> check_aligned(["boot", "sneaker"], ["Boot", "Sneaker", "Wader"])
    """
    mine, theirs = [name.casefold() for name in names], [name.casefold() for name in known]
    for label, name in enumerate(mine):
        if name in theirs and (label >= len(theirs) or theirs[label] != name):
            other = repr(known[label]) if label < len(known) else "no class"
            raise LabelError(
                f"label {label} is {names[label]!r} in the dataset, but {other} among the classes of the samples "
                f"({listed(known)}). Train and generate from this very dataset, ImageDataset.load(dataset), so that "
                "both count the same classes."
            )
    numbered = any(all(name.isdigit() for name in side) for side in (mine, theirs))
    if not numbered and set(mine).isdisjoint(theirs):
        warnings.warn(
            f"none of the dataset's classes ({listed(names)}) is among those of the samples ({listed(known)}): are "
            "they of other data? Label 0 of the one is taken for label 0 of the other, and so on.",
            DataWarning,
            stacklevel=3,
        )


def check_probability(p: float, name: str = "p") -> float:
    """Return a probability, of whatever kind of number (NumPy's too), as float.

    Raises:
        ConfigError: If it is not a number from 0 to 1.
    """
    if not is_number(p) or not 0 <= p <= 1:
        raise ConfigError(f"{name}: expected a probability from 0 to 1, but got {p!r}.")
    return float(p)


def uniform() -> float:
    """Draw a number in [0, 1) from torch's global random state, which each DataLoader worker seeds."""
    # Filling a scalar that is already there costs a third of torch.rand, and this runs for every image.
    try:
        drawn: float = _scratch.number.uniform_().item()
        return drawn
    except AttributeError:
        with torch.inference_mode(False):  # else it could never be written to outside of it
            _scratch.number = torch.empty((), dtype=torch.float64, device="cpu")
        return uniform()


def uniforms(number: int) -> NDArray[np.float64]:
    """Draw ``number`` numbers in [0, 1) from torch's global random state."""
    drawn: NDArray[np.float64] = torch.rand(number, dtype=torch.float64, device="cpu").numpy()
    return drawn


def pick_rows(order: Tensor, starts: Tensor, counts: Tensor, labels: Tensor, p: float, draws: Tensor) -> Tensor:
    """Choose a row for each label, on any device and without the host waiting for it.

    Args:
        order: Rows sorted by class.
        starts: Where each class starts in ``order``.
        counts: Rows of each class.
        labels: (N,), checked.
        p: Probability of a row.
        draws: Uniform in [0, 1), (N,).

    Returns:
        Rows (N,), `NOTHING` where ``draws`` is ``p`` or more, or the class has no rows.
    """
    if p == 0 or not len(order):
        return torch.full_like(labels, NOTHING)
    number = counts[labels]
    # Given draw < p, draw / p is uniform again; rounding may bring it to 1.
    offset = torch.minimum((draws / p * number).long(), number - 1)
    rows = order[(starts[labels] + offset).clamp(0, len(order) - 1)]
    return torch.where((draws < p) & (number > 0), rows, NOTHING)
