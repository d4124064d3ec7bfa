"""Variants made while a classifier trains: in DataLoader workers, or on the GPU for batches that are already there."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthaug.devices import one_thread
from synthaug.errors import ConfigError, DataError, FormatError
from synthaug.generators import Generator, load
from synthaug.generators.noise import sample_noise
from synthaug.latent.inputs import require_encoder
from synthaug.latent.varying.vary import ClassCentres, Variation
from synthaug.pixels import from_uint8, to_uint8
from synthaug.sampling.draw import NOTHING, LabelReader, check_same_classes
from synthaug.sampling.fit import fit_tensor

_NAMES = 1 << 53
"""As many as there are random numbers in [0, 1)."""


class LiveVariation(LabelReader):
    """Varies images where they are, and as they come.

    Choosing is a pure function of numbers in [0, 1), so an adapter may take them from any source of randomness.
    Pickles as the generator's path, where one was given, and loads it again at first use in the other process. The
    generator moves to the device of the images.

    Args:
        generator: A generator with an encoder, of which a copy is kept, or the path of one, or a hub id.
        variation: How far variants are from their image.
        classes: Names of the classes as the training data orders them; checked against the generator's.

    Attributes:
        image_shape: (C, H, W) of the generator's images.

    Raises:
        ConfigError: If the family has no encoder.
        LabelError: If ``classes`` are not the generator's.
        FormatError: If there is no generator at the path.

    Example:
        >>> from synthaug.generators import make_generator
        >>> gen = make_generator("vae", ["boot", "bag"], (1, 8, 8), options={"width": 8})
        >>> live = LiveVariation(gen, Variation(strength=0.3))
        >>> live.choose(1, p=0.5, draw=0.6)
        -1
        >>> images = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
        >>> live.vary(images, np.array([1]), np.array([live.choose(1, p=0.5, draw=0.4)])).shape
        torch.Size([1, 3, 16, 16])
    """

    def __init__(
        self,
        generator: Generator | str | os.PathLike[str],
        variation: Variation,
        classes: Sequence[str] | None = None,
    ) -> None:
        if not isinstance(generator, (Generator, str, os.PathLike)):
            raise ConfigError(
                f"expected a generator or the path of one, but got {type(generator).__name__}. Variants from a bank "
                "are replacements: SyntheticReplace takes any of the class, VariationDataset those of the very image."
            )
        self.path = None if isinstance(generator, Generator) else str(generator)
        gen = copy.deepcopy(generator).cpu() if isinstance(generator, Generator) else load(str(generator))
        require_encoder(gen, "varying images")
        super().__init__(gen.classes)
        if classes is not None:
            check_same_classes(classes, gen.classes, "generator")
        self.variation = variation
        self.image_shape = gen.image_shape
        self.digest = gen.digest
        self._placed: Generator | None = gen.eval().requires_grad_(False)
        self._centres = ClassCentres(gen)

    def __getstate__(self) -> dict[str, Any]:
        left_out = ("_centres",) if self.path is None else ("_centres", "_placed")
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"_placed": None} | state)
        if self._placed is not None:
            self._centres = ClassCentres(self._placed)

    def choose(self, label: int, p: float, draw: float) -> int:
        """Return the name of a variant with probability ``p``, else `NOTHING`.

        Args:
            label: A checked label.
            p: Probability of a variant.
            draw: A uniform random number in [0, 1); it decides both whether and which.
        """
        # Given draw < p, draw / p is uniform again.
        return NOTHING if draw >= p else int(draw / p * _NAMES)

    def choose_many(self, labels: NDArray[np.int64], p: float, draws: NDArray[np.float64]) -> NDArray[np.int64]:
        """Do as `choose` does for labels (N,) and draws (N,); returns names (N,)."""
        names: NDArray[np.int64] = np.where(draws < p, draws / max(p, 1 / _NAMES) * _NAMES, NOTHING).astype(np.int64)
        return names

    @torch.no_grad()
    def vary(self, images: Tensor, labels: NDArray[np.int64], names: NDArray[np.int64]) -> Tensor:
        """Return a variant of each image.

        Images of another size or number of channels than the generator's are fitted to it, and what it makes is
        fitted to them; with the residual kept, they keep what the generator's size has no place for.

        Args:
            images: uint8, (N, C, H, W) with 1 or 3 channels, on any device.
            labels: Checked labels, (N,).
            names: From `choose_many`, (N,).

        Returns:
            uint8 (N, C, H, W), on the images' device.

        Raises:
            DataError: For another number of channels.
        """
        channels, height, width = images.shape[1:]
        shape = (channels, height, width)
        if channels not in (1, 3):
            raise DataError(f"expected images with 1 or 3 channels, but got {channels}; convert them first.")
        with one_thread() if len(images) == 1 else contextlib.nullcontext():
            decoded, restored = self._decode(fit_tensor(images, self.image_shape), labels, names)
            return self.variation.finish(
                fit_tensor(decoded, shape), images, None if restored is None else fit_tensor(restored, shape)
            )

    def _decode(
        self, images: Tensor, labels: NDArray[np.int64], names: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor | None]:
        """Return decoded variants and reconstructions of images of the generator's shape."""
        gen = self._generator(images.device)
        noise = torch.from_numpy(sample_noise(0, labels, names, gen.noise_size)).to(images.device)
        of = torch.tensor(labels, dtype=torch.int64, device=images.device)
        with gen.autocast():
            mu = gen.encode(from_uint8(images), of).mu.float()
            z = self.variation.mix(mu, gen.codes(noise, of).float(), self._centres.of(labels))
            if not self.variation.keep_residual:
                return to_uint8(gen.reconstruct(z, of)), None
            both = to_uint8(gen.reconstruct(torch.cat([z, mu]), torch.cat([of, of])))
        return both[: len(images)], both[len(images) :]

    def _generator(self, device: torch.device) -> Generator:
        """Return the generator on a device, loaded first in a process to which only its path came."""
        gen = self._placed
        if gen is None:
            gen = load(str(self.path)).requires_grad_(False)
            if gen.digest != self.digest:
                raise FormatError(
                    f"the generator in {self.path} changed since this object was made (digest {self.digest[:12]}, now "
                    f"{gen.digest[:12]}). Make the transform anew."
                )
        elif gen.device == device:
            return gen
        self._placed = gen.to(device)
        self._centres = ClassCentres(self._placed)
        return self._placed
