"""The diffusion model, class-conditional (Ho et al. 2020; Karras et al. 2022, EDM), in pixels or in codes.

A network learns to remove Gaussian noise of any level from images. Sampling starts from pure noise and follows the
ordinary differential equation that the denoiser defines, so that the noise it starts from is a latent code of the
image (Song et al. 2021, probability flow): the same equation run backwards finds the code of a given image.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from synthaug.config import Config
from synthaug.errors import ConfigError
from synthaug.generators.base import Generator, Objective, Phase, Posterior, Precision, SamplingConfig
from synthaug.generators.diffused import CodeMaps, Pixels, find_autoencoder
from synthaug.generators.registry import register_family
from synthaug.networks.edm import HIGHEST, LOWEST, denoise, denoising_loss, noise_levels, solve
from synthaug.networks.unet import DenoisingUNet

if TYPE_CHECKING:
    from synthaug.data import ImageDataset


@dataclasses.dataclass(frozen=True)
class DiffusionConfig(Config):
    """Settings of the denoising network.

    Attributes:
        widths: Features of each level of the U-Net; each level halves the sides of the one before.
        layers: Residual blocks a level.
        attention: Whether places attend to each other at the lowest resolution.
        patch: Side of the blocks of pixels that are folded into channels, 1, 2, 4 or 8. Left out: 1 for images of up
            to 16 pixels, 2 up to 40, 4 above; 1 for codes.
        label_dropout: Share of training images whose label is hidden, so that sampling can tell what the label adds
            (Ho & Salimans 2022, classifier-free guidance).
        autoencoder: Folder of a trained autoencoder, vae or vaegan with ``code="map"``, to diffuse its codes instead
            of pixels. Kept is a description of it; its weights are saved with the generator.
    """

    widths: tuple[int, ...] = (32, 64)
    layers: int = 1
    attention: bool = True
    patch: int | None = None
    label_dropout: float = 0.1
    autoencoder: str = ""

    def validate(self) -> None:
        """Check the ranges."""
        right = 1 <= len(self.widths) <= 6 and all(width >= 1 for width in self.widths)
        self.require(right, "widths", "one to six whole numbers of 1 or more")
        self.require(self.layers >= 1, "layers", "a whole number of 1 or more")
        self.require(self.patch in (None, 1, 2, 4, 8), "patch", "1, 2, 4, 8 or None")
        self.require(0 <= self.label_dropout < 1, "label_dropout", "a share from 0 to below 1")


@dataclasses.dataclass(frozen=True)
class DiffusionSampling(SamplingConfig):
    """How the way from noise to image is followed.

    Attributes:
        steps: Steps of the solver; its cost is one evaluation of the network for each.
        guidance: 1 for samples as the data are. Above 1, samples are pushed further towards what tells their class
            from the others: more typical, less varied, and at twice the cost.
        solver: ``"multistep"`` (DPM-Solver++ 2M) or ``"heun"``, which takes two evaluations a step.
    """

    steps: int = 12
    guidance: float = 1.0
    solver: Literal["multistep", "heun"] = "multistep"

    def validate(self) -> None:
        """Check the ranges."""
        super().validate()
        self.require(2 <= self.steps <= 1000, "steps", "a whole number from 2 to 1000")
        self.require(0 <= self.guidance <= 20, "guidance", "a factor from 0 to 20")


@register_family("diffusion")
class Diffusion(Generator):
    """The denoising network, and what it works on.

    Example:
        >>> diffusion = Diffusion(DiffusionConfig(widths=(8, 16)), classes=["cat", "dog"], image_shape=(1, 28, 28))
        >>> diffusion.with_sampling(steps=4).sample(["dog", "cat"]).shape
        torch.Size([2, 1, 28, 28])
    """

    config_class = DiffusionConfig
    sampling_class = DiffusionSampling
    title = "diffusion"
    most_steps = 4000
    # On two cores a VAE of four minutes does as well.
    tried_from: ClassVar[Mapping[str, float]] = {"cpu": 60.0, "cuda": 15.0}
    needs = ("diffusers", "diffusion")
    has_encoder = True
    config: DiffusionConfig
    sampling: DiffusionSampling

    def __init__(
        self,
        config: DiffusionConfig,
        classes: tuple[str, ...] | list[str],
        image_shape: tuple[int, int, int],
        precision: Precision = "fp32",
    ) -> None:
        super().__init__(config, classes, image_shape, precision)
        self.space: Pixels
        if config.autoencoder:
            autoencoder, description = find_autoencoder(config.autoencoder, self.classes, image_shape)
            self.config = config.replace(autoencoder=description)
            self.space = CodeMaps(autoencoder)
        else:
            self.space = Pixels(image_shape)
        self.network = DenoisingUNet(
            self.space.shape,
            len(self.classes),
            channels=config.widths,
            layers=config.layers,
            patch=config.patch or _patch(self.space),
            attention=config.attention,
        )

    @property
    def latent_size(self) -> int:
        """Number of values of what is denoised: the code is the noise that sampling starts from."""
        return math.prod(self.space.shape)

    @property
    def noise_size(self) -> int:
        """One normal for each value."""
        return self.latent_size

    def prepare(self, data: ImageDataset) -> None:
        """Measure mean and deviation of the training images, or of their codes."""
        self.space.measure(data)

    def with_sampling(self, **settings: Any) -> Self:
        """Return this generator with other sampling settings: same weights, another digest.

        Raises:
            ConfigError: If guidance is asked for and no label was hidden in training: what the network says without a
                label would mean nothing.
        """
        copy = super().with_sampling(**settings)
        if copy.sampling.guidance != 1 and not self.config.label_dropout:
            raise ConfigError(
                f"guidance: expected 1, since this generator was trained with label_dropout=0, but got "
                f"{copy.sampling.guidance:g}. Train it with a label_dropout above 0."
            )
        return copy

    def codes(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Scale the noise by the temperature."""
        return noise * self.sampling.temperature

    def reconstruct(self, z: Tensor, labels: Tensor) -> Tensor:
        """Follow the equation from starting noise (B, latent_size) to images (B, C, H, W) in [-1, 1]."""
        x = HIGHEST * z.view(-1, *self.space.shape)
        x = self._solve(x, labels, noise_levels(self.sampling.steps))
        return self.space.to_images(x, labels)

    def encode(self, images: Tensor, labels: Tensor) -> Posterior:
        """Follow the equation backwards, from images (B, C, H, W) in [-1, 1] to their starting noise."""
        rising = noise_levels(self.sampling.steps)[-2::-1]
        x = self._solve(self.space.from_images(images, labels), labels, rising)
        mu = x.flatten(1) / HIGHEST
        return Posterior(mu, torch.full_like(mu, -torch.inf))

    @property
    def has_denoiser(self) -> bool:
        """Whether pixels are what is diffused: then the network takes noise out of images, else out of codes."""
        return not isinstance(self.space, CodeMaps)

    def denoise(self, images: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
        """Return what the network sees in noisy images, in one evaluation.

        A denoiser of least squared error gives the mean of the posterior (Karras et al. 2022, appendix B.3). Of colour
        channels with different deviations, the mean decides the noise level.
        """
        if not self.has_denoiser:
            return super().denoise(images, sigma, labels)
        levels = (sigma / self.space.deviation.mean()).clamp(LOWEST, HIGHEST)
        return self.space.to_images(self._guided(self.space.from_images(images, labels), levels, labels), labels)

    def _solve(self, x: Tensor, labels: Tensor, levels: list[float]) -> Tensor:
        def denoised(noisy: Tensor, level: float) -> Tensor:
            return self._guided(noisy, torch.full((len(noisy),), level, device=noisy.device), labels)

        return solve(denoised, x, levels, self.sampling.solver)

    def _guided(self, x: Tensor, levels: Tensor, labels: Tensor) -> Tensor:
        """Denoise with the label, and away from what the network would say without it (guidance above 1)."""
        guidance = self.sampling.guidance
        clean = denoise(lambda scaled, log_level: self.network(scaled, log_level, labels), x, levels)
        if guidance == 1:
            return clean
        nothing = self.no_label(labels)
        unguided = denoise(lambda scaled, log_level: self.network(scaled, log_level, nothing), x, levels)
        return unguided + guidance * (clean - unguided)

    def no_label(self, labels: Tensor) -> Tensor:
        """Return as many labels that stand for no class in particular."""
        return torch.full_like(labels, len(self.classes))

    def objective(self) -> DiffusionObjective:
        """Denoising."""
        return DiffusionObjective(self)


class DiffusionObjective(Objective):
    """The weighted denoising error, with a share of the labels hidden."""

    generator: Diffusion

    def phases(self) -> tuple[Phase, ...]:
        """One update of the network; an autoencoder stays as it is."""
        return (Phase("diffusion", (self.generator.network,), self.loss, learning_rate=2e-3),)

    def loss(self, images: Tensor, labels: Tensor, step: int) -> dict[str, Tensor]:
        """Return ``loss``: the network's squared error, about 1 for one that has learned nothing."""
        generator = self.generator
        with torch.no_grad():
            x = generator.space.from_images(images, labels)
        hidden = torch.rand(len(labels), device=labels.device) < generator.config.label_dropout
        seen = torch.where(hidden, generator.no_label(labels), labels)
        return {"loss": denoising_loss(lambda scaled, log_level: generator.network(scaled, log_level, seen), x)}


def _patch(space: Pixels) -> int:
    """Fold so much that about sixteen places a side are left."""
    if isinstance(space, CodeMaps):
        return 1
    side = max(space.shape[1:])
    return 1 if side <= 16 else 2 if side <= 40 else 4
