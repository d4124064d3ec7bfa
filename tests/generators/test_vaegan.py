"""What is particular to the VAE-GAN: it is a VAE whose pictures a discriminator and its features judge too."""

from __future__ import annotations

import pytest
import torch

from synthaug.generators.vae import VAE, VAEConfig
from synthaug.generators.vaegan import VAEGAN, VAEGANConfig

IMAGES = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
LABELS = torch.tensor([0, 1] * 4)
SMALL = {"width": 8, "latent_dim": 4, "class_dim": 4, "warmup_steps": 0}


def make(**settings: object) -> VAEGAN:
    torch.manual_seed(0)
    return VAEGAN(
        VAEGANConfig(**SMALL, discriminator="resnet", discriminator_width=8, **settings), ["a", "b"], (1, 8, 8)
    )


def test_without_its_two_terms_it_is_a_vae() -> None:
    vaegan = make(adversarial=0.0, feature_matching=0.0)
    vae = VAE(VAEConfig(**SMALL), ["a", "b"], (1, 8, 8))
    vae.load_state_dict(vaegan.state_dict())
    torch.manual_seed(3)
    expected = vae.objective().phases()[0].loss(IMAGES, LABELS, 5)
    objective = vaegan.objective()
    torch.manual_seed(3)
    losses = objective.phases()[0].loss(IMAGES, LABELS, 5)
    torch.testing.assert_close(losses["loss"], expected["loss"])
    torch.testing.assert_close(losses["kl"], expected["kl"])


def test_each_term_counts_for_each_value_of_the_image() -> None:
    vaegan = make(adversarial=0.5, feature_matching=2.0)
    losses = vaegan.objective().generator_loss(IMAGES, LABELS, 5)
    elbo = losses["reconstruction"] + losses["kl"]
    torch.testing.assert_close(losses["loss"], elbo + 64 * (0.5 * losses["adversarial"] + 2.0 * losses["features"]))


def test_the_discriminator_update_leaves_the_vae_alone_and_the_other_way_round() -> None:
    objective = make().objective()
    for phase, module in zip(objective.phases(), (objective.generator, objective.discriminator), strict=True):
        objective.zero_grad()
        objective.requires_grad_(False)
        module.requires_grad_(True)
        phase.loss(IMAGES, LABELS, 0)["loss"].backward()
        touched = {name.split(".")[0] for name, p in objective.named_parameters() if p.grad is not None}
        assert touched == {"discriminator" if module is objective.discriminator else "generator"}


def test_equal_features_are_at_no_distance() -> None:
    objective = make().objective()
    maps = objective.discriminator.activations(IMAGES)
    assert objective._feature_distance(maps, maps).item() == pytest.approx(0.0)
    assert objective._feature_distance([2 * m for m in maps], maps).item() == pytest.approx(1.0, rel=1e-4)
