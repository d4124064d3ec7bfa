"""JPEG and WebP at the size of compressed images: what a codec for all kinds of image makes of the same bytes."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthaug.grids import to_image
from synthaug.latent.compressing.compress import Compressed
from synthaug.latent.quality import psnr, ssim

Format = Literal["JPEG", "WebP"]

_SHEET = 2048
_OPTIONS: dict[Format, dict[str, Any]] = {"JPEG": {"optimize": True}, "WebP": {"method": 6}}
_BLOCKS: dict[Format, tuple[int, int]] = {"JPEG": (8, 16), "WebP": (16, 16)}  # of grey and of RGB images


@dataclasses.dataclass(frozen=True)
class CodecResult:
    """How well images came back, and from how many bytes.

    Attributes:
        codec: Its name.
        quality: Its setting: bits for codes, the quality for JPEG and WebP.
        file_bytes: Of the file or files, headers included.
        bits_per_pixel: The same for each pixel of the images.
        images: What came back, uint8 (N, H, W, C).
        psnr: Of each image in dB, (N,).
        ssim: Of each image, (N,).
    """

    codec: str
    quality: int
    file_bytes: int
    bits_per_pixel: float
    images: NDArray[np.uint8]
    psnr: NDArray[np.float64]
    ssim: NDArray[np.float64]

    @property
    def caption(self) -> str:
        """Name and rate, for pictures."""
        return f"{self.codec}, {self.bits_per_pixel:.2f} bpp"

    def line(self) -> str:
        """Return the figures as a line of text."""
        return (
            f"{self.codec:<10} {self.file_bytes:>10,} bytes  {self.bits_per_pixel:.3f} bits a pixel  "
            f"PSNR {self.psnr.mean():.2f} ± {self.psnr.std():.2f} dB  SSIM {self.ssim.mean():.3f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON-able values, with mean and standard deviation over the images."""
        return {
            "codec": self.codec,
            "quality": self.quality,
            "file_bytes": self.file_bytes,
            "bits_per_pixel": self.bits_per_pixel,
            "n": len(self.images),
            "psnr_mean": float(self.psnr.mean()),
            "psnr_std": float(self.psnr.std()),
            "ssim_mean": float(self.ssim.mean()),
            "ssim_std": float(self.ssim.std()),
        }


def compare_codecs(compressed: Compressed, originals: NDArray[np.uint8]) -> list[CodecResult]:
    """Measure compressed images beside JPEG and WebP at the nearest size.

    One JPEG or WebP for each small image would be mostly header, so many images are laid side by side in sheets. They
    are laid out with and without padding to the codec's blocks (else edges of images cross blocks), and the better
    one counts. The size nearest to ours is found among all qualities; where even the lowest makes a larger file, that
    one is compared.

    Args:
        compressed: What `synthaug.latent.compress` made.
        originals: The images, uint8 (N, H, W, C).

    Returns:
        Ours, JPEG and WebP.

    Example:
        >>> ours, jpeg, webp = compare_codecs(compress(gen, data.images, data.labels), data.images)  # doctest: +SKIP
    """
    size = len(compressed.to_bytes())
    results = [_result("synthaug", compressed.bits, size, compressed.restore(), originals)]
    for codec in _OPTIONS:
        layouts = [_nearest(codec, originals, block, size) for block in (1, _BLOCKS[codec][originals.shape[-1] > 1])]
        # Where no quality is small enough, the smaller one is the fairer; else the better one.
        results.append(max(layouts, key=lambda made: (-max(made.file_bytes / size, 1.1), made.psnr.mean())))
    return results


def _result(
    codec: str, quality: int, size: int, images: NDArray[np.uint8], originals: NDArray[np.uint8]
) -> CodecResult:
    pixels = int(np.prod(originals.shape[:3]))
    return CodecResult(
        codec, quality, size, 8 * size / pixels, images, psnr(images, originals), ssim(images, originals)
    )


def _nearest(codec: Format, originals: NDArray[np.uint8], block: int, size: int) -> CodecResult:
    """Return what the codec makes at the quality, 0 to 100, whose files are nearest to ``size`` bytes in all."""
    height, width = originals.shape[1:3]
    padded = np.pad(originals, ((0, 0), (0, -height % block), (0, -width % block), (0, 0)), mode="edge")
    sheets, positions = _sheets(padded)

    def encode(quality: int) -> list[bytes]:
        return [_encode(sheet, codec, quality) for sheet in sheets]

    quality = _bisect(lambda quality: sum(map(len, encode(quality))), size)
    files = encode(quality)
    decoded = [
        np.asarray(Image.open(io.BytesIO(file)).convert("L" if originals.shape[-1] == 1 else "RGB")) for file in files
    ]
    tiles = [
        decoded[sheet].reshape(*decoded[sheet].shape[:2], -1)[top : top + height, left : left + width]
        for sheet, top, left in positions
    ]
    return _result(codec, quality, sum(map(len, files)), np.stack(tiles), originals)


def _bisect(size_at: Callable[[int], int], size: int) -> int:
    low, high = 0, 100
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size_at(middle) <= size else (low, middle)
    return min((low, high), key=lambda quality: abs(size_at(quality) - size))


def _sheets(images: NDArray[np.uint8]) -> tuple[list[NDArray[np.uint8]], Sequence[tuple[int, int, int]]]:
    """Lay images side by side in as few and as square sheets as fit; return them and (sheet, top, left) of each."""
    number, height, width, channels = images.shape
    columns = max(1, min(_SHEET // width, int(np.ceil(np.sqrt(number)))))
    rows = max(1, min(_SHEET // height, -(-number // columns)))
    positions = []
    sheets: list[NDArray[np.uint8]] = []
    for position, image in enumerate(images):
        sheet, place = divmod(position, rows * columns)
        if place == 0:
            used = -(-min(number - position, rows * columns) // columns)
            sheets.append(np.zeros((used * height, columns * width, channels), np.uint8))
        row, column = divmod(place, columns)
        positions.append((sheet, row * height, column * width))
        sheets[-1][row * height : (row + 1) * height, column * width : (column + 1) * width] = image
    return sheets, positions


def _encode(sheet: NDArray[np.uint8], codec: Format, quality: int) -> bytes:
    stream = io.BytesIO()
    to_image(sheet).save(stream, format=codec, quality=quality, **_OPTIONS[codec])
    return stream.getvalue()
