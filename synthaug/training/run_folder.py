"""The folder of a training run: its description, and whether a run may start or go on there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, FormatError, OutputExistsError
from synthaug.generators import Generator
from synthaug.generators.folder import CONFIG, GENERATOR
from synthaug.storage import LOCK, Contents, empty, locked, output_folder, read_json, write_json
from synthaug.training.config import TrainingConfig, changed_settings
from synthaug.training.preview import draw_reals
from synthaug.training.privacy import PrivacyPlan
from synthaug.training.watcher import METRICS, SAMPLES

RUN, STATE_FOLDER, REALS = "run.json", "trainer_state", "reals.png"
_CONTENTS = Contents(
    "run",
    (RUN,),
    (*GENERATOR.marks, *GENERATOR.others, STATE_FOLDER, METRICS, SAMPLES, REALS, LOCK),
    {RUN: ("family", "model", "training", "dataset")},
)


def describe_run(
    generator: Generator, config: TrainingConfig, data: ImageDataset, processes: int, plan: PrivacyPlan | None = None
) -> dict[str, Any]:
    """Return the resolved configuration of a run."""
    identity = generator.identity()
    described = {
        "family": identity["family"],
        "conditioning": identity["conditioning"],
        "image_shape": identity["image_shape"],
        "precision": identity["precision"],
        "model": identity["model"],
        "training": config.to_dict(),
        "dataset": {
            "name": data.name,
            "digest": data.digest,
            "images": len(data),
            "classes": len(data.classes),
        },
        "processes": processes,
    }
    if plan is not None:
        del described["dataset"]["digest"]  # who has all images but one could tell by it which one is the last
        described["privacy"] = plan.facts(config.steps)
    return described


@contextlib.contextmanager
def open_run(folder: Path, run: dict[str, Any], data: ImageDataset, *, resume: bool, overwrite: bool) -> Iterator[None]:
    """Make the run's folder, or check that the one that is there can be gone on with, and hold it.

    Raises:
        OutputExistsError: If ``folder`` holds data and neither ``resume`` nor ``overwrite`` is set, or data that no
            run wrote, or another process trains there.
        ConfigError: If ``resume`` is set and the run there has other settings.
        FormatError: If ``resume`` is set and the data there are not those of a run.
    """
    with _held(folder) if (folder / RUN).is_file() else contextlib.nullcontext():
        _begin(folder, run, data, resume, overwrite)
    with _held(folder):
        yield


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    with locked(folder / LOCK):
        try:
            yield
        finally:
            (folder / LOCK).unlink(missing_ok=True)


def _begin(folder: Path, run: dict[str, Any], data: ImageDataset, resume: bool, overwrite: bool) -> None:
    described = folder / RUN
    goes_on = resume and described.exists()
    if goes_on:
        _check_same_run(read_json(described), run, folder)
        _check_steps(folder, run["training"]["steps"])
    elif resume and folder.is_dir() and any(folder.iterdir()):
        raise FormatError(f"cannot resume: {folder} holds data, but no {RUN} of a run.")
    elif described.exists() and (folder / STATE_FOLDER).is_dir() and not (folder / CONFIG).exists() and not overwrite:
        raise OutputExistsError(
            f"fit: a run that has not finished is in {folder}. Go on with resume=True (--resume), or {_ANEW}."
        )
    else:
        output_folder(folder, overwrite=overwrite, what="fit", contents=_CONTENTS, in_place=True)
        empty(folder)
    write_json(described, run)  # before all else, since it marks the folder
    if not goes_on and "privacy" not in run:
        draw_reals(data, folder / REALS)


def _check_steps(folder: Path, steps: int) -> None:
    """Refuse fewer steps than a finished run has taken: its records would tell of a run that never was."""
    if (folder / CONFIG).is_file():
        done = read_json(folder / CONFIG).get("provenance", {}).get("training", {}).get("steps", 0)
        if done > steps:
            raise ConfigError(
                f"cannot resume {folder} for {steps} steps: it is finished, with {done}. Ask for more, or {_ANEW}."
            )


_ANEW = "start anew with overwrite=True and without resume (--overwrite)"


def _check_same_run(before: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    def settings(run: dict[str, Any]) -> dict[str, Any]:
        flat = {**run, **run["training"], **run["model"], "dataset": run["dataset"].get("digest")}
        return {name: value for name, value in flat.items() if name not in ("training", "model", "privacy")}

    if before["precision"] != now["precision"]:
        raise ConfigError(
            f"cannot resume {folder} with another precision: it was started with {before['precision']!r}, but got "
            f"{now['precision']!r}. Set precision={before['precision']!r} (--precision {before['precision']}), use "
            f"another folder, or {_ANEW}."
        )
    old, new = settings(before), settings(now)
    others = [name for name in new if name not in now["training"] and old.get(name) != new[name]]
    changed = others + changed_settings(before["training"], now["training"])
    if changed:
        raise ConfigError(
            f"cannot resume {folder} with another {changed[0]}: it was started with {old.get(changed[0])!r}, but got "
            f"{new[changed[0]]!r}. Use the settings of the start, another folder, or {_ANEW}."
        )
