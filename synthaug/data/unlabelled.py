"""Images without labels, brought to the size and channels of labelled ones."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.dataset import ImageDataset
from synthaug.data.overlap import among
from synthaug.data.sources import huggingface, parquet
from synthaug.data.sources.arrays import check_images
from synthaug.data.sources.base import Row, Source
from synthaug.data.sources.find import find_source
from synthaug.data.sources.folder import from_loose_files
from synthaug.errors import DataError, DataWarning
from synthaug.storage import digest

CLASS = "unlabelled"
"""Name of the one class that images without labels have."""


class _LabelsAside(Source):
    """Another source whose rows are all of one class, whatever labels they have, and if they have none."""

    def __init__(self, source: Source) -> None:
        fingerprint = None if source.fingerprint is None else digest(CLASS, source.fingerprint)
        super().__init__(source.name, fingerprint, [CLASS], source.total, source.problems)
        self._source = source

    def rows(self) -> Iterator[Row]:
        return (dataclasses.replace(row, label=CLASS) for row in self._source.rows())


def load_unlabelled(
    source: Any, labelled: ImageDataset, *, split: str | None = None, cache_dir: str | os.PathLike[str] | None = None
) -> ImageDataset:
    """Read images that have no labels, or whose labels are left aside.

    Args:
        source: A folder, of which every image file counts, whatever folders it is in; uint8 images
            (N, H, W), (N, H, W, C) or a tensor; or anything that `ImageDataset.load` takes, its labels left aside.
        labelled: Their size and channels are taken; what is among them already is left out.
        split: Part of a source that has parts; of a folder of class folders, too.
        cache_dir: As in `ImageDataset.load`.

    Returns:
        The images, all of one class, ``"unlabelled"``.

    Raises:
        DataError: If the source is missing or holds no image that is not labelled already.

    Warns:
        DataWarning: If files cannot be used, or images are left out because they are labelled already.

    Example:
        >>> few, others = ImageDataset.load("digits").split(0.1)
        >>> load_unlabelled(others, few).class_counts.tolist()
        [1617]
    """
    channels, *sides = labelled.image_shape
    if hasattr(source, "dtype"):
        pixels = check_images(source, channels=(1, 3, 4))
        source = (pixels, np.zeros(len(pixels), np.int64), [CLASS])
    elif isinstance(source, (str, os.PathLike)) and split is None:
        folder = Path(source).expanduser()
        if folder.is_dir() and not huggingface.is_saved(folder) and not parquet.files_under(folder):
            source = from_loose_files(folder, CLASS)
    if not isinstance(source, (ImageDataset, Source)):
        source = _LabelsAside(find_source(source, split=split))
        split = None
    read = ImageDataset.load(source, (sides[0], sides[1]), channels=channels, split=split, cache_dir=cache_dir)
    known = among(read, labelled)
    if known.all():
        raise DataError(
            f"unlabelled images: expected some that are not labelled already, but all {len(read):,} of {read.name} are "
            "among the labelled ones."
        )
    if known.any():
        warnings.warn(
            f"{int(known.sum()):,} of {len(read):,} unlabelled images are among the labelled ones, pixel for pixel, "
            "and are left out.",
            DataWarning,
            stacklevel=2,
        )
    pixels = read.take(np.flatnonzero(~known)) if known.any() else read.images
    return ImageDataset.from_arrays(pixels, np.zeros(len(pixels), np.int64), [CLASS], read.name)
