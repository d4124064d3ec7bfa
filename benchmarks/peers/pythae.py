"""pythae's models, one a class: trained by plain Adam within a time, sampled by pythae's own samplers.

Their networks are pythae's default ones, fully connected. Of its convolutional ones for 28×28 pixels a processor makes
37 steps in the time in which it makes 5,333 of these, and draws chequerboards.
"""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.peers.pixels import read_images, to_pixels
from synthaug.data import ImageDataset

_BATCH = 64
_LEARNING_RATE = 1e-3
_SOUND_STEPS = 100
"""Steps after which a state is kept to go back to."""


def vae_samples(
    train: ImageDataset, per_class: int, seed: int, seconds: float, latent_dim: int = 16
) -> NDArray[np.uint8]:
    """Return samples (N, H, W, C) of VAEs with mixture samplers, class by class."""
    from pythae.models import VAE, VAEConfig
    from pythae.samplers import GaussianMixtureSampler, GaussianMixtureSamplerConfig

    def draw(model: Any, images: torch.Tensor) -> torch.Tensor:
        components = max(1, min(10, len(images) // 2))
        sampler = GaussianMixtureSampler(model, GaussianMixtureSamplerConfig(n_components=components))
        sampler.fit(images)
        samples: torch.Tensor = sampler.sample(num_samples=per_class, batch_size=_BATCH)
        return samples

    def make(shape: tuple[int, int, int]) -> Any:
        return VAE(VAEConfig(input_dim=shape, latent_dim=latent_dim))

    return _each_class(train, seconds, make, draw, seed)


def rhvae_samples(
    train: ImageDataset, per_class: int, seed: int, seconds: float, latent_dim: int = 10
) -> NDArray[np.uint8]:
    """Return samples (N, H, W, C) of geometry-aware VAEs, class by class."""
    from pythae.models import RHVAE, RHVAEConfig
    from pythae.samplers import RHVAESampler, RHVAESamplerConfig

    def draw(model: Any, images: torch.Tensor) -> torch.Tensor:
        sampler = RHVAESampler(model, RHVAESamplerConfig(n_lf=10, mcmc_steps_nbr=50))
        samples: torch.Tensor = sampler.sample(num_samples=per_class, batch_size=_BATCH)
        return samples

    def make(shape: tuple[int, int, int]) -> Any:
        return RHVAE(RHVAEConfig(input_dim=shape, latent_dim=latent_dim, n_lf=1))

    return _each_class(train, seconds, make, draw, seed)


def _each_class(train: ImageDataset, seconds: float, make: Any, draw: Any, seed: int) -> NDArray[np.uint8]:
    labels = np.asarray(train.labels)
    made = []
    for label in range(len(train.classes)):
        images = read_images(train, np.flatnonzero(labels == label))
        model = make(tuple(images.shape[1:]))
        _train(model, images, seconds / len(train.classes), seed)
        samples = draw(model.eval(), images).reshape(-1, *images.shape[1:])
        made.append(to_pixels(samples, train))
    return np.concatenate(made)


def _train(model: Any, images: torch.Tensor, seconds: float, seed: int) -> None:
    """Train for a time; where it diverges, which the RHVAE does, go on from the last sound state at half the rate."""
    if len(images) == 1:
        images = images.repeat(2, 1, 1, 1)  # batch norm wants two images or more
    random = np.random.default_rng(seed)
    rate = _LEARNING_RATE
    optimizer = torch.optim.Adam(model.parameters(), rate)
    sound, since, begun = copy.deepcopy(model.state_dict()), 0, False
    model.train()
    end = time.process_time() + seconds
    while time.process_time() < end:
        try:
            since += _epoch(model, optimizer, images[random.permutation(len(images))])
            if not all(torch.isfinite(parameter).all() for parameter in model.parameters()):
                raise ArithmeticError("weights")
        except (ArithmeticError, ValueError):
            if not begun:
                raise
            rate /= 2
            model.load_state_dict(sound)
            optimizer = torch.optim.Adam(model.parameters(), rate)
            for seen in ("M", "centroids"):  # of which the RHVAE builds its metric
                getattr(model, seen, []).clear()
            continue
        begun = True
        model.update()  # as pythae's own training does after each epoch
        if since >= _SOUND_STEPS:
            sound, since = copy.deepcopy(model.state_dict()), 0


def _epoch(model: Any, optimizer: torch.optim.Optimizer, images: torch.Tensor) -> int:
    """Make the steps of one pass and return their number.

    Raises:
        ArithmeticError: If a loss is not finite.
    """
    steps = 0
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        if len(batch) < 2:
            continue
        loss = model({"data": batch}).loss
        if not torch.isfinite(loss):
            raise ArithmeticError("loss")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
    return steps
