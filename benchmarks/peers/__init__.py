"""Other libraries' generators behind one function, so that the same harness measures them in the same training time.

===================  ===============================================================================================
peer                 what it is
===================  ===============================================================================================
pythae-vae           pythae's VAE, one a class, with its Gaussian mixture sampler
pythae-rhvae         pythae's geometry-aware RHVAE (Chadebec et al. 2022), one a class, with its manifold sampler
ddpm                 denoising-diffusion-pytorch's class-conditional U-Net with classifier-free guidance
lightweight-gan      lightweight-gan's, one a class, with its own losses and augmentation
===================  ===============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.data import ImageDataset
from synthaug.devices import seeded_on_host
from synthaug.errors import ConfigError, did_you_mean

Samples = NDArray[np.uint8]

PEERS = ("pythae-vae", "pythae-rhvae", "ddpm", "lightweight-gan")


def peer_samples(
    name: str, train: ImageDataset, per_class: int, seed: int, *, minutes: float = 4.0, **settings: Any
) -> tuple[Samples, NDArray[np.int64]]:
    """Train a peer on a dataset and draw from it.

    Args:
        name: One of `PEERS`.
        train: Training images; nothing else is looked at.
        per_class: Samples of each class.
        seed: Of weights, order and samples.
        minutes: Processor minutes of training, over all classes together.
        **settings: Of the peer's own model.

    Returns:
        uint8 (N, H, W, C), and labels (N,).

    Raises:
        ConfigError: If there is no such peer.
    """
    import torch

    if torch.cuda.is_available():
        raise ConfigError(
            "peers train on the processor, by processor minutes, which says nothing beside generators that train on a "
            "GPU. Hide it from both: CUDA_VISIBLE_DEVICES= (empty)."
        )
    from benchmarks.peers.ddpm import ddpm_samples
    from benchmarks.peers.lightweight_gan import lightweight_gan_samples
    from benchmarks.peers.pythae import rhvae_samples, vae_samples

    makers: dict[str, Callable[..., Samples]] = {
        "pythae-vae": vae_samples,
        "pythae-rhvae": rhvae_samples,
        "ddpm": ddpm_samples,
        "lightweight-gan": lightweight_gan_samples,
    }
    if name not in makers:
        raise ConfigError(f"expected a peer among {', '.join(PEERS)}, but got {name!r}.{did_you_mean(name, PEERS)}")
    with seeded_on_host(seed):
        images = makers[name](train, per_class, seed, 60 * minutes, **settings)
    return images, np.repeat(np.arange(len(train.classes)), per_class)
