"""From a source's rows to an `ImageDataset`: look in the cache, else decode, check and cache."""

from __future__ import annotations

import contextlib
import logging
import operator
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug import storage
from synthaug.data import cache
from synthaug.data.dataset import ImageDataset
from synthaug.data.decode import Size
from synthaug.data.pipeline import Decoded, SizesDiffer, blocks, median_size
from synthaug.data.sources.arrays import ArraySource
from synthaug.data.sources.base import Problem, Source, classes_of, labels_of
from synthaug.data.sources.find import find_source, refuse_columns
from synthaug.errors import ConfigError, DataError, DataWarning

logger = logging.getLogger("synthaug.data")

_SHOWN = 5
_LISTED = 50


def load(
    source: Any,
    image_size: int | tuple[int, int] | None,
    *,
    channels: int | str,
    split: str | None,
    image_column: str | None,
    label_column: str | None,
    strict: bool,
    cache_dir: str | os.PathLike[str] | None,
    name: str | None,
    refresh: bool,
) -> ImageDataset:
    """Do what `ImageDataset.load` says."""
    size, wanted = check_size(image_size), check_channels(channels)
    if isinstance(source, ImageDataset):
        if split is not None:
            raise DataError(f"expected no split for an ImageDataset, but got {split!r}: pass the part itself.")
        refuse_columns(source.name, image_column, label_column)
        if size in (None, source.image_shape[1:]) and wanted in (None, source.image_shape[0]):
            if strict:
                _report(source.problems, len(source), source.name, strict)
            return source
        found: Source = ArraySource(
            source.images, source.labels, source.classes, source.name, source.digest, source.problems
        )
    elif isinstance(source, Source):
        found = source
    else:
        found = find_source(source, split=split, image_column=image_column, label_column=label_column)
    name = name or found.name
    directory = cache.default_directory() if cache_dir is None else Path(cache_dir).expanduser()
    stored, problems = _stored(found, size, wanted, directory, refresh)
    _report(problems, len(stored.labels), name, strict)
    return ImageDataset(stored, name=name, problems=problems)


def check_size(image_size: Any) -> Size | None:
    """Return (height, width), or None.

    Raises:
        ConfigError: If it is no positive integer or pair of such.
    """
    if image_size is None:
        return None
    pair = image_size if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    try:
        sides = tuple(operator.index(side) for side in pair)
    except TypeError:
        sides = ()
    if len(sides) != 2 or min(sides) < 1 or any(isinstance(side, bool) for side in pair):
        raise ConfigError(f"image_size: expected a positive integer or (height, width), but got {image_size!r}.")
    return sides[0], sides[1]


def check_channels(channels: Any) -> int | None:
    """Return 1, 3, or None for "auto".

    Raises:
        ConfigError: If it is none of these.
    """
    if channels == "auto":
        return None
    if channels in (1, 3, "1", "3") and not isinstance(channels, bool):
        return int(channels)
    raise ConfigError(f"channels: expected 1, 3 or 'auto', but got {channels!r}.")


def _stored(
    source: Source, size: Size | None, channels: int | None, directory: Path, refresh: bool
) -> tuple[cache.Stored, Sequence[Problem]]:
    """Return the decoded images, from the cache where it has them."""
    in_memory = isinstance(source, ArraySource) and source.fingerprint is None
    if isinstance(source, ArraySource) and in_memory:
        if size in (None, source.images.shape[1:3]):
            return _collected(source, channels)
        pixels = cache.content_digest(source.images, np.empty(0, np.int64), ())
        source.fingerprint = storage.digest(pixels, repr(list(source.labels)))
    options: dict[str, Any] = {"size": size, "channels": channels, "classes": source.classes}
    if source.known_labels:
        options["labels"] = source.known_labels
    folder = None if source.fingerprint is None else directory / "datasets" / cache.key(source.fingerprint, options)
    if folder is not None and not refresh and (cached := cache.find(folder)) is not None:
        return cached
    return _decoded(source, size, channels, directory / "datasets", folder)


def _decoded(
    source: Source, size: Size | None, channels: int | None, directory: Path, folder: Path | None
) -> tuple[cache.Stored, Sequence[Problem]]:
    """Decode everything into ``folder``, or into one named by the content."""
    decoded = Decoded(source)
    writer: cache.Writer | None = None
    try:
        with warnings.catch_warnings(), contextlib.closing(blocks(decoded, size, channels)) as stream:
            warnings.simplefilter("ignore")  # PIL's notes on odd files; what matters becomes a problem
            for block in stream:
                if writer is None:
                    writer = cache.Writer(directory, block.shape[1:3], channels)
                writer.append(block)
        if writer is None:
            raise _nothing_usable(source, decoded.problems)
        labels, classes = _labels(decoded)
        return writer.publish(folder, labels, classes, decoded.problems), decoded.problems
    except SizesDiffer:
        size = median_size(source)
        logger.warning(
            "%s: the images differ in size; all are brought to their median, %d×%d. Name another with image_size.",
            source.name, *size,
        )  # fmt: skip
    finally:
        if writer is not None:
            writer.close()
    return _decoded(source, size, channels, directory, folder)


def _collected(source: ArraySource, channels: int | None) -> tuple[cache.Stored, Sequence[Problem]]:
    """Take arrays as they are, in memory, where the user has them anyway."""
    decoded = Decoded(source)
    parts = list(blocks(decoded, None, channels, rows=len(source.images)))
    if not parts:
        raise _nothing_usable(source, decoded.problems)
    labels, classes = _labels(decoded)
    return cache.Stored(np.concatenate(parts) if len(parts) > 1 else parts[0], labels, classes), decoded.problems


def _labels(decoded: Decoded) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    classes = decoded.source.classes
    if classes is not None:
        return np.array(decoded.labels, dtype=np.int64), classes
    classes = classes_of([*decoded.labels, *decoded.source.known_labels])
    return labels_of(decoded.labels, classes), classes


def _nothing_usable(source: Source, problems: Sequence[Problem]) -> DataError:
    return DataError(
        f"{source.name}: expected at least one usable labelled image, but found none."
        + (f" {len(problems)} could not be used:\n{_lines(problems, _SHOWN)}" if problems else " It is empty.")
    )


def _report(problems: Sequence[Problem], usable: int, name: str, strict: bool) -> None:
    if not problems:
        return
    if strict:
        raise DataError(
            f"{name}: {len(problems)} of {usable + len(problems)} entries cannot be used:\n"
            f"{_lines(problems, _LISTED)}\nMend or remove them, or leave out strict to go on without them."
        )
    warnings.warn(
        f"{name}: {len(problems)} of {usable + len(problems)} entries cannot be used and were left out "
        f"(all are in .problems):\n{_lines(problems, _SHOWN)}",
        DataWarning,
        stacklevel=4,
    )


def _lines(problems: Sequence[Problem], most: int) -> str:
    lines = [f"  {problem}" for problem in problems[:most]]
    return "\n".join(lines if len(problems) <= most else [*lines, f"  … and {len(problems) - most:,} more"])
