"""The units of work, each done once: choosing, generators, banks, and the runs of the arms.

A task is a dictionary of plain values; the digest of all of them names its result. A result appears whole or not at
all, so whatever is on disk is finished, and a second call reads it instead of doing the work again. Results are small
JSON files and are committed; generators and banks are large and stay in the folder of work.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.downstream.plan import Plan, Regime
from benchmarks.downstream.recipes import make_bank
from synthaug.classifiers import Policy, train_classifier
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError
from synthaug.evaluation import describe_environment
from synthaug.sampling import SampleBank
from synthaug.storage import canonical_json, digest, read_json, write_json

FORMAT = 2
"""Part of every task's name; a change of what a task does raises it, and old results are no longer used."""

Task = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Places:
    """Where things lie.

    Attributes:
        work: Generators, banks and cached data.
        results: One JSON a finished task.
    """

    work: Path
    results: Path


@functools.lru_cache(maxsize=4)
def _load(source: str, split: str | None, image_size: int | None, cache: str) -> ImageDataset:
    return ImageDataset.load(source, image_size, split=split, cache_dir=Path(cache))


def load_splits(plan: Plan, places: Places) -> tuple[ImageDataset, ImageDataset]:
    """Return the training split and the fixed test images."""
    cache = str(places.work / "data")
    train = _load(plan.source, plan.split, plan.image_size, cache)
    test = None
    if plan.test_split is not None or plan.test_source is not None:
        test = _load(plan.test_source or plan.source, plan.test_split, plan.image_size, cache)
    return train_and_test(train, test, plan.test_limit, plan.test_skip)


def train_and_test(
    train: ImageDataset, test: ImageDataset | None, limit: int | None, skip: int = 0
) -> tuple[ImageDataset, ImageDataset]:
    """Return training and test images; without a test split a fifth of the images, stratified.

    At most ``limit`` of the test images are taken, in one order drawn for all, after ``skip`` that are left out.
    """
    if test is None:
        train, test = train.split(0.8, seed=0)
    if skip >= len(test):
        raise ConfigError(f"test_skip: expected less than the {len(test)} test images, but got {skip}.")
    if skip or (limit is not None and limit < len(test)):
        order = np.random.default_rng(0).permutation(len(test))[skip:]
        test = test.subset(np.sort(order[:limit]))
    return train, test


def about_subset(plan: Plan, regime: str, seed: int, subset: ImageDataset) -> Task:
    """Return what names a training subset in a task."""
    return {"dataset": plan.name, "regime": regime, "seed": seed, "subset": subset.digest}


def task_key(task: Task) -> str:
    """Return the name of a task's result."""
    return digest(canonical_json({"format": FORMAT, **task}))[:24]


def result_path(task: Task, places: Places) -> Path:
    """Return where a task's result is, or will be."""
    return places.results / f"{task['kind']}-{task_key(task)}.json"


def finished(task: Task, places: Places) -> dict[str, Any] | None:
    """Return a task's result if it is done.

    A generator or bank that another machine made is done only where its folder is.
    """
    path = result_path(task, places)
    if not path.exists() or (task["kind"] in ("generator", "bank") and not product(task, places).is_dir()):
        return None
    result: dict[str, Any] = read_json(path)["result"]
    return result


def perform(task: Task, plan: Plan, places: Places) -> dict[str, Any]:
    """Do a task unless it is done, and return its result."""
    done = finished(task, places)
    if done is not None:
        return done
    start = time.perf_counter()
    work = {"choose": _choose, "generator": _generator, "bank": _bank, "arm": _arm}[task["kind"]]
    result = work(task, plan, places)
    result["task_seconds"] = time.perf_counter() - start
    write_json(result_path(task, places), {"task": task, "result": result, **describe_environment()})
    return result


def product(task: Task, places: Places) -> Path:
    """Return the folder that a generator's or bank's task makes."""
    return places.work / f"{task['kind']}s" / task_key(task)


def _subset(task: Task, plan: Plan, places: Places) -> ImageDataset:
    train, _ = load_splits(plan, places)
    return Regime.parse(task["regime"]).subset(train, task["seed"])


def _choose(task: Task, plan: Plan, places: Places) -> dict[str, Any]:
    """Train one candidate on a part of the subset and score it on the rest."""
    part, validation = _subset(task, plan, places).split(1 - task["holdout"], seed=task["seed"])
    return train_classifier(part, validation=validation, seed=task["seed"], **task["settings"]).to_dict()


def _generator(task: Task, plan: Plan, places: Places) -> dict[str, Any]:
    """Train a generator on the subset, and on nothing else but what is made of it."""
    import synthaug

    start = time.process_time()
    subset, beside = _subset(task, plan, places), _beside(task, places)
    if beside is not None:
        subset = subset.joined(beside.images, beside.labels)
    generator = synthaug.fit(
        subset, seed=task["seed"], out=product(task, places), overwrite=True, progress=False, **task["generator"]
    )
    return {
        "digest": generator.digest,
        "family": generator.family,
        "parameters": sum(parameter.numel() for parameter in generator.parameters()),
        "cpu_seconds": time.process_time() - start,
    }


def _bank(task: Task, plan: Plan, places: Places) -> dict[str, Any]:
    """Make a bank of the subset and its generator."""
    from synthaug.sampling.generating import load_generator

    start = time.process_time()
    folder = None if task["generator"] is None else places.work / "generators" / task["generator"]
    generator = None if folder is None else load_generator(folder)
    bank = make_bank(
        task["recipe"], _subset(task, plan, places), generator, product(task, places), task["seed"],
        train=load_splits(plan, places)[0], beside=_beside(task, places),
    )  # fmt: skip
    return {
        "digest": bank.digest,
        "samples": len(bank),
        "counts": bank.counts.tolist(),
        "curation": bank.provenance.get("curation"),
        "cpu_seconds": time.process_time() - start,
    }


def _beside(task: Task, places: Places) -> SampleBank | None:
    """Return the bank whose images stand beside those of the subset or the samples."""
    return SampleBank.open(places.work / "banks" / task["beside"]) if "beside" in task else None


def _arm(task: Task, plan: Plan, places: Places) -> dict[str, Any]:
    """Train one arm and read test once."""
    _, test = load_splits(plan, places)
    samples = task["samples"]
    return train_classifier(
        _subset(task, plan, places),
        test,
        bank=None if samples is None else SampleBank.open(places.work / "banks" / samples["bank"]),
        policy=None if samples is None else Policy.from_dict(samples["policy"]),
        seed=task["seed"],
        **task["settings"],
    ).to_dict()
