"""Images with and without an attribute: two folders, or a table with a column that tells."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthaug.data import ImageDataset
from synthaug.data.decode import decode
from synthaug.data.sources.base import Source, read_label
from synthaug.data.sources.find import find_source
from synthaug.data.sources.folder import ABOUT
from synthaug.data.sources.huggingface import HuggingFaceSource
from synthaug.data.sources.parquet import ParquetSource
from synthaug.errors import DataError, did_you_mean
from synthaug.generators import Generator
from synthaug.labels import class_index
from synthaug.latent.inputs import LabelledImages, load_source

_MEANS_YES = ("true", "yes", "1")
_MEANS_NO = ("false", "no", "0", "-1")


class AttributeGroups(NamedTuple):
    """Labelled images of both kinds.

    Attributes:
        having: Those with the attribute.
        lacking: Those without.
    """

    having: LabelledImages
    lacking: LabelledImages


def attribute_groups(
    source: Any,
    attribute: str,
    gen: Generator,
    value: str | None = None,
    *,
    split: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    most: int = 1000,
) -> AttributeGroups:
    """Read the images of a table in two groups.

    Labels and attribute are read side by side, row by row. Rows without a class, without a value of the attribute or
    without a readable image are left out.

    Args:
        source: Parquet files or a Hugging Face dataset, as `ImageDataset.load` takes them.
        attribute: The column that tells: booleans, numbers or texts.
        gen: The generator whose image shape and classes are wanted.
        value: What the column holds for images with the attribute; all other values are without. Left out, true,
            yes or 1 against false, no, 0 or -1.
        split: Part of the source.
        image_column: Column that holds the images, when it cannot be told.
        label_column: Column that holds the classes, when it cannot be told.
        most: Images of each group at most, the first in the table.

    Raises:
        DataError: If the source has no columns, there is no such column, or a group is empty.
        LabelError: If a class is unknown to the generator.
    """
    labelled = find_source(source, split=split, image_column=image_column, label_column=label_column)
    if not isinstance(labelled, (ParquetSource, HuggingFaceSource)):
        raise DataError(
            f"expected a table (Parquet files or a Hugging Face dataset) with the column {attribute!r}, but "
            f"{labelled.name!r} has no columns. Give the two groups of images themselves."
        )
    told = find_source(source, split=split, image_column=image_column, label_column=attribute)
    has = _reader(told, value)
    channels, height, width = gen.image_shape
    positions = None if labelled.classes is None else {name: i for i, name in enumerate(labelled.classes)}
    groups: dict[bool, tuple[list[NDArray[np.uint8]], list[int]]] = {True: ([], []), False: ([], [])}
    seen: set[str] = set()
    for row, mark in zip(labelled.rows(), told.rows(), strict=True):
        text = _text(mark.label, told)
        if text is None:
            continue
        seen.add(text)
        images, labels = groups[has(text)]
        if len(images) == most:
            if all(len(found) == most for found, _ in groups.values()):
                break
            continue
        try:
            label = read_label(row.label, positions)
            image = decode(row.image, (height, width), channels)
        except ValueError:
            continue
        images.append(image)
        labels.append(
            class_index(str(label) if labelled.classes is None else labelled.classes[int(label)], gen.classes)
        )
    if value is not None and value not in seen:
        raise DataError(
            f"expected the value {value!r} in column {attribute!r}, but it holds {_listed(seen)}."
            f"{did_you_mean(value, seen)}"
        )
    for wanted, (images, _) in groups.items():
        if not images:
            kind = "with" if wanted else "without"
            raise DataError(f"expected images {kind} {attribute!r}, but found none; the column holds {_listed(seen)}.")
    having, lacking = (LabelledImages(np.stack(images), np.array(labels)) for images, labels in groups.values())
    return AttributeGroups(having, lacking)


def _reader(told: Source, value: str | None) -> Callable[[str], bool]:
    """Return what tells, from a value's text, whether an image has the attribute."""

    def equal(text: str) -> bool:
        return text == value

    def means_yes(text: str) -> bool:
        if text.lower() not in (*_MEANS_YES, *_MEANS_NO):
            raise DataError(
                f"{told.name}: expected true or false, yes or no, 1 or 0 in the attribute's column, but found "
                f"{text!r}. Say which value has the attribute with value= (--value)."
            )
        return text.lower() in _MEANS_YES

    return means_yes if value is None else equal


def _text(raw: object, told: Source) -> str | None:
    """Return a cell as a text: the name of a class label, a whole number without its point; None for no value."""
    if raw is None or raw == "" or (isinstance(raw, float) and math.isnan(raw)):
        return None
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if isinstance(raw, int) and not isinstance(raw, bool) and told.classes is not None:
        return told.classes[raw] if 0 <= raw < len(told.classes) else None
    return str(raw)


def _listed(values: set[str], most: int = 8) -> str:
    shown = ", ".join(repr(value) for value in sorted(values)[:most])
    return (shown or "nothing") + (" …" if len(values) > most else "")


def group_images(path: str | Path, gen: Generator) -> ImageDataset | list[str]:
    """Return the images of a folder for one group: its files, or, with classes, those of its class folders.

    Raises:
        DataError: If there are none.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(f"expected a folder of images, but {path} is none.")
    files = sorted(
        str(file)
        for file in folder.iterdir()
        if file.is_file() and not file.name.startswith(".") and file.name not in ABOUT
    )
    return files or load_source(folder, gen)
