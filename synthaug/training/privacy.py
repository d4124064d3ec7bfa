"""Differentially private training (Abadi et al. 2016, DP-SGD): what is planned, what is refused, and a step of it.

Whether one image was among the training images shall hardly change what comes out. So a step draws every image by
itself with the same probability (Poisson sampling), takes each image's own gradient, clips it, and adds Gaussian noise
to the sum. Opacus (Yousefpour et al. 2021) draws the batches, clips, adds the noise, chooses how much of it is needed
and adds up what the steps cost.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import secrets
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from synthaug.errors import ConfigError, require_extra
from synthaug.generators import Generator, Phase, family_class, list_families
from synthaug.training.batches import step_seed
from synthaug.training.config import TrainingConfig

_OF_IMAGES = "grad_sample"
"""The attribute of a parameter in which Opacus looks for the gradients of a batch's images."""

_TOGETHER = 64
"""Images whose gradients are held in memory at once; batches are drawn larger or smaller."""

_POISSON = 1
"""Stands for the process in the seed of a step's batch: noise comes from that of process 0."""

_FRACTIONS = (1.1, 1.25, 1.5, 1.75, 2.5, 3.5, 4.5)
_ORDERS = [*_FRACTIONS, *range(2, 64), 72, 80, 96, 128, 192, 256, 512, 1024]
"""Orders of Rényi divergence that the accountant tries, the bound being the best of them. Against Opacus's own they are
fewer fractions, which are slow, and larger numbers, which an ε below 0.2 needs."""


@dataclasses.dataclass(frozen=True)
class PrivacyPlan:
    """How much noise a run needs.

    Attributes:
        epsilon: What was asked for; the run spends no more.
        delta: Probability with which the bound may fail.
        clip: Norm to which an image's gradient is clipped.
        images: Number of training images, which is not kept secret.
        batch_size: Images a step, on average.
        steps: Optimiser steps.
        noise_multiplier: Standard deviation of the noise, in units of ``clip``.
        repeatable: Whether the noise comes from a seed that the user gave, and is no secret then.
    """

    epsilon: float
    delta: float
    clip: float
    images: int
    batch_size: int
    steps: int
    noise_multiplier: float
    repeatable: bool

    @classmethod
    def of(cls, config: TrainingConfig, images: int) -> PrivacyPlan | None:
        """Return the plan of a run on so many images; `None` if no privacy is asked for.

        Raises:
            ConfigError: If δ is not below one in the number of images, or no noise is enough.
            MissingExtraError: If Opacus is not installed.
        """
        if config.privacy_epsilon is None:
            return None
        delta = default_delta(images) if config.privacy_delta is None else config.privacy_delta
        if not delta * images < 1:
            raise ConfigError(
                f"expected a privacy_delta below 1/{images}, one in the number of images, but got {delta}: a run that "
                "publishes one image at random would keep such a promise. Leave it out for a sensible one."
            )
        batch_size = min(config.batch_size, images)
        multiplier = _noise_multiplier(config.privacy_epsilon, delta, batch_size / images, config.steps)
        repeatable = config.privacy_seed is not None
        return cls(
            config.privacy_epsilon, delta, config.privacy_clip, images, batch_size, config.steps, multiplier, repeatable
        )

    @property
    def sample_rate(self) -> float:
        """Probability with which an image is in a step's batch."""
        return self.batch_size / self.images

    def spent(self, steps: int) -> float:
        """Return the ε that so many steps cost."""
        return _spent(self.noise_multiplier, self.sample_rate, steps, self.delta)

    def facts(self, steps: int) -> dict[str, Any]:
        """Return the guarantee after so many steps and what it rests on, JSON-able: a generator's ``privacy``."""
        return {
            "epsilon": self.spent(steps),
            "delta": self.delta,
            "unit": "one image, added or removed",
            "noise": "repeatable" if self.repeatable else "secret",
            "noise_multiplier": self.noise_multiplier,
            "clip": self.clip,
            "sample_rate": self.sample_rate,
            "steps": steps,
            "accountant": f"opacus {importlib.metadata.version('opacus')}, rdp",
        }


