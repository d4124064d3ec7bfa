"""Which real images train the generators, and which ones samples are measured against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synthaug.data import ImageDataset
from synthaug.data.overlap import without_training_images
from synthaug.errors import DataError, listed

HELD_OUT_SHARE = 0.2
_LEAST = 12


def train_and_held_out(
    source: Any,
    image_size: int | tuple[int, int] | None = None,
    *,
    channels: int | str = "auto",
    split: str | None = None,
    held_out: Any = None,
) -> tuple[ImageDataset, ImageDataset]:
    """Return training images, and real images that generators never see.

    Args:
        source: Anything that `ImageDataset.load` takes.
        image_size: As of `ImageDataset.load`.
        channels: As of `ImageDataset.load`.
        split: Part of the source to train on; the train part if left out.
        held_out: Name of the part to hold out, or another source: a path, where there is no such part, or a dataset.
            Left out: the source's test part if it has one, else a fifth of the training images, stratified.

    Raises:
        DataError: If the parts have different classes or too few images, or all that is held out is trained on.
    """
    named = not isinstance(source, ImageDataset)
    train = _part(source, "train", image_size, channels) if named and split is None else None
    if train is None:
        train = ImageDataset.load(source, image_size, channels=channels, split=split)
    depth, *size = train.image_shape
    like: dict[str, Any] = {"image_size": (size[0], size[1]), "channels": depth}
    rest = _held_out(source, held_out, like)
    own_part = rest is None or rest.digest == train.digest
    if rest is None or own_part:
        train, rest = train.split(1 - HELD_OUT_SHARE, seed=0)
    if rest.classes != train.classes:
        raise DataError(
            f"expected held-out images of the training images' {len(train.classes)} classes in the same order, but "
            f"got {listed(rest.classes)}."
        )
    if not own_part:
        rest = without_training_images(rest, train)
    if len(rest) < _LEAST:
        raise DataError(f"expected {_LEAST} held-out images or more to measure against, but got {len(rest)}.")
    return train, rest


def _held_out(source: Any, held_out: Any, like: dict[str, Any]) -> ImageDataset | None:
    """Return the images that were asked for, or the source's test part; None where it has none."""
    named = not isinstance(source, ImageDataset)
    if held_out is None:
        return _part(source, "test", **like) if named else None
    if not isinstance(held_out, str):
        return ImageDataset.load(held_out, **like)
    if named and (part := _part(source, held_out, **like)) is not None:
        return part
    if Path(held_out).expanduser().exists():
        return ImageDataset.load(held_out, **like)
    if named:
        return ImageDataset.load(source, split=held_out, **like)  # raises, and says which parts there are
    raise DataError(f"expected no split of an ImageDataset, but got held_out={held_out!r}: pass the part itself.")


def _part(source: Any, name: str, image_size: Any, channels: Any) -> ImageDataset | None:
    """Return a part of a source, or None where it has no such part."""
    try:
        return ImageDataset.load(source, image_size, channels=channels, split=name)
    except DataError:
        return None
