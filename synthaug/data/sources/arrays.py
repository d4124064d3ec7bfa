"""Images that are already arrays: ``(images, labels)`` or ``(images, labels, classes)``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.data.sources.base import Problem, Row, Source, shown_as, unique_classes
from synthaug.errors import DataError, LabelError
from synthaug.labels import class_index


class ArraySource(Source):
    """uint8 images (N, H, W, C) of one size, with C in {1, 3, 4}, and raw labels."""

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: Sequence[Any] | NDArray[Any],
        classes: Sequence[str] | None,
        name: str,
        fingerprint: str | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(name, fingerprint, classes, len(images), problems)
        self.images = images
        self.labels = labels

    def rows(self) -> Iterator[Row]:
        """Yield all rows in order."""
        for index, (image, label) in enumerate(zip(self.images, self.labels, strict=True)):
            yield Row(f"image {index}", label, image)


def from_tuple(source: Sequence[Any], name: str) -> ArraySource:
    """Make a source of a tuple of images, labels and, perhaps, class names.

    Raises:
        DataError: If it is no such tuple, or the images are not uint8.
    """
    if not 2 <= len(source) <= 3:
        raise DataError(f"expected (images, labels) or (images, labels, classes), but got a tuple of {len(source)}.")
    images = check_images(source[0], channels=(1, 3, 4))
    labels, classes = _plain_labels(source[1], len(images)), source[2] if len(source) == 3 else None
    if classes is None and all(isinstance(label, int) for label in labels):
        # Labels of arrays are positions already, whether or not each one occurs.
        classes = [str(number) for number in range(max(labels, default=-1) + 1)]
    return ArraySource(images, labels, classes, name)


def check_images(images: Any, channels: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return an array or tensor of images as uint8 (N, H, W, C).

    Raises:
        DataError: If it is of another type or shape, or empty.
    """
    tensor = hasattr(images, "detach") and hasattr(images, "cpu")
    try:
        array = np.asarray(images.detach().cpu().numpy() if tensor else images)
    except ValueError as error:
        raise DataError(f"expected images of one size, but they do not form one array ({error}).") from error
    if array.dtype != np.uint8:
        raise DataError(
            f"expected images of uint8 with values from 0 to 255, but got {array.dtype}. "
            "Scale them first, for instance (images * 255).round().astype('uint8') for values from 0 to 1."
        )
    if array.ndim == 3:
        array = array[..., None]
    if tensor and array.ndim == 4 and array.shape[1] in channels and array.shape[3] not in channels:
        array = array.transpose(0, 2, 3, 1)
    if array.ndim != 4 or array.shape[3] not in channels or 0 in array.shape[1:]:
        hint = ""
        if array.ndim == 4 and array.shape[1] in channels:
            hint = " Channels come last: images.transpose(0, 2, 3, 1)."
        wanted = ", ".join(map(str, channels))
        raise DataError(
            f"expected images of shape (N, H, W) or (N, H, W, C) with C in {wanted}, but got {array.shape}.{hint}"
        )
    if not len(array):
        raise DataError("expected at least one image, but got none.")
    return array


def resolve_labels(labels: Any, classes: Sequence[str] | None, count: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return labels as positions in class names, both checked; see `ImageDataset.from_arrays`.

    Raises:
        DataError: If there are not ``count`` labels.
        LabelError: If a label is unknown.
    """
    plain = _plain_labels(labels, count)
    texts = any(isinstance(label, str) for label in plain)
    if classes is None:
        last = max((label for label in plain if isinstance(label, int)), default=-1)
        names = tuple(sorted({str(label) for label in plain})) if texts else tuple(map(str, range(last + 1)))
    else:
        names = unique_classes(classes, "classes")
    positions = {name: position for position, name in enumerate(names)}
    numbers = np.empty(count, dtype=np.int64)
    for row, label in enumerate(plain):
        if isinstance(label, str):
            found = positions.get(label)
            numbers[row] = class_index(label, names) if found is None else found
        elif isinstance(label, int) and 0 <= label < len(names):
            numbers[row] = label
        else:
            raise LabelError(f"expected labels from 0 to {len(names) - 1}, but got {label!r} at position {row}.")
    return numbers, names


def _plain_labels(labels: Any, count: int) -> list[Any]:
    if hasattr(labels, "detach") and hasattr(labels, "cpu"):
        labels = labels.detach().cpu().numpy()
    plain = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
    if len(plain) != count:
        raise DataError(f"expected one label an image, but got {count} images and {len(plain)} labels.")
    plain = [label.item() if hasattr(label, "item") else label for label in plain]
    return [shown_as(label) if isinstance(label, str) else label for label in plain]