class PrivateUpdates:
    """Draws the batches and makes the updates of a private run.

    Args:
        plan: How much noise there is.
        seed: Of batches and noise, if the run shall be repeatable; a secret of the operating system's if left out.

    Attributes:
        secret: What all randomness of a step comes from. Who knows it can take the noise away, so it is kept in the
            trainer's state only, and only until the run is complete.
    """

    def __init__(self, plan: PrivacyPlan, seed: int | None) -> None:
        self.plan = plan
        self.secret = secrets.randbits(64) if seed is None else seed

    def positions(self, step: int) -> NDArray[np.int64]:
        """Return the positions of step ``step``: any number of them, even none, the batch size on average."""
        from opacus.utils.uniform_sampler import UniformWithReplacementSampler

        random = torch.Generator().manual_seed(step_seed(self.secret, step, _POISSON))
        sampler = UniformWithReplacementSampler(
            num_samples=self.plan.images, sample_rate=self.plan.sample_rate, generator=random, steps=1
        )
        return np.array(next(iter(sampler)), dtype=np.int64)

    def optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Return the optimiser with Opacus's clipping and noise in front of its step."""
        from opacus.optimizers import DPOptimizer

        wrapped: torch.optim.Optimizer = DPOptimizer(
            optimizer,
            noise_multiplier=self.plan.noise_multiplier,
            max_grad_norm=self.plan.clip,
            expected_batch_size=self.plan.batch_size,
        )
        return wrapped

    def update(
        self, module: nn.Module, phase: Phase, optimizer: Any, images: Tensor, labels: Tensor, step: int
    ) -> None:
        """Make one update from images (B, C, H, W) in [-1, 1] and labels (B,).

        The loss is taken of each image alone, so that nothing in it, such as a variance of the batch, can carry what
        one image says into the gradients of others: clipping bounds an image's own gradient only.

        Args:
            module: Holds all parameters.
            phase: The update.
            optimizer: As `optimizer` returned it.
            images: The batch, which may be empty.
            labels: Its labels.
            step: Number of the step.
        """
        alone = _LossAlone(module, phase, step)
        changed = {name: parameter for name, parameter in alone.named_parameters() if parameter.requires_grad}
        values = {name: parameter.detach() for name, parameter in changed.items()}

        def loss(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
            value: Tensor = torch.func.functional_call(alone, parameters, (image, label))
            return value

        gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0), randomness="different")
        for start in range(0, max(1, len(images)), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            optimizer.zero_grad(set_to_none=True)
            with sdpa_kernel(SDPBackend.MATH):  # vmap has no other attention
                made = gradients(values, images[part], labels[part]) if len(images) else {}
            for name, parameter in changed.items():
                own = made.get(name, parameter.new_zeros(0, *parameter.shape))
                # One image whose gradient is not finite would show in all weights; it counts as none.
                setattr(parameter, _OF_IMAGES, torch.nan_to_num(own, nan=0.0, posinf=0.0, neginf=0.0))
            optimizer.signal_skip_step(start + _TOGETHER < len(images))
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)


class _LossAlone(nn.Module):
    """The loss of a single image (C, H, W) with its label ()."""

    def __init__(self, module: nn.Module, phase: Phase, step: int) -> None:
        super().__init__()
        self.module, self.phase, self.step = module, phase, step

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        return self.phase.loss(image[None], label[None], self.step)["loss"]


def default_delta(images: int) -> float:
    """Return the largest power of ten below one in the number of images.

    Example:
        >>> default_delta(60_000), default_delta(10_000)
        (1e-05, 1e-05)
    """
    return float(f"1e-{len(str(images))}")


def check_private_settings(family: str, conditioning: str, options: Mapping[str, Any], processes: int) -> None:
    """Refuse what cannot be trained privately.

    Raises:
        ConfigError: On another family than the VAE, models by class, a perceptual distance, or several processes.
    """
    if not family_class(family).keeps_privacy:
        private = " or ".join(repr(name) for name in list_families() if family_class(name).keeps_privacy)
        raise ConfigError(
            f"expected family {private} with privacy_epsilon, but got {family!r}: others fit a prior to the images "
            "after training, or train a discriminator whose part in the guarantee is not worked out yet."
        )
    if conditioning != "shared":
        raise ConfigError(
            f"expected conditioning 'shared' with privacy_epsilon, but got {conditioning!r}: the noise of each class's "
            "model would depend on how many images the class has, and tell it."
        )
    if options.get("perceptual"):
        raise ConfigError(
            f"expected perceptual 0 with privacy_epsilon, but got {options['perceptual']}: it would not break the "
            "guarantee, but torch cannot yet take its gradients image by image."
        )
    if processes > 1:
        raise ConfigError(f"expected one process with privacy_epsilon, but got {processes}: batches are drawn in one.")


def check_private_networks(generator: Generator) -> None:
    """Refuse networks that mix what they know of different images.

    Raises:
        ConfigError: If a network has batch normalisation, or a layer that Opacus does not take.
        MissingExtraError: If Opacus is not installed.
    """
    _require_opacus()
    from opacus.validators import ModuleValidator

    for name, module in generator.named_modules():
        # By kind, since Opacus knows the plain classes only, and timm has its own.
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise ConfigError(
                f"expected networks without batch normalisation with privacy_epsilon, but {name} is a "
                f"{type(module).__name__}: it mixes the images of a batch and keeps their statistics. Use encoder "
                "'small_resnet', or a timm model with group or layer normalisation, such as a vit or resnet50_gn."
            )
    if errors := ModuleValidator.validate(generator.train(), strict=False):
        raise ConfigError(f"cannot train this network with privacy_epsilon: {errors[0]}")


@functools.lru_cache(maxsize=64)
def _noise_multiplier(epsilon: float, delta: float, sample_rate: float, steps: int) -> float:
    _require_opacus()
    from opacus.accountants.utils import get_noise_multiplier

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on the way the accountant is asked for extreme noise, and says so
        try:
            multiplier = get_noise_multiplier(
                target_epsilon=epsilon,
                target_delta=delta,
                sample_rate=sample_rate,
                steps=steps,
                accountant="rdp",
                epsilon_tolerance=min(0.01, epsilon / 100),
                alphas=_ORDERS,
            )
        except ValueError as error:
            raise ConfigError(
                f"no noise is enough for privacy_epsilon {epsilon} at delta {delta} in {steps} steps with a share of "
                f"{sample_rate:.3g} of the images each. Take fewer steps, smaller batches or a larger epsilon."
            ) from error
    return float(multiplier)


@functools.lru_cache(maxsize=64)
def _spent(noise_multiplier: float, sample_rate: float, steps: int, delta: float) -> float:
    if steps == 0:
        return 0.0
    _require_opacus()
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(noise_multiplier, sample_rate, steps)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that another order of divergence might give a better bound
        return float(accountant.get_epsilon(delta, alphas=_ORDERS))


def _require_opacus() -> None:
    try:
        import opacus  # noqa: F401
    except ImportError as error:
        raise require_extra("opacus", "privacy", error) from error
