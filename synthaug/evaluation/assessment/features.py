"""The features that distances are measured in: a pretrained network's, or those of a classifier of the very classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synthaug.classifiers import Classifier, fit_classifier
from synthaug.data import ImageDataset
from synthaug.networks.features import extract_features

CLASSIFIER = "classifier"
"""Instead of a network's name: a classifier trained on the training split."""

_BATCH = 256

Features = Callable[[NDArray[np.uint8], bool], NDArray[np.float32]]
"""Takes uint8 images (N, H, W, C) and whether they are worth keeping in the cache; gives float32 (N, D)."""


def features_by(network: str, train: ImageDataset, *, seed: int = 0, device: str = "auto", **settings: Any) -> Features:
    """Return what computes features.

    Args:
        network: ``"classifier"``, or a name that `synthaug.networks.features.extract_features` takes.
        train: Images that a classifier is trained on, and nothing else is.
        seed: Of the classifier.
        device: ``"auto"`` (a GPU if there is one) or a torch device.
        **settings: Of the classifier's training, fields of `ClassifierConfig`.

    Raises:
        ConfigError: If the network is unknown.
    """
    if network == CLASSIFIER:
        _, classifier = fit_classifier(train, seed=seed, device=device, **settings)
        return lambda images, keep: penultimate(classifier, images)
    return lambda images, keep: extract_features(images, network, cache=keep, device=device)


@torch.inference_mode()
def penultimate(classifier: Classifier, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what a timm classifier's last layer sees of uint8 images (N, H, W, C): float32 (N, D)."""
    model: Any = classifier.model.eval()  # a timm model
    parts = []
    for start in range(0, max(1, len(images)), _BATCH):
        batch = torch.from_numpy(np.array(images[start : start + _BATCH])).permute(0, 3, 1, 2)
        maps = model.forward_features(classifier.prepare(batch))
        parts.append(model.forward_head(maps, pre_logits=True).float().cpu().numpy())
    return np.concatenate(parts)
