"""One model a class behind the interface of one generator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from synthaug.config import Config
from synthaug.errors import ConfigError
from synthaug.generators.base import Generator, Objective, Precision
from synthaug.generators.registry import family_class


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
        self.__dict__.update(family=family, config_class=cls.config_class, sampling_class=cls.sampling_class)
        super().__init__(config, classes, image_shape, precision)
        self.members = nn.ModuleList(cls(config, [name], image_shape, precision) for name in self.classes)

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

    def decode(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Let each class's own generator decode its samples."""
        images = torch.empty(len(labels), *self.image_shape, device=noise.device)
        alone = torch.zeros_like(labels)
        for label in sorted(set(labels.tolist())):
            member = self.member(label)
            member.sampling = self.sampling
            # The whole chunk goes through, because kernels, and with them bytes, depend on the batch's shape.
            mine = labels == label
            images[mine] = member.decode(noise, alone).float()[mine]
        return images

    def objective(self) -> Objective:
        """Refuse: members are trained one by one."""
        raise ConfigError("a per-class generator has no objective of its own: train its members one by one.")
