"""A timm classifier that fits the images: channels, image size and patch size are checked before training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from synthaug.errors import ConfigError, did_you_mean
from synthaug.networks.pretrained import BUNDLED, BUNDLED_MODEL, bundled_weights

_FEWEST_PATCHES = 7
"""Patches a side that a vision transformer gets at least, where its patch size is chosen here: half of ImageNet's."""


def check_model(name: str) -> None:
    """Refuse a name that no timm model has.

    Raises:
        ConfigError: If there is no such model.
    """
    import timm

    if name != BUNDLED and not timm.is_model(name.split(".")[0]):
        raise ConfigError(
            f"expected the name of a timm model, but got {name!r}.{did_you_mean(name, timm.list_models())}"
        )


def create_classifier(
    name: str,
    *,
    classes: int,
    channels: int,
    size: tuple[int, int],
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Make a timm model for images of one size, with random weights unless ``options`` asks for pretrained ones.

    A vision transformer gets ``img_size`` and, where its own patches do not divide the image or leave fewer than
    seven a side, the largest patch size that does; timm alone would cut the borders off without a word. With
    ``pretrained=True`` an EfficientNet-Lite0 gets the bundled ImageNet weights; other models' are timm's to download.

    Args:
        name: Any timm model name.
        classes: Number of classes.
        channels: 1 or 3.
        size: (H, W) of the images as the model gets them.
        options: Further arguments of `timm.create_model`.

    Raises:
        ConfigError: If there is no such model, or it cannot take such images.

    Example:
        >>> create_classifier("test_vit", classes=10, channels=1, size=(28, 28)).patch_embed.grid_size
        (7, 7)
    """
    import timm

    settings = {"num_classes": classes, "in_chans": channels, **(options or {})}
    if settings.get("pretrained") and name in (BUNDLED, BUNDLED_MODEL):
        name = BUNDLED_MODEL
        settings["pretrained_cfg_overlay"] = {"state_dict": bundled_weights()}
    check_model(name)
    cfg = timm.get_pretrained_cfg(name.split(".")[0])
    if cfg is not None and cfg.fixed_input_size and "img_size" not in settings:
        settings["img_size"] = size
    try:
        model: nn.Module = timm.create_model(name, **settings)
        patch = _patch_size(model)
        if patch is not None and "patch_size" in settings and not _divides(patch, size):
            raise ConfigError(
                f"patch_size: expected a divisor of the image's sides {size[0]}×{size[1]}, but got "
                f"{settings['patch_size']}; the rest of the image would be cut off."
            )
        if patch is not None and "patch_size" not in settings and not _suits(patch, size):
            settings["patch_size"] = _best_patch(name, size)
            model = timm.create_model(name, **settings)
    except (TypeError, AssertionError, RuntimeError, ValueError, OSError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"timm cannot make {name!r} for images of {size[0]}×{size[1]}: {error}") from error
    _check_forward(model, name, classes, channels, size)
    return model


def pretrained_scale(model: nn.Module, channels: int) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each channel, of 0 to 255, by which a pretrained model's images were scaled.

    Args:
        model: A timm model.
        channels: 1 or 3; a grey image gets the mean of the three colours'.

    Example:
        >>> from timm import create_model
        >>> [values.tolist() for values in pretrained_scale(create_model("tf_efficientnet_lite0"), channels=1)]
        [[127.5], [127.5]]
    """
    cfg = getattr(model, "pretrained_cfg", None) or {}
    values = [255 * torch.tensor(cfg.get(name, (0.5, 0.5, 0.5))) for name in ("mean", "std")]
    mean, std = values if channels == 3 else [colours.mean(0, keepdim=True) for colours in values]
    return mean, std


def zero_head(model: Any) -> None:
    """Set all weights of the last layer of a timm model to zero, in place.

    Example:
        >>> from timm import create_model
        >>> model = create_model("test_vit", num_classes=3)
        >>> zero_head(model)
        >>> model(torch.ones(1, 3, 160, 160)).abs().sum().item()
        0.0
    """
    head = model.get_classifier()
    for part in head if isinstance(head, (tuple, list)) else (head,):  # distilled transformers have two
        for parameter in part.parameters():
            nn.init.zeros_(parameter)


def _patch_size(model: nn.Module) -> tuple[int, int] | None:
    embed = getattr(model, "patch_embed", None)
    patch = getattr(embed, "patch_size", None)
    if patch is None:
        return None
    return (int(patch[0]), int(patch[1])) if isinstance(patch, (tuple, list)) else (int(patch), int(patch))


def _divides(patch: tuple[int, int], size: tuple[int, int]) -> bool:
    return size[0] % patch[0] == 0 and size[1] % patch[1] == 0


def _suits(patch: tuple[int, int], size: tuple[int, int]) -> bool:
    return _divides(patch, size) and min(size[0] // patch[0], size[1] // patch[1]) >= min(_FEWEST_PATCHES, *size)


def _best_patch(name: str, size: tuple[int, int]) -> int:
    fitting = [side for side in range(1, min(size) + 1) if _suits((side, side), size)]
    if not fitting or (max(fitting) == 1 and max(size) > 16):
        raise ConfigError(
            f"expected sides that a patch size divides for {name!r}, but got {size[0]}×{size[1]}; "
            "pass an input_size such as 32, which resizes the images for the classifier."
        )
    return max(fitting)


def _check_forward(model: nn.Module, name: str, classes: int, channels: int, size: tuple[int, int]) -> None:
    """Run two blank images through the model, so that sizes it cannot take are refused before training."""
    model.eval()
    try:
        with torch.no_grad():
            shape = tuple(model(torch.zeros(2, channels, *size)).shape)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ConfigError(
            f"{name!r} cannot take images of {size[0]}×{size[1]} ({error}); pass an input_size such as 32, "
            "which resizes the images for the classifier, or choose another model."
        ) from error
    if shape != (2, classes):
        raise ConfigError(f"expected {name!r} to give (2, {classes}) logits for 2 images, but got {shape}.")
    model.train()
