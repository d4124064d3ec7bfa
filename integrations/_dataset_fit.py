"""Fit the images of synthetic rows to those of the real rows that they join."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthaug.images import encode_png, encode_pngs
from synthaug.sampling.fit import PIL_CHANNELS, fit

_LOOKED_AT = 16
_CHUNK = 1024


@dataclasses.dataclass(frozen=True)
class CommonShape:
    """What some images have in common.

    Attributes:
        channels: 1 if all are grey, 3 if all are RGB, else ``None``.
        size: (H, W), or ``None`` where they differ.
    """

    channels: int | None = None
    size: tuple[int, int] | None = None

    def of(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Return the shape (C, H, W) that an image of some shape gets among these."""
        channels, height, width = shape
        return (self.channels or channels, *(self.size or (height, width)))


def common_shape(rows: Any, column: str) -> CommonShape:
    """Look at a few images: of a table from all over it, of a stream the first ones.

    Images that are missing or cannot be read do not count.

    Args:
        rows: A Dataset, or an IterableDataset whose features are known.
        column: Name of the image column.
    """
    feature = rows.features[column]
    if not isinstance(feature, datasets.Image):
        return CommonShape()
    rows = rows.with_format(None).select_columns([column]).cast_column(column, datasets.Image(decode=False))
    if isinstance(rows, datasets.Dataset):
        places = np.linspace(0, len(rows) - 1, min(_LOOKED_AT, len(rows)))
        rows = rows.select(np.unique(places.astype(np.int64)))
    channels: set[int | None] = set()
    sizes: set[tuple[int, int]] = set()
    for row in rows.take(_LOOKED_AT):
        image = _decoded(row[column], feature.mode)
        if image is not None:
            channels.add(PIL_CHANNELS.get(image.mode))
            sizes.add((image.height, image.width))
        if len(channels) > 1 and len(sizes) > 1:
            break
    return CommonShape(
        channels.pop() if len(channels) == 1 else None,
        sizes.pop() if len(sizes) == 1 else None,
    )


def fit_rows(rows: Any, column: str, wanted: CommonShape) -> Any:
    """Fit the images of a Dataset at once, those of an IterableDataset as they come; what fits keeps its bytes.

    Images that are neither grey nor RGB stay as they are.
    """
    table = isinstance(rows, datasets.Dataset)
    if wanted == CommonShape() or (table and _fits(common_shape(rows, column), wanted)):
        return rows
    change = functools.partial(_fit_table, column=column, mode=rows.features[column].mode, wanted=wanted)
    options = {"desc": "Fitting samples"} if table else {}
    fitted = rows.with_format("arrow").map(change, batched=True, features=rows.features, **options)
    if not table:
        return fitted.with_format(None)
    before = rows.format
    columns = None if before["columns"] == rows.column_names else before["columns"]
    return fitted.with_format(before["type"], columns, before["output_all_columns"], **before["format_kwargs"])


def encoded(images: NDArray[np.uint8], wanted: CommonShape) -> list[bytes]:
    """Fit uint8 images (N, H, W, C), a chunk at a time, and encode them as PNG."""
    count, height, width, channels = images.shape
    shape = wanted.of((channels, height, width))
    pngs: list[bytes] = []
    for start in range(0, count, _CHUNK):
        chunk = images[start : start + _CHUNK]
        pngs += encode_pngs(chunk if shape == (channels, height, width) else fit(chunk, shape))
    return pngs


def _fits(found: CommonShape, wanted: CommonShape) -> bool:
    return wanted.channels in (None, found.channels) and wanted.size in (None, found.size)


def _fit_table(table: pa.Table, *, column: str, mode: str | None, wanted: CommonShape) -> pa.Table:
    position = table.schema.get_field_index(column)
    field = table.schema.field(position)
    values = [_fit_value(value, mode, wanted) for value in table.column(position).to_pylist()]
    return table.set_column(position, field, pa.array(values, type=field.type))


def _fit_value(value: Any, mode: str | None, wanted: CommonShape) -> Any:
    image = _decoded(value, mode)
    if image is None or image.mode not in PIL_CHANNELS:
        return value
    shape = (PIL_CHANNELS[image.mode], image.height, image.width)
    if wanted.of(shape) == shape:
        return value
    pixels = np.array(image).reshape(1, image.height, image.width, shape[0])
    return {"bytes": encode_png(fit(pixels, wanted.of(shape))[0]), "path": None}


def _decoded(value: Any, mode: str | None) -> Any:
    """Return a PIL image, or ``None`` where there is none or it cannot be read."""
    if value is None:
        return None
    try:
        return datasets.Image(mode=mode).decode_example(value)
    except (OSError, ValueError):  # ValueError: neither bytes nor a path
        return None
