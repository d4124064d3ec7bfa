"""The variational autoencoder, class-conditional (Kingma & Welling 2014; Sohn et al. 2015).

An encoder maps an image and its class to a Gaussian over codes; a decoder maps a code and a class back to an image.
Training maximises reconstruction − β KL; the reparameterisation z = μ + σ ε lets gradients through the sampling. After
training a mixture prior is fitted to the codes of each class (see `synthaug.generators.priors`).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthaug.config import Config
from synthaug.generators.base import CHUNK, Generator, Objective, Phase, Precision, SamplingConfig, from_uint8
from synthaug.generators.priors import MixturePrior
from synthaug.generators.registry import register_family
from synthaug.networks import ClassEmbedding, Decoder, make_encoder

if TYPE_CHECKING:
    from synthaug.data import ImageDataset

_SMALLEST_VARIANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class VAEConfig(Config):
    """Settings of the VAE.

    Attributes:
        latent_dim: Length of a code.
        encoder: ``"small_resnet"`` or the name of any timm model.
        encoder_pretrained: Whether a timm encoder starts from timm's weights.
        width: Channels at half resolution.
        class_dim: Length of a class's condition vector.
        reconstruction: ``"gaussian"``: a Gaussian whose variance is the optimal one, the mean squared error of the
            batch (Rybkin et al. 2021, σ-VAE), so that no weight between reconstruction and KL has to be guessed.
            ``"bernoulli"``: cross-entropy, for images that are nearly black and white.
        beta: Weight of the KL term (Higgins et al. 2017).
        warmup_steps: Steps over which the weight rises linearly from 0.
        free_bits: Nats of KL for each dimension that cost nothing (Kingma et al. 2016).
        components: Mixture components a class in the fitted prior, at most.
    """

    latent_dim: int = 32
    encoder: str = "small_resnet"
    encoder_pretrained: bool = False
    width: int = 48
    class_dim: int = 32
    reconstruction: Literal["gaussian", "bernoulli"] = "gaussian"
    beta: float = 1.0
    warmup_steps: int = 200
    free_bits: float = 0.0
    components: int = 10

    def validate(self) -> None:
        """Check the ranges."""
        for name in ("latent_dim", "width", "class_dim", "components"):
            self.require(getattr(self, name) >= 1, name, "a whole number of 1 or more")
        for name in ("beta", "warmup_steps", "free_bits"):
            self.require(getattr(self, name) >= 0, name, "a number of 0 or more")


@dataclasses.dataclass(frozen=True)
class VAESampling(SamplingConfig):
    """How codes are drawn.

    Attributes:
        prior: ``"mixture"``, fitted to the training images' codes, or ``"normal"``, N(0, I).
    """

    prior: Literal["mixture", "normal"] = "mixture"


@register_family("vae")
class VAE(Generator):
    """Encoder, decoder and prior.

    Example:
        >>> vae = VAE(VAEConfig(width=8), classes=["cat", "dog"], image_shape=(3, 32, 32))
        >>> vae.sample({"cat": 2}).shape
        torch.Size([2, 3, 32, 32])
    """

    config_class = VAEConfig
    sampling_class = VAESampling
    config: VAEConfig
    sampling: VAESampling

    def __init__(
        self,
        config: VAEConfig,
        classes: tuple[str, ...] | list[str],
        image_shape: tuple[int, int, int],
        precision: Precision = "fp32",
    ) -> None:
        super().__init__(config, classes, image_shape, precision)
        self.embedding = ClassEmbedding(len(self.classes), config.class_dim)
        self.encoder = make_encoder(
            config.encoder,
            image_shape,
            width=config.width,
            condition=config.class_dim,
            pretrained=config.encoder_pretrained,
        )
        self.posterior = nn.Linear(self.encoder.features + config.class_dim, 2 * config.latent_dim)
        self.decoder = Decoder(
            image_shape, config.latent_dim + config.class_dim, width=config.width, condition=config.class_dim
        )
        self.prior = MixturePrior(len(self.classes), config.latent_dim, config.components)

    @property
    def noise_size(self) -> int:
        """One normal for each latent dimension, and one to choose the mixture component."""
        return self.prior.noise_size

    def encode(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posterior's mean and log-variance, each (B, latent_dim), of images (B, C, H, W) in [-1, 1]."""
        condition = self.embedding(labels)
        features = self.encoder(images, condition)
        mu, logvar = self.posterior(torch.cat([features, condition], 1)).float().chunk(2, dim=1)
        return mu, logvar.clamp(-20, 10)

    def reconstruct(self, z: Tensor, labels: Tensor) -> Tensor:
        """Map codes (B, latent_dim) to images (B, C, H, W) in [-1, 1]."""
        return torch.tanh(self.logits(z, labels))

    def logits(self, z: Tensor, labels: Tensor) -> Tensor:
        """Map codes to unbounded images: half the log-odds of white, whose tanh is the image in [-1, 1]."""
        condition = self.embedding(labels)
        images: Tensor = self.decoder(torch.cat([z, condition], 1), condition).float()
        return images

    def decode(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Draw codes from the prior and decode them."""
        if self.sampling.prior == "normal":
            z = noise[:, 1:] * self.sampling.temperature
        else:
            z = self.prior(noise, labels, self.sampling.temperature)
        return self.reconstruct(z, labels)

    def objective(self) -> VAEObjective:
        """Reconstruction and KL."""
        return VAEObjective(self)

    @torch.no_grad()
    def finish(self, data: ImageDataset) -> None:
        """Fit the mixture prior to the posteriors of the training images."""
        self.eval()
        means, variances = [], []
        for start in range(0, len(data), 4 * CHUNK):
            rows = np.arange(start, min(start + 4 * CHUNK, len(data)))
            images = torch.from_numpy(data.take(rows)).to(self.device).permute(0, 3, 1, 2)
            with self.autocast():
                mu, logvar = self.encode(from_uint8(images), torch.from_numpy(data.labels[rows]).to(self.device))
            means.append(mu.cpu().numpy())
            variances.append(logvar.exp().cpu().numpy())
        self.prior.fit(np.concatenate(means), np.concatenate(variances), data.labels)


class VAEObjective(Objective):
    """The negative evidence lower bound, in nats for each image."""

    generator: VAE

    def phases(self) -> tuple[Phase, ...]:
        """One update of encoder and decoder together."""
        return (Phase("vae", (self.generator,), self.loss, learning_rate=1e-3),)

    def loss(self, images: Tensor, labels: Tensor, step: int) -> dict[str, Tensor]:
        """Return ``loss``, ``reconstruction``, ``kl`` (nats an image) and ``mse`` (of images in [-1, 1])."""
        config = self.generator.config
        mu, logvar = self.generator.encode(images, labels)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        logits = self.generator.logits(z, labels)
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar)
        # Free bits hold back the average over the batch, not each image's own value.
        penalty = kl.mean(0).clamp(min=config.free_bits).sum()
        mse = F.mse_loss(torch.tanh(logits), images)
        if config.reconstruction == "gaussian":
            reconstruction = 0.5 * images[0].numel() * (mse + _SMALLEST_VARIANCE).log()
        else:
            white = 0.5 * (images + 1)
            reconstruction = F.binary_cross_entropy_with_logits(2 * logits, white, reduction="sum") / len(images)
        weight = config.beta * min(1.0, (step + 1) / max(1, config.warmup_steps))
        return {
            "loss": reconstruction + weight * penalty,
            "reconstruction": reconstruction.detach(),
            "kl": kl.sum(1).mean().detach(),
            "mse": mse.detach(),
        }
