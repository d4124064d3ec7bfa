"""Datasets known by name: scikit-learn's digits and Debian's Fashion-MNIST."""

from __future__ import annotations

import functools
import gzip
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug import storage
from synthaug.data.sources.arrays import ArraySource
from synthaug.data.sources.base import Source
from synthaug.data.sources.selection import choose_split
from synthaug.errors import DataError

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # where Debian's package puts it
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def digits(split: str | None) -> ArraySource:
    """Return scikit-learn's 1,797 digits of 8×8 pixels; their 17 levels become 0 to 255."""
    if split is not None:
        raise DataError(f"digits: expected no split, for it has none, but got {split!r}. Use data.split(0.8, seed=0).")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    return ArraySource(images, bunch.target.tolist(), [str(digit) for digit in range(10)], "digits")


def fashion_mnist(split: str | None) -> ArraySource:
    """Return Zalando's 28×28 articles of clothing, 60,000 (train) or 10,000 (test), from Debian's package.

    Source: Xiao et al., Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning, 2017.
    """
    chosen = choose_split(("train", "test"), split, "fashion-mnist")
    folder = Path(os.environ.get("SYNTHAUG_FASHION_MNIST", FASHION_MNIST))
    prefix = "train" if chosen == "train" else "t10k"
    files = [folder / f"{prefix}-images-idx3-ubyte.gz", folder / f"{prefix}-labels-idx1-ubyte.gz"]
    for file in files:
        if not file.is_file():
            raise DataError(
                f"fashion-mnist: expected {file.name} in {folder}, but it is missing. Install it with: "
                "apt-get install dataset-fashion-mnist, or set SYNTHAUG_FASHION_MNIST to its folder."
            )
    return IdxSource(files[0], files[1], FASHION_CLASSES, f"fashion-mnist ({chosen})")


class IdxSource(ArraySource):
    """Images and labels in two gzipped IDX files, which are read only when something asks for them."""

    def __init__(self, images: Path, labels: Path, classes: Sequence[str], name: str) -> None:
        status = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in (images, labels)]
        Source.__init__(self, name, storage.digest("idx", storage.canonical_json([status, classes])), classes, None)
        self._files = images, labels

    @functools.cached_property
    def images(self) -> NDArray[np.uint8]:  # type: ignore[override]
        """uint8 (N, H, W, 1)."""
        return _read_idx(self._files[0])[..., None]

    @functools.cached_property
    def labels(self) -> Sequence[int]:  # type: ignore[override]
        """One a row."""
        labels: list[int] = _read_idx(self._files[1]).tolist()
        return labels


BUILTIN = {"digits": digits, "fashion-mnist": fashion_mnist}


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a gzipped file of bytes in the IDX format: magic 0, 0, 8, dimensions; sizes, big-endian; data."""
    try:
        data = gzip.decompress(path.read_bytes())
        dimensions = data[3]
        shape = np.frombuffer(data, ">u4", count=dimensions, offset=4)
        return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise DataError(f"{path} is not a whole IDX file: {error}") from error
