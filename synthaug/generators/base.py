"""The contract of a generator family: what is saved and sampled, and what is trained.

A family is one file that defines

* a frozen `Config` with its settings,
* a `Generator`: the networks that are saved; `codes`, which turns a sample's noise and label into a latent code;
  `reconstruct`, which turns a code and a label into an image; and, where the family can, `encode`, the way back,
* an `Objective`: the losses, and the networks that only training needs (a discriminator, say).

Images are float tensors in [-1, 1] of shape (B, C, H, W) inside this package, and uint8 outside it.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthaug.config import Config
from synthaug.errors import ConfigError, DataError, LabelError
from synthaug.generators.noise import sample_noise
from synthaug.labels import ClassKey, check_labels, class_index, resolve_counts
from synthaug.pixels import from_uint8, to_uint8
from synthaug.seeds import check_sample_seed
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

    A family marks further settings under which codes mean the same with ``metadata={"draws_only": True}``.

    Attributes:
        temperature: Factor on the noise. Below 1 samples are more typical and less varied (truncation), above 1 wider.
    """

    temperature: float = dataclasses.field(default=1.0, metadata={"draws_only": True})

    def validate(self) -> None:
        """Check the range of the temperature."""
        self.require(0 < self.temperature <= 4, "temperature", "a factor above 0 and at most 4")


