"""The units of work, each done once: choosing, generators with their banks, and the runs of the arms.

A task is a dictionary of plain values; the digest of all of them names its result. A result appears whole or not at
all, so whatever is on disk is finished, and a second call reads it instead of doing the work again.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.downstream.plan import GeneratorPlan, Plan, Regime
from synthaug.data import ImageDataset
from synthaug.evaluation import Policy, train_classifier
from synthaug.storage import canonical_json, digest, read_json, write_json

FORMAT = 1
"""Part of every task's name; a change of what a task does raises it, and old results are no longer used."""

Task = dict[str, Any]


@functools.lru_cache(maxsize=4)
def _load(source: str, split: str | None, image_size: int | None, cache: str) -> ImageDataset:
    return ImageDataset.load(source, image_size, split=split, cache_dir=Path(cache))


def load_splits(plan: Plan, work: Path) -> tuple[ImageDataset, ImageDataset]:
    """Return the training split and the fixed test images."""
    cache = str(work / "data")
    train = _load(plan.source, plan.split, plan.image_size, cache)
    if plan.test_split is None and plan.test_source is None:
        train, test = train.split(0.8, seed=0)
    else:
        test = _load(plan.test_source or plan.source, plan.test_split, plan.image_size, cache)
    if plan.test_limit is not None and plan.test_limit < len(test):
        chosen = np.random.default_rng(0).permutation(len(test))[: plan.test_limit]
        test = test.subset(np.sort(chosen))
    return train, test


def task_key(task: Task) -> str:
    """Return the name of a task's result."""
    return digest(canonical_json({"format": FORMAT, **task}))[:24]


def result_path(task: Task, work: Path) -> Path:
    """Return where a task's result is, or will be."""
    return work / "results" / f"{task['kind']}-{task_key(task)}.json"


def finished(task: Task, work: Path) -> dict[str, Any] | None:
    """Return a task's result if it is done."""
    path = result_path(task, work)
    return read_json(path)["result"] if path.exists() else None


def perform(task: Task, plan: Plan, work: Path) -> dict[str, Any]:
    """Do a task unless it is done, and return its result."""
    done = finished(task, work)
    if done is not None:
        return done
    start = time.perf_counter()
    result = {"choose": _choose, "generator": _generator, "arm": _arm}[task["kind"]](task, plan, work)
    result["task_seconds"] = time.perf_counter() - start
    write_json(result_path(task, work), {"task": task, "result": result})
    return result


def _subset(task: Task, plan: Plan, work: Path) -> ImageDataset:
    train, _ = load_splits(plan, work)
    return Regime.parse(task["regime"]).subset(train, task["seed"])


def _choose(task: Task, plan: Plan, work: Path) -> dict[str, Any]:
    """Train one candidate on a part of the subset and score it on the rest."""
    part, validation = _subset(task, plan, work).split(1 - task["holdout"], seed=task["seed"])
    return train_classifier(part, validation=validation, seed=task["seed"], **task["settings"]).to_dict()


def bank_path(task: Task, work: Path) -> Path:
    """Return the folder of a generator task's bank."""
    return work / "banks" / task_key(task)


def _generator(task: Task, plan: Plan, work: Path) -> dict[str, Any]:
    """Train a generator on the subset, and on nothing else, and draw its bank."""
    import synthaug

    settings = GeneratorPlan.from_dict(task["generator"])
    folder = work / "generators" / task_key(task)
    start = time.perf_counter()
    generator = synthaug.fit(
        _subset(task, plan, work), seed=task["seed"], out=folder, overwrite=True, progress=False, **settings.fit
    )
    trained = time.perf_counter()
    bank = synthaug.generate(
        generator,
        per_class=settings.per_class,
        seed=task["seed"],
        out=bank_path(task, work),
        overwrite=True,
        progress=False,
    )
    return {
        "generator_digest": generator.digest,
        "bank_digest": bank.digest,
        "samples": len(bank),
        "parameters": sum(parameter.numel() for parameter in generator.parameters()),
        "fit_seconds": trained - start,
        "generate_seconds": time.perf_counter() - trained,
    }


def _arm(task: Task, plan: Plan, work: Path) -> dict[str, Any]:
    """Train one arm and read test once."""
    from synthaug.sampling import SampleBank

    _, test = load_splits(plan, work)
    samples = task["samples"]
    return train_classifier(
        _subset(task, plan, work),
        test,
        bank=None if samples is None else SampleBank.open(work / samples["bank"]),
        policy=None if samples is None else Policy.from_dict(samples["policy"]),
        seed=task["seed"],
        **task["settings"],
    ).to_dict()
