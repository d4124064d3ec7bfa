"""A batch transform for timm's training loop: it goes where the loop calls ``mixup_fn``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import timm.data
import torch
from numpy.typing import NDArray
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.data.mixup import mixup_target
from torch import Tensor

from synthaug.errors import ConfigError, DataError, LabelError
from synthaug.sampling.bank import SampleBank
from synthaug.sampling.draw import NOTHING, ClassSampler, check_probability, pick_rows, uniforms
from synthaug.sampling.fit import fit_tensor
from synthaug.sampling.policy_files import resolve_bank

MixupFunction = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class SyntheticBatch:
    """Replace images of a batch by synthetic ones of the same class, then mix if wanted.

    Call it on normalised float images (N, C, H, W) and integer labels (N,), on any device; it returns new
    tensors of the same type and device. Randomness comes from torch's global state (that of the images'
    device) and reproduces under ``torch.manual_seed``; so does that of timm's ``Mixup``, which alone draws
    from NumPy's global state.

    Args:
        bank: A bank, the path of one, or of a ``policy.yaml`` (or its folder) as `synthaug recommend` writes it.
        p: Probability for each image; left out, the policy's, or 0.5 with a bank alone.
            Images of a class without samples stay as they are.
        mixup_fn: Called next; usually `timm.data.Mixup`, which then takes odd batches too.
        mean: Of the normalisation that the images went through, a number a channel; by default timm's.
        std: As ``mean``.
        label_smoothing: If given, labels become soft (N, number of classes) as timm's mixing makes them, for
            the loss that goes with it; ``mixup_fn`` does that by itself.
        classes: Names of the classes in the order of the training data's labels; checked against the bank's.
        max_cache_bytes: A bank of at most this size is kept whole on the images' device, if that is no CPU.

    Raises:
        LabelError: If labels are no integers (mixed already, say) or out of range, or the classes differ.
        DataError: If the images are no normalised floats (N, C, H, W).
        ConfigError: If settings contradict each other.

    Example:
        >>> bank = SampleBank.from_arrays(np.full((2, 8, 8, 3), 255, np.uint8), [0, 1], ["boot", "sneaker"])
        >>> batch_fn = SyntheticBatch(bank, p=1.0, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        >>> images, labels = batch_fn(torch.zeros(4, 3, 8, 8), torch.tensor([0, 1, 1, 0]))
        >>> images.unique().tolist(), labels.tolist()
        ([1.0], [0, 1, 1, 0])
    """

    def __init__(
        self,
        bank: SampleBank | str | os.PathLike[str],
        p: float | None = None,
        mixup_fn: MixupFunction | None = None,
        *,
        mean: Sequence[float] = IMAGENET_DEFAULT_MEAN,
        std: Sequence[float] = IMAGENET_DEFAULT_STD,
        label_smoothing: float | None = None,
        classes: Sequence[str] | None = None,
        max_cache_bytes: int = 1 << 30,
    ) -> None:
        if mixup_fn is not None and label_smoothing is not None:
            raise ConfigError("label_smoothing: expected none beside mixup_fn, which smooths labels by itself.")
        if label_smoothing is not None:
            check_probability(label_smoothing, "label_smoothing")
        bank, p = resolve_bank(bank, p)
        self.p = check_probability(p)
        self.mixup_fn = mixup_fn
        self.mean, self.std = tuple(mean), tuple(std)
        self.label_smoothing = label_smoothing
        self.max_cache_bytes = max_cache_bytes
        self._sampler = ClassSampler(bank, classes)
        self._cache: _DeviceBank | None = None
        self._moments: Tensor | None = None
        if isinstance(mixup_fn, timm.data.Mixup) and mixup_fn.num_classes < len(self._sampler.classes):
            raise ConfigError(
                f"mixup_fn: expected num_classes={len(self._sampler.classes)} as in the bank, "
                f"but got {mixup_fn.num_classes}."
            )

    @property
    def mixup_enabled(self) -> bool:
        """Whether mixing is on; timm's loop switches it off for the last epochs. Samples keep coming."""
        return bool(getattr(self.mixup_fn, "mixup_enabled", False))

    @mixup_enabled.setter
    def mixup_enabled(self, enabled: bool) -> None:
        mixup: Any = self.mixup_fn
        if mixup is not None:
            mixup.mixup_enabled = enabled

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_cache": None, "_moments": None}

    def __call__(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return images and labels of the batch, replaced, mixed and smoothed as asked for."""
        self._check(x, target)
        if self.p > 0:
            x = self._replace(x, target)
        if self.mixup_fn is not None:
            return self._mix(self.mixup_fn, x, target)
        if self.label_smoothing is not None:
            return x, mixup_target(target, len(self._sampler.classes), smoothing=self.label_smoothing)
        return x, target

    def _check(self, x: Tensor, target: Tensor) -> None:
        if x.ndim != 4 or not x.is_floating_point():
            raise DataError(
                f"expected normalised float images (N, C, H, W), but got {x.dtype} of shape {tuple(x.shape)}."
            )
        if target.ndim != 1 or target.is_floating_point() or target.dtype == torch.bool:
            raise LabelError(
                f"expected integer labels (N,), but got {target.dtype} of shape {tuple(target.shape)}. "
                "Pass timm's Mixup as mixup_fn instead of mixing before (also not with FastCollateMixup)."
            )
        if len(target) != len(x):
            raise LabelError(f"expected a label for each of the {len(x)} images, but got {len(target)}.")
        if len(self.mean) != x.shape[1] or len(self.std) != x.shape[1]:
            raise DataError(
                f"expected {len(self.mean)} channels, as mean and std have, but got {x.shape[1]}; "
                "pass the mean and std with which these images were normalised."
            )

    def _replace(self, x: Tensor, target: Tensor) -> Tensor:
        fits = self._sampler.bank.images.nbytes <= self.max_cache_bytes
        if x.device.type == "cpu" or not fits or not len(self._sampler.bank):
            return self._replace_from_host(x, self._sampler.labels(target))
        if self._cache is None or self._cache.images.device != x.device:
            # Looking at labels that lie on an accelerator makes the host wait for it, so that is done in the
            # first batch only; later a label out of range stops the device's indexing.
            self._sampler.labels(target)
            self._cache = _DeviceBank(self._sampler, x.device)
        return self._replace_on_device(x, target.long(), self._cache)

    def _replace_from_host(self, x: Tensor, labels: NDArray[np.int64]) -> Tensor:
        """Gather the samples needed, and no more, from the memory map."""
        rows = self._sampler.choose_many(labels, self.p, uniforms(len(labels)))
        chosen = np.flatnonzero(rows != NOTHING)
        images = torch.from_numpy(self._sampler.images(rows[chosen], self._sampler.image_shape))
        synthetic = self._normalised(images.to(x.device), x)
        # The clone keeps the memory format (channels last, say), which index_copy alone does not.
        return x.clone().index_copy_(0, torch.from_numpy(chosen).to(x.device), synthetic)

    def _replace_on_device(self, x: Tensor, labels: Tensor, bank: _DeviceBank) -> Tensor:
        """Gather a sample for every image, so that the host need not know how many are wanted."""
        rows, images = bank.draw(labels, self.p)
        chosen = (rows != NOTHING)[:, None, None, None]
        return torch.where(chosen, self._normalised(images, x), x, out=torch.empty_like(x))

    def _normalised(self, images: Tensor, like: Tensor) -> Tensor:
        """Turn samples (N, H, W, C) into normalised ones (N, C, H, W) of the shape, type and device of ``like``."""
        if self._moments is None or self._moments.device != like.device:
            mean, std = torch.tensor(self.mean), torch.tensor(self.std)
            self._moments = torch.stack([1 / (255 * std), -mean / std]).to(like.device)
        scale, shift = self._moments.view(2, -1, 1, 1)
        shape = (like.shape[1], like.shape[2], like.shape[3])
        fitted = fit_tensor(images.permute(0, 3, 1, 2).contiguous(), shape)
        return fitted.to(torch.float32).mul_(scale).add_(shift).to(like.dtype)

    def _mix(self, mixup_fn: MixupFunction, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Call ``mixup_fn`` with NumPy's global state seeded from torch's, and put that state back."""
        before = np.random.get_state()  # noqa: NPY002 - timm draws from the global state
        np.random.seed(int(torch.randint(1 << 32, (), device="cpu")))  # noqa: NPY002
        try:
            if not isinstance(mixup_fn, timm.data.Mixup) or len(x) % 2 == 0:
                return mixup_fn(x, target)
            # timm refuses odd batches: the last image stays unmixed, its label gets the same smoothing.
            x = x.clone()
            rest = mixup_target(target[-1:], mixup_fn.num_classes, smoothing=mixup_fn.label_smoothing)
            if len(x) == 1:
                return x, rest
            mixed, labels = mixup_fn(x[:-1], target[:-1])
            return torch.cat([mixed, x[-1:]]), torch.cat([labels, rest])
        finally:
            np.random.set_state(before)  # noqa: NPY002


class _DeviceBank:
    """A whole bank on a device, from which a batch is drawn without the host waiting for the device."""

    def __init__(self, sampler: ClassSampler, device: torch.device) -> None:
        self.images = torch.from_numpy(np.array(sampler.bank.images)).to(device)
        order, starts, counts = (torch.from_numpy(table).to(device) for table in sampler.tables())
        self.tables = (order, starts, counts)

    def draw(self, labels: Tensor, p: float) -> tuple[Tensor, Tensor]:
        """Return rows (N,) and images (N, H, W, C); the image is any where there is no row."""
        device = self.images.device
        exact = torch.float32 if device.type == "mps" else torch.float64
        rows = pick_rows(*self.tables, labels, p, torch.rand(len(labels), dtype=exact, device=device))
        return rows, self.images[rows.clamp(min=0)]
