"""lightweight-gan, one a class: its networks, losses and augmentation, trained on a processor within a time.

The library knows GPUs only: it refuses to be imported without one and moves its networks there. Both are passed over
here, and its trainer's step is made here, since that one copies each batch to a GPU. As there, the blur of its networks
is left out, the gradient penalty comes every fourth step, and the discriminator sees images moved, cut and mirrored; in
fp32 it changes the same weights by the same bits, which a test says where the library is installed.
For the processor's sake it has bf16, which halves the time of a step, batches of 4 in place of 4 of 10, and an eighth
of its features; and samples are the generator's own, since the library averages its weights after 20,000 steps only.

A step still takes seconds, because the attention of the discriminator has a fixed width: six minutes are some 14 steps
for each of ten classes, and samples are noise.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.peers.pixels import read_images, to_pixels
from synthaug.data import ImageDataset

_BATCH = 4
_PENALTY_EVERY = 4
_PENALTY_WEIGHT = 10.0
_AUGMENTATION: dict[str, Any] = {"prob": 0.3, "types": ["translation", "cutout"]}


def lightweight_gan_samples(
    train: ImageDataset, per_class: int, seed: int, seconds: float, width: int = 64
) -> NDArray[np.uint8]:
    """Return samples (N, H, W, C), class by class.

    Args:
        train: Training images; padded to a square whose side is a power of two, 32 pixels or more.
        per_class: Samples of each class.
        seed: Of the order of images.
        seconds: Processor seconds of training, shared out evenly among classes.
        width: Features of a level at most; 512 by the library's own default.
    """
    channels, *sides = train.image_shape
    side = max(32, 1 << (max(sides) - 1).bit_length())
    random = np.random.default_rng(seed)
    labels = np.asarray(train.labels)
    made = []
    for label in range(len(train.classes)):
        images = read_images(train, np.flatnonzero(labels == label), side)
        gan = _gan(side, channels, width)
        _train(gan, images, seconds / len(train.classes), random)
        gan.eval()
        noise = torch.randn(per_class, gan.latent_dim)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            drawn = torch.cat([gan.G(part) for part in torch.split(noise, 128)])
        made.append(to_pixels(drawn.float(), train))
    return np.concatenate(made)


@contextlib.contextmanager
def _on_the_processor() -> Iterator[Any]:
    """Give the library's module as if there was a GPU, with networks that stay on the processor."""
    with (
        mock.patch("torch.cuda.is_available", return_value=True),
        mock.patch.object(nn.Module, "cuda", lambda self, *_: self),
    ):
        import lightweight_gan.lightweight_gan as library

        with mock.patch.object(library, "Blur", nn.Identity):
            yield library


def _gan(side: int, channels: int, width: int) -> Any:
    with _on_the_processor() as library:
        return library.LightweightGAN(latent_dim=256, image_size=side, fmap_max=width, greyscale=channels == 1)


def _train(gan: Any, images: Tensor, seconds: float, random: np.random.Generator) -> None:
    """Train for a time; a step whose loss is not finite changes nothing."""
    from lightweight_gan.lightweight_gan import gen_hinge_loss, hinge_loss

    gan.train()
    end = time.process_time() + seconds
    for step in itertools.count():
        if time.process_time() >= end:
            return
        penalised = step % _PENALTY_EVERY == 0
        real = images[torch.from_numpy(random.integers(len(images), size=_BATCH))].requires_grad_(penalised)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                fake = gan.G(torch.randn(_BATCH, gan.latent_dim))
            fake, (of_fake, of_small_fake, _) = gan.D_aug(
                fake, detach=True, input_requires_grad=penalised, return_discr_input=True, **_AUGMENTATION
            )
            of_real, of_small_real, reconstruction = gan.D_aug(real, calc_aux_loss=True, **_AUGMENTATION)
            loss = hinge_loss(of_real, of_fake) + hinge_loss(of_small_real, of_small_fake) + reconstruction
        if penalised:
            gradients = torch.cat(
                [_gradients([of_real, of_small_real], real), _gradients([of_fake, of_small_fake], fake)]
            )
            loss = loss + _PENALTY_WEIGHT * gradients.flatten(1).norm(dim=1).square().mean()
        _step(gan.D_opt, loss)
        with torch.autocast("cpu", torch.bfloat16):
            of_fake, of_small_fake, _ = gan.D_aug(gan.G(torch.randn(_BATCH, gan.latent_dim)), **_AUGMENTATION)
            loss = gen_hinge_loss(of_fake, None) + gen_hinge_loss(of_small_fake, None)
        _step(gan.G_opt, loss)


def _gradients(outputs: list[Tensor], inputs: Tensor) -> Tensor:
    ones = [torch.ones_like(output) for output in outputs]
    return torch.autograd.grad(outputs, inputs, ones, create_graph=True)[0]


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    if torch.isfinite(loss):
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
