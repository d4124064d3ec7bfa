"""What diffusion works on: pixels, or the code maps of a trained autoencoder (Rombach et al. 2022, latent diffusion).

Both are standardised, channel by channel, with the mean and deviation of the training images.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthaug.errors import ConfigError
from synthaug.generators.encoder_decoder import EncoderDecoder
from synthaug.generators.folder import load, make_generator
from synthaug.pixels import from_uint8
from synthaug.spread import evenly_within
from synthaug.storage import canonical_json

if TYPE_CHECKING:
    from synthaug.data import ImageDataset

Shape = tuple[int, int, int]

_MEASURED, _MEASURED_BYTES = 4096, 1 << 26
_SMALLEST_DEVIATION = 1e-2


class Pixels(nn.Module):
    """Images themselves, standardised.

    Args:
        shape: (C, H, W) of what is diffused.

    Attributes:
        mean: Of each channel, (C, 1, 1).
        deviation: Of each channel, (C, 1, 1).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", torch.zeros(shape[0], 1, 1))
        self.register_buffer("deviation", torch.full((shape[0], 1, 1), 0.5))

    def measure(self, data: ImageDataset) -> None:
        """Take mean and deviation from up to 4,096 of the training images, evenly spread; fewer of large ones."""
        rows = evenly_within(len(data), _MEASURED, int(np.prod(data.image_shape)), _MEASURED_BYTES)
        values = self._values(data.take(rows), data.labels[rows]).double()
        self.mean.copy_(values.mean((0, 2, 3)).view_as(self.mean))
        deviation = values.std((0, 2, 3), correction=0).view_as(self.deviation)
        self.deviation.copy_(deviation.clamp(min=_SMALLEST_DEVIATION))

    def from_images(self, images: Tensor, labels: Tensor) -> Tensor:
        """Turn images (B, C, H, W) in [-1, 1] into what is diffused."""
        return (images - self.mean) / self.deviation

    def to_images(self, x: Tensor, labels: Tensor) -> Tensor:
        """Turn what is diffused, (B, *shape), into images (B, C, H, W) in [-1, 1]."""
        return (x * self.deviation + self.mean).clamp(-1, 1)

    def _values(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Tensor:
        return from_uint8(torch.from_numpy(images).permute(0, 3, 1, 2))


class CodeMaps(Pixels):
    """Code maps of a frozen autoencoder, standardised.

    Args:
        autoencoder: What encodes and decodes; its weights are saved with this module, and never trained.
    """

    def __init__(self, autoencoder: EncoderDecoder) -> None:
        if autoencoder.code_shape is None:
            raise ConfigError(
                f"expected an autoencoder whose codes are maps, but the codes of this {autoencoder.family} are "
                "vectors. Train it with code='map'."
            )
        super().__init__(autoencoder.code_shape)
        self.autoencoder = autoencoder.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> CodeMaps:
        """Switch modes, but for the autoencoder: its normalisation layers must not go on learning."""
        super().train(mode)
        self.autoencoder.eval()
        return self

    def from_images(self, images: Tensor, labels: Tensor) -> Tensor:
        """Encode images (B, C, H, W) in [-1, 1] to the means of their posteriors, standardised."""
        with self.autoencoder.autocast():
            codes = self.autoencoder.encode(images, labels).mu.float()
        return (codes.view(-1, *self.shape) - self.mean) / self.deviation

    def to_images(self, x: Tensor, labels: Tensor) -> Tensor:
        """Decode standardised codes (B, *shape) to images (B, C, H, W) in [-1, 1]."""
        with self.autoencoder.autocast():
            return self.autoencoder.reconstruct((x * self.deviation + self.mean).flatten(1), labels)

    def _values(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self.autoencoder.encode_images(images, labels)[0]).view(-1, *self.shape)


def find_autoencoder(source: str, classes: Sequence[str], image_shape: Shape) -> tuple[EncoderDecoder, str]:
    """Load an autoencoder, or rebuild one whose weights are loaded later.

    Args:
        source: The folder (or hub id) of a trained autoencoder, or the description that this function returned for it.
        classes: The classes that it must know, in this order.
        image_shape: (C, H, W) that it must take.

    Returns:
        The autoencoder, and its description in JSON, which names no path.

    Raises:
        ConfigError: If it is no autoencoder, or one for other images or classes.
    """
    if source.startswith("{"):
        return _rebuilt(json.loads(source), classes, image_shape), source
    autoencoder = load(source)
    if not isinstance(autoencoder, EncoderDecoder):
        raise ConfigError(
            f"expected the folder of a trained autoencoder, vae or vaegan with conditioning='shared', but {source} "
            f"holds a {autoencoder.family} with conditioning={autoencoder.conditioning!r}."
        )
    if autoencoder.classes != tuple(classes):
        hint = " Latent diffusion goes with conditioning='shared' only." if len(classes) == 1 else ""
        raise ConfigError(
            f"expected an autoencoder trained on the same classes ({', '.join(classes[:5])}…), but {source} knows "
            f"{', '.join(autoencoder.classes[:5])}….{hint}"
        )
    if autoencoder.image_shape != image_shape:
        raise ConfigError(
            f"expected an autoencoder for images of shape {image_shape}, but {source} is for {autoencoder.image_shape}."
        )
    model = {
        name: False if name.endswith("_pretrained") else value for name, value in autoencoder.config.to_dict().items()
    }
    description = {
        "family": autoencoder.family,
        "model": model,
        "precision": autoencoder.precision,
        "digest": autoencoder.digest,
    }
    return autoencoder, canonical_json(description)


def _rebuilt(description: dict[str, Any], classes: Sequence[str], image_shape: Shape) -> EncoderDecoder:
    autoencoder = make_generator(
        description["family"],
        classes,
        image_shape,
        precision=description["precision"],
        options=description["model"],
    )
    if not isinstance(autoencoder, EncoderDecoder):
        raise ConfigError(f"expected the description of an autoencoder, but got that of a {autoencoder.family}.")
    return autoencoder
