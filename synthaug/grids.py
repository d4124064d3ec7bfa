"""Sample grids: many small images in one picture, a row for each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from synthaug.storage import new_file

_TARGET_TILE = 56


def class_grid(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    *,
    columns: int = 10,
    rows: int = 32,
    scale: int | None = None,
) -> Image.Image:
    """Draw up to ``columns`` images of each class in a row of its own, with the class name in front.

    Args:
        images: uint8, (N, H, W, C) with 1 or 3 channels.
        labels: Their labels, (N,).
        classes: Names of the classes.
        columns: Images a row at most.
        rows: Classes at most, so that a grid of 1,000 classes stays a picture.
        scale: Enlargement by whole pixels; chosen from the image size if left out.

    Returns:
        An RGB picture.

    Example:
        >>> class_grid(np.zeros((4, 8, 8, 1), np.uint8), np.array([0, 0, 1, 1]), ["a", "b"], columns=2).mode
        'RGB'
    """
    height, width = images.shape[1:3]
    scale = scale or max(1, round(_TARGET_TILE / max(height, width)))
    shown = [label for label in range(len(classes)) if np.any(labels == label)][:rows]
    font = ImageFont.load_default(size=12)
    margin = 8 + max((int(font.getlength(classes[label][:24])) for label in shown), default=0)
    step_x, step_y = width * scale + 2, height * scale + 2
    picture = Image.new("RGB", (margin + columns * step_x, max(1, len(shown)) * step_y), "white")
    draw = ImageDraw.Draw(picture)
    for row, label in enumerate(shown):
        draw.text((4, row * step_y + step_y // 2 - 7), classes[label][:24], fill="black", font=font)
        for column, position in enumerate(np.flatnonzero(labels == label)[:columns]):
            tile = to_image(images[position]).convert("RGB")
            tile = tile.resize((width * scale, height * scale), Image.Resampling.NEAREST)
            picture.paste(tile, (margin + column * step_x, row * step_y))
    return picture


def to_image(image: NDArray[np.uint8]) -> Image.Image:
    """Turn one uint8 image (H, W, C) with 1 or 3 channels into a PIL image."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture as PNG, atomically."""
    with new_file(path) as temporary:
        picture.save(temporary, format="PNG")
