"""The generative adversarial network, class-conditional (Goodfellow et al. 2014; Huang et al. 2024, R3GAN).

Networks without normalisation play the relativistic game: the discriminator is to score a real image above a generated
one of the same class, the generator the other way round. Zero-centred gradient penalties on real and generated images
(R1 and R2) make the game converge locally; differentiable augmentation keeps small training sets from being memorised.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from synthaug.config import Config
from synthaug.generators.base import Generator, Objective, Phase, Precision
from synthaug.generators.registry import register_family
from synthaug.networks import ClassEmbedding, Decoder, ProjectionDiscriminator, diff_augment
from synthaug.networks.diffaugment import check_operation


@dataclasses.dataclass(frozen=True)
class GANConfig(Config):
    """Settings of the GAN.

    Attributes:
        latent_dim: Length of the noise.
        width: Channels of the generator at half resolution.
        discriminator_width: Channels of the discriminator at half resolution.
        class_dim: Length of a class's condition vector.
        gamma: Weight of the gradient penalties R1 and R2.
        penalty_every: Steps between two gradient penalties, whose weight makes up for the steps left out (Karras et
            al. 2020, lazy regularisation).
        augment: Differentiable augmentations among color, translation, cutout; an empty list for none.
    """

    latent_dim: int = 64
    width: int = 48
    discriminator_width: int = 48
    class_dim: int = 32
    gamma: float = 0.5
    penalty_every: int = 4
    augment: tuple[str, ...] = ("color", "translation", "cutout")

    def validate(self) -> None:
        """Check the ranges."""
        for name in ("latent_dim", "width", "discriminator_width", "class_dim", "penalty_every"):
            self.require(getattr(self, name) >= 1, name, "a whole number of 1 or more")
        self.require(self.gamma >= 0, "gamma", "a number of 0 or more")
        for operation in self.augment:
            check_operation(operation)


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

    def decode(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Turn noise and labels into images."""
        return self.generate(noise * self.sampling.temperature, labels)

    def generate(self, z: Tensor, labels: Tensor) -> Tensor:
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
        self.discriminator = ProjectionDiscriminator(
            generator.image_shape, len(generator.classes), width=generator.config.discriminator_width
        )

    def phases(self) -> tuple[Phase, ...]:
        """Discriminator first, then generator; without momentum, as the game rotates."""
        return (
            Phase("discriminator", (self.discriminator,), self.discriminator_loss, 5e-4, betas=(0.0, 0.99)),
            Phase("generator", (self.generator,), self.generator_loss, 5e-4, betas=(0.0, 0.99)),
        )

    def discriminator_loss(self, images: Tensor, labels: Tensor, step: int) -> dict[str, Tensor]:
        """Return ``loss``, the mean ``margin`` of real over generated images, and the ``penalty`` when it is due."""
        config = self.generator.config
        with torch.no_grad():
            fakes = self._fakes(labels)
        due = config.gamma > 0 and step % config.penalty_every == 0
        real = diff_augment(images, config.augment).detach().requires_grad_(due)
        fake = diff_augment(fakes, config.augment).detach().requires_grad_(due)
        scores = self.discriminator(torch.cat([real, fake]), torch.cat([labels, labels])).float()
        margin = scores[: len(labels)] - scores[len(labels) :]
        losses = {"loss": F.softplus(-margin).mean(), "margin": margin.mean().detach()}
        if due:
            gradients = torch.autograd.grad(scores.sum(), (real, fake), create_graph=True)
            penalty = sum((gradient.square().sum((1, 2, 3)).mean() for gradient in gradients), torch.zeros(()))
            losses["loss"] = losses["loss"] + 0.5 * config.gamma * config.penalty_every * penalty
            losses["penalty"] = penalty.detach()
        return losses

    def generator_loss(self, images: Tensor, labels: Tensor, step: int) -> dict[str, Tensor]:
        """Return ``loss``: generated images are to score above real ones."""
        config = self.generator.config
        fake = diff_augment(self._fakes(labels), config.augment)
        with torch.no_grad():
            real_scores = self.discriminator(diff_augment(images, config.augment), labels).float()
        fake_scores = self.discriminator(fake, labels).float()
        return {"loss": F.softplus(real_scores - fake_scores).mean()}

    def _fakes(self, labels: Tensor) -> Tensor:
        noise = torch.randn(len(labels), self.generator.config.latent_dim, device=labels.device)
        return self.generator.generate(noise, labels)
