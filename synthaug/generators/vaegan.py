"""The VAE-GAN hybrid, class-conditional (Larsen et al. 2016, "Autoencoding beyond pixels using a learned similarity").

A VAE whose decoder is a GAN's generator too: a discriminator sees real images beside reconstructions and samples, and
its features say, beside the pixels, how alike image and reconstruction are. Encoder and latent space stay the VAE's;
what the pixels' term blurs, the discriminator wants back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from synthaug.generators.adversarial import AdversarialConfig, AdversarialObjective, look, pretend
from synthaug.generators.base import Phase
from synthaug.generators.registry import register_family
from synthaug.generators.vae import VAE, VAEConfig, VAEObjective, reparameterise


@dataclasses.dataclass(frozen=True)
class VAEGANConfig(AdversarialConfig, VAEConfig):
    """Settings of the VAE-GAN, beside those of the VAE and of the discriminator.

    Attributes:
        adversarial: Weight of the adversarial term, for each value of the image.
        feature_matching: Weight of the distance between the discriminator's features of image and reconstruction,
            for each value of the image.
    """

    adversarial: float = 0.1
    feature_matching: float = 1.0

    def validate(self) -> None:
        """Check the ranges."""
        super().validate()
        for name in ("adversarial", "feature_matching"):
            self.require(getattr(self, name) >= 0, name, "a number of 0 or more")


@register_family("vaegan")
class VAEGAN(VAE):
    """A VAE with sharper pictures; the discriminator lives in the objective and is not saved with it.

    Example:
        >>> vaegan = VAEGAN(VAEGANConfig(width=8), classes=["cat", "dog"], image_shape=(3, 32, 32))
        >>> vaegan.sample({"cat": 2}).shape
        torch.Size([2, 3, 32, 32])
    """

    config_class = VAEGANConfig
    title = "VAE-GAN"
    tried_from: ClassVar[Mapping[str, float]] = {"cpu": 120.0, "cuda": 15.0}
    small_image_settings: ClassVar[Mapping[str, Any]] = {}
    keeps_privacy = False
    config: VAEGANConfig

    def objective(self) -> VAEGANObjective:
        """The evidence lower bound and the adversarial game."""
        return VAEGANObjective(self)


class VAEGANObjective(AdversarialObjective, VAEObjective):
    """Two updates a step: that of encoder and decoder together, then the discriminator's."""

    generator: VAEGAN

    def phases(self) -> tuple[Phase, ...]:
        """The VAE first; then the discriminator, without momentum, as the game rotates."""
        return (
            Phase("vae", (self.generator,), self.generator_loss, 5e-4, betas=(0.5, 0.99)),
            self.discriminator_phase(),
        )

    def generator_loss(self, images: Tensor, labels: Tensor, step: int) -> dict[str, Tensor]:
        """Return the VAE's losses and ``adversarial`` and ``features``, the two that the discriminator gives."""
        config = self.generator.config
        size = images[0].numel()
        posterior = self.generator.encode(images, labels)
        codes = reparameterise(posterior)
        logits = self.generator.logits(
            torch.cat([codes, torch.randn_like(codes[1::2])]), torch.cat([labels, labels[1::2]])
        )
        losses = self.with_kl(self.reconstruction(logits[: len(labels)], images), posterior, step)
        made = torch.tanh(logits)
        shown = look(self.discriminator, config, made)
        with torch.no_grad():
            real = look(self.discriminator, config, images)
        # Every other reconstruction gives way to a sample from N(0, I), so that both are to look real.
        judged = torch.arange(len(labels), device=labels.device)
        judged[1::2] = torch.arange(len(labels), len(logits), device=labels.device)
        fake = shown.rows(judged)
        self.seen = real, fake.detach()
        adversarial = pretend(self.discriminator, real, fake, labels)
        # Features of an image and of its reconstruction, which two different augmentations would set apart.
        restored_maps, wanted = [maps[: len(labels)] for maps in shown.maps], real.maps
        if config.augment:
            restored_maps = self.discriminator.activations(made[: len(labels)])
            with torch.no_grad():
                wanted = self.discriminator.activations(images)
        features = self._feature_distance(restored_maps, wanted)
        loss = losses["loss"] + size * (config.adversarial * adversarial + config.feature_matching * features)
        return losses | {"loss": loss, "adversarial": adversarial.detach(), "features": features.detach()}

    @staticmethod
    def _feature_distance(features: list[Tensor], wanted: list[Tensor]) -> Tensor:
        """Mean squared distance over the layers, each relative to how large the wanted features are."""
        distances = [
            F.mse_loss(map_.float(), target.float()) / target.float().square().mean().clamp(min=1e-6)
            for map_, target in zip(features, wanted, strict=True)
        ]
        return torch.stack(distances).mean()
