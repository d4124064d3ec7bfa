"""The one training loop of all families.

A step draws a batch, and then for each phase of the family's objective computes the loss, its gradients and one
optimiser update; the moving average of the generator follows. The random state of a step is seeded from the run's
seed and the step's number, so a run that was stopped goes on exactly as if it had not been.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from timm.utils import ModelEmaV3
from torch import Tensor

from synthaug.data import ImageDataset
from synthaug.devices import own_random_state, seed_random_state
from synthaug.errors import ConfigError, DivergenceError, TrainingInterrupted
from synthaug.generators import Generator, Phase
from synthaug.pixels import from_uint8
from synthaug.training.batches import BEFORE_FIRST_STEP, BatchStream, step_seed
from synthaug.training.checkpoint import has_state, load_state, save_state
from synthaug.training.config import TrainingConfig, changed_settings
from synthaug.training.privacy import PrivacyPlan, PrivateUpdates
from synthaug.training.watcher import Watcher

_EXPLODED = 1e4
"""A loss beyond this multiple of its size in the first steps means divergence."""


class Trainer:
    """Trains one generator.

    Args:
        generator: The generator, with initial weights.
        data: The training images.
        config: Settings of the loop.
        accelerator: Devices and processes.
        folder: Where the trainer's state goes; without one nothing is saved.
    """

    def __init__(
        self,
        generator: Generator,
        data: ImageDataset,
        config: TrainingConfig,
        accelerator: Accelerator,
        folder: Path | None = None,
    ) -> None:
        self.data, self.config, self.accelerator, self.folder = data, config, accelerator, folder
        self.augmentation = config.augmented
        with own_random_state(accelerator.device):
            seed_random_state(step_seed(config.seed, BEFORE_FIRST_STEP), accelerator.device)
            self.objective = generator.objective()
        self.objective.to(accelerator.device).to(memory_format=torch.channels_last)
        self.generator = self.objective.generator
        self.phases = self.objective.phases()
        self.ema = ModelEmaV3(self.generator, decay=config.ema_decay, use_warmup=True, warmup_gamma=10, warmup_power=1)
        plan = PrivacyPlan.of(config, len(data))
        self.private = PrivateUpdates(plan, config.privacy_seed) if plan else None
        if plan:
            self.generator.provenance["privacy"] = self.average.provenance["privacy"] = plan.facts(config.steps)
        self.optimizers = {phase.name: self._optimizer(phase) for phase in self.phases}
        self.stream = self.private or BatchStream(data.labels, config.batch_size, config.seed, config.balance)
        self.step = 0
        self._references: dict[str, float] = {}
        self._saved: int | None = None

    @property
    def average(self) -> Generator:
        """The generator with averaged weights, from which samples are drawn."""
        generator = self.ema.module
        if not isinstance(generator, Generator):
            raise TypeError(f"expected the moving average of a generator, but got {type(generator).__name__}.")
        return generator

    def resume(self) -> bool:
        """Go back to the saved state, if there is one.

        Raises:
            ConfigError: If it was made with other settings.
        """
        if self.folder is None or not has_state(self.folder):
            return False
        state = load_state(self.folder, self._modules(), self.optimizers)
        before, now = dict(state["config"]), self.config.to_dict()
        changed = changed_settings(before, now)
        if changed:
            raise ConfigError(
                f"cannot resume with another {changed[0]}: expected {before.get(changed[0])!r}, but got "
                f"{now[changed[0]]!r}. Use the settings of the first start, or start anew with overwrite."
            )
        self.step = self._saved = int(state["step"])
        self._references = dict(state["references"])
        if self.private is not None and self.step < self.config.steps:
            if state["private"]["dataset"] != self.data.digest:
                raise ConfigError("cannot resume with another dataset: expected the images of the first start.")
            self.private.secret = int(state["private"]["secret"])
        return True

    def save(self) -> None:
        """Write a checkpoint (main process only)."""
        if self.folder is not None and self.accelerator.is_main_process:
            state: dict[str, Any] = {
                "step": self.step,
                "references": self._references,
                "config": self.config.to_dict(),
            }
            if self.private is not None and self.step < self.config.steps:
                # Needed to go on exactly; gone when the run is complete, so that no one can take its noise away.
                state["private"] = {"secret": self.private.secret, "dataset": self.data.digest}
            save_state(self.folder, self._modules(), self.optimizers, state)
            self._saved = self.step

    def run(self, watcher: Watcher, should_stop: Callable[[], bool], label: int | None = None) -> None:
        """Train up to the last step.

        Args:
            watcher: Told about losses and previews.
            should_stop: Asked after every step; several processes stop together as soon as one of them is told to.
            label: The class, when this trains the model of a single class.

        Raises:
            TrainingInterrupted: If ``should_stop`` said so; the state was saved.
            DivergenceError: If a loss or gradient is not finite, or exploded; the last checkpoint stays.
        """
        config = self.config
        sums: dict[str, Tensor] = {}
        counts: Counter[str] = Counter()  # a regulariser that is applied now and then has values in few steps
        time_is_up = _deadline(config.minutes)
        if self.private is not None and self.step == 0:
            self.save()  # else a run killed early would start again with other noise, and spend twice
        with own_random_state(self.accelerator.device):
            last = self.step >= config.steps
            while not last:
                for name, value in self._train_step().items():
                    sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value
                    counts[name] += 1
                self.step += 1
                over, interrupted = self._any_process(time_is_up(), should_stop())
                last = self.step == config.steps or over
                if self.step % config.log_every == 0 or last:
                    watcher.log(self.step, {name: value.item() / counts[name] for name, value in sums.items()})
                    sums, counts = {}, Counter()
                if last or (config.checkpoint_every and self.step % config.checkpoint_every == 0):
                    self.save()
                if last or (config.preview_every and self.step % config.preview_every == 0):
                    watcher.preview(self.step, self.average, self.data, label)
                if interrupted and not last:
                    self._interrupt()

    def _any_process(self, *votes: bool) -> tuple[bool, ...]:
        """Return of each vote whether any process casts it, so that all of them do the same after the same step.

        A process that stopped by itself would leave the others waiting for its gradients. All have to call this.
        """
        if self.accelerator.num_processes == 1:
            return votes
        cast = torch.tensor(votes, dtype=torch.float32, device=self.accelerator.device)
        return tuple((self.accelerator.reduce(cast, "sum") > 0).tolist())

    def _train_step(self) -> dict[str, Tensor]:
        config = self.config
        seed = self.private.secret if self.private else config.seed
        seed_random_state(step_seed(seed, self.step, self.accelerator.process_index), self.accelerator.device)
        images, labels = self._batch()
        logged: dict[str, Tensor] = {}
        self.objective.train()
        for phase in self.phases:
            self.objective.requires_grad_(False)
            for module in phase.modules:
                module.requires_grad_(True)
            optimizer = self.optimizers[phase.name]
            rise = min(1.0, (self.step + 1) / max(1, config.learning_rate_warmup))
            for group in optimizer.param_groups:
                group["lr"] = rise * (config.learning_rate or phase.learning_rate)
            if self.private is not None:
                self._private_update(self.private, phase, images, labels)
                continue
            with self.generator.autocast():
                losses = phase.loss(images, labels, self.step)
            self._check_loss(phase, losses["loss"])
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(losses["loss"])
            gradients = self._gradients(phase)
            if not torch.nn.utils.get_total_norm(gradients).isfinite():
                self._diverged(f"a gradient of {phase.name} is not finite")
            optimizer.step()
            logged |= {f"{phase.name}/{name}": value.detach() for name, value in losses.items()}
        self.ema.update(self.generator, step=self.step)
        return logged

    def _private_update(self, private: PrivateUpdates, phase: Phase, images: Tensor, labels: Tensor) -> None:
        """Update with noise. Losses are neither checked nor logged: they are sums over images that stay secret."""
        with self.generator.autocast():
            private.update(self.objective, phase, self.optimizers[phase.name], images, labels, self.step)
        if not torch.nn.utils.get_total_norm(phase.parameters()).isfinite():
            self._diverged(f"a weight of {phase.name} is not finite")

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Return this process's share of the step's images, in [-1, 1], and labels."""
        positions = self.stream.positions(self.step)[self.accelerator.process_index :: self.accelerator.num_processes]
        images = torch.from_numpy(self.data.take(positions)).to(self.accelerator.device).permute(0, 3, 1, 2)
        labels = torch.from_numpy(self.data.labels[positions]).to(self.accelerator.device)
        images = from_uint8(self.augmentation.pixels(images))
        return images.contiguous(memory_format=torch.channels_last), labels

    def _gradients(self, phase: Phase) -> list[Tensor]:
        """Return the phase's gradients, averaged over the processes."""
        gradients = [parameter.grad for parameter in phase.parameters() if parameter.grad is not None]
        if self.accelerator.num_processes > 1:
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            flat = self.accelerator.reduce(flat, "mean")
            for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(part.view_as(gradient))
        return gradients

    def _check_loss(self, phase: Phase, loss: Tensor) -> None:
        cause = self._divergence(phase, loss.item())
        if any(self._any_process(cause is not None)):
            self._diverged(cause or f"the loss of {phase.name} diverged in another process")

    def _divergence(self, phase: Phase, loss: float) -> str | None:
        """Return what is wrong with this process's loss; `None` if nothing is."""
        if not math.isfinite(loss):
            return f"the loss of {phase.name} is {loss}"
        if self.step < max(1, self.config.learning_rate_warmup):
            self._references[phase.name] = max(self._references.get(phase.name, 1.0), abs(loss))
        elif abs(loss) > _EXPLODED * self._references[phase.name]:
            return f"the loss of {phase.name} exploded to {loss:.4g}"
        return None

    def _diverged(self, cause: str) -> None:
        """Stop without saving: the weights are bad already, and the last checkpoint is from before."""
        kept = "" if self._saved is None else f" The checkpoint of step {self._saved} is in {self.folder}."
        raise DivergenceError(
            f"training stopped at step {self.step}: {cause}.{kept} Try a lower learning rate"
            f"{' or precision fp32' if self.generator.precision != 'fp32' else ''}."
        )

    def _interrupt(self) -> None:
        self.save()
        self.accelerator.wait_for_everyone()  # else the launcher ends the one that saves, for others have ended
        go_on = "Go on with resume=True (--resume)." if self.folder else "Nothing was saved, as there is no out folder."
        raise TrainingInterrupted(f"training was interrupted after step {self.step} of {self.config.steps}. {go_on}")

    def _optimizer(self, phase: Phase) -> torch.optim.Optimizer:
        # Opacus's gradients are not laid out in memory as the parameters are, which fused optimisers rely on.
        fused = self.private is None
        optimizer = torch.optim.AdamW(
            phase.parameters(), lr=0.0, betas=phase.betas, weight_decay=self.config.weight_decay, fused=fused
        )
        return optimizer if self.private is None else self.private.optimizer(optimizer)

    def _modules(self) -> dict[str, Any]:
        return {"objective": self.objective, "ema": self.ema.module}


def _deadline(minutes: float | None) -> Callable[[], bool]:
    """Return a function that says whether so many minutes have passed since this call."""
    if minutes is None:
        return lambda: False
    end = time.monotonic() + 60 * minutes
    return lambda: time.monotonic() >= end
