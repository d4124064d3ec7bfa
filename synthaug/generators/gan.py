"""The generative adversarial network, class-conditional (Goodfellow et al. 2014).

The game is relativistic: the discriminator is to score a real image above a generated one of the same class, the
generator the other way round (see `synthaug.generators.adversarial`). The discriminator looks through a pretrained
network (Sauer et al. 2021, projected GANs), or is trained from scratch under gradient penalties (Huang et al. 2024,
R3GAN). Left alone, a generator may make one and the same image of a class; a term holds its samples to the variety of
the real images. And at first a discriminator's advice is worth little: another term leads the generator straight to the
colours, places and features that real images have on average (Salimans et al. 2016, feature matching).
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from synthaug.generators.adversarial import AdversarialConfig, AdversarialObjective, look, pretend
from synthaug.generators.base import Generator, Phase, Precision
from synthaug.generators.registry import register_family
from synthaug.networks import ClassEmbedding, Decoder


@dataclasses.dataclass(frozen=True)
class GANConfig(AdversarialConfig):
    """Settings of the GAN, beside those of the discriminator and its game.

    Attributes:
        latent_dim: Length of the noise.
        width: Channels of the generator at half resolution.
        class_dim: Length of a class's condition vector.
        diversity: Weight of the term that keeps samples of a class as different from each other as its real images
            are (after Mao et al. 2019, mode seeking GANs); it vanishes where they are. 0 for none.
        matching: Weight of the term that draws mean and spread of the samples' pixels and of their features in the
            discriminator to those of real images; 0 for none.
    """

    latent_dim: int = 64
    width: int = 48
    class_dim: int = 32
    diversity: float = 5.0
    matching: float = 3.0

    def validate(self) -> None:
        """Check the ranges."""
        super().validate()
        for name in ("latent_dim", "width", "class_dim"):
            self.require(getattr(self, name) >= 1, name, "a whole number of 1 or more")
        for name in ("diversity", "matching"):
            self.require(getattr(self, name) >= 0, name, "a number of 0 or more")


@register_family("gan")
class GAN(Generator):
    """The generator network; the discriminator lives in the objective and is not saved with it.

    Example:
        >>> gan = GAN(GANConfig(width=8), classes=["cat", "dog"], image_shape=(1, 28, 28))
        >>> gan.sample(["dog", "cat"]).shape
        torch.Size([2, 1, 28, 28])
    """

    config_class = GANConfig
    title = "GAN"
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


class GANObjective(AdversarialObjective):
    """The relativistic pairing loss with R1 and R2 penalties, on augmented images."""

    generator: GAN

    def phases(self) -> tuple[Phase, ...]:
        """Generator first, then discriminator; without momentum, as the game rotates."""
        return (
            Phase("generator", (self.generator,), self.generator_loss, 5e-4, betas=(0.0, 0.99)),
            self.discriminator_phase(),
        )

    def generator_loss(self, images: Tensor, labels: Tensor, step: int) -> dict[str, Tensor]:
        """Return ``loss``: samples are to score above real images; and what the other terms come to.

        These are ``sameness``, what samples lack in variety, and ``mismatch`` of their statistics with real images'.
        """
        config = self.generator.config
        noise = torch.randn(len(labels), config.latent_dim, device=labels.device)
        fakes = self.generator.reconstruct(noise, labels)
        fake = look(self.discriminator, config, fakes)
        with torch.no_grad():
            real = look(self.discriminator, config, images)
        self.seen = real, fake.detach()
        losses = {"loss": pretend(self.discriminator, real, fake, labels)}
        small = [F.avg_pool2d(part, 4, ceil_mode=True) for part in (fakes, images)]
        if config.diversity:
            losses["sameness"] = lacking_variety(small[0], small[1], labels)
            losses["loss"] = losses["loss"] + config.diversity * losses["sameness"]
        if config.matching:
            features = [statistics_apart(*maps) for maps in zip(fake.maps, real.maps, strict=True)]
            losses["mismatch"] = statistics_apart(*small) + torch.stack(features).mean()
            losses["loss"] = losses["loss"] + config.matching * losses["mismatch"]
        return losses


def statistics_apart(fakes: Tensor, images: Tensor) -> Tensor:
    """Return how far mean and standard deviation at each place are apart, relative to the size of the real values.

    Args:
        fakes: Pixels or features of a batch of samples, (B, C, H, W).
        images: The same of real images.

    Example:
        >>> images = torch.rand(8, 3, 4, 4)
        >>> statistics_apart(images.flip(0), images).item() < 1e-9, statistics_apart(-images, images).item() > 1
        (True, True)
    """
    fakes, images = fakes.float(), images.float()
    means = fakes.mean(0) - images.mean(0)
    spreads = fakes.std(0, correction=0) - images.std(0, correction=0)
    return (means.square() + spreads.square()).mean() / images.square().mean().clamp(min=1e-6)


def lacking_variety(fakes: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """Return by which share samples of a class differ less from each other than its real images do: a scalar, 0 to 1.

    Args:
        fakes: Samples, (B, C, H, W); small ones, as differences are to be of shape and shade and not of noise.
        images: Real images of the same classes, (B, C, H, W); without two of one class there is nothing to hold to.
        labels: (B,).

    Example:
        >>> images, labels = torch.rand(4, 1, 2, 2), torch.tensor([0, 0, 1, 1])
        >>> lacking_variety(torch.zeros(4, 1, 2, 2), images, labels).item()
        1.0
    """
    same = labels[:, None] == labels[None]
    same.fill_diagonal_(False)
    if not same.any():
        return fakes.sum() * 0.0
    flat = [part.float().flatten(1) for part in (fakes, images)]
    found, wanted = ((torch.cdist(part, part, p=1) * same).sum(1) / same.sum(1).clamp(min=1) for part in flat)
    held = wanted > 0  # by images that have a companion of their class
    return F.relu(1 - found[held].mean() / wanted[held].mean()) if held.any() else fakes.sum() * 0.0
