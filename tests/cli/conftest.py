"""A generator folder for verbs that take one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from synthaug.generators import make_generator, save


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained VAE of the ten digits."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {"width": 4, "latent_dim": 3, "class_dim": 2, "components": 1}
        gen = make_generator("vae", [str(digit) for digit in range(10)], (1, 8, 8), options=options)
    return save(gen, tmp_path_factory.mktemp("run"))
