"""The sample bank: synthetic images on disk, memory-mapped for training, with the provenance of each.

A bank is a folder:

* ``bank.json``: format version, classes, image shape, number of samples, what made them,
* ``images.npy``: uint8 (N, H, W, C), ``labels.npy``: int64 (N,),
* ``table.parquet``: one row a sample with its name (generator digest, seed, class, index) and any scores,
* ``rejected.parquet``, of a curated bank: the same of the candidates that were rejected, with the reason.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import DataError, FormatError, LabelError
from synthaug.grids import to_image
from synthaug.labels import ClassKey, check_labels, class_index
from synthaug.sampling.bank_files import (
    IMAGES,
    LABELS,
    REJECTED,
    TABLE,
    WEIGHT,
    map_array,
    read_header,
    write_all_but_images,
)
from synthaug.storage import canonical_json, digest, new_directory, new_file

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL import Image


class SampleBank:
    """Synthetic images with labels and provenance.

    Made by `synthaug.generate`, by `open` from a folder, or by `from_arrays` in memory. Also a map-style torch
    dataset of (PIL image, label). A bank on disk pickles as its path and maps its files anew in each process, so it
    may go to any number of DataLoader workers, forked or spawned, at no cost in memory.

    Attributes:
        path: The folder, or ``None`` for a bank in memory.
        classes: Names of the classes, in the order of their labels.
        image_shape: (C, H, W) of the images.
        digest: SHA-256 (hex) naming the content.
        provenance: What made the samples: digest and family of the generator, seed, …

    Example:
        >>> bank = SampleBank.from_arrays(np.zeros((3, 8, 8, 1), np.uint8), [0, 1, 0], ["boot", "sneaker"])
        >>> bank.indices_of("boot").tolist(), bank.counts.tolist(), bank.images.shape
        ([0, 2], [2, 1], (3, 8, 8, 1))
    """

    path: Path | None
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    digest: str
    provenance: dict[str, Any]
    _count: int

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open the bank in folder ``path``; the images are mapped, not read.

        Raises:
            FormatError: If the folder is missing, incomplete, damaged or of another version.
        """
        folder = Path(path).expanduser().resolve()
        header = read_header(folder)
        bank = cls.__new__(cls)
        bank.path = folder
        bank.classes = tuple(header["classes"])
        channels, height, width = header["image_shape"]
        bank.image_shape = (channels, height, width)
        bank.digest = header["digest"]
        bank.provenance = header["provenance"]
        bank._count = header["count"]
        for array, shape in (
            (bank.images, (bank._count, height, width, channels)),
            (bank.labels, (bank._count,)),
        ):
            if array.shape != shape:
                raise FormatError(
                    f"{folder} is damaged: bank.json promises shape {shape}, but the file has {array.shape}."
                )
        return bank

    @classmethod
    def from_arrays(
        cls,
        images: NDArray[np.uint8],
        labels: NDArray[np.integer] | Sequence[int],
        classes: Sequence[str],
        *,
        table: pa.Table | None = None,
        weights: NDArray[np.float32] | None = None,
        provenance: Mapping[str, Any] | None = None,
        rejected: pa.Table | None = None,
    ) -> Self:
        """Make a bank in memory.

        Args:
            images: uint8, (N, H, W, C) with 1 or 3 channels.
            labels: Their labels, (N,).
            classes: Names of the classes.
            table: One row a sample; made of labels and running numbers if left out.
            weights: Weight of each sample in the loss, (N,), where the table does not say.
            provenance: What made the samples, JSON-able.
            rejected: One row a candidate that curation rejected.

        Raises:
            DataError: If images or table are of the wrong shape or type.
            LabelError: If a label is out of range or the numbers of images and labels differ.
        """
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
            raise DataError(
                f"expected uint8 images of shape (N, H, W, C) with 1 or 3 channels, "
                f"but got {images.dtype} of shape {images.shape}."
            )
        checked = check_labels(np.asarray(labels), classes)
        if len(checked) != len(images):
            raise LabelError(f"expected a label for each of the {len(images)} images, but got {len(checked)}.")
        if table is not None and table.num_rows != len(images):
            raise DataError(f"expected a table of {len(images)} rows, one for each image, but got {table.num_rows}.")
        bank = cls.__new__(cls)
        bank.path = None
        bank.classes = tuple(classes)
        bank.image_shape = (images.shape[3], images.shape[1], images.shape[2])
        bank.provenance = dict(provenance or {})
        bank._count = len(images)
        bank.__dict__["images"] = images
        bank.__dict__["labels"] = checked
        if table is not None:
            bank.__dict__["table"] = table
        if weights is not None:
            if len(weights) != len(images):
                raise DataError(f"expected a weight for each of the {len(images)} images, but got {len(weights)}.")
            bank.__dict__["table"] = bank.table.append_column(WEIGHT, [np.asarray(weights, dtype=np.float32)])
        weighs = "table" in bank.__dict__ and WEIGHT in bank.table.column_names
        bank.digest = digest(
            canonical_json([list(bank.classes), list(images.shape), bank.provenance]),
            np.ascontiguousarray(images).tobytes(),
            checked.tobytes(),
            *([bank.weights.tobytes()] if weighs else []),
        )
        if rejected is not None:
            bank.__dict__["rejected"] = rejected
        return bank

    def save(self, path: str | Path, *, overwrite: bool = False) -> SampleBank:
        """Write the bank as a folder and return it opened from there.

        Raises:
            OutputExistsError: If ``path`` holds data and ``overwrite`` is false.
        """
        from synthaug.sampling.contents import sample_contents  # with all formats, which take long to import

        target = Path(path).expanduser()
        with new_directory(target, overwrite=overwrite, what="sample bank", contents=sample_contents()) as folder:
            with new_file(folder / IMAGES) as temporary, temporary.open("wb") as stream:
                np.lib.format.write_array(stream, np.ascontiguousarray(self.images), allow_pickle=False)
            write_all_but_images(
                folder,
                self.labels,
                self.classes,
                self.image_shape,
                self.table,
                self.provenance,
                self.digest,
                self.rejected,
            )
        return SampleBank.open(target)

    @functools.cached_property
    def images(self) -> NDArray[np.uint8]:
        """The images, uint8 (N, H, W, C), mapped read-only from disk."""
        return map_array(self._folder() / IMAGES, np.uint8)

    @functools.cached_property
    def labels(self) -> NDArray[np.int64]:
        """The labels, int64 (N,)."""
        return map_array(self._folder() / LABELS, np.int64)

    @functools.cached_property
    def table(self) -> pa.Table:
        """One row a sample: label, class_name, seed, index, generator, family, and any scores."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.path is None:
            names = pa.array(self.classes, type=pa.string())
            index = np.empty(len(self), dtype=np.int64)
            for label in range(len(self.classes)):
                index[self.indices_of(label)] = np.arange(self.counts[label])
            return pa.table(
                {
                    "label": self.labels,
                    "class_name": pa.DictionaryArray.from_arrays(self.labels.astype(np.int32), names),
                    "index": index,
                }
            )
        try:
            return pq.read_table(self._folder(check=True) / TABLE)
        except pa.ArrowInvalid as error:
            raise FormatError(f"{self.path / TABLE} is damaged: {error}") from error

    @functools.cached_property
    def rejected(self) -> pa.Table:
        """One row a rejected candidate: its name, its scores and ``reason``; no rows unless the bank was curated."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.path is None or not (self._folder(check=True) / REJECTED).is_file():
            return self.table.slice(0, 0).append_column("reason", pa.array([], type=pa.string()))
        try:
            return pq.read_table(self.path / REJECTED)
        except pa.ArrowInvalid as error:
            raise FormatError(f"{self.path / REJECTED} is damaged: {error}") from error

    @functools.cached_property
    def weights(self) -> NDArray[np.float32]:
        """Weight of each sample in the loss, float32 (N,): the table's ``weight``, or ones where it has none."""
        if WEIGHT not in self.table.column_names:
            return np.ones(len(self), dtype=np.float32)
        weights: NDArray[np.float32] = self.table.column(WEIGHT).to_numpy().astype(np.float32)
        return weights

    @functools.cached_property
    def _by_class(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions sorted by label, and where each class starts among them."""
        order = np.argsort(self.labels, kind="stable").astype(np.int64, copy=False)
        order.flags.writeable = False
        starts = np.zeros(len(self.classes) + 1, dtype=np.int64)
        np.cumsum(np.bincount(self.labels, minlength=len(self.classes)), out=starts[1:])
        return order, starts

    def indices_of(self, label: ClassKey) -> NDArray[np.int64]:
        """Return the positions of a class's samples, read-only, in constant time.

        Raises:
            LabelError: If there is no such class.
        """
        number = class_index(label, self.classes)
        order, starts = self._by_class
        return order[starts[number] : starts[number + 1]]

    @functools.cached_property
    def counts(self) -> NDArray[np.int64]:
        """Number of samples of each class, (number of classes,)."""
        return np.diff(self._by_class[1])

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: int) -> tuple[Image.Image, int]:
        return to_image(np.asarray(self.images[position])), int(self.labels[position])

    def __repr__(self) -> str:
        where = self.path or "memory"
        return f"SampleBank({len(self)} images of shape {self.image_shape}, {len(self.classes)} classes, {where})"

    def __getstate__(self) -> dict[str, Any]:
        if self.path is None:
            return self.__dict__.copy()
        return {name: value for name, value in self.__dict__.items() if name not in _MAPPED} | {"_stale": True}

    def _folder(self, *, check: bool = False) -> Path:
        """Return the folder, checked to be the bank that was opened where it was pickled since, or ``check`` says so.

        Raises:
            FormatError: If it is another one by now.
        """
        if self.path is None:
            raise FormatError("this bank lives in memory and has no folder; write it with save(path).")
        if check or self.__dict__.get("_stale", False):
            found = read_header(self.path)["digest"]
            if found != self.digest:
                raise FormatError(
                    f"the bank in {self.path} changed since this object was made (digest {self.digest[:12]}, "
                    f"now {found[:12]}). Open it anew with SampleBank.open."
                )
            self.__dict__.pop("_stale", None)
        return self.path


_MAPPED = ("images", "labels", "table", "rejected", "weights", "_by_class", "counts")
