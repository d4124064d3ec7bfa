"""What is particular to the VAE, the GAN and the fitted prior."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from synthaug.errors import ConfigError
from synthaug.generators import make_generator, priors
from synthaug.generators.adversarial import Seen, discriminate, look, pretend
from synthaug.generators.base import Posterior
from synthaug.generators.gan import GAN, GANConfig, lacking_variety, statistics_apart
from synthaug.generators.priors import MixturePrior
from synthaug.generators.vae import VAE, VAEConfig
from synthaug.networks import Discriminator


def make_vae(**settings: object) -> VAE:
    torch.manual_seed(0)
    return VAE(VAEConfig(width=8, latent_dim=4, **settings), ["a", "b"], (1, 8, 8))


IMAGES = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
LABELS = torch.tensor([0, 1] * 4)


def test_elbo_is_reconstruction_plus_weighted_kl() -> None:
    losses = make_vae(beta=0.5, warmup_steps=0).objective().phases()[0].loss(IMAGES, LABELS, 0)
    torch.testing.assert_close(losses["loss"], losses["reconstruction"] + 0.5 * losses["kl"])
    torch.testing.assert_close(losses["reconstruction"], 0.5 * 64 * (losses["mse"] + 1e-6).log())


def test_kl_warms_up_and_free_bits_cost_nothing() -> None:
    vae = make_vae(warmup_steps=10)
    loss = vae.objective().phases()[0].loss

    def weight(step: int) -> float:
        torch.manual_seed(0)
        losses = loss(IMAGES, LABELS, step)
        return ((losses["loss"] - losses["reconstruction"]) / losses["kl"]).item()

    assert weight(0) == pytest.approx(0.1, rel=1e-3)
    assert weight(9) == pytest.approx(1.0, rel=1e-3)
    assert weight(99) == pytest.approx(1.0, rel=1e-3)
    losses = make_vae(free_bits=100.0, warmup_steps=0).objective().phases()[0].loss(IMAGES, LABELS, 0)
    torch.testing.assert_close(losses["loss"] - losses["reconstruction"], torch.tensor(400.0))


def test_free_bits_are_those_of_the_batch_and_not_of_each_image() -> None:
    mu = torch.tensor([[0.0, 0.5], [2.0, 0.5]])  # divergences 0 and 2, 1/8 and 1/8
    objective = make_vae(free_bits=0.5, warmup_steps=0).objective()
    losses = objective.with_kl({"loss": torch.tensor(0.0)}, Posterior(mu, torch.zeros(2, 2)), 0)
    assert losses["loss"].item() == pytest.approx(1 + 0.5)
    assert losses["kl"].item() == pytest.approx(1 + 1 / 8)


def test_kl_is_that_of_torch() -> None:
    vae = make_vae()
    losses = vae.objective().phases()[0].loss(IMAGES, LABELS, 0)
    mu, logvar = vae.encode(IMAGES, LABELS)
    posterior = torch.distributions.Normal(mu, (0.5 * logvar).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(losses["kl"], expected.detach())


def test_bernoulli_reconstruction_is_cross_entropy() -> None:
    vae = make_vae(reconstruction="bernoulli")
    torch.manual_seed(1)
    losses = vae.objective().phases()[0].loss(IMAGES, LABELS, 0)
    torch.manual_seed(1)
    mu, logvar = vae.encode(IMAGES, LABELS)
    z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
    white = (vae.reconstruct(z, LABELS) + 1) / 2
    expected = torch.nn.functional.binary_cross_entropy(white, (IMAGES + 1) / 2, reduction="sum") / 8
    torch.testing.assert_close(losses["reconstruction"], expected.detach(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("encoder", ["test_resnet", "test_efficientnet", "test_vit"])
def test_timm_backbones_as_encoders(encoder: str) -> None:
    vae = make_vae(encoder=encoder)
    mu, logvar = vae.encode(IMAGES, LABELS)
    assert mu.shape == logvar.shape == (8, 4)
    assert not torch.equal(mu[0], vae.encode(IMAGES[:1].expand(2, -1, -1, -1), torch.tensor([1, 1]))[0][0])


def test_normal_prior_on_request() -> None:
    vae = make_vae().eval()
    vae.prior.means += 5.0
    for parameter in vae.decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    assert not torch.equal(vae.with_sampling(prior="normal").sample({"a": 4}), vae.sample({"a": 4}))


def test_relativistic_loss_is_log_two_between_equals() -> None:
    bare = GANConfig(width=8, discriminator="resnet", gamma=0.0, diversity=0.0, matching=0.0)
    gan = GAN(bare, ["a", "b"], (1, 8, 8))
    objective = gan.objective()
    for parameter in objective.discriminator.parameters():
        torch.nn.init.zeros_(parameter)
    for phase in objective.phases():
        assert phase.loss(IMAGES, LABELS, 0)["loss"].item() == pytest.approx(np.log(2), rel=1e-5)


def test_gradient_penalty_is_that_of_its_definition() -> None:
    """For a linear score the gradient is its weight, whatever the images."""
    gan = GAN(
        GANConfig(width=8, discriminator="resnet", discriminator_width=8, gamma=3.0, penalty_every=2, augment=()),
        ["a", "b"],
        (1, 8, 8),
    )
    objective = gan.objective()
    weight = torch.randn(64, generator=torch.Generator().manual_seed(0), requires_grad=True)

    class Linear(Discriminator):
        def activations(self, images: torch.Tensor) -> list[torch.Tensor]:
            return [images]

        def judge(self, maps: list[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
            return maps[0].flatten(1) @ weight[:, None]

    objective.discriminator = Linear()
    objective.generator_loss(IMAGES, LABELS, 0)
    loss = objective.discriminator_loss
    losses = loss(IMAGES, LABELS, 0)
    torch.testing.assert_close(losses["penalty"], 2 * weight.square().sum().detach())
    without = loss(IMAGES, LABELS, 1)
    assert "penalty" not in without
    torch.testing.assert_close(losses["loss"] - without["loss"], 0.5 * 3.0 * 2 * losses["penalty"])


@pytest.mark.parametrize("trained", [False, True])
def test_heads_are_paired_each_with_itself(trained: bool) -> None:
    """The pairing loss averages over heads; it does not compare one head with another."""
    config = GANConfig(width=8, augment=(), gamma=0.0)

    class TwoHeads(Discriminator):
        trains_features = trained

        def activations(self, images: torch.Tensor) -> list[torch.Tensor]:
            return [images]

        def judge(self, maps: list[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
            score = maps[0].mean((1, 2, 3))
            return torch.stack([score, 100 - score], 1)

    real, fake = (look(TwoHeads(), config, images) for images in (IMAGES[:4], IMAGES[4:]))
    margin = IMAGES[:4].mean((1, 2, 3)) - IMAGES[4:].mean((1, 2, 3))
    losses = discriminate(TwoHeads(), config, real, fake, LABELS[:4], 0)
    torch.testing.assert_close(losses["loss"], torch.nn.functional.softplus(torch.cat([-margin, margin])).mean())
    torch.testing.assert_close(losses["margin"], torch.tensor(0.0))
    torch.testing.assert_close(pretend(TwoHeads(), real, fake, LABELS[:4]), losses["loss"])


def test_features_that_stay_as_they_are_are_not_computed_again_for_the_other_player() -> None:
    looks: list[int] = []

    class Counting(Discriminator):
        trains_features = False

        def activations(self, images: torch.Tensor) -> list[torch.Tensor]:
            looks.append(len(images))
            return [images]

        def judge(self, maps: list[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
            return maps[0].mean((1, 2, 3))[:, None]

    for family, seen in (("gan", [8, 8]), ("vaegan", [12, 8])):
        options = {"width": 8, "latent_dim": 4, "augment": [], "discriminator": "resnet"}
        objective = make_generator(family, ["a", "b"], (1, 8, 8), options=options).objective()
        objective.discriminator = Counting()
        looks.clear()
        for phase in objective.phases():
            phase.loss(IMAGES, LABELS, 1)
        assert looks == seen, "generated images once, real ones once"


def test_the_discriminator_judges_the_images_that_the_generator_made() -> None:
    """And no gradient reaches the generator from it."""
    for family in ("gan", "vaegan"):
        options = {"width": 8, "latent_dim": 4, "discriminator": "projected"}
        objective = make_generator(family, ["a", "b"], (1, 8, 8), options=options).objective()
        losses = objective.generator_loss(IMAGES, LABELS, 1)
        (real, fake), game = objective.seen, losses.get("adversarial", losses["loss"])
        assert isinstance(fake, Seen)
        assert not fake.images.requires_grad
        assert not any(features.requires_grad for features in (*fake.maps, *real.maps))
        scores = [objective.discriminator.judge(seen.maps, LABELS) for seen in (real, fake)]
        bare = torch.nn.functional.softplus(scores[0] - scores[1]).mean()
        if family == "vaegan":
            torch.testing.assert_close(game, bare.detach(), rtol=0.05, atol=0.01)
        margin = objective.discriminator_loss(IMAGES, LABELS, 1)["margin"]
        torch.testing.assert_close(margin, (scores[0] - scores[1]).mean().detach(), rtol=0.05, atol=0.02)


@pytest.mark.parametrize("family", ["gan", "vaegan"])
def test_projected_discriminator_plays_the_game(family: str) -> None:
    options = {"width": 8, "latent_dim": 4, "discriminator": "projected"}
    torch.manual_seed(0)
    objective = make_generator(family, ["a", "b"], (1, 8, 8), options=options).objective()
    for parameter in objective.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    missed = {name for name, _ in objective.named_parameters()}
    for phase in objective.phases():
        objective.zero_grad()
        losses = phase.loss(IMAGES, LABELS, 0)
        assert "penalty" not in losses
        losses["loss"].backward()
        missed -= {name for name, parameter in objective.named_parameters() if parameter.grad is not None}
    assert not missed
    assert sum(value.numel() for value in objective.state_dict().values()) < 1_000_000, "the pretrained network is in"


def test_variety_is_held_to_that_of_the_real_images_of_the_class() -> None:
    random = torch.Generator().manual_seed(0)
    images, labels = torch.rand(64, 1, 8, 8, generator=random), torch.arange(64) % 2
    varied = torch.rand(64, 1, 8, 8, generator=random)
    assert lacking_variety(varied, images, labels) < 0.1
    same = images[:1].expand(64, -1, -1, -1)
    assert lacking_variety(same, images, labels) == 1
    apart = same + labels[:, None, None, None]
    assert lacking_variety(apart, images, labels) == 1, "classes that differ are no variety within one"
    assert lacking_variety(0.5 * varied, images, labels).item() == pytest.approx(0.5, abs=0.1)
    assert lacking_variety(varied, same, labels) == 0, "real images do not vary either"
    assert lacking_variety(varied, images, torch.arange(64)) == 0, "no two of a class to hold to"


def test_statistics_of_samples_are_held_to_those_of_real_images() -> None:
    random = torch.Generator().manual_seed(0)
    images = torch.randn(512, 1, 4, 4, generator=random)
    others = torch.randn(512, 1, 4, 4, generator=random)
    assert statistics_apart(others, images) < 0.02
    assert statistics_apart(others + 2, images).item() == pytest.approx(4, abs=0.5), "the mean is off by 2"
    assert statistics_apart(3 * others, images).item() == pytest.approx(4, abs=0.5), "the spread is off by 2"
    same = torch.zeros(512, 1, 4, 4, requires_grad=True)
    statistics_apart(same, images).backward()
    assert torch.isfinite(torch.as_tensor(same.grad)).all(), "samples that are all the same"


def test_sameness_and_mismatch_of_samples_count_in_the_generators_loss() -> None:
    losses = []
    for weight in (0.0, 2.0):
        torch.manual_seed(0)
        config = GANConfig(
            width=8, discriminator="resnet", discriminator_width=8, diversity=weight, matching=1.5 * weight, augment=()
        )
        objective = GAN(config, ["a", "b"], (1, 8, 8)).objective()
        torch.manual_seed(0)
        losses.append(objective.phases()[0].loss(IMAGES, LABELS, 0))
    bare, full = losses
    assert set(bare) == {"loss"}
    torch.testing.assert_close(full["loss"], bare["loss"] + 2 * full["sameness"] + 3 * full["mismatch"])
    assert full["sameness"] > 0
    assert full["mismatch"] > 0


def test_augmentations_are_checked() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'color'"):
        GANConfig(augment=("colour",))


def test_mixture_prior_recovers_clusters() -> None:
    random = np.random.default_rng(0)
    centres = np.array([[-5.0, 0], [5, 0]])
    codes = (centres[random.integers(0, 2, 400)] + 0.3 * random.normal(size=(400, 2))).astype(np.float32)
    prior = MixturePrior(1, 2, components=2)
    prior.fit(codes, np.zeros_like(codes), np.zeros(400, np.int64))
    noise = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0))
    drawn = prior(noise, torch.zeros(2000, dtype=torch.long)).numpy()
    assert np.abs(np.abs(drawn[:, 0]) - 5).mean() < 0.5
    assert 0.4 < (drawn[:, 0] > 0).mean() < 0.6
    assert np.allclose(np.cov(drawn.T), np.cov(codes.T), rtol=0.15, atol=0.1)


def test_a_class_with_one_image_borrows_the_variation_of_the_others() -> None:
    random = np.random.default_rng(0)
    codes = np.concatenate([random.normal(size=(200, 3)) * [1, 2, 0.5], [[10, 10, 10]]]).astype(np.float32)
    labels = np.array([0] * 200 + [1])
    prior = MixturePrior(3, 3, components=4)
    prior.fit(codes, np.zeros_like(codes), labels)
    noise = torch.randn(4000, 4, generator=torch.Generator().manual_seed(0))
    drawn = prior(noise, torch.ones(4000, dtype=torch.long)).numpy()
    assert np.allclose(drawn.mean(0), 10, atol=0.2)
    assert np.allclose(drawn.std(0), [1, 2, 0.5], rtol=0.2)
    unseen = prior(noise, torch.full((4000,), 2)).numpy()
    assert np.isfinite(unseen).all()


def test_a_class_with_one_image_needs_no_covariance_of_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before NumPy 2.2, that of a single row is one number."""
    codes = np.random.default_rng(0).normal(size=(21, 3)).astype(np.float32)
    prior = MixturePrior(2, 3, components=1)
    monkeypatch.setattr(np, "cov", lambda *_, **__: np.array(0.0))
    prior.fit(codes, np.zeros_like(codes), np.array([0] * 20 + [1]))
    assert torch.allclose(prior.means[1, 0], torch.from_numpy(codes[20]))
    spread = prior.scales[0, 0] @ prior.scales[0, 0].T
    around = codes[:20] - codes[:20].mean(0)
    assert np.allclose(spread, (20 * around.T @ around / 20 + 3 * around.T @ around / 19) / 23, atol=1e-4)


