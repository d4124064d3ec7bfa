"""`fit`: from a dataset to a trained generator in a folder of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from synthaug.data import ImageDataset
from synthaug.devices import own_random_state, seed_random_state
from synthaug.errors import ConfigError, DataError, DataWarning, TrainingInterrupted, did_you_mean
from synthaug.generators import Generator, family_class, load, make_generator
from synthaug.generators.base import Precision
from synthaug.generators.folder import write_generator
from synthaug.generators.per_class import PerClassGenerator
from synthaug.training.batches import BEFORE_FIRST_STEP, step_seed
from synthaug.training.config import TrainingConfig
from synthaug.training.interrupt import stop_wish
from synthaug.training.loop import Trainer
from synthaug.training.privacy import PrivacyPlan, check_private_networks, check_private_settings
from synthaug.training.run_folder import STATE_FOLDER, describe_run, open_run
from synthaug.training.watcher import Watcher

_LARGEST_SIDE = 128


@dataclasses.dataclass(frozen=True)
class _Member:
    """A model to train by itself: all there is, or that of one class."""

    generator: Generator
    data: ImageDataset
    config: TrainingConfig
    label: int | None = None
    name: str | None = None


def fit(
    data: Any,
    family: str = "vae",
    *,
    conditioning: str = "shared",
    steps: int = 2000,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: bool = True,
    **settings: Any,
) -> Generator:
    """Train a class-conditional generator.

    Args:
        data: An `ImageDataset`, or anything that `ImageDataset.load` takes. Give it the training split only.
        family: Name of a family; see `synthaug.list_families`.
        conditioning: ``"shared"``: one model sees the label, so rare classes borrow variation from common ones;
            ``"per_class"``: one model a class.
        steps: Optimiser steps, shared out over the classes with ``"per_class"``.
        seed: Same seed, data, settings and kind of device: same generator.
        out: Folder for the generator, its checkpoints, metrics and sample grids; nothing is written without one.
        resume: Go on from the last checkpoint in ``out``, exactly; start from the beginning if there is none.
        overwrite: Replace a run that is already in ``out``.
        dry_run: Print the resolved configuration and parameter counts, and return the untrained generator.
        progress: Show progress on standard error.
        **settings: Any other field of `TrainingConfig` (``batch_size``, ``learning_rate``, ``privacy_epsilon``, …) or
            of the family's own configuration (``latent_dim``, …).

    Returns:
        The trained generator, in evaluation mode.

    Raises:
        ConfigError: On an unknown family or setting, or a value out of range.
        OutputExistsError: If ``out`` holds data and neither ``resume`` nor ``overwrite`` is set.
        DivergenceError: If training became non-finite or exploded; the last checkpoint is kept.
        TrainingInterrupted: On Ctrl-C or a termination signal; the state is saved.

    Example:
        >>> data = synthaug.ImageDataset.load("digits")  # doctest: +SKIP
        >>> gen = synthaug.fit(data, family="vae", steps=500, out="runs/digits")  # doctest: +SKIP
    """
    dataset = data if isinstance(data, ImageDataset) else ImageDataset.load(data)
    _check_data(dataset, conditioning)
    # Told that there is only a processor, accelerate joins several processes; else each would train by itself.
    accelerator = Accelerator(cpu=not torch.accelerator.is_available())
    training, options = split_settings(family, {"steps": steps, "seed": seed, **settings})
    if training.privacy_epsilon is not None:
        check_private_settings(family, conditioning, options, accelerator.num_processes)
    precision = _resolve_precision(training, accelerator.device)
    with own_random_state(accelerator.device):
        seed_random_state(step_seed(training.seed, BEFORE_FIRST_STEP), accelerator.device)
        generator = make_generator(
            family,
            dataset.classes,
            dataset.image_shape,
            conditioning=conditioning,
            precision=precision,
            options=options,
        )
    if training.privacy_epsilon is not None:
        check_private_networks(generator)
        generator.sampling = generator.sampling.replace(prior="normal")  # a fitted one would be fitted to the images
    plan = PrivacyPlan.of(training, len(dataset))
    run = describe_run(generator, training, dataset, accelerator.num_processes, plan)
    if dry_run:
        print(json.dumps(run | {"parameters": count_parameters(generator)}, indent=2, ensure_ascii=False))
        return generator
    folder = Path(out).expanduser() if out is not None else None
    begins = folder is not None and (overwrite or not folder.exists())
    _check_trainable(generator, training, accelerator, begins=begins)
    held: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if folder is not None and accelerator.is_main_process:
        held = open_run(folder, run, dataset, resume=resume, overwrite=overwrite)
    with held:
        accelerator.wait_for_everyone()
        watched = folder if accelerator.is_main_process else None
        shown = progress and accelerator.is_main_process
        with Watcher(watched, training.steps, training.batch_size, shown) as watcher, stop_wish() as should_stop:
            members = _members(generator, dataset, training)
            trained, done = _train(generator, members, accelerator, folder, resume, watcher, should_stop)
        trained.provenance = {"dataset": run["dataset"], "training": run["training"] | {"steps": done}}
        if plan is not None:
            # Else the folder would tell everyone how to take the noise away.
            trained.provenance["training"]["privacy_seed"] = None
            trained.provenance["privacy"] = plan.facts(done)
        elif unseen := _unseen(dataset):  # which a private generator must not tell
            trained.provenance["unseen_classes"] = unseen
        # Laid out in memory as a loaded generator is: the kernels, and by them single grey levels, depend on it.
        trained = trained.to("cpu").to(memory_format=torch.contiguous_format).eval().requires_grad_(False)
        if folder is not None:
            if accelerator.is_main_process:
                write_generator(trained, folder)
            accelerator.wait_for_everyone()
            trained = load(folder)
    if should_stop():  # too late to stop training, but not what the caller would do next
        kept = "Nothing was saved, as there is no out folder." if folder is None else f"The generator is in {folder}."
        raise TrainingInterrupted(f"interrupted after the last step of training. {kept}")
    return trained


def split_settings(family: str, settings: dict[str, Any]) -> tuple[TrainingConfig, dict[str, Any]]:
    """Sort settings into those of the training loop and those of the family.

    Raises:
        ConfigError: If neither knows a setting, or a value is refused.
    """
    of_loop = set(TrainingConfig.field_names())
    config_class = family_class(family).config_class
    options = {name: value for name, value in settings.items() if name not in of_loop}
    unknown = [name for name in options if name not in config_class.field_names()]
    if unknown:
        known = [*TrainingConfig.field_names(), *config_class.field_names()]
        raise ConfigError(
            f"neither the training loop nor the family {family!r} has a setting {unknown[0]!r}."
            f"{did_you_mean(unknown[0], known)} Known settings: {', '.join(known)}."
        )
    config_class.from_dict(options)
    if settings.get("privacy_epsilon") is not None:
        settings = {"balance": 0.0, **settings}  # frequent draws of rare classes would need their sizes
    return TrainingConfig.from_dict({name: value for name, value in settings.items() if name in of_loop}), options


def count_parameters(generator: Generator) -> dict[str, int]:
    """Return the number of parameters of the generator, and of what only training needs."""
    models = [generator]
    if isinstance(generator, PerClassGenerator):
        models = [generator.member(label) for label in range(len(generator.classes))]
    with own_random_state(torch.device("cpu")):
        everything = sum(p.numel() for model in models for p in model.objective().parameters())
    kept = sum(parameter.numel() for parameter in generator.parameters())
    return {"generator": kept, "training_only": everything - kept}


def _members(generator: Generator, data: ImageDataset, config: TrainingConfig) -> Iterator[_Member]:
    """The models to train, one after the other: the generator itself, or those of its classes."""
    if not isinstance(generator, PerClassGenerator):
        yield _Member(generator, data, config)
        return
    whole, rest = divmod(config.steps, len(data.classes))
    for label, name in enumerate(data.classes):
        minutes = None if config.minutes is None else config.minutes / len(data.classes)
        share = config.replace(steps=max(1, whole + (label < rest)), minutes=minutes)
        yield _Member(generator.member(label), data.only(label), share, label, name)


def _train(
    generator: Generator,
    members: Iterable[_Member],
    accelerator: Accelerator,
    folder: Path | None,
    resume: bool,
    watcher: Watcher,
    should_stop: Callable[[], bool],
) -> tuple[Generator, int]:
    """Train all members; return the generator with their averaged weights, and the steps that this took."""
    offset = done = 0
    for member in members:
        state = folder and folder / STATE_FOLDER
        if state and member.label is not None:
            state /= f"{member.label:05d}"  # numbered, since a class name may not be fit for a path
        private = member.config.privacy_epsilon is not None  # then nothing but the updates sees the images
        if not private:
            member.generator.to(accelerator.device)
            member.generator.prepare(member.data)
        trainer = Trainer(member.generator, member.data, member.config, accelerator, state)
        if resume:
            trainer.resume()
        watcher.begin(offset, trainer.step, member.name)
        trainer.run(watcher, should_stop, member.label)
        if not private:
            trainer.average.finish(member.data)
        offset += member.config.steps
        done += trainer.step
        if isinstance(generator, PerClassGenerator) and member.label is not None:
            generator.members[member.label] = trainer.average.to("cpu")
        else:
            generator = trainer.average
    return generator, done


def _unseen(data: ImageDataset) -> list[str]:
    return [name for name, count in zip(data.classes, data.class_counts, strict=True) if count == 0]


def _check_trainable(generator: Generator, config: TrainingConfig, accelerator: Accelerator, *, begins: bool) -> None:
    """Raise where training could not begin; with ``begins`` also what the objective would, before a folder is touched.

    Raises:
        ConfigError: If the processes cannot share a batch, or a setting of the objective is refused.
    """
    if config.batch_size % accelerator.num_processes:
        raise ConfigError(
            f"expected a batch size that {accelerator.num_processes} processes can share evenly, "
            f"but got {config.batch_size}."
        )
    if not begins:
        return
    with own_random_state(accelerator.device):
        (generator.member(0) if isinstance(generator, PerClassGenerator) else generator).objective()


def _check_data(data: ImageDataset, conditioning: str) -> None:
    empty = _unseen(data)
    if len(data) == 0:
        raise DataError("expected at least one image to train on, but the dataset is empty.")
    if empty and conditioning == "per_class":
        raise DataError(
            f"expected at least one image of each class, but {len(empty)} have none ({', '.join(empty[:5])}). "
            "Use conditioning='shared', or leave these classes out."
        )
    if max(data.image_shape[1:]) > _LARGEST_SIDE:
        warnings.warn(
            f"images of {data.image_shape[1]}×{data.image_shape[2]} pixels: generators are made for 8 to "
            f"{_LARGEST_SIDE}, and take long and fail often beyond. Load them with image_size (--image-size).",
            DataWarning,
            stacklevel=3,
        )
    if empty:
        warnings.warn(
            f"{len(empty)} classes have no image ({', '.join(empty[:5])}); their samples can't be meaningful.",
            stacklevel=3,
        )


def _resolve_precision(config: TrainingConfig, device: torch.device) -> Precision:
    """Choose bf16 on GPUs alone: a processor that lacks it would draw from the result slowly."""
    if config.precision != "auto":
        return config.precision
    if config.privacy_epsilon is not None:
        return "fp32"
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
