"""One image of any kind to uint8 (H, W, C), C in {1, 3}.

The first frame of animations; EXIF orientation applied; transparency composited on white; palettes, CMYK and
1-bit images converted; integers deeper than 8 bits scaled by the range of their type (65535 becomes 255),
never clipped; resizing is bicubic with antialiasing and stretches to the target, so nothing is cut off.
"""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from synthaug.data.sources.base import Broken

Size = tuple[int, int]
Pixels = NDArray[np.uint8]

# Left out are formats that run programs (EPS) or have no signature (TGA).
_WANTED = (
    "PNG",
    "JPEG",
    "MPO",
    "WEBP",
    "GIF",
    "BMP",
    "DIB",
    "TIFF",
    "PPM",
    "JPEG2000",
    "AVIF",
    "ICO",
    "DDS",
    "QOI",
)
_ORIENTATION = 0x0112


def decode(image: object, size: Size | None = None, channels: int | None = None) -> Pixels:
    """Return an image as uint8, shape (H, W, C).

    Args:
        image: A file path, encoded bytes, a PIL image, or an array or tensor of uint8 (H, W), (H, W, C) or
            (tensors) (C, H, W) with C in {1, 3, 4}.
        size: Target (H, W); None keeps the image's own.
        channels: 1 (luma) or 3; None gives 1 when the image has no colour and 3 otherwise.

    Raises:
        ValueError: If the image cannot be read; the message is the reason.

    Example:
        >>> decode(Image.new("RGB", (10, 4), "red"), size=(8, 8)).shape
        (8, 8, 3)
    """
    if isinstance(image, Broken):
        raise ValueError(image.reason)
    if not isinstance(image, (str, bytes, bytearray, os.PathLike, Image.Image)):
        pixels: Pixels = to_channels(_array(image)[None], channels)[0]
        if size is None or pixels.shape[:2] == size:
            return pixels
        return _resized(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), size)
    try:
        with _opened(image) as opened:
            if size is not None and opened.format in ("JPEG", "MPO"):
                # JPEG decodes at 1/2, 1/4 or 1/8 for a fraction of the work; twice the target leaves
                # antialiasing to us.
                opened.draft(None, (2 * max(size), 2 * max(size)))
            pixels = _resized(_plain(_upright(opened)), size)
    except UnidentifiedImageError as error:
        raise ValueError("not an image file, or of an unknown format") from error
    except Exception as error:  # decoders raise whatever their format's parser meets in damaged data
        raise ValueError(f"cannot be decoded ({type(error).__name__}: {error})") from error
    decoded: Pixels = to_channels(pixels[None], channels)[0]
    return decoded


def size_of(image: object) -> Size:
    """Return the upright (H, W) of an image, from its header where it has one.

    Raises:
        ValueError: If it cannot be read.
    """
    if isinstance(image, Broken):
        raise ValueError(image.reason)
    if not isinstance(image, (str, bytes, bytearray, os.PathLike, Image.Image)):
        height, width = _array(image).shape[:2]
        return height, width
    try:
        with _opened(image) as opened:
            width, height = opened.size
            turned = opened.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except Exception as error:  # as in decode
        raise ValueError(f"cannot be read ({type(error).__name__}: {error})") from error
    return (width, height) if turned else (height, width)


def to_channels(images: Pixels, channels: int | None) -> Pixels:
    """Return images (N, H, W, C), C in {1, 3, 4}, with 1 or 3 channels; None: 1 when none has colour."""
    if images.shape[3] == 4:
        alpha = images[..., 3:].astype(np.uint16)
        opaque = images[..., :3] * alpha + 255 * (255 - alpha)
        images = ((opaque + 127) // 255).astype(np.uint8)
    has = images.shape[3]
    if channels is None:
        colourless = has == 3 and all(_is_grey(block) for block in _blocks(images))
        return np.ascontiguousarray(images[..., :1]) if colourless else images
    if channels == has:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=3)
    # ITU-R 601 luma in 16-bit fixed point, the weights PIL uses for "L".
    weights = np.array([19595, 38470, 7471], dtype=np.uint32)
    luma = [((block @ weights + 0x8000) >> 16).astype(np.uint8) for block in _blocks(images)]
    return np.concatenate(luma)[..., None]


def _is_grey(images: Pixels) -> bool:
    return np.array_equal(images[..., 0], images[..., 1]) and np.array_equal(images[..., 0], images[..., 2])


def _blocks(images: Pixels, rows: int = 256) -> list[Pixels]:
    return [images[start : start + rows] for start in range(0, max(len(images), 1), rows)]


def _opened(image: Any) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.copy()  # a context manager closes it, and it is the caller's
    if isinstance(image, (bytes, bytearray)):
        if not image:
            raise ValueError("it is empty")
        image = io.BytesIO(image)
    elif os.stat(image).st_size == 0:  # noqa: PTH116 - the path may be any os.PathLike or text
        raise ValueError("the file is empty")
    return Image.open(image, formats=_formats())


def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _WANTED if name in Image.OPEN)


def _upright(image: Image.Image) -> Image.Image:
    orientation = image.getexif().get(_ORIENTATION, 1)
    return ImageOps.exif_transpose(image) if orientation != 1 else image


def _plain(image: Image.Image) -> Image.Image:
    """Return an image of mode L, RGB or F (a grey scale in 0..255 with more depth than a byte)."""
    image.load()
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return _scaled(image)
    if mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert("LA" if mode == "L" else "RGBA" if mode != "P" or "transparency" in image.info else "RGB")
    if image.mode in ("LA", "La", "RGBA", "RGBa"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    """Map deep greys, from 0 to 65535 or, as floats, from 0 to 1, to 0..255; one scale for all images."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite")
    low, high = float(values.min()), float(values.max())
    top = 1.0 if image.mode == "F" else 65535.0
    if low < 0 or high > top:
        scale = "floats from 0 to 1" if image.mode == "F" else "integers from 0 to 65535"
        raise ValueError(
            f"expected {scale}, but got values from {low:g} to {high:g}; bring all images to one scale first"
        )
    return Image.fromarray((values * (255.0 / top)).astype(np.float32))


def _resized(image: Image.Image, size: Size | None) -> Pixels:
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BICUBIC, reducing_gap=3.0)
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _array(image: Any) -> Pixels:
    """Return an array or tensor as uint8 (H, W, C); tensors may have channels first."""
    tensor = hasattr(image, "numpy") and hasattr(image, "detach")
    array = np.asarray(image.detach().cpu().numpy() if tensor else image)
    if array.dtype != np.uint8:
        raise ValueError(f"expected pixels of uint8 from 0 to 255, but got {array.dtype}")
    if array.ndim == 2:
        array = array[..., None]
    if tensor and array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(f"expected an image of shape (H, W) or (H, W, C) with C in 1, 3, 4, but got {array.shape}")
    return array
