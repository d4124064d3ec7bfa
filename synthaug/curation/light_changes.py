"""Light changes that leave an image a copy of itself: what the copy detector is fitted to see through."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Change = Callable[[Image, np.random.Generator], Image]


def nothing(image: Image, random: np.random.Generator) -> Image:
    """Leave the image as it is."""
    return image


def mirrored(image: Image, random: np.random.Generator) -> Image:
    """Mirror the image left to right."""
    return np.ascontiguousarray(image[:, ::-1])


def shifted(image: Image, random: np.random.Generator) -> Image:
    """Shift the image by up to 5 % of its sides; borders are repeated."""
    height, width = image.shape[:2]
    return _moved(image, np.eye(2), random.uniform(-0.05, 0.05, 2) * (width, height))


def turned(image: Image, random: np.random.Generator) -> Image:
    """Turn the image by up to 5° and resize it by up to 5 %."""
    angle, size = np.radians(random.uniform(-5, 5)), random.uniform(0.95, 1.05)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * size
    return _moved(image, turn, np.zeros(2))


def brightened(image: Image, random: np.random.Generator) -> Image:
    """Change brightness by up to 6 % of the range and contrast by up to a fifth."""
    changed = (image.astype(np.float64) - 127.5) * random.uniform(0.8, 1.2) + 127.5 + random.uniform(-15, 15)
    return changed.round().clip(0, 255).astype(np.uint8)


def noisy(image: Image, random: np.random.Generator) -> Image:
    """Add normal noise of a standard deviation of 3 % of the range."""
    return (image + random.normal(0, 0.03 * 255, image.shape)).round().clip(0, 255).astype(np.uint8)


def compressed(image: Image, random: np.random.Generator) -> Image:
    """Save the image as JPEG of quality 75 and read it again."""
    _, data = cv2.imencode(".jpg", np.squeeze(image), [cv2.IMWRITE_JPEG_QUALITY, 75])
    restored = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    return np.asarray(restored, dtype=np.uint8).reshape(image.shape)


CHANGES: dict[str, Change] = {
    "exact": nothing,
    "mirrored": mirrored,
    "shifted": shifted,
    "turned and resized": turned,
    "brightness and contrast": brightened,
    "noise": noisy,
    "JPEG": compressed,
}
"""Each kind of light change by name. They take an image (H, W, C) and return one of the same shape."""


def _moved(image: Image, matrix: NDArray[np.float64], shift: NDArray[np.float64]) -> Image:
    height, width = image.shape[:2]
    centre = np.array([width - 1, height - 1]) / 2
    offset = centre - matrix @ centre + shift
    moved = cv2.warpAffine(
        np.squeeze(image), np.column_stack([matrix, offset]), (width, height), borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, dtype=np.uint8).reshape(image.shape)
