from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from synthaug.data.decode import decode, size_of, to_channels


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def flat(mode: str, colour: object, size: tuple[int, int] = (6, 4)) -> Image.Image:
    return Image.new(mode, size, colour)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(flat("L", 90)), [90]),
        (encoded(flat("1", 1)), [255]),
        (encoded(flat("RGB", (10, 20, 30))), [10, 20, 30]),
        (encoded(flat("RGB", (20, 20, 20))), [20]),
        (encoded(flat("RGBA", (255, 0, 0, 255))), [255, 0, 0]),
        (encoded(flat("RGBA", (255, 0, 0, 0))), [255]),
        (encoded(flat("LA", (0, 0))), [255]),
        (encoded(flat("LA", (40, 255))), [40]),
        (encoded(flat("RGB", (0, 255, 0)).quantize(4)), [0, 255, 0]),
        (encoded(flat("P", 0), transparency=0), [255]),
        (encoded(flat("L", 7), transparency=7), [255]),
        (encoded(flat("RGB", (9, 8, 7)), transparency=(9, 8, 7)), [255]),
        (encoded(flat("CMYK", (0, 255, 255, 0)), "TIFF"), [255, 0, 0]),
        (encoded(flat("RGB", (0, 0, 255)), "WEBP", lossless=True), [0, 0, 255]),
        (encoded(flat("RGB", (0, 0, 255)), "GIF"), [0, 0, 255]),
        (encoded(flat("F", 0.5), "TIFF"), [128]),
    ],
)
def test_every_mode_becomes_grey_or_rgb(data: bytes, expected: list[int]) -> None:
    pixels = decode(data)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (4, 6, len(expected))
    assert (pixels == expected).all()


def test_cmyk_jpeg() -> None:
    pixels = decode(encoded(flat("CMYK", (255, 0, 0, 0)), "JPEG", quality=95))
    np.testing.assert_allclose(pixels[0, 0], [0, 255, 255], atol=4)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_is_scaled_and_not_clipped(kind: str) -> None:
    levels = np.array([[0, 257, 25700, 65535]], dtype=np.uint16)
    assert decode(encoded(Image.fromarray(levels), kind))[..., 0].tolist() == [[0, 1, 100, 255]]


def test_16_bit_keeps_its_depth_while_resizing() -> None:
    levels = np.full((8, 8), 12850, dtype=np.uint16)
    assert (decode(encoded(Image.fromarray(levels)), size=(3, 5)) == 50).all()


def test_deep_integers_are_scaled_by_their_own_range() -> None:
    levels = np.array([[-1000, 0, 1000]], dtype=np.int32)
    with pytest.raises(ValueError, match="integers from 0 to 65535, but got values from -1000 to 1000"):
        decode(encoded(Image.fromarray(levels), "TIFF"))
    with pytest.raises(ValueError, match="floats from 0 to 1, but got values from -1000 to 1000"):
        decode(encoded(Image.fromarray(levels.astype(np.float32)), "TIFF"))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = Image.new("L", (8, 16), 0)
    upright.paste(255, (0, 0, 8, 8))
    turns = {
        1: None,
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }
    turn = turns[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(upright.transpose(turn) if turn is not None else upright, "PNG", exif=exif)
    assert size_of(data) == (16, 8)
    assert np.array_equal(decode(data)[..., 0], np.asarray(upright))


def test_resizing_reaches_non_square_targets_and_is_antialiased() -> None:
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 255
    pixels = decode(encoded(Image.fromarray(stripes)), size=(8, 16))
    assert pixels.shape == (8, 16, 1)
    assert abs(pixels.astype(int) - 127).max() < 20  # without antialiasing: only 0 or 255


def test_large_jpeg_shrinks_to_the_right_colours() -> None:
    image = flat("RGB", (200, 30, 90), (900, 600))
    np.testing.assert_allclose(decode(encoded(image, "JPEG"), size=(8, 8))[4, 4], [200, 30, 90], atol=3)


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_are_forced(channels: int) -> None:
    assert decode(encoded(flat("RGB", (255, 0, 0))), channels=channels).shape[2] == channels
    assert decode(encoded(flat("L", 5)), channels=channels).shape[2] == channels


def test_luma_is_that_of_pil() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert np.array_equal(to_channels(pixels[None], 1)[0, ..., 0], np.asarray(Image.fromarray(pixels).convert("L")))


def test_arrays_and_tensors() -> None:
    import torch

    assert decode(np.full((4, 6), 3, np.uint8)).shape == (4, 6, 1)
    assert decode(torch.arange(3 * 4 * 6).reshape(3, 4, 6).to(torch.uint8)).shape == (4, 6, 3)
    assert decode(np.zeros((4, 6, 4), np.uint8)).tolist() == np.full((4, 6, 1), 255).tolist()
    with pytest.raises(ValueError, match=r"expected pixels of uint8.*float32"):
        decode(np.zeros((4, 6), np.float32))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_truncated_files_say_so(kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(pixels), kind)
    with pytest.raises(ValueError, match=r"cannot be decoded|not an image"):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize(("data", "reason"), [(b"", "empty"), (b"hello there", "not an image file")])
def test_what_is_no_image_says_so(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode(data)


def test_the_callers_image_stays_open() -> None:
    image = Image.open(io.BytesIO(encoded(flat("RGB", (1, 2, 3)))))
    decode(image, size=(2, 2))
    assert image.getpixel((0, 0)) == (1, 2, 3)