class Posterior(NamedTuple):
    """Gaussian over the codes of images: where the encoder puts them, and how sure it is.

    Attributes:
        mu: Means, (B, latent_size).
        logvar: Log-variances, (B, latent_size); −∞ for a deterministic encoder.
    """

    mu: Tensor
    logvar: Tensor


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
        has_encoder: Whether `encode` finds the codes of given images.
        normal_codes: Whether codes are meant to be distributed like N(0, I).
        title: What reports call the family.
        most_steps: Optimiser steps after which more hardly teach it anything, as `synthaug.recommend` takes it.
        tried_from: Minutes from which `synthaug.recommend` tries it unasked, by kind of device (``"cpu"``, ``"cuda"``);
            not at all where it names none.
        needs: Module that it cannot be trained without, and the extra that installs it; `None` for nothing of the kind.
        small_image_settings: Settings of the family, and of its training, that suit images of 16 pixels or less.
        keeps_privacy: Whether differentially private training of it keeps the guarantee, its priors included.

    Example:
        >>> gen = synthaug.load("runs/x")  # doctest: +SKIP
        >>> gen.sample({"sneaker": 8, "boot": 4}, seed=0).shape  # doctest: +SKIP
        torch.Size([12, 1, 28, 28])
    """

    family: ClassVar[str]
    config_class: ClassVar[type[Config]]
    sampling_class: ClassVar[type[SamplingConfig]] = SamplingConfig
    has_encoder: ClassVar[bool] = False
    normal_codes: ClassVar[bool] = True
    title: ClassVar[str]
    most_steps: ClassVar[int] = 2000
    tried_from: ClassVar[Mapping[str, float]] = {}
    needs: ClassVar[tuple[str, str] | None] = None
    small_image_settings: ClassVar[Mapping[str, Any]] = {}
    keeps_privacy: ClassVar[bool] = False
    conditioning: Conditioning = "shared"

    @classmethod
    def installed(cls) -> bool:
        """Say whether the extra that the family needs is installed."""
        return cls.needs is None or importlib.util.find_spec(cls.needs[0]) is not None

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

    @property
    @abstractmethod
    def latent_size(self) -> int:
        """Length of a latent code."""

    @abstractmethod
    def codes(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Turn noise (B, noise_size) and labels (B,) into codes (B, latent_size) as the sampling settings say."""

    @abstractmethod
    def reconstruct(self, z: Tensor, labels: Tensor) -> Tensor:
        """Turn codes (B, latent_size) and labels (B,) into images (B, C, H, W) in [-1, 1], differentiably."""

    @abstractmethod
    def objective(self) -> Objective:
        """Make what trains this generator."""

    def encode(self, images: Tensor, labels: Tensor) -> Posterior:
        """Return the posterior over the codes of images (B, C, H, W) in [-1, 1] with labels (B,).

        Raises:
            ConfigError: If the family has no encoder (`has_encoder` is false).
        """
        raise ConfigError(
            f"expected a family with an encoder, such as vae, vaegan or autoencoder, but {self.family!r} has none: "
            "it makes images from codes, and finds no code for an image."
        )

    @property
    def has_denoiser(self) -> bool:
        """Whether `denoise` takes noise out of images."""
        return False

    def denoise(self, images: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
        """Return the mean of the clean images that noisy ones (B, C, H, W) in [-1, 1] may have come from.

        Args:
            images: Clean images and Gaussian noise.
            sigma: Standard deviation of the noise in each, (B,), in the same units.
            labels: (B,).

        Raises:
            ConfigError: If the generator has no denoiser (`has_denoiser` is false).
        """
        raise ConfigError(
            f"expected a generator with a denoiser, but this {self.family} has none. Use family 'diffusion', "
            "trained in pixels (without autoencoder)."
        )

    def prepare(self, data: ImageDataset) -> None:
        """Measure what training must know beforehand (the scale of the images' codes, say) on the training images."""

    def finish(self, data: ImageDataset) -> None:
        """Fit what is fitted once the networks are trained (a prior over codes, say) to the training images."""

    # What every generator has ---------------------------------------------------------------------------------

    def decode(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Turn noise (B, noise_size) and labels (B,) into images (B, C, H, W) in [-1, 1]."""
        return self.reconstruct(self.codes(noise, labels), labels)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def privacy(self) -> dict[str, Any] | None:
        """The differential privacy of its training: ``epsilon``, ``delta`` and what they rest on; `None` without."""
        facts: dict[str, Any] | None = self.provenance.get("privacy")
        return facts

    def other_training_images(self, digest: str) -> str | None:
        """Return the name of the images that it was trained on, if they are others than those of a dataset.

        Args:
            digest: Of the dataset; the same images in another order have another.

        Returns:
            `None` where they are the same, or where it is not known, as after private training.
        """
        dataset: dict[str, Any] = self.provenance.get("dataset") or {}
        return None if dataset.get("digest", digest) == digest else str(dataset.get("name", "unnamed"))

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
            ConfigError: If the seed is no integer of 64 bits.
            LabelError: If a class is unknown, or what is asked for are no classes.
        """
        if not isinstance(what, Iterable):
            raise LabelError(
                f"expected numbers by class ({{{self.classes[0]!r}: 8}}) or a list of classes, but got {what!r}."
            )
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
        seed, labels = check_sample_seed(seed), check_labels(labels, self.classes)
        indices = np.asarray(indices)
        images = np.empty((len(labels), *self.image_shape[1:], self.image_shape[0]), dtype=np.uint8)
        for start in range(0, len(labels), CHUNK):
            part = slice(start, start + CHUNK)
            noise = sample_noise(seed, labels[part], indices[part], self.noise_size)
            images[part] = _channels_last(self._chunk(self.decode, noise, labels[part])[0])
        return images

    def encode_images(
        self, images: NDArray[np.uint8], labels: NDArray[np.integer]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Find the codes of images.

        Args:
            images: uint8, (N, H, W, C) of the generator's image shape.
            labels: Their labels, (N,).

        Returns:
            Mean and variance of each image's posterior, both float32 (N, latent_size).

        Raises:
            ConfigError: If the family has no encoder.
            DataError: If the images are not of the generator's shape.
            LabelError: If a label is out of range.
        """
        self._check_images(images)
        labels = check_labels(labels, self.classes)
        mu, logvar = self._in_chunks(
            lambda part, of: self.encode(from_uint8(part.permute(0, 3, 1, 2)), of), images, labels
        )
        return mu, np.exp(logvar)

    def denoise_images(
        self, images: NDArray[np.uint8], sigma: NDArray[np.floating], labels: NDArray[np.integer]
    ) -> NDArray[np.uint8]:
        """Return the mean of the clean images that noisy ones, uint8 (N, H, W, C), may have come from.

        Args:
            images: Noisy images of the generator's image shape.
            sigma: Standard deviation of the noise in each, with pixels from 0 to 1, (N,).
            labels: Their labels, (N,).

        Raises:
            ConfigError: If the generator has no denoiser.
            DataError: If the images are not of the generator's shape.
            LabelError: If a label is out of range.
        """
        self._check_images(images)
        (means,) = self._in_chunks(
            lambda part, noise, of: self.denoise(from_uint8(part.permute(0, 3, 1, 2)), 2 * noise, of),
            images,
            np.asarray(sigma, dtype=np.float32),
            check_labels(labels, self.classes),
        )
        return _channels_last(torch.from_numpy(means))

    def decode_codes(self, codes: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Turn codes (N, latent_size) and labels (N,) into uint8 images (N, H, W, C).

        Raises:
            DataError: If the codes are not of the generator's latent size.
            LabelError: If a label is out of range.
        """
        codes = np.asarray(codes, dtype=np.float32)
        if codes.ndim != 2 or codes.shape[1] != self.latent_size:
            raise DataError(f"expected codes of shape (N, {self.latent_size}), but got {codes.shape}.")
        (images,) = self._in_chunks(self.reconstruct, codes, check_labels(labels, self.classes))
        return _channels_last(torch.from_numpy(images))

    def draw_codes(
        self, labels: NDArray[np.integer], indices: NDArray[np.integer], seed: int = 0
    ) -> NDArray[np.float32]:
        """Return the codes (N, latent_size) of the samples with the given names; see `sample_named`."""
        seed, labels = check_sample_seed(seed), check_labels(labels, self.classes)
        noise = sample_noise(seed, labels, np.asarray(indices), self.noise_size)
        (codes,) = self._in_chunks(self.codes, noise, labels)
        return codes

    def _check_images(self, images: NDArray[np.uint8]) -> None:
        channels, height, width = self.image_shape
        if images.dtype != np.uint8 or images.shape[1:] != (height, width, channels):
            raise DataError(
                f"expected uint8 images of shape (N, {height}, {width}, {channels}), but got {images.dtype} of shape "
                f"{images.shape}. Load them with image_size=({height}, {width}) and channels={channels}."
            )

    def _in_chunks(
        self, function: Callable[..., Tensor | Sequence[Tensor]], *arrays: NDArray[Any]
    ) -> list[NDArray[np.float32]]:
        """Apply ``function`` to whole chunks of rows and return its float results for all rows."""
        starts = range(0, max(1, len(arrays[0])), CHUNK)
        parts = [self._chunk(function, *(array[start : start + CHUNK] for array in arrays)) for start in starts]
        return [torch.cat(column).float().cpu().numpy() for column in zip(*parts, strict=True)]

    @torch.no_grad()
    def _chunk(self, function: Callable[..., Tensor | Sequence[Tensor]], *arrays: NDArray[Any]) -> tuple[Tensor, ...]:
        """Apply ``function`` to one chunk, padded to its full size by repeating the first row."""
        number = len(arrays[0])
        padded = []
        for array in arrays:
            whole = np.zeros((CHUNK, *array.shape[1:]), dtype=array.dtype)
            whole[:number] = array
            whole[number:] = array[:1] if number else 0
            padded.append(torch.from_numpy(whole).to(self.device))
        was_training = self.training
        if was_training:
            self.eval()
        with self.autocast():
            results = function(*padded)
        if was_training:
            self.train()
        return tuple(part[:number] for part in ((results,) if isinstance(results, Tensor) else results))

    def autocast(self) -> torch.autocast:
        """The context in which this generator's networks run in its precision."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")


def _channels_last(images: Tensor) -> NDArray[np.uint8]:
    array: NDArray[np.uint8] = to_uint8(images).permute(0, 2, 3, 1).cpu().numpy()
    return array


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
