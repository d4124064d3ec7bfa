"""Other libraries' generators behind one function, with stand-ins for the libraries, which tests do not install.

The stand-ins show what is asked of the libraries; whether these still take it, only the libraries can tell.
"""

from __future__ import annotations

import contextlib
import importlib.util
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are run from the checkout, not installed

from benchmarks.peers import lightweight_gan as peers_lightweight_gan
from benchmarks.peers import peer_samples
from benchmarks.peers import pythae as peers_pythae
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError

MINUTES = 0.002


def levels(numbers: tuple[int, ...] = (65, 1), shape: tuple[int, ...] = (6, 5, 3)) -> ImageDataset:
    """Images all of one level: 100 in the first class, 200 in the second, and so on."""
    labels = np.repeat(np.arange(len(numbers)), numbers)
    images = np.broadcast_to((100 * (1 + labels)).astype(np.uint8)[:, None, None, None], (len(labels), *shape))
    return ImageDataset.from_arrays(images.copy(), labels, [f"class {label}" for label in range(len(numbers))])


@pytest.fixture(autouse=True)
def _processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def install(monkeypatch: pytest.MonkeyPatch, name: str, **values: Any) -> None:
    """Put a module in place of one that may not be there, with the packages that it is in."""
    parts = name.split(".")
    for end in range(1, len(parts)):
        package = ".".join(parts[:end])
        if package not in sys.modules:
            monkeypatch.setitem(sys.modules, package, ModuleType(package))
    module = ModuleType(name)
    vars(module).update(values)
    monkeypatch.setitem(sys.modules, name, module)


class Model(nn.Module):
    """Learns a level; remembers the batches it has seen."""

    def __init__(self, config: Any, *networks: Any) -> None:
        super().__init__()
        self.config, self.networks = config, networks
        self.level = nn.Parameter(torch.zeros(()))
        self.seen: list[Tensor] = []
        self.updated = False

    def forward(self, batch: dict[str, Tensor]) -> Any:
        assert self.training
        self.seen.append(batch["data"])
        return SimpleNamespace(loss=(self.level - batch["data"]).square().mean())

    def update(self) -> None:
        self.updated = True


class Sampler:
    """Draws samples of the level of the images that a model has seen, a little above 1 or below 0 now and then."""

    drawn_from: list[Model]

    def __init__(self, model: Model, config: Any) -> None:
        assert not model.training
        self.model, self.config, self.fitted = model, config, None
        self.drawn_from.append(model)

    def fit(self, images: Tensor) -> None:
        self.fitted = images

    def sample(self, num_samples: int, batch_size: int) -> Tensor:
        samples = torch.full((num_samples, *self.model.config.input_dim), float(self.model.seen[0].mean()))
        samples[0, :, 0, 0], samples[0, :, 0, 1] = -0.1, 1.1
        return samples


@pytest.fixture
def pythae(monkeypatch: pytest.MonkeyPatch) -> list[Model]:
    """A stand-in for pythae; the models, in the order in which they were drawn from."""

    class Own(Sampler):
        drawn_from: list[Model] = []  # noqa: RUF012

    install(
        monkeypatch, "pythae.models", VAE=Model, VAEConfig=SimpleNamespace, RHVAE=Model, RHVAEConfig=SimpleNamespace
    )
    install(
        monkeypatch,
        "pythae.samplers",
        GaussianMixtureSampler=Own,
        GaussianMixtureSamplerConfig=SimpleNamespace,
        RHVAESampler=Own,
        RHVAESamplerConfig=SimpleNamespace,
    )
    return Own.drawn_from


