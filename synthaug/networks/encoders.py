"""Encoders: from an image and a class to a feature vector. Our own small ResNet, or any timm backbone by name."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthaug.errors import ConfigError, did_you_mean
from synthaug.networks.blocks import ResidualBlock, Size, activation, pyramid, widths
from synthaug.networks.pretrained import loading_weights

SMALL_RESNET = "small_resnet"


def make_encoder(
    name: str,
    image_shape: tuple[int, int, int],
    *,
    width: int = 64,
    condition: int = 0,
    normalise: bool = True,
    pretrained: bool = False,
    halvings: int | None = None,
) -> SmallResNet | TimmEncoder:
    """Make an encoder with attribute ``features``, the length of the vectors it returns.

    It also has ``map_shape``, the (channels, height, width) of what its ``feature_map(images, condition)`` returns.

    Args:
        name: ``"small_resnet"``, or the name of any timm model (ResNet, EfficientNet, ViT, …).
        image_shape: (C, H, W) of the images.
        width: Channels at half resolution (small ResNet only).
        condition: Length of the condition vector (small ResNet only; a backbone sees none).
        normalise: Whether to use group normalisation (small ResNet only).
        pretrained: Whether to load timm's weights (downloaded by timm on first use).
        halvings: How often the image is halved before the feature map is taken; left out, until its sides are
            below 8 pixels. A timm backbone with it gives feature maps only, no pooled features.

    Returns:
        A module whose ``forward(images, condition)`` maps (B, C, H, W) to (B, features).

    Raises:
        ConfigError: If no timm model has that name.

    Example:
        >>> make_encoder("small_resnet", (1, 28, 28), width=8).features
        784
    """
    if name == SMALL_RESNET:
        return SmallResNet(image_shape, width=width, condition=condition, normalise=normalise, halvings=halvings)
    return TimmEncoder(name, image_shape, pretrained=pretrained, halvings=halvings)


class SmallResNet(nn.Module):
    """A residual network that halves the image until its sides are below 8 pixels, and flattens what is left.

    Args:
        image_shape: (C, H, W) of the images.
        width: Channels at half resolution; see `widths`.
        condition: Length of the condition vector, 0 for none.
        normalise: Whether to use group normalisation.
        halvings: Stop halving after this many.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        width: int = 64,
        condition: int = 0,
        normalise: bool = True,
        halvings: int | None = None,
    ) -> None:
        super().__init__()
        channels, height, image_width = image_shape
        sizes = pyramid(height, image_width, halvings)
        levels = widths(len(sizes), width)
        self.stem = nn.Conv2d(channels, levels[0], 3, padding=1)
        steps = list(zip(levels, [*levels[1:], levels[-1]], sizes, [*sizes[1:], sizes[-1]], strict=True))
        self.blocks = nn.ModuleList(
            ResidualBlock(c_in, c_out, s_in, s_out, condition=condition, normalise=normalise)
            for c_in, c_out, s_in, s_out in steps
        )
        self.map_shape = (levels[-1], *sizes[-1])
        self.features = math.prod(self.map_shape)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map images (B, C, H, W) and conditions (B, condition) to features (B, features)."""
        return self.feature_map(images, condition).flatten(1)

    def feature_map(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map images (B, C, H, W) and conditions (B, condition) to a feature map (B, *map_shape)."""
        return activation(self.activations(images, condition)[-1])

    def activations(self, images: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        """Return the maps after each block, the largest first."""
        h = self.stem(images)
        maps = []
        for block in self.blocks:
            h = block(h, condition)
            maps.append(h)
        return maps


class TimmEncoder(nn.Module):
    """Any timm backbone as an encoder of images in [-1, 1].

    Convolutional backbones halve the image five times, so small images are enlarged to 32 pixels first; vision
    transformers get a patch size that leaves at least 4×4 patches, and their tokens make the feature map.

    Args:
        name: Name of a timm model.
        image_shape: (C, H, W) of the images.
        pretrained: Whether to load timm's weights.
        halvings: How often the image is halved before the feature map is taken; left out, the backbone pools its
            features to a vector.
    """

    def __init__(
        self,
        name: str,
        image_shape: tuple[int, int, int],
        *,
        pretrained: bool = False,
        halvings: int | None = None,
    ) -> None:
        super().__init__()
        import timm

        if not timm.is_model(name):
            raise ConfigError(
                f"expected the encoder {SMALL_RESNET!r} or a timm model, but got {name!r}."
                f"{did_you_mean(name, [SMALL_RESNET, *timm.list_models()])}"
            )
        channels, height, width = image_shape
        patch = patch_size(height, width)
        options: dict[str, Any] = {"pretrained": pretrained, "in_chans": channels}
        options |= {"num_classes": 0} if halvings is None else {"features_only": True}
        self.size: Size = (math.ceil(height / patch) * patch, math.ceil(width / patch) * patch)
        with loading_weights(name, "start it from random weights (encoder_pretrained=False)"):
            try:
                self.backbone = timm.create_model(name, **options, img_size=self.size, patch_size=patch)
            except TypeError:  # a convolutional backbone: it has no such arguments, and takes any size
                self.size = (max(32, height), max(32, width))
                if halvings is not None:
                    options["out_indices"] = (_level(name, options, 2**halvings),)
                self.backbone = timm.create_model(name, **options)
        self.resizes = self.size != (height, width)
        self.pools = halvings is None
        depth, self.channels_last = self._look(name, channels)
        self.map_shape = (depth, 1, 1) if halvings is None else (depth, *pyramid(height, width, halvings)[-1])
        self.features = math.prod(self.map_shape)

    def _look(self, name: str, channels: int) -> tuple[int, bool]:
        """Return the depth of what the backbone gives, and whether its maps are (B, H, W, C), by one empty image.

        Raises:
            ConfigError: If it cannot take such images, or gives something else than features.
        """
        was_training = self.backbone.training
        try:
            with torch.no_grad():
                given = self.backbone.eval()(torch.zeros(1, channels, *self.size))
        except (RuntimeError, AssertionError, ValueError, IndexError) as error:
            raise ConfigError(
                f"encoder: the timm model {name!r} cannot take images of {self.size[0]}×{self.size[1]} pixels "
                f"({error}). Choose a convolutional one, a vision transformer with img_size, or small_resnet."
            ) from error
        finally:
            self.backbone.train(was_training)
        if self.pools:
            if given.ndim != 2:
                raise ConfigError(f"encoder: the timm model {name!r} gives no pooled features, but {given.ndim} axes.")
            return given.shape[1], False
        depth = int(self.backbone.feature_info.channels()[-1])
        shape = tuple(given[-1].shape)
        if depth not in (shape[1], shape[-1]):
            raise ConfigError(f"encoder: the timm model {name!r} gives no feature maps, but shape {shape}.")
        return depth, shape[1] != depth

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map images (B, C, H, W) to features (B, features), pooled ones if there are; backbones see no condition."""
        return self.feature_map(images).flatten(1)

    def feature_map(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map images (B, C, H, W) to a feature map (B, *map_shape)."""
        if self.resizes:
            images = F.interpolate(images, size=self.size, mode="bilinear", align_corners=False, antialias=True)
        if self.pools:
            pooled: Tensor = self.backbone(images)
            return pooled[:, :, None, None]
        features: Tensor = self.backbone(images)[-1]
        if self.channels_last:
            features = features.permute(0, 3, 1, 2)
        if features.shape[2:] != self.map_shape[1:]:
            features = F.interpolate(features, size=self.map_shape[1:], mode="bilinear", align_corners=False)
        return features


def _level(name: str, options: dict[str, Any], stride: int) -> int:
    """Return the level of a convolutional backbone whose maps are ``stride`` times smaller than the image."""
    import timm

    strides = timm.create_model(name, **(options | {"pretrained": False})).feature_info.reduction()
    fitting = [level for level, reduction in enumerate(strides) if reduction >= stride]
    return fitting[0] if fitting else len(strides) - 1


def patch_size(height: int, width: int) -> int:
    """Return the largest patch side (a power of two up to 16) that leaves at least 4×4 patches.

    Example:
        >>> patch_size(28, 28), patch_size(128, 128), patch_size(8, 8)
        (4, 16, 2)
    """
    return next((patch for patch in (16, 8, 4, 2) if min(height, width) >= 4 * patch), 1)
