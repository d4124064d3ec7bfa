from __future__ import annotations

import pytest
import torch

from synthaug.augmentation import AUGMENTATIONS, Augmentation
from synthaug.augmentation.named import affine, crop, flip
from synthaug.errors import ConfigError


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [*AUGMENTATIONS, "flip-crop+mixup", "Flip-Crop + MixUp+CutMix"])
def test_every_augmentation_keeps_shape_type_and_weights(name, channels):
    torch.manual_seed(0)
    images = torch.randint(0, 256, (6, channels, 12, 8), dtype=torch.uint8)
    targets = torch.eye(6)[:, :4] * 0.5 + 0.1
    augment = Augmentation(name)
    changed = augment.pixels(images)
    assert changed.shape == images.shape
    assert changed.dtype == torch.uint8
    mixed, mixed_targets = augment.mix(changed.float(), targets)
    assert mixed.shape == images.shape
    assert torch.allclose(mixed_targets.sum(), targets.sum())
    if name == "none":
        assert torch.equal(changed, images)


@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name != "none"])
def test_every_augmentation_changes_images_and_repeats_with_the_seed(name):
    images = torch.randint(0, 256, (16, 1, 16, 16), dtype=torch.uint8, generator=torch.manual_seed(1))

    def once() -> torch.Tensor:
        torch.manual_seed(5)
        augment = Augmentation(name)
        return augment.mix(augment.pixels(images).float(), torch.eye(16))[0]

    assert torch.equal(once(), once())
    assert not torch.equal(once(), images.float())


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_no_images_are_no_trouble(name):
    nothing = torch.zeros(0, 1, 8, 8, dtype=torch.uint8)
    assert Augmentation(name).pixels(nothing).shape == nothing.shape


def test_mixup_mixes_targets_as_it_mixes_images():
    torch.manual_seed(0)
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 4, 4)
    mixed, targets = Augmentation("mixup").mix(images, torch.eye(4))
    assert torch.allclose(mixed[:, 0, 0, 0], targets @ torch.arange(4.0), atol=1e-6)


def test_flip_mirrors_whole_images_about_half_the_time():
    torch.manual_seed(0)
    images = torch.arange(8, dtype=torch.uint8).expand(200, 1, 4, 8)
    first = flip(images)[:, 0, 0, 0]
    assert set(first.tolist()) == {0, 7}
    assert 60 < int((first == 7).sum()) < 140


def test_crop_shifts_by_at_most_an_eighth():
    torch.manual_seed(0)
    images = torch.zeros(100, 1, 16, 16, dtype=torch.uint8)
    images[:, :, 8, 8] = 255
    rows = {divmod(int(image.argmax()), 16) for image in crop(images)[:, 0]}
    assert {row for row, _ in rows} == {6, 7, 8, 9, 10} == {column for _, column in rows}


@pytest.mark.parametrize(("height", "width"), [(20, 60), (60, 20)])
def test_affine_keeps_the_shape_of_things_in_images_that_are_not_square(height, width):
    torch.manual_seed(0)
    images = torch.zeros(64, 1, height, width, dtype=torch.uint8)
    top, left = height // 2 - 5, width // 2 - 5
    images[:, :, top : top + 10, left : left + 10] = 255  # a square stays one, however it is turned
    moved = affine(images)
    areas = (moved > 127).flatten(1).sum(1).float()
    assert areas.min() > 60
    assert areas.max() < 150
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width)).T
    weights = moved.flatten(1).float()
    sides = (12 * torch.stack([torch.linalg.eigvalsh(torch.cov(places, aweights=each)) for each in weights])).sqrt()
    assert sides.min() > 8
    assert sides.max() < 12
    assert (sides[:, 1] / sides[:, 0]).max() < 1.05


def test_unknown_names_are_refused_with_a_hint():
    with pytest.raises(ConfigError, match="Did you mean 'mixup'"):
        Augmentation("flip-crop+mixpu")
