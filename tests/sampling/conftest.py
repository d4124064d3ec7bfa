"""A tiny generator that no registry knows: a transposed convolution over noise and label."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from synthaug.config import Config
from synthaug.generators.base import Generator, Objective


@dataclasses.dataclass(frozen=True)
class TinyConfig(Config):
    width: int = 4


class TinyGenerator(Generator):
    family = "tiny"
    config_class = TinyConfig
    fail_after: int | None = None

    def __init__(self, config, classes, image_shape, precision="fp32"):
        super().__init__(config, classes, image_shape, precision)
        channels, height, width = image_shape
        self.label = nn.Embedding(len(classes), self.noise_size)
        self.first = nn.Linear(self.noise_size, config.width * (height // 4) * (width // 4))
        self.up = nn.Upsample(scale_factor=4)
        self.last = nn.Conv2d(config.width, channels, 3, padding=1)

    @property
    def noise_size(self) -> int:
        return 6

    @property
    def latent_size(self) -> int:
        return self.noise_size

    def codes(self, noise: Tensor, labels: Tensor) -> Tensor:
        return noise * self.sampling.temperature

    def reconstruct(self, z: Tensor, labels: Tensor) -> Tensor:
        _, height, width = self.image_shape
        hidden = self.first(z + 2 * self.label(labels))
        hidden = hidden.view(len(z), -1, height // 4, width // 4)
        return torch.tanh(2 * self.last(self.up(hidden)))

    def objective(self) -> Objective:
        raise NotImplementedError("tests only sample")


def make_tiny(classes=("boot", "sneaker", "bag"), image_shape=(1, 8, 12), seed=0) -> TinyGenerator:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TinyGenerator(TinyConfig(), classes, image_shape)


@pytest.fixture
def gen() -> TinyGenerator:
    return make_tiny()


@pytest.fixture
def make_gen():
    return make_tiny
