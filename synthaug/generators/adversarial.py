"""The discriminator's side of the game, which GAN and VAE-GAN play alike.

The game is relativistic (Jolicoeur-Martineau 2019): a real image is to score above a generated one of the same class.
Zero-centred gradient penalties on real and generated images (R1 and R2) make it converge locally (Huang et al. 2024,
R3GAN); differentiable augmentation keeps small training sets from being memorised (Zhao et al. 2020, DiffAugment).
In a step the generator moves first, and the discriminator then judges the very images it moved with.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from synthaug.config import Config
from synthaug.generators.base import Objective, Phase
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


class AdversarialObjective(Objective):
    """An objective with a discriminator, whose side of the game is the same for all families.

    The family's own update goes first, and leaves in ``seen`` the real and the generated images that it moved with.
    """

    generator: Any

    def __init__(self, generator: Any) -> None:
        super().__init__(generator)
        self.discriminator = discriminator_of(generator.config, generator.image_shape, generator.classes)
        self.seen: tuple[Seen, Seen]

    def discriminator_phase(self) -> Phase:
        """The discriminator's update; without momentum, as the game rotates."""
        return Phase("discriminator", (self.discriminator,), self.discriminator_loss, 5e-4, betas=(0.0, 0.99))

    def discriminator_loss(self, images: Tensor, labels: Tensor, step: int) -> dict[str, Tensor]:
        """Return ``loss``, the mean ``margin`` of real over generated images, and the ``penalty`` when it is due."""
        return discriminate(self.discriminator, self.generator.config, *self.seen, labels, step)


class Seen(NamedTuple):
    """Images as the players see them; both look at the same ones in a step.

    Attributes:
        images: Augmented, (B, C, H, W).
        maps: Feature maps of the discriminator, (B, C, h, w) each.
    """

    images: Tensor
    maps: list[Tensor]

    def rows(self, index: Tensor) -> Seen:
        """Choose and order images."""
        return Seen(self.images[index], [features[index] for features in self.maps])

    def detach(self) -> Seen:
        """Cut off from who made the images."""
        return Seen(self.images.detach(), [features.detach() for features in self.maps])


def look(discriminator: Discriminator, config: AdversarialConfig, images: Tensor) -> Seen:
    """Augment images (B, C, H, W) in [-1, 1] as the settings say, and look at them through the discriminator."""
    images = diff_augment(images, config.augment)
    return Seen(images, discriminator.activations(images))


def pretend(discriminator: Discriminator, real: Seen, fake: Seen, labels: Tensor) -> Tensor:
    """Return the loss, a scalar, of who made the fake images: they are to score above the real ones, one by one."""
    with torch.no_grad():
        real_scores = discriminator.judge(real.maps, labels).float()
    return F.softplus(real_scores - discriminator.judge(fake.maps, labels).float()).mean()


def discriminate(
    discriminator: Discriminator, config: AdversarialConfig, real: Seen, fake: Seen, labels: Tensor, step: int
) -> dict[str, Tensor]:
    """Return the discriminator's ``loss``, the mean ``margin`` of real over fake, and the ``penalty`` when it is due.

    Args:
        discriminator: Gives scores (B, S), one for each of its heads. If it trains its features, it looks anew.
        config: Of the game.
        real: Images of the dataset.
        fake: Generated ones of the same classes, cut off from their generator.
        labels: (B,).
        step: Says whether the penalty is due.
    """
    twice = torch.cat([labels, labels])
    if not discriminator.trains_features:
        maps = [torch.cat(pair) for pair in zip(real.maps, fake.maps, strict=True)]
        return _relativistic(discriminator.judge(maps, twice).float())
    due = config.gamma > 0 and step % config.penalty_every == 0
    shown = [images.detach().requires_grad_(due) for images in (real.images, fake.images)]
    scores = discriminator(torch.cat(shown), twice).float()
    losses = _relativistic(scores)
    if due:
        gradients = torch.autograd.grad(scores.sum(), shown, create_graph=True)
        penalty = sum((gradient.square().sum((1, 2, 3)).mean() for gradient in gradients), torch.zeros(()))
        losses["loss"] = losses["loss"] + 0.5 * config.gamma * config.penalty_every * penalty
        losses["penalty"] = penalty.detach()
    return losses


def _relativistic(scores: Tensor) -> dict[str, Tensor]:
    """Return loss and margin of scores (2 B, S), those of the real images first."""
    real, fake = scores.chunk(2)
    return {"loss": F.softplus(fake - real).mean(), "margin": (real - fake).mean().detach()}
