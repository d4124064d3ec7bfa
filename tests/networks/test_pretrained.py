from __future__ import annotations

import copy
import pickle

import pytest
import timm
import torch
from sklearn.datasets import load_sample_image
from timm.layers import BatchNormAct2d

from synthaug.errors import ConfigError, DataError
from synthaug.networks import PerceptualDistance, TimmEncoder, load_pretrained
from synthaug.networks.pretrained import PretrainedNetwork, fold_normalisation

NETWORKS = ["efficientnet_lite0", "test_resnet", "test_vit", "test_convnext"]


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def load(name: str = "efficientnet_lite0", **options: int) -> PretrainedNetwork:
    """Only the bundled network has weights without a download."""
    return load_pretrained(name, weights=name == "efficientnet_lite0", **options)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 17, 31), (1, 100, 70)])
def test_any_image_gives_four_maps_and_pooled_features(name: str, shape: tuple[int, int, int]) -> None:
    network = load(name)
    batch = images(2, *shape).requires_grad_()
    maps, pooled = network.maps(batch), network.pooled(batch)
    assert tuple(features.shape[1] for features in maps) == network.map_channels
    assert len(maps) == 4
    assert pooled.shape == (2, network.features)
    for features in (*maps, pooled):
        (gradient,) = torch.autograd.grad(features.square().mean(), batch, retain_graph=True)
        assert gradient.abs().sum() > 0


@pytest.mark.parametrize(("picture", "label"), [("china.jpg", 698), ("flower.jpg", 985)])
def test_bundled_network_recognises_a_palace_and_a_daisy(picture: str, label: int) -> None:
    """Its ImageNet classifier is right, which it would not be with misplaced weights or another range of pixels."""
    pixels = torch.from_numpy(load_sample_image(picture).copy()).permute(2, 0, 1)[None] / 127.5 - 1
    small = torch.nn.functional.interpolate(pixels, (224, 336), mode="bilinear", antialias=True)
    network = load()
    logits = network._network.get_classifier()(network.pooled(small[..., 56:280]))
    assert logits.argmax() == label


def test_grey_images_are_those_with_three_equal_channels() -> None:
    grey = images(2, 1, 28, 28)
    for name in NETWORKS:
        network = load(name)
        torch.testing.assert_close(network.pooled(grey), network.pooled(grey.expand(-1, 3, -1, -1)))


def test_images_arrive_as_the_network_was_trained_on_them() -> None:
    """timm's own normalisation of pixels in [0, 1]."""
    network = load("test_efficientnet", min_size=64)
    expected = network._network.pretrained_cfg
    assert expected["mean"] != expected["std"]
    batch = images(2, 3, 64, 64)
    mean, std = (torch.tensor(expected[key])[:, None, None] for key in ("mean", "std"))
    torch.testing.assert_close(network._ready(batch), ((batch + 1) / 2 - mean) / std)


def test_each_network_is_loaded_once_and_stays_frozen() -> None:
    network = load()
    twins = (load(), load(min_size=32), copy.deepcopy(network), pickle.loads(pickle.dumps(network)))
    assert all(twin._network is network._network for twin in twins)
    assert not network._network.training
    assert not any(parameter.requires_grad for parameter in network._network.parameters())


def test_what_holds_a_network_neither_trains_nor_saves_it() -> None:
    holder = torch.nn.Module()
    holder.network = load()
    assert not list(holder.parameters())
    assert not holder.state_dict()
    holder.train().requires_grad_(True)
    assert not load()._network.training


def test_random_networks_are_always_the_same_and_leave_random_state_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = load("test_mambaout").pooled(images(1, 3, 64, 64))
    assert torch.equal(torch.get_rng_state(), before)
    from synthaug.networks import pretrained

    pretrained._load.cache_clear()
    torch.manual_seed(2)
    torch.testing.assert_close(load("test_mambaout").pooled(images(1, 3, 64, 64)), first)


def test_unknown_names_and_missing_weights_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'resnet10t'"):
        load_pretrained("resnet10tt")
    with pytest.raises(ConfigError, match="min_size"):
        load_pretrained(min_size=0)

    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(ConfigError, match=r"resnet34.*no route to host.*efficientnet_lite0"):
        load_pretrained("resnet34")
    with pytest.raises(ConfigError, match=r"resnet34.*no route to host.*encoder_pretrained=False"):
        TimmEncoder("resnet34", (3, 32, 32), pretrained=True)


def test_images_with_other_channels_are_refused() -> None:
    with pytest.raises(DataError, match="channels=3"):
        load().maps(images(1, 4, 32, 32))


def test_perceptual_distance_is_that_of_its_definition() -> None:
    network = load("test_resnet")
    a, b = images(3, 1, 28, 28), -images(3, 1, 28, 28)
    expected = torch.zeros(3)
    for first, second in zip(network.maps(a), network.maps(b), strict=True):
        cosine = torch.nn.functional.cosine_similarity(first, second)
        alive = (first.norm(dim=1) > 0).float() * (second.norm(dim=1) > 0)
        lengths = (first.norm(dim=1) > 0).float() + (second.norm(dim=1) > 0).float()
        expected += (lengths - 2 * cosine * alive).mean((1, 2)) / 4
    distance = PerceptualDistance("test_resnet", weights=False)
    torch.testing.assert_close(distance(a, b), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(distance(a, a), torch.zeros(3))


def test_perceptual_distance_grows_with_the_difference_and_leads_back() -> None:
    distance = PerceptualDistance()
    image, noise = images(2, 3, 32, 32).cumsum(3) / 8, images(2, 3, 32, 32).flip(0)
    near, far = distance(image, image + 0.05 * noise), distance(image, image + 0.5 * noise)
    assert (near > 0).all()
    assert (near < far).all()
    a, b = image.clone().requires_grad_(), (image + 0.2 * noise).requires_grad_()
    distance(a, b).sum().backward()
    for gradient in (a.grad, b.grad):
        assert gradient is not None
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0
    same = image.clone().requires_grad_()
    distance(same, image).sum().backward()
    assert same.grad is not None
    assert same.grad.isfinite().all()


def test_weights_first_loaded_in_inference_mode_pass_gradients_on_later() -> None:
    with torch.inference_mode():
        load_pretrained("test_resnet.r160_in1k", weights=False).pooled(torch.zeros(1, 3, 32, 32))
    images = torch.zeros(1, 3, 32, 32, requires_grad=True)
    load_pretrained("test_resnet.r160_in1k", weights=False).pooled(images).sum().backward()
    assert images.grad is not None


def test_folding_the_normalisation_changes_time_and_not_features() -> None:
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet", num_classes=0).eval()
    for module in network.modules():
        if isinstance(module, BatchNormAct2d):
            for values in (module.running_mean, module.weight, module.bias):
                torch.nn.init.normal_(values, 1.0, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    folded = copy.deepcopy(network)
    fold_normalisation(folded)
    assert any(isinstance(module, BatchNormAct2d) for module in network.modules())
    assert not any(isinstance(module, BatchNormAct2d) for module in folded.modules())
    batch = images(2, 3, 64, 64)
    torch.testing.assert_close(folded(batch), network(batch), rtol=1e-4, atol=1e-4)
