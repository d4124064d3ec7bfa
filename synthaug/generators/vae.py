"""The variational autoencoder, class-conditional (Kingma & Welling 2014; Sohn et al. 2015).

An encoder maps an image and its class to a Gaussian over codes; a decoder maps a code and a class back to an image.
Training maximises reconstruction − β KL; the reparameterisation z = μ + σ ε lets gradients through the sampling. After
training a mixture prior is fitted to the codes of each class (see `synthaug.generators.priors`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from synthaug.generators.base import Phase, Posterior
from synthaug.generators.encoder_decoder import EncoderDecoder, EncoderDecoderConfig, ReconstructionObjective
from synthaug.generators.registry import register_family


@dataclasses.dataclass(frozen=True)
class VAEConfig(EncoderDecoderConfig):
    """Settings of the VAE, beside those of encoder, code and decoder.

    Attributes:
        reconstruction: ``"gaussian"``: a Gaussian whose variance is the optimal one, the mean squared error of the
            batch (Rybkin et al. 2021, σ-VAE), so that no weight between reconstruction and KL has to be guessed.
            ``"bernoulli"``: cross-entropy, for images that are nearly black and white.
        beta: Weight of the KL term (Higgins et al. 2017).
        warmup_steps: Steps over which the weight rises linearly from 0.
        free_bits: Nats of KL for each dimension that cost nothing (Kingma et al. 2016).
    """

    reconstruction: Literal["gaussian", "bernoulli"] = "gaussian"
    beta: float = 1.0
    warmup_steps: int = 200
    free_bits: float = 0.0

    def validate(self) -> None:
        """Check the ranges."""
        super().validate()
        for name in ("beta", "warmup_steps", "free_bits"):
            self.require(getattr(self, name) >= 0, name, "a number of 0 or more")


@register_family("vae")
class VAE(EncoderDecoder):
    """Encoder, decoder and prior.

    Example:
        >>> vae = VAE(VAEConfig(width=8), classes=["cat", "dog"], image_shape=(3, 32, 32))
        >>> vae.sample({"cat": 2}).shape
        torch.Size([2, 3, 32, 32])
    """

    config_class = VAEConfig
    title = "VAE"
    tried_from: ClassVar[Mapping[str, float]] = {"cpu": 0.0, "cuda": 0.0}
    small_image_settings: ClassVar[Mapping[str, Any]] = {"width": 32, "batch_size": 32}
    keeps_privacy = True
    config: VAEConfig

    def objective(self) -> VAEObjective:
        """Reconstruction and KL."""
        return VAEObjective(self)


class VAEObjective(ReconstructionObjective):
    """The negative evidence lower bound, in nats for each image."""

    generator: VAE

    @property
    def likelihood(self) -> Literal["gaussian", "bernoulli"]:
        """As configured."""
        return self.generator.config.reconstruction

    def phases(self) -> tuple[Phase, ...]:
        """One update of encoder and decoder together."""
        return (Phase("vae", (self.generator,), self.loss, learning_rate=1e-3),)

    def loss(self, images: Tensor, labels: Tensor, step: int) -> dict[str, Tensor]:
        """Return ``loss``, ``reconstruction``, ``kl`` (nats an image) and ``mse`` (of images in [-1, 1])."""
        posterior = self.generator.encode(images, labels)
        losses = self.reconstruction(self.generator.logits(reparameterise(posterior), labels), images)
        return self.with_kl(losses, posterior, step)

    def with_kl(self, losses: dict[str, Tensor], posterior: Posterior, step: int) -> dict[str, Tensor]:
        """Add the weighted divergence of the posterior from N(0, I) to the loss, and itself to the log."""
        config = self.generator.config
        mu, logvar = posterior
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar)
        # Free bits hold back the average over the batch, not each image's own value.
        penalty = kl.mean(0).clamp(min=config.free_bits).sum()
        weight = config.beta * min(1.0, (step + 1) / max(1, config.warmup_steps))
        return losses | {"loss": losses["loss"] + weight * penalty, "kl": kl.sum(1).mean().detach()}


def reparameterise(posterior: Posterior) -> Tensor:
    """Draw codes z = μ + σ ε, through which gradients reach the encoder."""
    return posterior.mu + torch.randn_like(posterior.mu) * (0.5 * posterior.logvar).exp()