@pytest.mark.parametrize("name", ["pythae-vae", "pythae-rhvae"])
def test_pythae_has_a_model_a_class_that_sees_its_images_alone(name: str, pythae: list[Model]) -> None:
    images, labels = peer_samples(name, levels(), per_class=3, seed=0, minutes=MINUTES)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert (images.dtype, images.shape) == (np.uint8, (6, 6, 5, 3))
    assert images[:, 1].reshape(6, -1).tolist() == [[100] * 15] * 3 + [[200] * 15] * 3
    assert images[[0, 3], 0, :2].tolist() == [[[0] * 3, [255] * 3]] * 2  # cut off, not wrapped
    assert len(pythae) == 2
    for model, level in zip(pythae, (100, 200), strict=True):
        batches = model.seen
        assert all(torch.equal(batch, torch.full_like(batch, level / 255)) for batch in batches)
        assert {batch.shape[1:] for batch in batches} == {(3, 6, 5)}
        assert min(map(len, batches)) >= 2  # batch norm takes no single image: 65 are 64 and one, and one is doubled
        assert max(map(len, batches)) <= 64
        assert model.updated  # as by pythae's own training after each epoch; the RHVAE then has its metric


def test_a_model_that_diverges_goes_on_from_its_last_sound_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """The RHVAE does, after some thousand steps: its loss is not finite, or torch refuses what it is given."""

    class Diverging(Model):
        def __init__(self) -> None:
            super().__init__(None)
            self.M, self.centroids = [1], [1]

        def forward(self, batch: dict[str, Tensor]) -> Any:
            result = super().forward(batch)
            if len(self.seen) == 120:
                self.level.data.fill_(float("nan"))
                return SimpleNamespace(loss=self.level * 1)
            if len(self.seen) == 240:
                self.level.data.fill_(7.0)
                self.M.append(torch.nan)
                raise ValueError("nan where a distribution was")
            return result

    monkeypatch.setattr(peers_pythae, "_SOUND_STEPS", 10)
    model = Diverging()
    peers_pythae._train(model, torch.full((20, 1, 4, 4), 0.5), 0.6, seed=0)
    assert len(model.seen) > 250
    assert 0.1 < float(model.level.detach()) < 0.51  # on its way from 0 to the images' 0.5
    assert not model.M


def test_pythae_has_its_default_networks_whatever_the_shape(pythae: list[Model]) -> None:
    """Its convolutional ones draw chequerboards after the few steps that a processor makes in minutes."""
    peer_samples("pythae-vae", levels((2,), (28, 28, 1)), 1, seed=0, minutes=MINUTES, latent_dim=5)
    assert pythae[0].networks == ()
    assert pythae[0].config.latent_dim == 5


def test_a_mixture_has_fewer_components_than_images(monkeypatch: pytest.MonkeyPatch, pythae: list[Model]) -> None:
    asked = []

    def config(n_components: int) -> None:
        asked.append(n_components)

    monkeypatch.setattr(sys.modules["pythae.samplers"], "GaussianMixtureSamplerConfig", config)
    peer_samples("pythae-vae", levels((1, 6, 40)), 1, seed=0, minutes=MINUTES)
    assert asked == [1, 3, 10]


class Diffusion(nn.Module):
    """Learns nothing; a sample has its class as its level, and pixels of padding are white."""

    made: list[Diffusion]

    def __init__(self, network: nn.Module, image_size: int, sampling_timesteps: int) -> None:
        super().__init__()
        self.network, self.side = network, image_size
        self.weight = nn.Parameter(torch.zeros(()))
        self.batches: list[tuple[Tensor, Tensor]] = []
        self.sampled: list[int] = []
        self.made.append(self)

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        self.batches.append((images, classes))
        return (self.weight - images).square().mean()

    def sample(self, classes: Tensor, cond_scale: float) -> Tensor:
        assert not self.training
        self.made[0].sampled.append(len(classes))
        samples = ((classes + 1) * 100 / 255).float()[:, None, None, None].repeat(1, 3, self.side, self.side)
        samples[:, :, 6:], samples[..., 5:] = 1, 1
        return samples


