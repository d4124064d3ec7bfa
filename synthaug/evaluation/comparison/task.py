"""What one run of a comparison is asked to do; a finished run counts only for the very same task."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.config import Config
from synthaug.data import ImageDataset
from synthaug.storage import Contents, canonical_json, new_directory, read_json, write_json

TASK, TRAINING, RESULT, FAILURE = "task.json", "training.json", "result.json", "failure.json"
GRID, GENERATOR = "samples.png", "generator"
DATA, DATA_KEYS = "data.json", ("name", "classes", "digest")
DATA_FOLDER = Contents("data", (DATA,), ("images.npy", "labels.npy"), {DATA: DATA_KEYS})
RUN_FOLDER = Contents("run", (TASK,), proof={TASK: ("family", "seed", "minutes", "settings")})
REALS = "reals"
"""Instead of a family: the real training images, measured as if they were samples."""


@dataclasses.dataclass(frozen=True)
class Task(Config):
    """One run.

    Attributes:
        family: A family, or ``"reals"``.
        seed: Of training and samples.
        minutes: Training time.
        settings: Canonical JSON of further arguments of `synthaug.fit`.
        train: Digest of the training images.
        held_out: Digest of the real images that samples are measured against.
        samples: Samples and held-out images to measure on, at most.
        network: Whose features distances are measured in.
        pairs: Pairs of codes that the path length is measured on; 0 leaves it out.
    """

    family: str
    seed: int
    minutes: float
    settings: str
    train: str
    held_out: str
    samples: int
    network: str
    pairs: int

    def validate(self) -> None:
        """Check the ranges."""
        self.require(self.seed >= 0, "seed", "an integer of 0 or more")
        self.require(self.minutes > 0, "minutes", "a number above 0")
        self.require(self.samples >= 12, "samples", "12 or more")
        self.require(self.pairs >= 0, "pairs", "0 or more")

    @property
    def name(self) -> str:
        """Short name of the run, also its folder below ``runs/``."""
        return REALS if self.family == REALS else f"{self.family}/seed{self.seed}"

    def folder(self, out: Path) -> Path:
        """Where the run is below the comparison's folder."""
        return out / "runs" / self.name


def finished(task: Task, out: Path) -> dict[str, Any] | None:
    """Return the result of a run, or None if it is not done."""
    path = task.folder(out) / RESULT
    if not path.is_file():
        return None
    result: dict[str, Any] = read_json(path)
    return result if result["task"] == task.to_dict() else None


def settings_text(settings: dict[str, Any]) -> str:
    """Return settings as the text that a task holds."""
    return canonical_json(settings)


def store_data(data: ImageDataset, folder: Path) -> None:
    """Write a dataset as plain arrays, for the runs' processes to map."""
    with new_directory(folder, overwrite=True, what="compare", contents=DATA_FOLDER) as partial:
        np.save(partial / "images.npy", data.images)
        np.save(partial / "labels.npy", data.labels)
        write_json(partial / DATA, {"name": data.name, "classes": list(data.classes), "digest": data.digest})


def stored_digest(folder: Path) -> str | None:
    """Return the digest of the dataset that `store_data` put there, if it did."""
    return str(read_json(folder / DATA)["digest"]) if DATA_FOLDER.marked(folder) else None


def open_data(folder: Path) -> ImageDataset:
    """Open what `store_data` wrote, memory-mapped."""
    about = read_json(folder / DATA)
    images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    labels = np.load(folder / "labels.npy", allow_pickle=False)
    return ImageDataset.from_arrays(images, labels, about["classes"], about["name"])
