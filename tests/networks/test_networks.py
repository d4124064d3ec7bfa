from __future__ import annotations

import pytest
import torch

from synthaug.errors import ConfigError
from synthaug.networks import (
    Decoder,
    ProjectionDiscriminator,
    ResidualBlock,
    diff_augment,
    make_encoder,
    pyramid,
    widths,
)
from synthaug.networks.encoders import patch_size

SHAPES = [(1, 8, 8), (3, 28, 28), (1, 33, 47), (3, 128, 128), (3, 8, 64), (1, 100, 9)]


@pytest.mark.parametrize("shape", SHAPES)
def test_encoder_decoder_and_discriminator_fit_any_image(shape: tuple[int, int, int]) -> None:
    images, condition = torch.randn(2, *shape), torch.randn(2, 4)
    encoder = make_encoder("small_resnet", shape, width=8, condition=4)
    assert encoder(images, condition).shape == (2, encoder.features)
    assert Decoder(shape, 5, width=8, condition=4)(torch.randn(2, 5), condition).shape == images.shape
    assert ProjectionDiscriminator(shape, 3, width=8)(images, torch.tensor([0, 2])).shape == (2, 1)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 30, 45)])
def test_timm_backbones_encode_small_and_odd_images(name: str, shape: tuple[int, int, int]) -> None:
    encoder = make_encoder(name, shape)
    assert encoder(torch.randn(2, *shape), None).shape == (2, encoder.features)


def test_timm_backbones_of_other_makes_are_looked_at_first() -> None:
    """What timm says of their features is not what they give: wider after pooling, or with channels last."""
    images = torch.randn(2, 1, 28, 28)
    wide = make_encoder("mobilenetv3_small_050", (1, 28, 28))
    assert wide(images).shape == (2, wide.features) == (2, 1024)
    last = make_encoder("swin_tiny_patch4_window7_224", (1, 28, 28), halvings=2)
    assert last.feature_map(images).shape == (2, *last.map_shape)
    with pytest.raises(ConfigError, match="'mixer_s32_224' cannot take images of 32×32"):
        make_encoder("mixer_s32_224", (1, 28, 28))


def test_unknown_encoder_names_close_ones() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'small_resnet'"):
        make_encoder("smal_resnet", (1, 8, 8))


def test_pyramid_halves_each_side_until_it_is_small() -> None:
    assert pyramid(28, 28) == [(28, 28), (14, 14), (7, 7)]
    assert pyramid(7, 5) == [(7, 5)]
    assert pyramid(8, 33)[-1] == (4, 5)
    assert widths(5, 64) == [16, 64, 128, 256, 256]


def test_vit_patches_leave_a_grid() -> None:
    for side in (8, 28, 32, 64, 128):
        assert side / patch_size(side, side) >= 4


def test_block_starts_as_the_identity() -> None:
    x = torch.randn(2, 8, 5, 5)
    block = ResidualBlock(8, 8, (5, 5), (5, 5), condition=3)
    torch.testing.assert_close(block(x, torch.randn(2, 3)), x)


def test_condition_changes_the_features() -> None:
    block = ResidualBlock(8, 8, (5, 5), (5, 5), condition=3)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    x = torch.randn(1, 8, 5, 5).expand(2, -1, -1, -1)
    first, second = block(x, torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]))
    assert not torch.allclose(first, second)


def test_discriminator_sees_the_class() -> None:
    discriminator = ProjectionDiscriminator((1, 8, 8), 3, width=8)
    image = torch.randn(1, 1, 8, 8).expand(3, -1, -1, -1)
    assert discriminator(image, torch.arange(3)).unique().numel() == 3


@pytest.mark.parametrize("operation", ["color", "translation", "cutout"])
@pytest.mark.parametrize("channels", [1, 3])
def test_diff_augment_changes_images_and_lets_gradients_through(operation: str, channels: int) -> None:
    images = torch.randn(16, channels, 12, 20).clamp(-1, 1).requires_grad_()
    augmented = diff_augment(images, (operation,))
    assert augmented.shape == images.shape
    assert not torch.equal(augmented, images)
    augmented.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_translation_shifts_and_fills_with_black() -> None:
    images = torch.ones(64, 1, 16, 16)
    shifted = diff_augment(images, ("translation",))
    black = shifted == -1
    assert black.any()
    assert set(shifted.unique().tolist()) == {-1.0, 1.0}
    assert black.flatten(1).sum(1).max() <= 16 * 16 - 14 * 14


def test_cutout_blanks_at_most_a_quarter() -> None:
    blanked = (diff_augment(torch.ones(64, 1, 16, 16), ("cutout",)) == 0).flatten(1).sum(1)
    assert blanked.max() == 64
    assert blanked.min() >= 16