def test_ddpm_sees_padded_images_with_their_classes_and_gives_them_back_without_padding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Own(Diffusion):
        made: list[Diffusion] = []  # noqa: RUF012

        def __deepcopy__(self, memo: Any) -> Own:
            return Own(self.network, self.side, 0)

    def unet(dim: int, num_classes: int, dim_mults: tuple[int, ...], channels: int) -> nn.Module:
        assert (dim, num_classes, channels) == (8, 2, 3)
        return nn.Identity()

    install(monkeypatch, "denoising_diffusion_pytorch.classifier_free_guidance", GaussianDiffusion=Own, Unet=unet)
    images, labels = peer_samples("ddpm", levels(), per_class=70, seed=0, minutes=MINUTES, width=8)
    assert labels.tolist() == [0] * 70 + [1] * 70
    assert (images.dtype, images.shape) == (np.uint8, (140, 6, 5, 3))
    assert [np.unique(images[labels == label]).tolist() for label in (0, 1)] == [[100], [200]]
    model = Own.made[0]
    assert sum(model.sampled) == 140
    assert model.batches
    for batch, classes in model.batches:
        assert batch.shape[1:] == (3, 8, 8)  # a multiple of four
        assert torch.allclose(batch, ((classes + 1) * 100 / 255)[:, None, None, None].expand_as(batch))


LIGHTWEIGHT_GAN = '''
import torch
from torch import nn

assert torch.cuda.is_available(), "You need to have an Nvidia GPU with CUDA installed."


class Blur(nn.Module):
    pass


class LightweightGAN(nn.Module):
    """A generator of one level with white padding, and a discriminator that tells the mean level."""

    made = []

    def __init__(self, *, latent_dim, image_size, fmap_max, greyscale):
        super().__init__()
        self.latent_dim, self.side, self.width, self.channels = latent_dim, image_size, fmap_max, 1 if greyscale else 3
        self.blur = Blur()
        self.level, self.factor = nn.Parameter(torch.zeros(())), nn.Parameter(torch.ones(()))
        self.G_opt, self.D_opt = torch.optim.SGD([self.level], 0.01), torch.optim.SGD([self.factor], 0.01)
        self.real, self.penalised, self.drawn = [], [], []
        self.made.append(self)
        self.cuda(0)

    def G(self, noise):
        if not self.training:
            self.drawn.append(len(noise))
            samples = torch.full((len(noise), self.channels, self.side, self.side), 1.5)
            samples[:, :, :6, :5] = 100 * len(self.made) / 255
            return samples
        return self.level.expand(len(noise), self.channels, self.side, self.side)

    def D_aug(
        self, images, detach=False, input_requires_grad=False, return_discr_input=False, calc_aux_loss=False, **how
    ):
        assert how == {"prob": 0.3, "types": ["translation", "cutout"]}
        if detach:
            images = images.detach().requires_grad_(input_requires_grad)
        if calc_aux_loss:
            self.real.append(images.detach())
            self.penalised.append(images.requires_grad)
        told = self.factor * images.mean((1, 2, 3))
        answer = told, told, self.factor.square() if calc_aux_loss else None
        return (images, answer) if return_discr_input else answer


def hinge_loss(real, fake):
    return ((1 + real).relu() + (1 - fake).relu()).mean()


def gen_hinge_loss(fake, real):
    assert real is None
    return fake.mean()
'''


