"""denoising-diffusion-pytorch's class-conditional diffusion, trained by plain Adam within a time.

Batches of 16, as its own trainer has them: within minutes of a processor, more steps count for more than steady ones.
The average of the weights looks back a part of the steps so far, else so few would leave it near its start. In bf16,
which on a processor that has it made a training step 1.8 times as fast, and a sample 1.4 to 1.7 times.
"""

from __future__ import annotations

import copy
import time

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.peers.pixels import read_images, to_pixels
from synthaug.data import ImageDataset

_BATCH = 16
_AVERAGING = 0.995


def ddpm_samples(
    train: ImageDataset,
    per_class: int,
    seed: int,
    seconds: float,
    width: int = 32,
    sampling_steps: int = 12,
    guidance: float = 1.5,
) -> NDArray[np.uint8]:
    """Return samples (N, H, W, C), class by class.

    Args:
        train: Training images; padded to a multiple of four pixels, as the U-Net wants.
        per_class: Samples of each class.
        seed: Of the order of images.
        seconds: Processor seconds of training.
        width: Features of the first level.
        sampling_steps: Of DDIM.
        guidance: Of classifier-free guidance.
    """
    from denoising_diffusion_pytorch.classifier_free_guidance import GaussianDiffusion, Unet

    channels, *sides = train.image_shape
    side = -(-max(sides) // 4) * 4
    images = read_images(train, np.arange(len(train)), side)
    labels = torch.from_numpy(np.array(train.labels))
    network = Unet(dim=width, num_classes=len(train.classes), dim_mults=(1, 2), channels=channels)
    diffusion = GaussianDiffusion(network, image_size=side, sampling_timesteps=sampling_steps)
    average = copy.deepcopy(diffusion)
    optimizer = torch.optim.Adam(diffusion.parameters(), 1e-3)
    random = np.random.default_rng(seed)
    end = time.process_time() + seconds
    steps = 0
    while time.process_time() < end:
        steps += 1
        batch = torch.from_numpy(random.integers(len(images), size=min(_BATCH, len(images))))
        with torch.autocast("cpu", torch.bfloat16):
            loss = diffusion(images[batch], classes=labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for kept, new in zip(average.parameters(), diffusion.parameters(), strict=True):
                kept.lerp_(new, 1 - min(_AVERAGING, steps / (10 + steps)))
    wanted = torch.arange(len(train.classes)).repeat_interleave(per_class)
    average.eval()
    with torch.autocast("cpu", torch.bfloat16):
        parts = [average.sample(classes=part, cond_scale=guidance) for part in torch.split(wanted, 128)]
    return to_pixels(torch.cat(parts), train)
