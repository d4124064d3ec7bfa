"""Features of images from a pretrained network, in which distances between images mean something."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from synthaug.data.cache import default_directory
from synthaug.devices import resolve_device
from synthaug.errors import DataError
from synthaug.networks.pretrained import SMALLEST_SIDE, load_pretrained
from synthaug.pixels import from_uint8
from synthaug.storage import digest, new_file

DEFAULT_NETWORK = "efficientnet_lite0"
_FORMAT_VERSION = 1
_BATCH = 128


def extract_features(
    images: NDArray[np.uint8], network: str = DEFAULT_NETWORK, *, cache: bool = True, device: str = "auto"
) -> NDArray[np.float32]:
    """Compute pooled features of images.

    Args:
        images: uint8, (N, H, W, C) with 1 or 3 channels, any size that the network takes.
        network: The bundled ``"efficientnet_lite0"`` (ImageNet weights, 1,280 features, no download), or a timm model.
        cache: Keep the features in ``$SYNTHAUG_CACHE``, named by images, network and versions, and take them from
            there the next time. Worth it for real images, which are measured against again and again.
        device: ``"auto"`` (a GPU if there is one) or a torch device.

    Returns:
        float32, (N, D).

    Raises:
        DataError: If these are no uint8 images of that shape.
        ConfigError: If the network is unknown.

    Example:
        >>> extract_features(np.zeros((2, 28, 28, 1), np.uint8), cache=False).shape
        (2, 1280)
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise DataError(
            f"expected uint8 images of shape (N, H, W, C) with 1 or 3 channels, but got {images.dtype} of shape "
            f"{images.shape}."
        )
    target = resolve_device(device)
    path = _cached_path(images, network, target) if cache else None
    if path is not None and (known := _read(path, len(images))) is not None:
        return known
    features = _compute(images, network, target)
    if path is not None:
        with new_file(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, features)
    return features


@torch.inference_mode()
def _compute(images: NDArray[np.uint8], network: str, device: torch.device) -> NDArray[np.float32]:
    model = load_pretrained(network)  # follows the images to their device
    parts = [np.empty((0, model.features), dtype=np.float32)]
    for start in range(0, len(images), _BATCH):
        batch = torch.from_numpy(np.array(images[start : start + _BATCH])).to(device)  # a copy: maps are read-only
        parts.append(model.pooled(from_uint8(batch.permute(0, 3, 1, 2))).float().cpu().numpy())
    return np.concatenate(parts)


def _cached_path(images: NDArray[np.uint8], network: str, device: torch.device) -> Path:
    """Return where the features of these images are kept; another version of a package is another place."""
    versions = [importlib.metadata.version(package) for package in ("synthaug", "torch", "timm")]
    settings = [str(_FORMAT_VERSION), network, str(SMALLEST_SIDE), device.type, *versions]
    name = digest(*settings, str(images.shape), np.ascontiguousarray(images).tobytes())
    return default_directory() / "features" / f"{name[:40]}.npy"


def _read(path: Path, count: int) -> NDArray[np.float32] | None:
    """Return cached features, or None where there are none or they are damaged."""
    try:
        features: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return features if features.ndim == 2 and len(features) == count else None