@pytest.fixture
def lightweight_gan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A library that wants a GPU when it is imported and when a model is made."""
    package = tmp_path / "lightweight_gan"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "lightweight_gan.py").write_text(LIGHTWEIGHT_GAN)
    names = ("lightweight_gan", "lightweight_gan.lightweight_gan")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in names:
        sys.modules.pop(name, None)


def test_lightweight_gan_has_a_model_a_class_on_the_processor(lightweight_gan: None) -> None:
    images, labels = peer_samples("lightweight-gan", levels(), per_class=130, seed=0, minutes=0.004, width=8)
    assert labels.tolist() == [0] * 130 + [1] * 130
    assert (images.dtype, images.shape) == (np.uint8, (260, 6, 5, 3))
    assert [np.unique(images[labels == label]).tolist() for label in (0, 1)] == [[100], [200]]  # without padding
    library = sys.modules["lightweight_gan.lightweight_gan"]
    assert len(library.LightweightGAN.made) == 2
    for model, level in zip(library.LightweightGAN.made, (100, 200), strict=True):
        assert (model.side, model.width, model.channels, sum(model.drawn)) == (32, 8, 3, 130)
        assert isinstance(model.blur, nn.Identity)
        assert all(torch.allclose(batch, torch.full((4, 3, 32, 32), level / 255)) for batch in model.real)
        assert len(model.penalised) > 4
        assert model.penalised == [step % 4 == 0 for step in range(len(model.penalised))]
        assert 0.0 not in (float(model.level.detach()), float(model.factor.detach()) - 1)  # both were trained
    assert not torch.cuda.is_available()
    assert nn.Module.cuda.__module__ == "torch.nn.modules.module"
    assert isinstance(library.Blur(), library.Blur)


def test_lightweight_gan_takes_no_step_whose_loss_is_not_finite(lightweight_gan: None) -> None:
    parameter = nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([parameter], 0.1)
    for factor in (torch.nan, torch.inf, 1.0):
        peers_lightweight_gan._step(optimizer, parameter * factor)
    assert float(parameter.detach()) == pytest.approx(0.9)


@pytest.mark.skipif(importlib.util.find_spec("lightweight_gan") is None, reason="wants lightweight-gan (bench extra)")
def test_a_step_of_lightweight_gan_is_that_of_its_own_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps in fp32, the first with the gradient penalty: the same weights to the bit."""
    images, steps = torch.rand(20, 1, 32, 32), 2

    def model() -> Any:
        torch.manual_seed(0)
        made = peers_lightweight_gan._gan(32, 1, width=32)
        torch.manual_seed(1)
        random.seed(1)
        return made

    class Scaler(SimpleNamespace):
        scale = staticmethod(lambda loss: loss)
        step = staticmethod(lambda optimizer: optimizer.step())
        update = staticmethod(lambda: None)

    untrained, ours = model(), model()
    clock = iter([0] * (1 + steps) + [2])
    monkeypatch.setattr(peers_lightweight_gan, "time", SimpleNamespace(process_time=lambda: next(clock)))
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    peers_lightweight_gan._train(ours, images, 1, np.random.default_rng(0))

    with peers_lightweight_gan._on_the_processor() as library:
        pass
    theirs, drawn = model(), np.random.default_rng(0)
    trainer = library.Trainer.__new__(library.Trainer)
    vars(trainer).update(
        GAN=theirs, loader=iter(lambda: images[torch.from_numpy(drawn.integers(20, size=4))], None), steps=0, rank=0,
        batch_size=4, world_size=1, gradient_accumulate_every=1, aug_prob=0.3, aug_types=["translation", "cutout"],
        gp_weight=10, is_ddp=False, is_main=False, amp=False, dual_contrast_loss=False, D_scaler=Scaler(),
        G_scaler=Scaler(),
    )  # fmt: skip
    monkeypatch.setattr(Tensor, "cuda", lambda self, *_: self)
    monkeypatch.setattr(library, "torch", SimpleNamespace(**vars(torch) | {"device": lambda _: torch.device("cpu")}))
    for _ in range(steps):
        trainer.train()

    before, after, expected = ([*one.G.parameters(), *one.D.parameters()] for one in (untrained, ours, theirs))
    assert all(torch.equal(one, other) for one, other in zip(after, expected, strict=True))
    assert not any(torch.equal(one, other) for one, other in zip(after, before, strict=True))


def test_an_unknown_peer_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'pythae-rhvae'"):
        peer_samples("pythae-rvae", levels(), 1, seed=0)


def test_peers_do_not_train_where_the_others_have_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ConfigError, match="CUDA_VISIBLE_DEVICES="):
        peer_samples("ddpm", levels(), 1, seed=0)


def test_torch_draws_on_as_if_no_peer_had_been_trained(pythae: list[Model]) -> None:
    state = torch.get_rng_state()
    peer_samples("pythae-vae", levels((2,)), 1, seed=0, minutes=MINUTES)
    assert torch.equal(torch.get_rng_state(), state)
