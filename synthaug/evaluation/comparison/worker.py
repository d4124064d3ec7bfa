"""What the process of one run does: train for so many minutes, sample, measure, write one JSON.

``python -m synthaug.evaluation.comparison.worker OUT vae/seed0`` is started by `synthaug.evaluation.comparison.runs`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synthaug.data import ImageDataset
from synthaug.devices import resolve_device
from synthaug.errors import SynthaugError
from synthaug.evaluation.comparison.task import FAILURE, GENERATOR, GRID, REALS, RESULT, TASK, TRAINING, Task, open_data
from synthaug.evaluation.matching import matched_rows
from synthaug.evaluation.quality import extract_features, measure_fidelity, relative_sharpness
from synthaug.generators import Generator
from synthaug.generators.base import CHUNK
from synthaug.grids import class_grid, save_picture
from synthaug.spread import evenly_spread
from synthaug.storage import read_json, write_json
from synthaug.training.preview import collapsed_classes

INTERRUPTED, FAILED = 130, 1
_NO_LIMIT = 10**9  # steps: the clock ends the training
_LARGE_SIDE = 48
_COMPARED = 20


def main(arguments: Sequence[str]) -> int:
    """Do the run in the given folder; its failure becomes ``failure.json`` and an exit code."""
    out, folder = Path(arguments[0]), Path(arguments[0]) / "runs" / arguments[1]
    (folder / FAILURE).unlink(missing_ok=True)
    try:
        perform(out, folder)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        reason = str(error) if isinstance(error, SynthaugError) else f"{type(error).__name__}: {error}"
        write_json(folder / FAILURE, {"reason": reason, "traceback": traceback.format_exc()})
        return FAILED
    return 0


def perform(out: Path, folder: Path) -> None:
    """Do the run that ``task.json`` in ``folder`` describes, and write ``result.json`` and a grid of samples."""
    if threads := os.environ.get("SYNTHAUG_THREADS"):
        torch.set_num_threads(int(threads))
    task = Task.from_dict(read_json(folder / TASK))
    train, held_out = open_data(out / "data" / "train"), open_data(out / "data" / "held_out")
    reals = held_out.subset(balanced_rows(held_out, task.samples))
    start = time.perf_counter()
    result: dict[str, Any] = {"task": task.to_dict()}
    if task.family == REALS:
        _draw(reals.images, reals.labels, reals, folder)
        # Distances compare on the same shares of the classes alone, and best on the same numbers.
        rows, of_reals = matched_rows([train, reals], task.seed, most=task.samples)
        images, labels, reals = train.take(rows), train.labels[rows], reals.subset(of_reals)
    else:
        generator, result["training"] = _train(task, train, folder)
        images, labels, result["sampling"] = _sample(generator, reals, task.seed)
        result["parameters"] = sum(parameter.numel() for parameter in generator.parameters())
        result["path_length"] = _path_length(generator, task)
        result["collapsed_classes"] = _collapsed(images, labels, reals)
        _draw(images, labels, reals, folder)
    real_features = extract_features(reals.images, task.network)
    features = extract_features(images, task.network, cache=task.family == REALS)
    result["fidelity"] = measure_fidelity(real_features, features, seed=task.seed).to_dict()
    result["sharpness"] = relative_sharpness(reals.images, images)
    result["seconds"] = time.perf_counter() - start
    write_json(folder / RESULT, result)


def balanced_rows(data: ImageDataset, number: int) -> NDArray[np.int64]:
    """Return rows of up to ``number`` images that keep the shares of the classes."""
    order = np.argsort(data.labels, kind="stable")
    return np.sort(order[evenly_spread(len(data), number)])


def _train(task: Task, train: ImageDataset, folder: Path) -> tuple[Generator, dict[str, Any]]:
    """Train, or take the generator that an earlier attempt has trained before it was stopped.

    An unfinished training starts anew: going on would give it more time than the others had.
    """
    from synthaug.generators import load
    from synthaug.training import fit
    from synthaug.training.watcher import METRICS, ModeCollapseWarning

    run = folder / GENERATOR
    if (folder / TRAINING).is_file():
        about: dict[str, Any] = read_json(folder / TRAINING)
        return load(run), about
    shutil.rmtree(run, ignore_errors=True)
    # Checkpoints and looks on the way would take from the training's time.
    settings = {"preview_every": 0, "checkpoint_every": 0} | json.loads(task.settings)
    start, used = time.perf_counter(), time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        generator = fit(
            train,
            task.family,
            steps=_NO_LIMIT,
            minutes=task.minutes,
            seed=task.seed,
            out=run,
            progress=False,
            **settings,
        )
    row = json.loads((run / METRICS).read_text(encoding="utf-8").splitlines()[-1])
    collapse = [str(warning.message) for warning in caught if issubclass(warning.category, ModeCollapseWarning)]
    others = {str(warning.message) for warning in caught if not issubclass(warning.category, ModeCollapseWarning)}
    about = {
        "steps": row["step"],
        "images": row["images"],
        "images_per_second": row["images_per_second"],
        "seconds": time.perf_counter() - start,  # with what is fitted after training
        "processor_seconds": time.process_time() - used,
        "collapse_warnings": collapse,
        "warnings": sorted(others),
        "peak_bytes": peak_memory(),
    }
    write_json(folder / TRAINING, about)
    return generator, about


def _sample(
    generator: Generator, reals: ImageDataset, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64], dict[str, float]]:
    """Draw as many samples of each class as there are real images, and take the time."""
    generator.to(resolve_device())
    labels = np.sort(reals.labels)
    indices = np.concatenate([np.arange(count) for count in reals.class_counts])
    generator.sample_named(labels[:CHUNK], indices[:CHUNK], seed)  # the first chunk pays for what is set up once
    start = time.perf_counter()
    images = generator.sample_named(labels, indices, seed)
    seconds = time.perf_counter() - start
    return images, labels, {"images": len(labels), "seconds": seconds, "images_per_second": len(labels) / seconds}


def _path_length(generator: Generator, task: Task) -> dict[str, float] | None:
    if not task.pairs:
        return None
    from synthaug.latent.interpolating.smoothness import perceptual_path_length

    length = perceptual_path_length(generator, pairs=task.pairs, seed=task.seed)
    return {"mean": length.mean, "ci": length.ci}


def _collapsed(images: NDArray[np.uint8], labels: NDArray[np.int64], reals: ImageDataset) -> list[str]:
    """Return the classes whose samples are nearly identical; some of each are enough to tell."""
    some, of_reals = (
        np.concatenate([np.flatnonzero(of == label)[:_COMPARED] for label in range(len(reals.classes))])
        for of in (labels, reals.labels)
    )
    return collapsed_classes(images[some], labels[some], reals.take(of_reals), reals.labels[of_reals], reals.classes)


def _draw(images: NDArray[np.uint8], labels: NDArray[np.int64], reals: ImageDataset, folder: Path) -> None:
    columns = 6 if max(reals.image_shape[1:]) > _LARGE_SIDE else 10
    save_picture(class_grid(images, labels, reals.classes, columns=columns, rows=10), folder / GRID)


def peak_memory() -> int | None:
    """Return the most memory that this process has had at a time, in bytes; on a GPU what torch had there.

    The resource module's figure is not taken where there is a better one: it starts from the parent's memory.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved()
    try:
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
        import resource
    except (OSError, ImportError):
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
