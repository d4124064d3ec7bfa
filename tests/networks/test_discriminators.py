from __future__ import annotations

import pytest
import torch

from synthaug.errors import ConfigError
from synthaug.networks import Discriminator, ProjectedDiscriminator, make_discriminator

KINDS = ["resnet", "projected"]


def make(kind: str, shape: tuple[int, int, int] = (1, 10, 12), classes: int = 3) -> Discriminator:
    torch.manual_seed(0)
    if kind == "projected":
        return ProjectedDiscriminator(shape, classes, network="test_resnet", weights=False, width=16)
    return make_discriminator("resnet", shape, classes, width=8)


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 17, 31), (3, 128, 128), (1, 64, 9)])
def test_any_image_is_scored(kind: str, shape: tuple[int, int, int]) -> None:
    discriminator = make(kind, shape)
    scores = discriminator(images(2, *shape), torch.tensor([0, 2]))
    assert scores.shape == (2, 1 if kind == "resnet" else 4)
    assert scores.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_activations_compare_images(kind: str) -> None:
    discriminator = make(kind)
    batch = images(2, 1, 10, 12).requires_grad_()
    maps = discriminator.activations(batch)
    assert len(maps) > 1
    sizes = [features.shape[2] * features.shape[3] for features in maps]
    assert sizes == sorted(sizes, reverse=True)
    sum(features.square().mean() for features in maps).backward()
    assert batch.grad is not None
    assert batch.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter_and_the_images(kind: str) -> None:
    discriminator = make(kind)
    for parameter in discriminator.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(parameter.numel()))
    batch = images(6, 1, 10, 12).requires_grad_()
    torch.nn.functional.softplus(discriminator(batch, torch.arange(6) % 3)).mean().backward()
    missed = [name for name, p in discriminator.named_parameters() if p.grad is None or not p.grad.any()]
    assert not missed
    assert batch.grad is not None
    assert batch.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_head_sees_the_class(kind: str) -> None:
    image = images(1, 1, 10, 12).expand(3, -1, -1, -1)
    scores = make(kind)(image, torch.arange(3))
    assert all(column.unique().numel() == 3 for column in scores.T)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_do_not_depend_on_the_rest_of_the_batch(kind: str) -> None:
    """Else real and generated images, scored together, would give each other away."""
    discriminator = make(kind).eval()
    batch, labels = images(4, 1, 10, 12), torch.tensor([0, 1, 2, 0])
    torch.testing.assert_close(discriminator(batch, labels)[:2], discriminator(batch[:2], labels[:2]))


def test_projected_discriminator_tells_two_kinds_of_images_apart_in_a_few_steps() -> None:
    discriminator = make("projected")
    optimizer = torch.optim.AdamW(discriminator.parameters(), 2e-3, betas=(0.0, 0.99))
    real = images(16, 1, 10, 12).cumsum(3).clamp(-1, 1)
    fake, labels = images(16, 1, 10, 12), torch.arange(16) % 3
    for _ in range(20):
        margin = discriminator(real, labels) - discriminator(fake, labels)
        loss = torch.nn.functional.softplus(-margin).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (margin.mean(0) > 1).all()


def test_projected_discriminator_saves_its_mixing_but_not_the_pretrained_network() -> None:
    discriminator = make("projected")
    state = discriminator.state_dict()
    assert any(name.startswith("mixing.") for name in state)
    assert sum(value.numel() for value in state.values()) < 100_000
    torch.manual_seed(5)
    other = ProjectedDiscriminator((1, 10, 12), 3, network="test_resnet", weights=False, width=16)
    for name, values in discriminator.mixing.state_dict().items():
        assert torch.equal(values, other.mixing.state_dict()[name])
    other.load_state_dict(state)
    batch, labels = images(2, 1, 10, 12), torch.tensor([1, 2])
    torch.testing.assert_close(other.eval()(batch, labels), discriminator.eval()(batch, labels))


@pytest.mark.parametrize("kind", KINDS)
def test_features_change_by_training_where_it_is_said(kind: str) -> None:
    discriminator, batch = make(kind), images(2, 1, 10, 12)
    before = discriminator.activations(batch)
    for parameter in discriminator.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    after = discriminator.activations(batch)
    same = all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert same != discriminator.trains_features


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'projected'"):
        make_discriminator("projectd", (1, 8, 8), 2)
