"""Torchvision's random augmentations for a whole batch: drawn image by image, done once for all that drew the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_HOOK = "_apply_image_or_video_transform"
"""What torchvision's automatic augmentations call with each operation that they have drawn."""


def grouped(name: str) -> Callable[[Tensor], Tensor]:
    """Return torchvision's RandAugment or TrivialAugmentWide for a batch of uint8 images (B, C, H, W).

    What comes out, and what is drawn from torch's random state, is bit for bit what the transform gives image by image;
    only the operations are done together, which takes half the time for RandAugment.

    Args:
        name: The transform's name in `torchvision.transforms.v2`.

    Example:
        >>> grouped("RandAugment")(torch.zeros(4, 3, 8, 8, dtype=torch.uint8)).shape
        torch.Size([4, 3, 8, 8])
    """
    from torchvision.transforms import v2

    transform = getattr(v2, name)()
    operate: Callable[..., Tensor] | None = getattr(transform, _HOOK, None)
    drawn: list[tuple[str, float, dict[str, Any]]] = []

    def record(self: Any, image: Tensor, operation: str, magnitude: float, **options: Any) -> Tensor:
        drawn.append((operation, float(magnitude), options))
        return image

    recorder = type(f"Recorded{name}", (type(transform),), {_HOOK: record})()

    def draw(image: Tensor) -> list[tuple[str, float, dict[str, Any]]]:
        drawn.clear()
        recorder(image)
        return list(drawn)

    with torch.random.fork_rng(devices=[]):
        told = bool(draw(torch.zeros(1, 2, 2, dtype=torch.uint8)))
    if operate is None or not told:  # the hook is not part of torchvision's promises
        return lambda images: torch.stack([transform(image) for image in images])

    def together(images: Tensor) -> Tensor:
        images = images.clone()
        for operations in zip(*[draw(image) for image in images], strict=True):
            rows: dict[tuple[str, float], list[int]] = {}
            for row, (operation, magnitude, _) in enumerate(operations):
                rows.setdefault((operation, magnitude), []).append(row)
            for (operation, magnitude), chosen in rows.items():
                images[chosen] = operate(images[chosen], operation, magnitude, **operations[chosen[0]][2])
        return images

    return together
