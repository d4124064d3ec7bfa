"""Standard augmentations by name, for a whole batch at once.

A name is one or more parts joined by ``+``, for instance ``"flip-crop+mixup"``:

===============  ====================================================================================================
part             what it does
===============  ====================================================================================================
none             nothing
flip             mirrors half of the images left to right
crop             shifts by up to an eighth of the side, with reflected borders
flip-crop        both
affine           rotates by up to 15°, scales by 0.85 to 1.15, shifts by up to a tenth
contrast         changes brightness and contrast by up to 40 %
trivialaugment   TrivialAugmentWide (Müller & Hutter 2021), one operation an image
randaugment      RandAugment (Cubuk et al. 2020), two operations an image
mixup            MixUp (Zhang et al. 2018), α = 0.4
cutmix           CutMix (Yun et al. 2019), α = 1
===============  ====================================================================================================

With both mixup and cutmix each batch gets one of the two. Like torchvision's transforms, all draw from torch's global
random state, which `train_classifier` and `synthaug.fit` seed and restore.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from synthaug.augmentation.grouped import grouped
from synthaug.errors import ConfigError, did_you_mean


def flip(images: Tensor) -> Tensor:
    """Mirror each uint8 image of (B, C, H, W) left to right with probability one half."""
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(chosen, images.flip(-1), images)


def crop(images: Tensor) -> Tensor:
    """Shift each uint8 image of (B, C, H, W) by up to an eighth of its sides; borders are reflected."""
    height, width = images.shape[-2:]
    up, left = max(1, height // 8), max(1, width // 8)
    padded = F.pad(images.float(), (left, left, up, up), mode="reflect").to(images.dtype)
    rows = torch.randint(0, 2 * up + 1, (len(images), 1), device=images.device)
    columns = torch.randint(0, 2 * left + 1, (len(images), 1), device=images.device)
    rows = rows + torch.arange(height, device=images.device)
    columns = columns + torch.arange(width, device=images.device)
    each = torch.arange(len(images), device=images.device).view(-1, 1, 1)
    return padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def affine(images: Tensor) -> Tensor:
    """Rotate, scale and shift each uint8 image of (B, C, H, W); borders are repeated."""
    number, aspect = len(images), images.shape[-1] / images.shape[-2]
    angle, scale, right, down = torch.rand(4, number, device=images.device).mul(2).sub(1)
    angle, scale = angle * (torch.pi / 12), 1 / (1 + 0.15 * scale)
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    # affine_grid works in coordinates of [-1, 1] on both sides, so a rotation must undo the aspect ratio.
    rows = [cosine, -sine / aspect, 0.2 * right, sine * aspect, cosine, 0.2 * down]
    matrix = torch.stack(rows, dim=1).view(number, 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    moved: Tensor = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return moved.round().clamp(0, 255).to(images.dtype)


def contrast(images: Tensor) -> Tensor:
    """Change brightness and contrast of each uint8 image of (B, C, H, W) by up to 40 %."""
    brightness, strength = torch.rand(2, len(images), 1, 1, 1, device=images.device).mul(0.8).add(0.6)
    bright = images.float() * brightness
    mean = bright.mean(dim=(1, 2, 3), keepdim=True)
    changed: Tensor = (bright - mean) * strength + mean
    return changed.round().clamp(0, 255).to(images.dtype)


_PARTS: dict[str, tuple[str, ...]] = {
    "none": (),
    "flip": ("flip",),
    "crop": ("crop",),
    "flip-crop": ("flip", "crop"),
    "affine": ("affine",),
    "contrast": ("contrast",),
    "trivialaugment": ("trivialaugment",),
    "randaugment": ("randaugment",),
    "mixup": ("mixup",),
    "cutmix": ("cutmix",),
}
_BATCHED: dict[str, Callable[[Tensor], Tensor]] = {
    "flip": flip,
    "crop": crop,
    "affine": affine,
    "contrast": contrast,
}
_DRAWN = {"trivialaugment": "TrivialAugmentWide", "randaugment": "RandAugment"}
MIXING_ALPHA = {"mixup": 0.4, "cutmix": 1.0}
"""Of the Beta distribution that an image's share of a mixture is drawn from."""
_MIXERS = {"mixup": "MixUp", "cutmix": "CutMix"}
_PARTNER_SHARE = {"MixUp": 1 / 2, "CutMix": 77 / 240}
"""Mean share of a mixture that its partner has. A Beta distribution of two equal parameters has its mean at a half. A
box of side s, in units of the image's, whose centre is uniform keeps s − s²/4 of it inside, and the mean of
(s − s²/4)² for s² uniform is 1/2 − 1/5 + 1/48."""

AUGMENTATIONS = tuple(_PARTS)
"""The parts that an augmentation's name may have."""


class Augmentation:
    """An augmentation by name; see the module's table.

    Args:
        name: Parts joined by ``+``, in any case.

    Raises:
        ConfigError: If a part is unknown.

    Example:
        >>> augment = Augmentation("flip-crop+mixup")
        >>> augment.pixels(torch.zeros(4, 1, 8, 8, dtype=torch.uint8)).shape
        torch.Size([4, 1, 8, 8])
    """

    def __init__(self, name: str) -> None:
        parts: list[str] = []
        for part in name.lower().split("+"):
            key = part.strip()
            if key not in _PARTS:
                raise ConfigError(
                    f"expected an augmentation made of {', '.join(AUGMENTATIONS)} (joined by '+'), but got {name!r}."
                    f"{did_you_mean(key, AUGMENTATIONS)}"
                )
            parts += _PARTS[key]
        self.name = name
        self._pixels = [
            _BATCHED[part] if part in _BATCHED else grouped(_DRAWN[part]) for part in parts if part not in _MIXERS
        ]
        self._mixing = [(_MIXERS[part], MIXING_ALPHA[part]) for part in parts if part in _MIXERS]
        self._mixers: dict[int, list[Any]] = {}

    @property
    def mixes(self) -> bool:
        """Whether images are mixed with each other, and their labels with them.

        Example:
            >>> Augmentation("flip-crop+mixup").mixes
            True
        """
        return bool(self._mixing)

    @property
    def partner_share(self) -> float:
        """The share of a mixed image, and of its label, that is its partner's on average; 0 where nothing is mixed.

        Example:
            >>> Augmentation("flip-crop+mixup").partner_share
            0.5
        """
        shares = [_PARTNER_SHARE[name] for name, _ in self._mixing]
        return sum(shares) / max(1, len(shares))

    def pixels(self, images: Tensor) -> Tensor:
        """Augment uint8 images (B, C, H, W) one by one; the labels stay as they are."""
        for transform in self._pixels if len(images) else ():
            images = transform(images)
        return images

    def mix(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images, and their targets in the same proportions, by MixUp or CutMix where the name has one.

        Args:
            images: float, (B, C, H, W).
            targets: Weight of each class for each image, (B, K).

        Returns:
            The mixed images and targets, of the same shapes.
        """
        number = len(images)
        if not self.mixes or number < 2:
            return images, targets
        if number not in self._mixers:
            from torchvision.transforms import v2

            # The "label" of an image is its position, so what comes back is the matrix by which images were mixed.
            self._mixers[number] = [getattr(v2, name)(alpha=alpha, num_classes=number) for name, alpha in self._mixing]
        mixers = self._mixers[number]
        mixer = mixers[int(torch.randint(len(mixers), ()))] if len(mixers) > 1 else mixers[0]
        images, proportions = mixer(images, torch.arange(number, device=images.device))
        return images, proportions.to(targets.dtype) @ targets
