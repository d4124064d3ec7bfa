"""Torchvision's random augmentations, done together for a batch."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms import v2

from synthaug.augmentation import grouped as module
from synthaug.augmentation.grouped import grouped

NAMES = ["RandAugment", "TrivialAugmentWide"]


def pixels(channels: int) -> torch.Tensor:
    return torch.randint(0, 256, (48, channels, 20, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_comes_out_as_image_by_image_and_draws_the_same_numbers(name: str, channels: int) -> None:
    images = pixels(channels)
    before = images.clone()
    transform = getattr(v2, name)()
    torch.manual_seed(3)
    expected = torch.stack([transform(image) for image in images])
    drawn_by_torchvision = torch.rand(1)
    apply = grouped(name)
    torch.manual_seed(3)
    got = apply(images)
    assert torch.equal(got, expected)
    assert torch.equal(torch.rand(1), drawn_by_torchvision)
    assert torch.equal(images, before)
    assert not torch.equal(got, images)


@pytest.mark.parametrize("name", NAMES)
def test_the_transform_is_called_once_per_operation_and_not_per_image(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    plain = getattr(v2, name)
    operate = plain._apply_image_or_video_transform

    def counted(self: object, image: torch.Tensor, *args: object, **options: object) -> torch.Tensor:
        calls.append(len(image))
        done: torch.Tensor = operate(self, image, *args, **options)
        return done

    monkeypatch.setattr(plain, "_apply_image_or_video_transform", counted)
    images = pixels(1).repeat(8, 1, 1, 1)
    grouped(name)(images)
    assert sum(calls) in (len(images), 2 * len(images))
    assert len(calls) < sum(calls)


@pytest.mark.parametrize("name", NAMES)
def test_a_torchvision_without_the_hook_is_used_image_by_image(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HOOK", "_renamed_in_some_later_release")
    images = pixels(3)
    transform = getattr(v2, name)()
    torch.manual_seed(5)
    expected = torch.stack([transform(image) for image in images])
    torch.manual_seed(5)
    assert torch.equal(grouped(name)(images), expected)
