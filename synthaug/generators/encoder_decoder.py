"""What autoencoder, VAE and VAE-GAN share: an encoder from images to codes, a decoder back, and a fitted prior.

A code is a vector that sums up the whole image, or a map of vectors that keeps where things are: vectors are what one
samples, interpolates and edits; maps restore images far better and are what latent diffusion works on.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from synthaug.config import Config
from synthaug.errors import ConfigError
from synthaug.generators.base import CHUNK, Generator, Objective, Posterior, Precision, SamplingConfig
from synthaug.generators.priors import MixturePrior
from synthaug.networks import ClassEmbedding, Decoder, make_encoder, pyramid
from synthaug.spread import evenly_spread

if TYPE_CHECKING:
    from synthaug.data import ImageDataset
    from synthaug.networks.perceptual import PerceptualDistance

_FITTED_BYTES = 1 << 30
"""Codes that the prior is fitted to, at most: of long ones not those of all images."""

_SMALLEST_VARIANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class EncoderDecoderConfig(Config):
    """Settings of encoder, code and decoder.

    Attributes:
        latent_dim: Length of a code, or channels of a code map.
        code: ``"vector"``: one vector an image; ``"map"``: one vector a place, for restoring and latent diffusion.
        code_stride: Pixels of the image, along each side, that one place of a code map stands for: 2, 4, 8 or 16.
            Sides below 8 pixels are not halved further, so small images have less.
        encoder: ``"small_resnet"`` or the name of any timm model.
        encoder_pretrained: Whether a timm encoder starts from timm's weights.
        width: Channels at half resolution.
        class_dim: Length of a class's condition vector.
        components: Mixture components a class in the fitted prior, at most.
        perceptual: Weight of the perceptual distance between image and reconstruction beside the pixels' term
            (Zhang et al. 2018, LPIPS); 0 for none.
        perceptual_network: Network that gives its features: the bundled ``"efficientnet_lite0"`` or a timm model.
    """

    latent_dim: int = 32
    code: Literal["vector", "map"] = "vector"
    code_stride: int = 4
    encoder: str = "small_resnet"
    encoder_pretrained: bool = False
    width: int = 48
    class_dim: int = 32
    components: int = 10
    perceptual: float = 0.0
    perceptual_network: str = "efficientnet_lite0"

    def validate(self) -> None:
        """Check the ranges."""
        for name in ("latent_dim", "width", "class_dim", "components"):
            self.require(getattr(self, name) >= 1, name, "a whole number of 1 or more")
        self.require(self.code_stride in (2, 4, 8, 16), "code_stride", "2, 4, 8 or 16")
        self.require(self.perceptual >= 0, "perceptual", "a number of 0 or more")

    @property
    def halvings(self) -> int | None:
        """How often the image is halved on the way to a code map; ``None`` for vectors."""
        return None if self.code == "vector" else self.code_stride.bit_length() - 1


@dataclasses.dataclass(frozen=True)
class CodeSampling(SamplingConfig):
    """How codes are drawn.

    Attributes:
        prior: ``"mixture"``, fitted to the training images' codes, or ``"normal"``, N(0, I).
    """

    prior: Literal["mixture", "normal"] = dataclasses.field(default="mixture", metadata={"draws_only": True})


class EncoderDecoder(Generator):
    """Encoder, decoder and prior; what they are trained for is the family's affair.

    Attributes:
        code_shape: (channels, height, width) of a code map, or ``None`` where codes are vectors.
    """

    sampling_class = CodeSampling
    has_encoder = True
    stochastic: ClassVar[bool] = True
    config: EncoderDecoderConfig
    sampling: CodeSampling

    def __init__(
        self,
        config: EncoderDecoderConfig,
        classes: tuple[str, ...] | list[str],
        image_shape: tuple[int, int, int],
        precision: Precision = "fp32",
    ) -> None:
        super().__init__(config, classes, image_shape, precision)
        size, halvings, outputs = config.latent_dim, config.halvings, 2 if self.stochastic else 1
        self.embedding = ClassEmbedding(len(self.classes), config.class_dim)
        self.encoder = make_encoder(
            config.encoder,
            image_shape,
            width=config.width,
            condition=config.class_dim,
            pretrained=config.encoder_pretrained,
            halvings=halvings,
        )
        self.code_shape: tuple[int, int, int] | None = None
        self.posterior: nn.Module
        if halvings is None:
            self.posterior = nn.Linear(self.encoder.features + config.class_dim, outputs * size)
            self.decoder = Decoder(image_shape, size + config.class_dim, width=config.width, condition=config.class_dim)
        else:
            self.code_shape = (size, *pyramid(*image_shape[1:], halvings)[-1])
            self.posterior = nn.Conv2d(self.encoder.map_shape[0], outputs * size, 1)
            self.decoder = Decoder(image_shape, size, width=config.width, condition=config.class_dim, halvings=halvings)
        self.prior = MixturePrior(len(self.classes), self.latent_size, config.components)

    @property
    def latent_size(self) -> int:
        """Length of a code; a map counts all its numbers."""
        return self.config.latent_dim if self.code_shape is None else int(np.prod(self.code_shape))

    @property
    def noise_size(self) -> int:
        """What the prior takes: one normal for each dimension that it varies, and one to choose its component."""
        return max(self.prior.noise_size, self.latent_size + 1)

    def encode(self, images: Tensor, labels: Tensor) -> Posterior:
        """Return the posterior over codes (B, latent_size) of images (B, C, H, W) in [-1, 1]."""
        condition = self.embedding(labels)
        if self.code_shape is None:
            features = torch.cat([self.encoder(images, condition), condition], 1)
            outputs = self.posterior(features).float()
        else:
            outputs = self.posterior(self.encoder.feature_map(images, condition)).float()
        if not self.stochastic:
            mu = outputs.flatten(1)
            return Posterior(mu, torch.full_like(mu, -torch.inf))
        mu, logvar = outputs.chunk(2, dim=1)
        return Posterior(mu.flatten(1), logvar.clamp(-20, 10).flatten(1))

    def codes(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Draw codes from the prior."""
        if self.sampling.prior == "normal":
            return noise[:, 1 : 1 + self.latent_size] * self.sampling.temperature
        codes: Tensor = self.prior(noise[:, : self.prior.noise_size], labels, self.sampling.temperature)
        return codes

    def reconstruct(self, z: Tensor, labels: Tensor) -> Tensor:
        """Map codes (B, latent_size) to images (B, C, H, W) in [-1, 1]."""
        return torch.tanh(self.logits(z, labels))

    def logits(self, z: Tensor, labels: Tensor) -> Tensor:
        """Map codes to unbounded images: half the log-odds of white, whose tanh is the image in [-1, 1]."""
        condition = self.embedding(labels)
        start = torch.cat([z, condition], 1) if self.code_shape is None else z.view(-1, *self.code_shape)
        images: Tensor = self.decoder(start, condition).float()
        return images

    def with_sampling(self, **settings: Any) -> Self:
        """As for every generator, but a privately trained one has no fitted prior to draw from."""
        if self.privacy is not None and settings.get("prior", "normal") != "normal":
            raise ConfigError(
                f"expected prior 'normal' of a privately trained generator, but got {settings['prior']!r}: "
                "it would have to be fitted to the training images."
            )
        return super().with_sampling(**settings)

    @torch.no_grad()
    def finish(self, data: ImageDataset) -> None:
        """Fit the mixture prior to the posteriors of the training images.

        Raises:
            ConfigError: If the generator was trained privately, which that would undo.
        """
        if self.privacy is not None:
            raise ConfigError("a prior fitted to the training images would undo this generator's privacy.")
        self.eval()
        chosen = _evenly_by_class(data.labels, max(len(self.classes), _FITTED_BYTES // (8 * self.latent_size)))
        labels = data.labels[chosen]
        means, variances = np.empty((2, len(chosen), self.latent_size), dtype=np.float32)
        for start in range(0, len(chosen), 4 * CHUNK):
            rows = slice(start, start + 4 * CHUNK)
            means[rows], variances[rows] = self.encode_images(data.take(chosen[rows]), labels[rows])
        self.prior.fit(means, variances, labels)


def _evenly_by_class(labels: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return the positions of all images, or of at most so many: as many of each class as there are, evenly spread."""
    counts = np.bincount(labels)
    if len(labels) <= most:
        return np.arange(len(labels))
    share = next(size for size in range(most, 0, -1) if np.minimum(counts, size).sum() <= most)
    rows = [np.flatnonzero(labels == label) for label in np.flatnonzero(counts)]
    return np.sort(np.concatenate([own[evenly_spread(len(own), share)] for own in rows]))


class ReconstructionObjective(Objective):
    """What is common to the losses of encoder-decoders: how far a reconstruction is from its image."""

    generator: Any

    def __init__(self, generator: EncoderDecoder) -> None:
        super().__init__(generator)
        config = generator.config
        # A frozen network that is neither trained nor saved, hence no part of this module.
        self._perceptual: PerceptualDistance | None = None
        if config.perceptual:
            from synthaug.networks.perceptual import PerceptualDistance

            self._perceptual = PerceptualDistance(config.perceptual_network)

    @property
    @abstractmethod
    def likelihood(self) -> Literal["gaussian", "bernoulli"]:
        """What pixels are given a code."""

    def reconstruction(self, logits: Tensor, images: Tensor) -> dict[str, Tensor]:
        """Return ``loss`` and ``reconstruction``, in nats an image, and ``mse``, of images in [-1, 1].

        ``"gaussian"`` is a Gaussian whose variance is the optimal one, the batch's mean squared error (Rybkin et al.
        2021, σ-VAE), so that no weight between reconstruction and other terms has to be guessed; ``"bernoulli"`` is
        cross-entropy. The perceptual distance counts as much for each value of the image as ``perceptual`` says.
        """
        restored = torch.tanh(logits)
        size = images[0].numel()
        mse = F.mse_loss(restored, images)
        if self.likelihood == "gaussian":
            reconstruction = 0.5 * size * (mse + _SMALLEST_VARIANCE).log()
        else:
            white = 0.5 * (images + 1)
            reconstruction = F.binary_cross_entropy_with_logits(2 * logits, white, reduction="sum") / len(images)
        losses = {"loss": reconstruction, "reconstruction": reconstruction.detach(), "mse": mse.detach()}
        if self._perceptual is not None:
            distance = self._perceptual(restored, images).mean()
            losses["loss"] = losses["loss"] + self.generator.config.perceptual * size * distance
            losses["perceptual"] = distance.detach()
        return losses
