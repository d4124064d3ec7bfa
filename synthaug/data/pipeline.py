"""Rows to blocks of decoded images, in several threads and bounded memory."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from synthaug.data.decode import Pixels, Size, decode, size_of, to_channels
from synthaug.data.sources.arrays import ArraySource
from synthaug.data.sources.base import Problem, RawLabel, Row, Source, read_label
from synthaug.threads import map_ahead, usable_cores

_BATCH = 64  # rows a thread decodes at a time
_BLOCK_BYTES = 1 << 23
_SHOW_PROGRESS_ABOVE = 5_000


class SizesDiffer(Exception):  # noqa: N818 - a signal between two functions, not an error a user sees
    """The images are not of one size, and no size was asked for."""


class Decoded:
    """What decoding a source gives beside the images.

    Attributes:
        source: Where the rows come from.
        labels: One a usable image: a label, or as the source has it where that names no classes.
        problems: Rows that could not be used.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.labels: list[RawLabel] = []
        self.problems: list[Problem] = list(source.problems)
        self._positions = None if source.classes is None else {name: i for i, name in enumerate(source.classes)}

    def label(self, row: Row) -> RawLabel | None:
        """Return the label of a row, or note the problem."""
        try:
            return read_label(row.label, self._positions)
        except ValueError as error:
            self.problems.append(Problem(row.where, str(error)))
            return None


def blocks(
    decoded: Decoded, size: Size | None, channels: int | None, rows: int = 4096
) -> Generator[Pixels, None, None]:
    """Yield the usable images in order, as uint8 blocks (n, H, W, C) of one size.

    Args:
        decoded: Receives labels and problems.
        size: (H, W), or None for the size that all have.
        channels: 1, 3, or None: each block has 1 when none of its images has colour.
        rows: The most images in a block of arrays that need no decoding.

    Raises:
        SizesDiffer: If ``size`` is None and there are several.
    """
    source = decoded.source
    if isinstance(source, ArraySource) and size in (None, source.images.shape[1:3]):
        yield from _sliced(source, decoded, channels, rows)
        return
    with _Progress(source) as progress:
        pending: list[Pixels] = []
        for labels, images, problems in _in_threads(source, decoded, size, channels):
            progress.advance(len(images) + len(problems))
            decoded.problems.extend(problems)
            decoded.labels.extend(labels)
            for image in images:
                size = size or image.shape[:2]
                if image.shape[:2] != size:
                    raise SizesDiffer
                pending.append(image)
            if pending and len(pending) * pending[0].nbytes >= _BLOCK_BYTES:
                yield _stacked(pending)
                pending = []
        if pending:
            yield _stacked(pending)


def median_size(source: Source) -> Size:
    """Return the median height and the median width of the readable images, from their headers."""
    heights: list[int] = []
    widths: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in source.rows():
            try:
                height, width = size_of(row.image)
            except ValueError:
                continue
            heights.append(height)
            widths.append(width)
    return round(float(np.median(heights))), round(float(np.median(widths)))


def _sliced(source: ArraySource, decoded: Decoded, channels: int | None, rows: int) -> Iterator[Pixels]:
    usable: list[int] = []
    for index, raw in enumerate(source.labels):
        label = decoded.label(Row(f"image {index}", raw, None))
        if label is not None:
            usable.append(index)
            decoded.labels.append(label)
    whole = len(usable) == len(source.images)
    for start in range(0, len(usable), rows):
        chosen: Any = slice(start, start + rows) if whole else np.array(usable[start : start + rows])
        yield to_channels(source.images[chosen], channels)


Batch = tuple[list[RawLabel], list[Pixels], list[Problem]]


def _in_threads(source: Source, decoded: Decoded, size: Size | None, channels: int | None) -> Iterator[Batch]:
    """Yield batches in order, decoded by a pool of threads: PIL releases the interpreter lock."""
    threads = min(usable_cores(), 16)
    return map_ahead(
        lambda batch: _decode_batch(batch, size, channels), _batches(source, decoded), threads, ahead=threads + 1
    )


def _batches(source: Source, decoded: Decoded) -> Iterator[list[tuple[Row, RawLabel]]]:
    batch: list[tuple[Row, RawLabel]] = []
    weight = 0
    for row in source.rows():
        label = decoded.label(row)
        if label is None:
            continue
        batch.append((row, label))
        weight += _bytes_of(row.image)
        if len(batch) >= _BATCH or weight >= _BLOCK_BYTES:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def _bytes_of(image: object) -> int:
    if isinstance(image, (bytes, bytearray)):
        return len(image)
    size = getattr(image, "size", None)
    return 3 * size[0] * size[1] if isinstance(size, tuple) and len(size) == 2 else getattr(image, "nbytes", 0)


def _decode_batch(batch: list[tuple[Row, RawLabel]], size: Size | None, channels: int | None) -> Batch:
    labels: list[RawLabel] = []
    images: list[Pixels] = []
    problems: list[Problem] = []
    for row, label in batch:
        try:
            images.append(decode(row.image, size, channels))
            labels.append(label)
        except ValueError as error:
            problems.append(Problem(row.where, str(error)))
    return labels, images, problems


def _stacked(images: list[Pixels]) -> Pixels:
    most = max(image.shape[2] for image in images)
    return np.stack([image if image.shape[2] == most else np.repeat(image, most, axis=2) for image in images])


class _Progress:
    """A bar on stderr, for sources large enough that one wants to know."""

    def __init__(self, source: Source) -> None:
        self._bar: Any = None
        if source.total is None or source.total > _SHOW_PROGRESS_ABOVE:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("decoding {task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(source.name, total=source.total)

    def __enter__(self) -> _Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int) -> None:
        if self._bar is not None:
            self._bar.advance(self._task, count)
