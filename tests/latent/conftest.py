"""A tiny generator that was trained for a moment, so that its codes mean something."""

from __future__ import annotations

import pytest

from synthaug.data import ImageDataset
from synthaug.generators import Generator
from synthaug.training import fit


@pytest.fixture(scope="session")
def trained(digits: ImageDataset) -> Generator:
    """A VAE of three digits."""
    data = digits.only("0", "1", "7")
    settings = {"width": 8, "latent_dim": 6, "class_dim": 4, "components": 2, "warmup_steps": 5}
    return fit(data, "vae", steps=100, batch_size=32, seed=0, precision="fp32", learning_rate=3e-3, **settings)
