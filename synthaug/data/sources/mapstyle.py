"""Map-style datasets of (image, label): torchvision's, their subsets, and anything alike."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from synthaug import storage
from synthaug.data.sources.base import Broken, Row, Source
from synthaug.errors import DataError


class MapStyleSource(Source):
    """Items of a dataset object, taken one by one in this thread: it need not be thread-safe."""

    def __init__(
        self,
        dataset: Any,
        indices: Sequence[int] | None,
        name: str,
        fingerprint: str | None,
        classes: list[str] | None,
    ) -> None:
        super().__init__(name, fingerprint, classes, len(dataset) if indices is None else len(indices))
        self._dataset, self._indices = dataset, indices

    def rows(self) -> Iterator[Row]:
        """Yield all items in order."""
        files = getattr(self._dataset, "samples", None) if _is_folder(self._dataset) else None
        for index in range(len(self._dataset)) if self._indices is None else self._indices:
            if files is not None:
                path, label = files[index]
                target = getattr(self._dataset, "target_transform", None)
                yield Row(str(path), label if target is None else target(label), str(path))
                continue
            try:
                item = self._dataset[index]
            except Exception as error:  # whatever a user's dataset raises
                yield Row(f"item {index}", 0, Broken(f"the dataset raised {type(error).__name__}: {error}"))
                continue
            if not isinstance(item, (tuple, list)) or len(item) != 2:
                raise DataError(
                    f"{self.name}: expected items (image, label), but item {index} is {type(item).__name__}."
                )
            yield Row(f"item {index}", item[1], item[0])


def from_dataset(dataset: Any) -> MapStyleSource:
    """Make a source of a dataset object.

    Its transforms are left out (on a copy): they augment and scale, and the raw images are wanted. What it
    holds is told from its ``samples`` (files, sizes and times) or ``data`` and ``targets`` (content); where
    it has neither, only decoding tells, and that is done at every start.
    """
    indices: list[int] | None = None
    while hasattr(dataset, "dataset") and hasattr(dataset, "indices"):  # torch.utils.data.Subset
        own = [int(index) for index in dataset.indices]
        indices = own if indices is None else [own[index] for index in indices]
        dataset = dataset.dataset
    name = type(dataset).__name__
    if not len(dataset) or indices == []:
        raise DataError(f"{name}: expected at least one item, but it is empty.")
    if hasattr(dataset, "transform") or hasattr(dataset, "transforms"):
        dataset = copy.copy(dataset)
        for attribute in ("transform", "transforms"):
            if hasattr(dataset, attribute):
                setattr(dataset, attribute, None)
    names = getattr(dataset, "classes", None) or getattr(dataset, "categories", None)
    classes = [str(name) for name in names] if isinstance(names, (list, tuple)) else None
    fingerprint = _fingerprint(dataset)
    if fingerprint is not None:
        target = getattr(dataset, "target_transform", None)
        fingerprint = None if target is not None else storage.digest(fingerprint, repr(indices))
    return MapStyleSource(dataset, indices, name, fingerprint, classes)


def _is_folder(dataset: Any) -> bool:
    samples = getattr(dataset, "samples", None)
    return (
        hasattr(dataset, "loader")
        and isinstance(samples, list)
        and bool(samples)
        and isinstance(samples[0], (tuple, list))
        and len(samples[0]) == 2
        and isinstance(samples[0][0], (str, os.PathLike))
    )


def _fingerprint(dataset: Any) -> str | None:
    """Name the content of the datasets whose inside is known: torchvision's folders and arrays."""
    if type(dataset).__module__.split(".")[0] != "torchvision":
        return None
    if _is_folder(dataset):
        listing = []
        for path, label in dataset.samples:
            status = os.stat(path)  # noqa: PTH116
            listing.append(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0{label}\n")
        return storage.digest("samples", "".join(listing))
    data, targets = getattr(dataset, "data", None), getattr(dataset, "targets", None)
    if data is None or targets is None:
        return None
    pixels = np.ascontiguousarray(data)
    return storage.digest(
        type(dataset).__name__, str(pixels.shape), pixels.tobytes(), repr(np.asarray(targets).tolist())
    )