def test_one_image_a_class_still_varies() -> None:
    prior = MixturePrior(2, 3, components=4)
    prior.fit(np.array([[0, 0, 0], [4, 4, 4]], np.float32), np.zeros((2, 3), np.float32), np.array([0, 1]))
    drawn = prior(torch.randn(500, 4), torch.zeros(500, dtype=torch.long))
    assert drawn.std(0).min() > 0.1


def test_a_single_image_varies_where_its_posterior_is_wide() -> None:
    prior = MixturePrior(1, 200, components=2)
    variances = np.full((1, 200), 1e-4, np.float32)
    variances[0, 7] = 1.0
    prior.fit(np.ones((1, 200), np.float32), variances, np.zeros(1, np.int64))
    with torch.no_grad():
        drawn = prior(torch.randn(500, prior.noise_size), torch.zeros(500, dtype=torch.long))
    assert int(drawn.std(0).argmax()) == 7
    assert bool(torch.isfinite(drawn).all())


def test_long_codes_are_not_held_in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    means = np.random.default_rng(0).normal(size=(6000, 800)).astype(np.float32)
    variances, labels = np.zeros_like(means), np.zeros(6000, np.int64)
    monkeypatch.setattr(priors, "_MOST_IMAGES", 500)
    tracemalloc.start()
    try:
        MixturePrior(1, 800, components=1).fit(means, variances, labels)
        assert tracemalloc.get_traced_memory()[1] < 8 * means.size, "less than a copy"
    finally:
        tracemalloc.stop()


def test_posterior_variance_widens_the_prior() -> None:
    codes = np.zeros((50, 2), np.float32)
    prior = MixturePrior(1, 2, components=1)
    prior.fit(codes, np.full_like(codes, 0.25), np.zeros(50, np.int64))
    assert torch.allclose(prior.scales[0, 0].diagonal(), torch.tensor(0.5), atol=1e-2)
