"""Sample grids: many small images in one picture, a row for each class or sequence; and animations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from synthaug.errors import ConfigError
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
    shown = [label for label in range(len(classes)) if np.any(labels == label)][:rows]
    tiles = [images[np.flatnonzero(labels == label)[:columns]] for label in shown]
    return _draw(tiles, [classes[label] for label in shown], (), columns, images.shape[1:3], scale)


def row_grid(
    rows: Sequence[NDArray[np.uint8]],
    captions: Sequence[str] = (),
    *,
    headings: Sequence[str] = (),
    scale: int | None = None,
) -> Image.Image:
    """Draw rows of images, with a caption in front of each row and a heading over each column.

    Args:
        rows: For each row uint8 images (n, H, W, C) with 1 or 3 channels, all of one size; rows may differ in length.
        captions: One a row, or none.
        headings: One a column, or none; cut off where they are wider than an image.
        scale: Enlargement by whole pixels; chosen from the image size if left out.

    Returns:
        An RGB picture.

    Example:
        >>> row = np.zeros((3, 28, 28, 1), np.uint8)
        >>> row_grid([row, row], ["start", "end"], headings=["1", "2", "3"]).mode
        'RGB'
    """
    columns = max((len(row) for row in rows), default=0)
    size = rows[0].shape[1:3] if rows else (1, 1)
    return _draw(rows, captions or [""] * len(rows), headings, columns, size, scale)


def _draw(
    rows: Sequence[NDArray[np.uint8]],
    captions: Sequence[str],
    headings: Sequence[str],
    columns: int,
    size: tuple[int, ...],
    scale: int | None,
) -> Image.Image:
    height, width = size
    scale = scale or default_scale(height, width)
    font = ImageFont.load_default(size=12)
    captions = [caption[:24] for caption in captions]
    widest = max((int(font.getlength(caption)) for caption in captions), default=0)
    margin = 8 + widest
    top = 18 if headings else 0
    step_x, step_y = width * scale + 2, height * scale + 2
    picture = Image.new("RGB", (margin + columns * step_x, top + max(1, len(rows)) * step_y), "white")
    draw = ImageDraw.Draw(picture)
    for column, heading in enumerate(headings):
        fitting = next(end for end in range(len(heading), -1, -1) if font.getlength(heading[:end]) <= step_x - 4)
        draw.text((margin + column * step_x + 1, 2), heading[:fitting], fill="black", font=font)
    for row, (images, caption) in enumerate(zip(rows, captions, strict=True)):
        draw.text((4, top + row * step_y + step_y // 2 - 7), caption, fill="black", font=font)
        for column, image in enumerate(images):
            tile = to_image(image).convert("RGB")
            tile = tile.resize((width * scale, height * scale), Image.Resampling.NEAREST)
            picture.paste(tile, (margin + column * step_x, top + row * step_y))
    return picture


def default_scale(height: int, width: int) -> int:
    """Return the enlargement, by whole pixels, at which small images are well seen."""
    return max(1, round(_TARGET_TILE / max(height, width)))


def to_image(image: NDArray[np.uint8]) -> Image.Image:
    """Turn one uint8 image (H, W, C) with 1 or 3 channels into a PIL image."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture as PNG, atomically."""
    with new_file(path) as temporary:
        picture.save(temporary, format="PNG")


def save_animation(
    frames: NDArray[np.uint8] | Sequence[Image.Image], path: Path, *, seconds: float = 0.12, scale: int | None = None
) -> None:
    """Write frames as an animation that repeats forever, atomically.

    Args:
        frames: uint8 (T, H, W, C) with 1 or 3 channels, enlarged like the images of a grid; or T pictures of one
            size, left as they are.
        path: File to write; its suffix is ``.gif`` or ``.webp`` (lossless).
        seconds: Time a frame is shown.
        scale: Enlargement of arrays by whole pixels; chosen from the image size if left out.

    Raises:
        ConfigError: If the suffix is another one, or there are no frames.
    """
    formats: dict[str, dict[str, Any]] = {
        ".gif": {"format": "GIF", "disposal": 1},
        ".webp": {"format": "WEBP", "lossless": True},
    }
    options = formats.get(path.suffix.lower())
    if options is None or len(frames) == 0:
        raise ConfigError(f"expected frames and a path that ends in .gif or .webp, but got {len(frames)} and {path}.")
    pictures = _pictures(frames, scale)
    with new_file(path) as temporary:
        pictures[0].save(
            temporary, save_all=True, append_images=pictures[1:], duration=round(1000 * seconds), loop=0, **options
        )


def _pictures(frames: NDArray[np.uint8] | Sequence[Image.Image], scale: int | None) -> list[Image.Image]:
    if not isinstance(frames, np.ndarray):
        return list(frames)
    height, width = frames.shape[1:3]
    scale = scale or default_scale(height, width)
    return [to_image(frame).resize((width * scale, height * scale), Image.Resampling.NEAREST) for frame in frames]
