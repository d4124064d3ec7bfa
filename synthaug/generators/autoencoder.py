"""The deterministic autoencoder, class-conditional (Hinton & Salakhutdinov 2006), and its restoring kin.

Trained to give images back from short codes, or to give clean images back from damaged ones (Vincent et al. 2008,
"Extracting and composing robust features with denoising autoencoders"): one mechanism for compression, denoising,
inpainting and super-resolution. Nothing in training says where codes may lie, so the prior that samples are drawn from
is a mixture fitted to the codes afterwards (Ghosh et al. 2020, ex-post density estimation). Between codes there may be
holes, from which the decoder makes no image of the kind: that is what the VAE's noise and KL term are for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from synthaug.generators.base import Phase
from synthaug.generators.encoder_decoder import EncoderDecoder, EncoderDecoderConfig, ReconstructionObjective
from synthaug.generators.registry import register_family

Corruption = Literal["none", "noise", "mask", "downsample"]

_HIDDEN = 0.0
"""What hidden pixels are set to: mid-grey, in images from -1 to 1."""


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig(EncoderDecoderConfig):
    """Settings of the autoencoder, beside those of encoder, code and decoder.

    Attributes:
        corruption: What is done to an image before it is encoded; the clean image is what has to come out.
            ``"noise"`` adds Gaussian noise (for `synthaug denoise`), ``"mask"`` hides square patches (no command takes
            such a one; `synthaug impute` needs none), ``"downsample"`` keeps block means only (for `synthaug upscale`).
        corruption_strength: For noise its standard deviation, with pixels from 0 to 1; for masks the share of the
            image that is hidden; for downsampling the side of a block in pixels, 2 or 4. Left out: 0.2, 0.5 and 2.
        code_penalty: Weight of the codes' mean square (Ghosh et al. 2020), which keeps them near the origin.
    """

    corruption: Corruption = "none"
    corruption_strength: float | None = None
    code_penalty: float = 1e-2

    def validate(self) -> None:
        """Check the ranges."""
        super().validate()
        self.require(self.code_penalty >= 0, "code_penalty", "a number of 0 or more")
        strength = self.corruption_strength
        if strength is None or self.corruption == "none":
            return
        right, expected = {
            "noise": (0 < strength <= 1, "a standard deviation above 0 and at most 1 for noise"),
            "mask": (0 < strength < 1, "a share between 0 and 1 for masks"),
            "downsample": (strength in (2, 4), "2 or 4 for downsampling"),
        }[self.corruption]
        self.require(right, "corruption_strength", expected)

    @property
    def strength(self) -> float:
        """The strength set, or the corruption's own."""
        default = {"none": 0.0, "noise": 0.2, "mask": 0.5, "downsample": 2.0}[self.corruption]
        return default if self.corruption_strength is None else self.corruption_strength


@register_family("autoencoder")
class Autoencoder(EncoderDecoder):
    """Encoder, decoder and a prior fitted afterwards.

    Example:
        >>> autoencoder = Autoencoder(AutoencoderConfig(width=8), classes=["cat", "dog"], image_shape=(3, 32, 32))
        >>> autoencoder.sample({"cat": 2}).shape
        torch.Size([2, 3, 32, 32])
    """

    config_class = AutoencoderConfig
    title = "autoencoder"
    stochastic = False
    normal_codes = False
    config: AutoencoderConfig

    def objective(self) -> AutoencoderObjective:
        """Reconstruction of the clean image."""
        return AutoencoderObjective(self)


class AutoencoderObjective(ReconstructionObjective):
    """The distance between an image and what is restored from its damaged version."""

    generator: Autoencoder
    likelihood: Literal["gaussian"] = "gaussian"

    def phases(self) -> tuple[Phase, ...]:
        """One update of encoder and decoder together."""
        return (Phase("autoencoder", (self.generator,), self.loss, learning_rate=1e-3),)

    def loss(self, images: Tensor, labels: Tensor, step: int) -> dict[str, Tensor]:
        """Return ``loss``, ``reconstruction`` (nats an image), ``mse`` (of images in [-1, 1]) and ``code``."""
        config = self.generator.config
        z = self.generator.encode(corrupt(images, config.corruption, config.strength), labels).mu
        losses = self.reconstruction(self.generator.logits(z, labels), images)
        code = z.square().mean()
        penalty = config.code_penalty * images[0].numel() * code
        return losses | {"loss": losses["loss"] + penalty, "code": code.detach()}


def corrupt(images: Tensor, corruption: Corruption, strength: float) -> Tensor:
    """Damage images (B, C, H, W) in [-1, 1] at random, as `AutoencoderConfig` describes; none are changed in place.

    Example:
        >>> images = torch.zeros(2, 1, 8, 8)
        >>> float(corrupt(images, "noise", 0.5).std()) > 0
        True
    """
    return _CORRUPTIONS[corruption](images, strength)


def _noise(images: Tensor, strength: float) -> Tensor:
    """Add noise, and clip as a file of bytes does."""
    return (images + 2 * strength * torch.randn_like(images)).clamp(-1, 1)


def _mask(images: Tensor, strength: float) -> Tensor:
    """Hide patches of a quarter of the sides, each with the given probability."""
    batch, _, height, width = images.shape
    rows, columns = -(-height // max(1, height // 4)), -(-width // max(1, width // 4))
    hidden = (torch.rand(batch, 1, rows, columns, device=images.device) < strength).float()
    hidden = F.interpolate(hidden, size=(height, width), mode="nearest")
    return torch.where(hidden > 0, _HIDDEN, images)


def _downsample(images: Tensor, strength: float) -> Tensor:
    """Bring images down and up again, as one who has only small ones would."""
    size = images.shape[2:]
    small = [max(1, round(side / strength)) for side in size]
    images = F.interpolate(images, size=small, mode="area")
    return F.interpolate(images, size=size, mode="bicubic", align_corners=False).clamp(-1, 1)


def _unchanged(images: Tensor, strength: float) -> Tensor:
    return images


_CORRUPTIONS: dict[Corruption, Callable[[Tensor, float], Tensor]] = {
    "none": _unchanged,
    "noise": _noise,
    "mask": _mask,
    "downsample": _downsample,
}
