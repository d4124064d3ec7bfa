"""One model a class behind the interface of one generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from synthaug.config import Config
from synthaug.errors import ConfigError
from synthaug.generators.base import Generator, Objective, Posterior, Precision
from synthaug.generators.registry import family_class

_DECLARED = [name for name, kind in Generator.__annotations__.items() if str(kind).startswith("ClassVar")]


class PerClassGenerator(Generator):
    """Holds one single-class generator of a family for each class, trained apart.

    Args:
        family: Name of the members' family.
        config: Settings of each member.
        classes: Names of the classes.
        image_shape: (C, H, W) of the images.
        precision: Number format of the forward pass.
    """

    conditioning = "per_class"

    def __init__(
        self,
        family: str,
        config: Config,
        classes: Sequence[str],
        image_shape: tuple[int, int, int],
        precision: Precision = "fp32",
    ) -> None:
        cls = family_class(family)
        # What a family declares on its class is set on the object here: the members' family decides.
        self.__dict__.update({name: getattr(cls, name) for name in _DECLARED} | {"family": family})
        super().__init__(config, classes, image_shape, precision)
        self.members = nn.ModuleList(cls(config, [name], image_shape, precision) for name in self.classes)
        self.config = self.member(0).config  # which may say more than what it was made from

    @property
    def noise_size(self) -> int:
        """That of the members, which are all alike."""
        return self.member(0).noise_size

    def member(self, label: int) -> Generator:
        """Return the generator of one class."""
        member = self.members[label]
        if not isinstance(member, Generator):
            raise ConfigError(f"expected a generator for class {label}, but got {type(member).__name__}.")
        return member

    @property
    def latent_size(self) -> int:
        """That of the members, which are all alike."""
        return self.member(0).latent_size

    def with_sampling(self, **settings: Any) -> Self:
        """Return this generator with other sampling settings, which the family may refuse."""
        self.member(0).with_sampling(**settings)
        return super().with_sampling(**settings)

    def codes(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Let each class's own generator draw the codes of its samples."""
        return self._by_member(lambda member, z, alone: member.codes(z, alone), noise, labels)[0]

    def reconstruct(self, z: Tensor, labels: Tensor) -> Tensor:
        """Let each class's own generator decode its codes."""
        return self._by_member(lambda member, codes, alone: member.reconstruct(codes, alone), z, labels)[0]

    def encode(self, images: Tensor, labels: Tensor) -> Posterior:
        """Let each class's own generator encode its images."""
        mu, logvar = self._by_member(lambda member, own, alone: member.encode(own, alone), images, labels)
        return Posterior(mu, logvar)

    @property
    def has_denoiser(self) -> bool:
        """Whether the members have, which are all alike."""
        return self.member(0).has_denoiser

    def denoise(self, images: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
        """Let each class's own generator denoise its images."""
        return self._by_member(lambda member, own, alone: member.denoise(own, sigma, alone), images, labels)[0]

    def _by_member(
        self, function: Callable[[Generator, Tensor, Tensor], Tensor | Posterior], rows: Tensor, labels: Tensor
    ) -> list[Tensor]:
        """Apply ``function`` with each row's own generator and gather the results in the rows' order."""
        alone = torch.zeros_like(labels)
        results: list[Tensor] = []
        for label in sorted(set(labels.tolist())):
            member = self.member(label)
            member.sampling = self.sampling
            # The whole chunk goes through, because kernels, and with them bytes, depend on the batch's shape.
            made = function(member, rows, alone)
            parts = [part.float() for part in ((made,) if isinstance(made, Tensor) else made)]
            mine = (labels == label).view(-1, *[1] * (parts[0].ndim - 1))
            results = [torch.where(mine, part, before) for part, before in zip(parts, results or parts, strict=True)]
        return results

    def objective(self) -> Objective:
        """Refuse: members are trained one by one."""
        raise ConfigError("a per-class generator has no objective of its own: train its members one by one.")
