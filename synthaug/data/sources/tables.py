"""What Parquet files and Hugging Face datasets share: Arrow tables with an image and a label column."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synthaug.data.sources.base import Broken, Row
from synthaug.data.sources.selection import LABEL_NAMES, choose_column


class Columns:
    """The image and label columns of a table.

    Attributes:
        image: Name of the image column.
        label: Name of the label column.
        classes: Class names that the schema gives, or None.
    """

    def __init__(
        self, schema: pa.Schema, features: dict[str, Any], image: str | None, label: str | None, where: str
    ) -> None:
        self.image = choose_column("image", image, _image_candidates(schema, features), schema.names, where)
        others = [field for field in schema if field.name != self.image]
        self.label = choose_column("label", label, _label_candidates(others, features), schema.names, where)
        names = features.get(self.label, {}).get("names")
        self.classes: list[str] | None = None if names is None else list(names)


def features_of(schema: pa.Schema) -> dict[str, Any]:
    """Return the Hugging Face features in a schema's metadata, by column; empty without any."""
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return {}
    try:
        features = json.loads(text)["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {name: value for name, value in features.items() if isinstance(value, dict)}


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column holds text, dictionary-encoded or not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def text_classes(values: Iterable[object]) -> list[str]:
    """Return the sorted class names among the distinct values of a text column."""
    return sorted(str(value) for value in values if value is not None and value != "")


def integer_labels(values: Iterable[object]) -> list[int]:
    """Return the sorted labels among the distinct values of an integer column."""
    whole = [_label(value) for value in values]
    return sorted(value for value in whole if isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def table_rows(table: pa.Table | pa.RecordBatch, columns: Columns, where: str, first: int, root: Path) -> Iterator[Row]:
    """Yield the rows of a table whose first has number ``first``; relative paths start at ``root``."""
    images, labels = table.column(columns.image), table.column(columns.label)
    for number, (image, label) in enumerate(zip(images, labels, strict=True), start=first):
        value = image.as_py()
        place = f"{where} row {number}"
        if isinstance(value, dict) and value.get("path"):
            place += f" ({value['path']})"
        yield Row(place, _label(label.as_py()), _payload(value, root))


def _label(value: object) -> object:
    """Return whole numbers as such, which tables with missing labels hold as floats; NaN is a missing one."""
    if isinstance(value, float):
        return None if math.isnan(value) else int(value) if value.is_integer() else value
    return value


def _payload(value: Any, root: Path) -> object:
    """Return what `decode` takes for a cell: encoded bytes, a path, or an array."""
    if isinstance(value, dict) and ("bytes" in value or "path" in value):
        value = value["bytes"] if value.get("bytes") is not None else value.get("path")
    if value is None:
        return Broken("it has no image")
    if isinstance(value, str):
        path = root / value
        return str(path) if path.is_file() else Broken("its image file is missing")
    if isinstance(value, list):
        try:
            array = np.asarray(value)
            whole = array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 255
            return array.astype(np.uint8) if whole else array
        except ValueError:
            return Broken("its rows are not of one length")
    return value


def _image_candidates(schema: pa.Schema, features: dict[str, Any]) -> list[str]:
    declared = [name for name, value in features.items() if value.get("_type") == "Image" and name in schema.names]
    if declared:
        return declared
    encoded = [field.name for field in schema if _is_encoded(field.type)]
    nested = [field.name for field in schema if _is_nested(field.type)]
    return encoded or nested


def _is_encoded(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_nested(kind: pa.DataType) -> bool:
    kind = getattr(kind, "storage_type", kind)
    depth = 0
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind, depth = kind.value_type, depth + 1
    return depth in (2, 3) and bool(pa.types.is_integer(kind))


def _label_candidates(fields: list[pa.Field], features: dict[str, Any]) -> list[str]:
    declared = [field.name for field in fields if features.get(field.name, {}).get("_type") == "ClassLabel"]
    return declared or [
        field.name
        for field in fields
        if _is_label(field.type) or (pa.types.is_floating(field.type) and field.name.lower() in LABEL_NAMES)
    ]


def _is_label(kind: pa.DataType) -> bool:
    return is_text(kind) or bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))
