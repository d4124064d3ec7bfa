"""The contract of a generator family: what is saved and sampled, and what is trained.

A family is one file that defines

* a frozen `Config` with its settings,
* a `Generator`: the networks that are saved, and `decode`, which turns a sample's noise and label into an image,
* an `Objective`: the losses, and the networks that only training needs (a discriminator, say).

Images are float tensors in [-1, 1] of shape (B, C, H, W) inside this package, and uint8 outside it.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthaug.config import Config
from synthaug.errors import ConfigError
from synthaug.generators.noise import sample_noise
from synthaug.labels import ClassKey, check_labels, class_index, resolve_counts
from synthaug.storage import canonical_json, digest

if TYPE_CHECKING:
    from synthaug.data import ImageDataset

Conditioning = Literal["shared", "per_class"]
Precision = Literal["fp32", "bf16"]

CHUNK = 64
"""Samples decoded at once. The numeric kernels depend on the batch's shape, so it never varies: a request is padded
to whole chunks, and no choice of batch, shard or worker changes a byte of a sample."""


@dataclasses.dataclass(frozen=True)
class SamplingConfig(Config):
    """How samples are drawn; part of a sample's name, since it enters the generator's digest.

    Attributes:
        temperature: Factor on the noise. Below 1 samples are more typical and less varied (truncation), above 1 wider.
    """

    temperature: float = 1.0

    def validate(self) -> None:
        """Check the range of the temperature."""
        self.require(0 < self.temperature <= 4, "temperature", "a factor above 0 and at most 4")


@dataclasses.dataclass(frozen=True)
class Phase:
    """One optimiser update of a training step.

    Attributes:
        name: Shown in front of its losses.
        modules: The networks that this update changes.
        loss: From images (B, C, H, W) in [-1, 1], labels (B,) and the step to named scalar tensors; the one named
            ``loss`` is minimised, the others are logged.
        learning_rate: The family's default, used unless the user sets one.
        betas: Of AdamW.
    """

    name: str
    modules: tuple[nn.Module, ...]
    loss: Callable[[Tensor, Tensor, int], dict[str, Tensor]]
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)

    def parameters(self) -> list[nn.Parameter]:
        """The parameters that this update changes."""
        return [parameter for module in self.modules for parameter in module.parameters()]


class Objective(nn.Module, ABC):
    """What training minimises. Owns the generator, and the networks that are thrown away after training."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    @abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """The updates of one step, in order."""


class Generator(nn.Module, ABC):
    """A class-conditional generator of one family.

    Args:
        config: Settings of the family.
        classes: Names of the classes, in the order of their labels.
        image_shape: (C, H, W) of the images.
        precision: Number format of the forward pass; part of the generator, because it changes sample bytes.

    Attributes:
        family: Name of the family, set by its registration.
        conditioning: ``"shared"`` when one model sees the label, ``"per_class"`` when each class has its own.
        digest: SHA-256 of configuration and weights; names the generator in every sample's provenance.

    Example:
        >>> gen = synthaug.load("runs/x")  # doctest: +SKIP
        >>> gen.sample({"sneaker": 8, "boot": 4}, seed=0).shape  # doctest: +SKIP
        torch.Size([12, 1, 28, 28])
    """

    family: ClassVar[str]
    config_class: ClassVar[type[Config]]
    sampling_class: ClassVar[type[SamplingConfig]] = SamplingConfig
    conditioning: Conditioning = "shared"

    def __init__(
        self,
        config: Config,
        classes: Sequence[str],
        image_shape: tuple[int, int, int],
        precision: Precision = "fp32",
    ) -> None:
        super().__init__()
        self.config = config
        self.classes = tuple(classes)
        self.image_shape = image_shape
        self.precision: Precision = precision
        self.sampling = self.sampling_class()
        self.provenance: dict[str, Any] = {}

    # What a family writes -------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def noise_size(self) -> int:
        """Number of standard normals that one sample takes."""

    @abstractmethod
    def decode(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Turn noise (B, noise_size) and labels (B,) into images (B, C, H, W) in [-1, 1]."""

    @abstractmethod
    def objective(self) -> Objective:
        """Make what trains this generator."""

    def finish(self, data: ImageDataset) -> None:
        """Fit what is fitted once the networks are trained (a prior over codes, say) to the training images."""

    # What every generator has ---------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of configuration, sampling settings and weights."""
        weights: list[bytes | str] = []
        for name, tensor in sorted(self.state_dict().items()):
            weights += [f"{name} {tensor.dtype} {tuple(tensor.shape)}", tensor_bytes(tensor)]
        return digest(canonical_json(self.identity()), *weights)

    def identity(self) -> dict[str, Any]:
        """What, beside the weights, decides the bytes of a sample; stored in ``config.json``."""
        return {
            "family": self.family,
            "conditioning": self.conditioning,
            "image_shape": list(self.image_shape),
            "classes": list(self.classes),
            "precision": self.precision,
            "model": self.config.to_dict(),
            "sampling": self.sampling.to_dict(),
        }

    def with_sampling(self, **settings: Any) -> Self:
        """Return this generator with other sampling settings: same weights, another digest.

        Example:
            >>> narrow = gen.with_sampling(temperature=0.7)  # doctest: +SKIP
        """
        copy = self.__class__.__new__(self.__class__)
        copy.__dict__.update(self.__dict__)
        copy.sampling = self.sampling.replace(**settings)
        return copy

    def sample(self, what: Mapping[ClassKey, int] | Sequence[ClassKey], seed: int = 0) -> Tensor:
        """Draw samples of the classes asked for.

        Args:
            what: Numbers by class, or one class name or label for each sample. The n-th sample of a class is
                sample number n of that class, whichever way it is asked for.
            seed: Other seeds give other samples.

        Returns:
            uint8 images (N, C, H, W), on the CPU, in the order asked for.

        Raises:
            LabelError: If a class is unknown.
        """
        if isinstance(what, Mapping):
            resolve_counts(what, self.classes)
            labels = [class_index(key, self.classes) for key, number in what.items() for _ in range(number)]
        elif isinstance(what, str):
            labels = [class_index(what, self.classes)]
        else:
            labels = [class_index(key, self.classes) for key in what]
        seen: dict[int, int] = {}
        indices = []
        for label in labels:
            indices.append(seen.get(label, 0))
            seen[label] = indices[-1] + 1
        images = self.sample_named(np.array(labels, dtype=np.int64), np.array(indices, dtype=np.int64), seed)
        return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    def sample_named(
        self, labels: NDArray[np.integer], indices: NDArray[np.integer], seed: int = 0
    ) -> NDArray[np.uint8]:
        """Draw the samples with the given names.

        Args:
            labels: Class of each sample, (N,).
            indices: Index of each sample within its class, (N,).
            seed: The seed in the samples' names.

        Returns:
            uint8 images (N, H, W, C). Each depends on its name alone, never on its neighbours.
        """
        labels = check_labels(labels, self.classes)
        images = np.empty((len(labels), *self.image_shape[1:], self.image_shape[0]), dtype=np.uint8)
        for start in range(0, len(labels), CHUNK):
            part = slice(start, start + CHUNK)
            noise = sample_noise(seed, labels[part], np.asarray(indices[part]), self.noise_size)
            images[part] = self._decode_chunk(noise, labels[part])
        return images

    @torch.no_grad()
    def _decode_chunk(self, noise: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        number = len(labels)
        padded_noise = np.zeros((CHUNK, self.noise_size), dtype=np.float32)
        padded_labels = np.full(CHUNK, labels[0], dtype=np.int64)
        padded_noise[:number], padded_labels[:number] = noise, labels
        was_training = self.training
        if was_training:
            self.eval()
        with self.autocast():
            images = self.decode(
                torch.from_numpy(padded_noise).to(self.device), torch.from_numpy(padded_labels).to(self.device)
            )
        if was_training:
            self.train()
        return to_uint8(images[:number]).permute(0, 2, 3, 1).cpu().numpy()

    def autocast(self) -> torch.autocast:
        """The context in which this generator's networks run in its precision."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")


def to_uint8(images: Tensor) -> Tensor:
    """Turn images in [-1, 1] into uint8, rounded and clamped."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def from_uint8(images: Tensor) -> Tensor:
    """Turn uint8 images into float32 in [-1, 1]."""
    return images.float().div(127.5).sub(1)


def tensor_bytes(tensor: Tensor) -> bytes:
    """Return the raw bytes of a tensor of any dtype, in row-major order."""
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def check_image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return (C, H, W) as a tuple of integers.

    Raises:
        ConfigError: If there are not 1 or 3 channels, or a side is shorter than 4 pixels.
    """
    if len(image_shape) != 3 or image_shape[0] not in (1, 3) or min(image_shape[1:]) < 4:
        raise ConfigError(
            f"expected an image shape (C, H, W) with 1 or 3 channels and sides of 4 pixels or more, "
            f"but got {tuple(image_shape)}."
        )
    channels, height, width = (int(side) for side in image_shape)
    return channels, height, width
