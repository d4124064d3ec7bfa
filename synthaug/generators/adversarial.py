"""The discriminator's side of the game, which GAN and VAE-GAN play alike.

The game is relativistic (Jolicoeur-Martineau 2019): a real image is to score above a generated one of the same class.
Zero-centred gradient penalties on real and generated images (R1 and R2) make it converge locally (Huang et al. 2024,
R3GAN); differentiable augmentation keeps small training sets from being memorised (Zhao et al. 2020, DiffAugment).
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from synthaug.config import Config
from synthaug.networks import Discriminator, diff_augment, make_discriminator
from synthaug.networks.diffaugment import check_operation


@dataclasses.dataclass(frozen=True)
class AdversarialConfig(Config):
    """Settings of the discriminator and its game.

    Attributes:
        discriminator: ``"projected"``: small heads on the features of a pretrained network (Sauer et al. 2021,
            projected GANs), with which samples are good many times sooner; ``"resnet"``: a residual network of our
            own, trained from scratch, for images that are unlike photographs in every way.
        discriminator_width: Channels of the resnet discriminator at half resolution.
        discriminator_network: Of the projected one: the bundled ``"efficientnet_lite0"`` or a timm model.
        discriminator_min_size: Pixels that the shorter side of an image is enlarged to for the projected one: larger
            takes longer, and shows the network details as it knows them.
        gamma: Weight of the gradient penalties R1 and R2, where the discriminator wants them.
        penalty_every: Steps between two gradient penalties, whose weight makes up for the steps left out (Karras et
            al. 2020, lazy regularisation).
        augment: Differentiable augmentations among color, translation, cutout; an empty list for none.
    """

    discriminator: Literal["resnet", "projected"] = "projected"
    discriminator_width: int = 48
    discriminator_network: str = "efficientnet_lite0"
    discriminator_min_size: int = 32
    gamma: float = 0.5
    penalty_every: int = 4
    augment: tuple[str, ...] = ("color", "translation", "cutout")

    def validate(self) -> None:
        """Check the ranges."""
        super().validate()
        for name in ("discriminator_width", "penalty_every"):
            self.require(getattr(self, name) >= 1, name, "a whole number of 1 or more")
        self.require(self.discriminator_min_size >= 8, "discriminator_min_size", "8 pixels or more")
        self.require(self.gamma >= 0, "gamma", "a number of 0 or more")
        for operation in self.augment:
            check_operation(operation)


def discriminator_of(
    config: AdversarialConfig, image_shape: tuple[int, int, int], classes: tuple[str, ...]
) -> Discriminator:
    """Make the discriminator that the settings describe."""
    return make_discriminator(
        config.discriminator,
        image_shape,
        len(classes),
        width=config.discriminator_width,
        network=config.discriminator_network,
        min_size=config.discriminator_min_size,
    )


def discriminate(
    discriminator: Discriminator,
    config: AdversarialConfig,
    images: Tensor,
    fakes: Tensor,
    labels: Tensor,
    step: int,
) -> dict[str, Tensor]:
    """Return the discriminator's ``loss``, the mean ``margin`` of real over fake, and the ``penalty`` when it is due.

    Args:
        discriminator: Gives scores (B, S), one for each of its heads.
        config: Of the game.
        images: Real images, (B, C, H, W) in [-1, 1].
        fakes: Generated ones of the same classes.
        labels: (B,).
        step: Says whether the penalty is due.
    """
    due = discriminator.wants_penalty and config.gamma > 0 and step % config.penalty_every == 0
    real = diff_augment(images, config.augment).detach().requires_grad_(due)
    fake = diff_augment(fakes, config.augment).detach().requires_grad_(due)
    scores = discriminator(torch.cat([real, fake]), torch.cat([labels, labels])).float()
    margin = scores[: len(labels)] - scores[len(labels) :]
    losses = {"loss": F.softplus(-margin).mean(), "margin": margin.mean().detach()}
    if due:
        gradients = torch.autograd.grad(scores.sum(), (real, fake), create_graph=True)
        penalty = sum((gradient.square().sum((1, 2, 3)).mean() for gradient in gradients), torch.zeros(()))
        losses["loss"] = losses["loss"] + 0.5 * config.gamma * config.penalty_every * penalty
        losses["penalty"] = penalty.detach()
    return losses


def pretend(
    discriminator: Discriminator, config: AdversarialConfig, images: Tensor, fakes: Tensor, labels: Tensor
) -> Tensor:
    """Return the loss, a scalar, of who made ``fakes``: they are to score above the real images."""
    with torch.no_grad():
        real_scores = discriminator(diff_augment(images, config.augment), labels).float()
    fake_scores = discriminator(diff_augment(fakes, config.augment), labels).float()
    return F.softplus(real_scores - fake_scores).mean()
