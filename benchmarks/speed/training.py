"""Training images/s of our loop and of pythae's trainer, on the very same networks."""

from __future__ import annotations

import dataclasses
import tempfile
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from benchmarks.speed.pairs import Pair, compare
from synthaug.config import Config
from synthaug.data import ImageDataset
from synthaug.errors import require_extra
from synthaug.generators import Generator, Objective, Phase
from synthaug.generators.base import Precision
from synthaug.training import TrainingConfig
from synthaug.training.loop import Trainer

LATENT = 16
BATCH = 64
WIDTHS = (128, 256, 512, 1024)
"""Channels of the convolutional VAE that pythae ships for MNIST; ours are built to the same sizes here."""


def encoder_layers() -> nn.Sequential:
    """28×28 grey images to 1,024 features, in four strided convolutions."""
    layers: list[nn.Module] = []
    for channels_in, channels_out in zip((1, *WIDTHS), WIDTHS, strict=False):
        layers += [nn.Conv2d(channels_in, channels_out, 4, 2, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten())


def decoder_layers() -> nn.Sequential:
    """Codes to 28×28 grey images in [0, 1]."""
    return nn.Sequential(
        nn.Linear(LATENT, WIDTHS[3] * 4 * 4),
        nn.Unflatten(1, (WIDTHS[3], 4, 4)),
        nn.ConvTranspose2d(WIDTHS[3], WIDTHS[2], 3, 2, padding=1),
        nn.BatchNorm2d(WIDTHS[2]),
        nn.ReLU(),
        nn.ConvTranspose2d(WIDTHS[2], WIDTHS[1], 3, 2, padding=1, output_padding=1),
        nn.BatchNorm2d(WIDTHS[1]),
        nn.ReLU(),
        nn.ConvTranspose2d(WIDTHS[1], 1, 3, 2, padding=1, output_padding=1),
        nn.Sigmoid(),
    )


@dataclasses.dataclass(frozen=True)
class PlainConfig(Config):
    """The networks above have no settings."""


class PlainVAE(Generator):
    """An unconditional VAE of the networks above."""

    family = "plain_vae"
    config_class = PlainConfig

    def __init__(self, data: ImageDataset, precision: Precision) -> None:
        super().__init__(PlainConfig(), data.classes, data.image_shape, precision)
        self.encoder, self.decoder = encoder_layers(), decoder_layers()
        self.mu, self.logvar = nn.Linear(WIDTHS[3], LATENT), nn.Linear(WIDTHS[3], LATENT)

    @property
    def noise_size(self) -> int:
        """A code."""
        return LATENT

    @property
    def latent_size(self) -> int:
        """A code."""
        return LATENT

    def codes(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Take the noise for codes."""
        return noise

    def reconstruct(self, z: Tensor, labels: Tensor) -> Tensor:
        """Decode codes."""
        images: Tensor = self.decoder(z)
        return 2 * images - 1

    def objective(self) -> Objective:
        """The ELBO with a squared error, as pythae's VAE has it."""
        return PlainObjective(self)


class PlainObjective(Objective):
    """Squared error plus KL, summed over pixels and averaged over images."""

    generator: PlainVAE

    def phases(self) -> tuple[Phase, ...]:
        """One update."""
        return (Phase("vae", (self.generator,), self.loss, learning_rate=1e-4),)

    def loss(self, images: Tensor, labels: Tensor, step: int) -> dict[str, Tensor]:
        """Return the loss."""
        features = self.generator.encoder(images)
        mu, logvar = self.generator.mu(features).float(), self.generator.logvar(features).float()
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        error = (self.generator.decoder(z).float() - (images + 1) / 2).square().flatten(1).sum(1)
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)
        return {"loss": (error + kl).mean()}


def compare_training(data: ImageDataset, *, steps: int, rounds: int, precision: Precision) -> Pair:
    """Time ``steps`` training steps of both trainers in turns."""
    ours = Trainer(PlainVAE(data, precision), data, TrainingConfig(batch_size=BATCH), Accelerator(cpu=True))
    pythae_epoch = _pythae_epoch(data, steps)

    def our_steps() -> int:
        for _ in range(steps):
            ours._train_step()
            ours.step += 1
        return steps * BATCH

    def pythae_steps() -> int:
        pythae_epoch()
        return steps * BATCH

    note = (
        f"{steps} steps of {BATCH} images of 28x28 a round; the same encoder and decoder layers, the same loss and an "
        f"AdamW/Adam update; ours {precision} with channels_last, EMA and finite checks, pythae's BaseTrainer as it "
        "comes (fp32). On one side data loading from a memory map, on the other pythae's DataLoader."
    )
    return compare(f"training, {precision}", our_steps, pythae_steps, rounds=rounds, mark=2.0, note=note)


def _pythae_epoch(data: ImageDataset, steps: int) -> Any:
    """Return a function that trains pythae's VAE of the same networks for one epoch of ``steps`` batches."""
    try:
        from pythae.data.datasets import BaseDataset
        from pythae.models import VAE, VAEConfig
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn import BaseDecoder, BaseEncoder
        from pythae.trainers import BaseTrainer, BaseTrainerConfig
    except ImportError as error:
        raise require_extra("pythae", "bench", error) from error

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = encoder_layers()
            self.mu, self.logvar = nn.Linear(WIDTHS[3], LATENT), nn.Linear(WIDTHS[3], LATENT)

        def forward(self, images: Tensor) -> Any:
            features = self.layers(images)
            return ModelOutput(embedding=self.mu(features), log_covariance=self.logvar(features))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = decoder_layers()

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.layers(z))

    images = torch.from_numpy(data.take(range(steps * BATCH))).permute(0, 3, 1, 2).float().div(255).contiguous()
    model = VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT), Encoder(), Decoder())
    config = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=BATCH, learning_rate=1e-4, num_epochs=1, no_cuda=True
    )
    labels = torch.from_numpy(data.labels[: steps * BATCH].copy())
    trainer = BaseTrainer(model, BaseDataset(images, labels), training_config=config)
    trainer.prepare_training()
    return lambda: trainer.train_step(epoch=1)
