"""What autoencoder, VAE and VAE-GAN share: kinds of codes, encoders, and the terms of reconstruction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError
from synthaug.generators import Generator, load, make_generator, save

FAMILIES = ["autoencoder", "vae", "vaegan"]
IMAGES = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
LABELS = torch.tensor([0, 1] * 4)


def make(family: str = "vae", shape: tuple[int, int, int] = (1, 16, 16), **options: object) -> Generator:
    torch.manual_seed(0)
    settings = {"width": 8, "latent_dim": 4, "class_dim": 4, **options}
    return make_generator(family, ["a", "b"], shape, options=settings).eval()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("stride", "places"), [(2, (8, 8)), (4, (4, 4)), (16, (4, 4))])
def test_map_codes_keep_places(family: str, stride: int, places: tuple[int, int]) -> None:
    generator = make(family, code="map", code_stride=stride)
    assert generator.code_shape == (4, *places)
    assert generator.latent_size == 4 * places[0] * places[1]
    mu, logvar = generator.encode(IMAGES, LABELS)
    assert mu.shape == logvar.shape == (8, generator.latent_size)
    assert generator.reconstruct(mu, LABELS).shape == IMAGES.shape
    assert generator.sample({"a": 2}).shape == (2, 1, 16, 16)
    assert generator.with_sampling(prior="normal").sample({"b": 3}).shape == (3, 1, 16, 16)


def test_a_place_of_a_map_code_stands_for_its_part_of_the_image() -> None:
    generator = make(code="map", code_stride=4, shape=(1, 64, 64))
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    codes = torch.zeros(1, generator.latent_size)
    moved = codes.view(1, 4, 16, 16).clone()
    moved[:, :, 0, 0] = 5
    difference = (generator.reconstruct(moved.flatten(1), LABELS[:1]) - generator.reconstruct(codes, LABELS[:1])).abs()[
        0, 0
    ]
    assert difference[:16, :16].mean() > 3 * difference[32:, 32:].mean()


@pytest.mark.parametrize("encoder", ["test_resnet", "test_efficientnet", "test_vit"])
@pytest.mark.parametrize("stride", [4, 8])
def test_timm_backbones_give_map_codes(encoder: str, stride: int) -> None:
    generator = make(code="map", code_stride=stride, encoder=encoder, shape=(3, 33, 48))
    images = torch.rand(2, 3, 33, 48) * 2 - 1
    mu, _ = generator.encode(images, LABELS[:2])
    assert mu.shape == (2, generator.latent_size)
    assert not torch.equal(mu[0], mu[1])
    assert generator.reconstruct(mu, LABELS[:2]).shape == images.shape


def test_long_codes_are_sampled_within_their_principal_components(tmp_path: Path) -> None:
    generator = make("autoencoder", code="map", code_stride=2, shape=(1, 16, 16), latent_dim=6)
    assert generator.latent_size == 384
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 1), dtype=np.uint8)
    data = ImageDataset.from_arrays(images, np.arange(40) % 2, ["a", "b"])
    generator.finish(data)
    means, _ = generator.encode_images(images, data.labels)
    drawn = generator.draw_codes(np.zeros(400, np.int64), np.arange(400))
    assert np.allclose(drawn.mean(0), means[data.labels == 0].mean(0), atol=0.5 * means.std())
    save(generator, tmp_path)
    assert torch.equal(load(tmp_path).sample({"a": 3}), generator.sample({"a": 3}))


@pytest.mark.parametrize("family", FAMILIES)
def test_perceptual_distance_joins_the_loss_and_stays_out_of_the_weights(family: str) -> None:
    plain, perceptual = (make(family, perceptual=weight).objective() for weight in (0.0, 1.0))
    assert [name for name, _ in plain.named_parameters()] == [name for name, _ in perceptual.named_parameters()]
    losses = perceptual.phases()[0].loss(IMAGES, LABELS, 0)
    assert losses["perceptual"] > 0
    losses["loss"].backward()


@pytest.mark.parametrize("settings", [{"code_stride": 3}, {"code": "tensor"}, {"perceptual": -1.0}])
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        make(**settings)


def test_the_prior_of_long_codes_is_fitted_to_some_images_of_every_class(monkeypatch: pytest.MonkeyPatch) -> None:
    from synthaug.generators import encoder_decoder

    generator, images = make(), np.random.default_rng(0).integers(0, 256, (60, 16, 16, 1), dtype=np.uint8)
    data = ImageDataset.from_arrays(images, np.repeat([0, 1], [56, 4]), ("a", "b"))
    seen = []
    monkeypatch.setattr(generator.prior, "fit", lambda means, variances, labels: seen.append(labels))
    generator.finish(data)
    monkeypatch.setattr(encoder_decoder, "_FITTED_BYTES", 20 * 8 * generator.latent_size)
    generator.finish(data)
    assert [np.bincount(labels).tolist() for labels in seen] == [[56, 4], [16, 4]]


@pytest.mark.parametrize("family", FAMILIES)
def test_one_model_a_class_says_of_itself_what_its_family_says(family: str) -> None:
    settings = {"width": 8, "latent_dim": 4, "class_dim": 4}
    alone = make_generator(family, ["a", "b"], (1, 16, 16), conditioning="per_class", options=settings)
    shared = make(family)
    for name in ("title", "most_steps", "small_image_settings", "keeps_privacy", "has_encoder", "sampling_class"):
        assert getattr(alone, name) == getattr(shared, name)
