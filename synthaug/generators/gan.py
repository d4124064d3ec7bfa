"""The generative adversarial network, class-conditional (Goodfellow et al. 2014; Huang et al. 2024, R3GAN).

Networks without normalisation play the relativistic game: the discriminator is to score a real image above a generated
one of the same class, the generator the other way round. Zero-centred gradient penalties on real and generated images
(R1 and R2) make the game converge locally; differentiable augmentation keeps small training sets from being memorised.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from synthaug.generators.adversarial import AdversarialConfig, discriminate, discriminator_of, pretend
from synthaug.generators.base import Generator, Objective, Phase, Precision
from synthaug.generators.registry import register_family
from synthaug.networks import ClassEmbedding, Decoder


@dataclasses.dataclass(frozen=True)
class GANConfig(AdversarialConfig):
    """Settings of the GAN, beside those of the discriminator and its game.

    Attributes:
        latent_dim: Length of the noise.
        width: Channels of the generator at half resolution.
        class_dim: Length of a class's condition vector.
    """

    latent_dim: int = 64
    width: int = 48
    class_dim: int = 32

    def validate(self) -> None:
        """Check the ranges."""
        super().validate()
        for name in ("latent_dim", "width", "class_dim"):
            self.require(getattr(self, name) >= 1, name, "a whole number of 1 or more")


@register_family("gan")
class GAN(Generator):
    """The generator network; the discriminator lives in the objective and is not saved with it.

    Example:
        >>> gan = GAN(GANConfig(width=8), classes=["cat", "dog"], image_shape=(1, 28, 28))
        >>> gan.sample(["dog", "cat"]).shape
        torch.Size([2, 1, 28, 28])
    """

    config_class = GANConfig
    config: GANConfig

    def __init__(
        self,
        config: GANConfig,
        classes: tuple[str, ...] | list[str],
        image_shape: tuple[int, int, int],
        precision: Precision = "fp32",
    ) -> None:
        super().__init__(config, classes, image_shape, precision)
        self.embedding = ClassEmbedding(len(self.classes), config.class_dim)
        size = config.latent_dim + config.class_dim
        self.network = Decoder(image_shape, size, width=config.width, condition=size, normalise=False)

    @property
    def noise_size(self) -> int:
        """One normal for each latent dimension."""
        return self.config.latent_dim

    @property
    def latent_size(self) -> int:
        """Length of the noise: a GAN's codes are its noise."""
        return self.config.latent_dim

    def codes(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Scale the noise by the temperature."""
        return noise * self.sampling.temperature

    def reconstruct(self, z: Tensor, labels: Tensor) -> Tensor:
        """Map codes (B, latent_dim) and labels (B,) to images (B, C, H, W) in [-1, 1]."""
        vector = torch.cat([z, self.embedding(labels)], 1)
        return torch.tanh(self.network(vector, vector).float())

    def objective(self) -> GANObjective:
        """The relativistic game."""
        return GANObjective(self)


class GANObjective(Objective):
    """The relativistic pairing loss with R1 and R2 penalties, on augmented images."""

    generator: GAN

    def __init__(self, generator: GAN) -> None:
        super().__init__(generator)
        self.discriminator = discriminator_of(generator.config, generator.image_shape, generator.classes)

    def phases(self) -> tuple[Phase, ...]:
        """Discriminator first, then generator; without momentum, as the game rotates."""
        return (
            Phase("discriminator", (self.discriminator,), self.discriminator_loss, 5e-4, betas=(0.0, 0.99)),
            Phase("generator", (self.generator,), self.generator_loss, 5e-4, betas=(0.0, 0.99)),
        )

    def discriminator_loss(self, images: Tensor, labels: Tensor, step: int) -> dict[str, Tensor]:
        """Return ``loss``, the mean ``margin`` of real over generated images, and the ``penalty`` when it is due."""
        with torch.no_grad():
            fakes = self._fakes(labels)
        return discriminate(self.discriminator, self.generator.config, images, fakes, labels, step)

    def generator_loss(self, images: Tensor, labels: Tensor, step: int) -> dict[str, Tensor]:
        """Return ``loss``: generated images are to score above real ones."""
        return {"loss": pretend(self.discriminator, self.generator.config, images, self._fakes(labels), labels)}

    def _fakes(self, labels: Tensor) -> Tensor:
        noise = torch.randn(len(labels), self.generator.config.latent_dim, device=labels.device)
        return self.generator.reconstruct(noise, labels)
