"""What is particular to diffusion: its equation and solvers, codes by inversion, guidance, latent diffusion."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, MissingExtraError
from synthaug.generators import Generator, load, make_generator, save
from synthaug.generators.diffusion import Diffusion, DiffusionConfig
from synthaug.networks import edm
from synthaug.networks.edm import HIGHEST, LOWEST, Denoise, Solver, denoise, denoising_loss, noise_levels, solve
from synthaug.networks.unet import DenoisingUNet
from synthaug.training import fit

CLASSES = ["cat", "dog"]
LABELS = np.array([0, 1] * 4)
MAP = {"width": 8, "latent_dim": 2, "class_dim": 4, "components": 2, "code": "map", "code_stride": 2}


def make_diffusion(shape: tuple[int, int, int] = (1, 8, 8), **settings: object) -> Diffusion:
    torch.manual_seed(0)
    diffusion = Diffusion(DiffusionConfig(**{"widths": (4, 8), **settings}), CLASSES, shape)
    # A mild network: its last layer starts at zero, which would make it an empty one.
    torch.nn.init.normal_(diffusion.network.unet.conv_out.weight, std=0.02)
    return diffusion.eval()


def pictures(shape: tuple[int, int, int] = (1, 8, 8)) -> ImageDataset:
    """Bright and dark pictures with a little noise."""
    rng = np.random.default_rng(0)
    images = np.array([60, 190])[LABELS, None, None, None] + rng.normal(0, 20, (8, *shape[1:], shape[0]))
    return ImageDataset.from_arrays(images.clip(0, 255).astype(np.uint8), LABELS, CLASSES)


def gaussian(scale: float) -> Denoise:
    """The best denoiser of data from N(0, scale²)."""
    return lambda x, level: x * scale**2 / (scale**2 + level**2)


@pytest.mark.parametrize("solver", ["multistep", "heun"])
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_solvers_lead_from_noise_to_the_data_and_back(solver: Solver, scale: float) -> None:
    noise = torch.randn(100, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    data = solve(gaussian(scale), HIGHEST * noise, noise_levels(100), solver)
    # The equation of Gaussian data has a solution in closed form.
    exact = scale * HIGHEST * noise / (scale**2 + HIGHEST**2) ** 0.5
    torch.testing.assert_close(data, exact, atol=0, rtol=0.03)
    again = solve(gaussian(scale), data, noise_levels(100)[-2::-1], solver) / HIGHEST
    torch.testing.assert_close(again, noise, atol=0, rtol=0.03)


@pytest.mark.parametrize(("solver", "steps"), [("multistep", 12), ("heun", 24)])
def test_few_steps_keep_the_variance_of_data(solver: Solver, steps: int) -> None:
    for scale in (0.05, 0.2, 1.0, 3.0, 10.0):
        data = solve(gaussian(scale), HIGHEST * torch.ones(1, 1, 1, 1), noise_levels(steps), solver)
        assert data.item() == pytest.approx(scale, rel=0.04)


def test_the_way_back_undoes_the_way_there_in_few_steps() -> None:
    for scale in (0.2, 1.0, 3.0):
        data = scale * torch.ones(1, 1, 1, 1)
        code = solve(gaussian(scale), data, noise_levels(12)[-2::-1])
        assert solve(gaussian(scale), code, noise_levels(12)).item() == pytest.approx(scale, rel=0.03)


def test_noise_levels_fall_to_zero() -> None:
    levels = noise_levels(12)
    assert levels[0] == pytest.approx(HIGHEST)
    assert levels[-2] == pytest.approx(LOWEST)
    assert levels[-1] == 0
    assert levels == sorted(levels, reverse=True)


def test_an_empty_network_is_the_best_linear_denoiser_with_loss_one() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 1, 16, 16)
    levels = torch.full((64,), 0.5)
    torch.testing.assert_close(denoise(lambda scaled, _: torch.zeros_like(scaled), x, levels), x / 1.25)
    assert denoising_loss(lambda scaled, _: torch.zeros_like(scaled), x).item() == pytest.approx(1, abs=0.05)


def test_noise_levels_in_training_are_spread_evenly_over_their_distribution() -> None:
    heard: list[Tensor] = []

    def network(scaled: Tensor, log_levels: Tensor) -> Tensor:
        heard.append(log_levels)
        return torch.zeros_like(scaled)

    torch.manual_seed(0)
    denoising_loss(network, torch.zeros(100, 1, 2, 2))
    (log_levels,) = heard
    places = torch.special.ndtr((log_levels.sort().values - edm._TRAINING_MEAN) / edm._TRAINING_DEVIATION)
    torch.testing.assert_close(places, (torch.arange(100) + 0.5) / 100, atol=0.0051, rtol=0)
    assert (log_levels < edm._TRAINING_MEAN).sum() == 50


def test_network_hears_level_and_label_on_any_shape() -> None:
    network = DenoisingUNet((3, 9, 14), classes=2, channels=(4, 8), patch=2)
    torch.nn.init.normal_(network.unet.conv_out.weight)
    x, level, labels = torch.randn(2, 3, 9, 14), torch.zeros(2), torch.tensor([0, 1])
    before = network(x, level, labels)
    assert before.shape == x.shape
    assert not torch.allclose(before, network(x, level + 0.1, labels))
    assert not torch.allclose(before, network(x, level, torch.tensor([2, 2])))


def test_statistics_are_those_of_the_training_images() -> None:
    data, diffusion = pictures((3, 8, 8)), make_diffusion((3, 8, 8))
    diffusion.prepare(data)
    values = torch.from_numpy(data.images).permute(0, 3, 1, 2) / 127.5 - 1
    x = diffusion.space.from_images(values, torch.from_numpy(LABELS))
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std((0, 2, 3), correction=0), torch.ones(3))


def test_code_of_an_image_leads_back_to_it() -> None:
    data, diffusion = pictures(), make_diffusion()
    diffusion.prepare(data)
    codes, variances = diffusion.encode_images(data.images, data.labels)
    assert codes.shape == (8, diffusion.latent_size)
    assert not variances.any()
    restored = diffusion.decode_codes(codes, data.labels)
    assert np.abs(restored.astype(int) - data.images).mean() < 4
    swapped = diffusion.decode_codes(codes, 1 - data.labels)
    assert not np.array_equal(swapped, restored)


def test_images_are_differentiable_in_their_codes() -> None:
    diffusion = make_diffusion().with_sampling(steps=3)
    z = torch.randn(2, 64, requires_grad=True)
    diffusion.reconstruct(z, torch.tensor([0, 1])).mean().backward()
    assert z.grad is not None
    assert z.grad.abs().sum() > 0


@pytest.mark.parametrize("conditioning", ["shared", "per_class"])
def test_an_empty_network_denoises_as_well_as_a_linear_filter_can(conditioning: str) -> None:
    gen = make_generator(
        "diffusion", CLASSES, (1, 8, 8), conditioning=conditioning, options={"widths": (4, 8)}
    )  # of mean 0 and deviation 0.5, until it has seen images
    for name, parameter in gen.named_parameters():
        if "conv_out" in name:
            torch.nn.init.zeros_(parameter)
    images = np.full((3, 8, 8, 1), 204, np.uint8)  # 0.6 in [-1, 1]
    found = gen.denoise_images(images, np.array([0.0, 0.25, 1.0]), np.array([0, 1, 0]))
    means = 0.6 / (1 + np.array([0.02, 1.0, 4.0]) ** 2)
    np.testing.assert_allclose(found.mean((1, 2, 3)) / 127.5 - 1, means, atol=0.005)


def test_only_diffusion_in_pixels_denoises_images(tmp_path: Path) -> None:
    trained_autoencoder(tmp_path)
    vae = make_generator("vae", CLASSES, (1, 8, 8), options={"width": 4})
    for gen in (vae, make_diffusion(autoencoder=str(tmp_path))):
        assert not gen.has_denoiser
        with pytest.raises(ConfigError, match="trained in pixels"):
            gen.denoise_images(np.zeros((1, 8, 8, 1), np.uint8), np.ones(1), np.zeros(1, np.int64))


def test_guidance_amplifies_what_the_label_adds() -> None:
    diffusion = make_diffusion()
    x, levels, labels = torch.randn(2, 1, 8, 8), torch.ones(2), torch.tensor([0, 1])
    without, plain, strong = (diffusion.with_sampling(guidance=g)._guided(x, levels, labels) for g in (0, 1, 3))
    torch.testing.assert_close(strong - without, 3 * (plain - without))
    assert not torch.allclose(plain, without)
    other = diffusion.with_sampling(guidance=0)._guided(x, levels, labels.flip(0))
    torch.testing.assert_close(other, without)
    with pytest.raises(ConfigError, match="label_dropout=0"):
        make_diffusion(label_dropout=0.0).with_sampling(guidance=1.5)
    apart = make_generator(
        "diffusion", CLASSES, (1, 8, 8), conditioning="per_class", options={"widths": (4, 8), "label_dropout": 0.0}
    )
    with pytest.raises(ConfigError, match="label_dropout=0"):
        apart.with_sampling(guidance=1.5)
    assert apart.with_sampling(steps=3).sampling == apart.sampling.replace(steps=3)
    make_diffusion(label_dropout=0.0).with_sampling(guidance=1, temperature=0.9)


@pytest.mark.parametrize("share", [0.0, 0.9])
def test_labels_are_hidden_as_often_as_said(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    diffusion = make_diffusion(label_dropout=share)
    seen: list[int] = []

    def network(x: Tensor, log_level: Tensor, labels: Tensor) -> Tensor:
        seen.extend(labels.tolist())
        return torch.zeros_like(x)

    monkeypatch.setattr(diffusion.network, "forward", network)
    diffusion.objective().phases()[0].loss(torch.zeros(200, 1, 8, 8), torch.arange(200) % 2, 0)
    assert seen.count(2) / 200 == pytest.approx(share, abs=0.1)


def test_training_lowers_the_loss() -> None:
    data, diffusion = pictures(), make_diffusion()
    diffusion.prepare(data)
    (phase,) = diffusion.objective().phases()
    optimizer = torch.optim.Adam(phase.parameters(), 1e-2)
    images, labels = torch.from_numpy(data.images).permute(0, 3, 1, 2) / 127.5 - 1, torch.from_numpy(LABELS)
    losses = []
    for step in range(60):
        loss = phase.loss(images, labels, step)["loss"]
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])


@pytest.mark.parametrize(("side", "patch"), [(16, 1), (28, 2), (64, 4)])
def test_larger_images_are_folded(side: int, patch: int) -> None:
    assert make_diffusion((1, side, side)).network.patch == patch
    assert make_diffusion((1, side, side), patch=8).network.patch == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch": 3}, "patch"),
        ({"widths": ()}, "widths"),
        ({"label_dropout": 1.0}, "label_dropout"),
        ({"layers": 0}, "layers"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DiffusionConfig(**settings)


def test_without_diffusers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingExtraError, match=r"synthaug\[diffusion\]"):
        make_diffusion()


def trained_autoencoder(path: Path, **settings: object) -> Generator:
    torch.manual_seed(1)
    autoencoder = make_generator("autoencoder", CLASSES, (1, 8, 8), options={**MAP, **settings}).eval()
    for parameter in autoencoder.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    save(autoencoder, path)
    return autoencoder


def test_codes_of_an_autoencoder_are_diffused(tmp_path: Path) -> None:
    autoencoder = trained_autoencoder(tmp_path / "autoencoder")
    data, diffusion = pictures(), make_diffusion(autoencoder=str(tmp_path / "autoencoder"))
    assert diffusion.latent_size == 2 * 4 * 4
    diffusion.prepare(data)
    x = diffusion.space.from_images(torch.from_numpy(data.images).permute(0, 3, 1, 2) / 127.5 - 1, torch.tensor(LABELS))
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(2), atol=1e-4, rtol=0)
    codes = autoencoder.encode_images(data.images, data.labels)[0]
    restored = autoencoder.decode_codes(codes, data.labels)
    again = diffusion.space.to_images(x, torch.from_numpy(LABELS))
    np.testing.assert_allclose((again[:, 0].numpy() + 1) * 127.5, restored[..., 0], atol=1)


def test_latent_diffusion_trains_its_own_network_only(tmp_path: Path) -> None:
    trained_autoencoder(tmp_path / "autoencoder")
    diffusion = make_diffusion(autoencoder=str(tmp_path / "autoencoder"))
    objective = diffusion.objective().train()
    (phase,) = objective.phases()
    assert {id(p) for p in phase.parameters()} == {id(p) for p in diffusion.network.parameters()}
    frozen = {id(p) for p in objective.parameters()} - {id(p) for p in phase.parameters()}
    assert frozen
    assert all(not module.training for module in diffusion.space.autoencoder.modules())


def test_latent_diffusion_is_saved_whole_and_names_no_path(tmp_path: Path) -> None:
    trained_autoencoder(tmp_path / "autoencoder")
    diffusion = make_diffusion(autoencoder=str(tmp_path / "autoencoder"))
    save(diffusion, tmp_path / "diffusion")
    (tmp_path / "autoencoder").rename(tmp_path / "elsewhere")
    assert str(tmp_path) not in (tmp_path / "diffusion" / "config.json").read_text()
    loaded = load(tmp_path / "diffusion")
    assert loaded.digest == diffusion.digest
    assert torch.equal(loaded.sample({"cat": 2}), diffusion.sample({"cat": 2}))
    description = json.loads(loaded.config.to_dict()["autoencoder"])
    assert description["digest"] == load(tmp_path / "elsewhere").digest


def test_latent_diffusion_through_fit(digits: ImageDataset, tmp_path: Path) -> None:
    short = {"steps": 2, "batch_size": 8, "progress": False, "out": tmp_path / "autoencoder"}
    autoencoder = fit(digits, family="autoencoder", **{**MAP, **short})
    short |= {"out": tmp_path / "diffusion", "autoencoder": str(tmp_path / "autoencoder"), "widths": (4, 8)}
    diffusion = fit(digits, family="diffusion", **short)
    assert isinstance(diffusion, Diffusion)
    kept = diffusion.space.autoencoder
    assert isinstance(kept, Generator)
    assert kept.digest == autoencoder.digest
    assert not torch.equal(diffusion.space.mean, torch.zeros_like(diffusion.space.mean))
    (tmp_path / "autoencoder").rename(tmp_path / "elsewhere")
    assert torch.equal(load(tmp_path / "diffusion").sample(["3"]), diffusion.sample(["3"]))


def test_unfit_autoencoders_are_refused(tmp_path: Path) -> None:
    trained_autoencoder(tmp_path / "map")
    trained_autoencoder(tmp_path / "vector", code="vector")
    save(make_diffusion(), tmp_path / "diffusion")
    with pytest.raises(ConfigError, match="code='map'"):
        make_diffusion(autoencoder=str(tmp_path / "vector"))
    with pytest.raises(ConfigError, match="holds a diffusion"):
        make_diffusion(autoencoder=str(tmp_path / "diffusion"))
    with pytest.raises(ConfigError, match="shape"):
        make_diffusion((1, 9, 9), autoencoder=str(tmp_path / "map"))
    with pytest.raises(ConfigError, match="same classes"):
        make_generator("diffusion", ["a", "b"], (1, 8, 8), options={"autoencoder": str(tmp_path / "map")})
    with pytest.raises(ConfigError, match="conditioning='shared' only"):
        make_generator(
            "diffusion", CLASSES, (1, 8, 8), conditioning="per_class", options={"autoencoder": str(tmp_path / "map")}
        )
