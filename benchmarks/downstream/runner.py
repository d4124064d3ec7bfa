"""Runs a plan's tasks in three phases (choose, generators, arms), several at a time, and collects the results."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.downstream.plan import Plan, Regime
from benchmarks.downstream.tasks import (
    Task,
    bank_path,
    finished,
    load_splits,
    perform,
)
from synthaug.classifiers.policy import Policy
from synthaug.evaluation import choose

Say = Callable[[str], None]


def run_plan(plan: Plan, work: Path, *, jobs: int = 1, say: Say = print) -> dict[str, Any]:
    """Do what of a plan is not done yet, and return everything that was measured.

    Args:
        plan: What to run.
        work: Folder of finished runs, generators and banks; a second call goes on from it.
        jobs: Tasks at a time; torch's threads are shared out among them.
        say: Takes a line of progress.
    """
    train, test = load_splits(plan, work)
    subsets = {name: [Regime.parse(name).subset(train, seed) for seed in range(plan.seeds)] for name in plan.regimes}
    common = {"test": test.digest}

    def about(regime: str, seed: int) -> Task:
        return {"regime": regime, "seed": seed, "subset": subsets[regime][seed].digest}

    selection: dict[tuple[str, str], list[list[Task]]] = {}
    for regime in plan.regimes:
        for base, candidates in plan.bases.items():
            if len(candidates) > 1:
                selection[regime, base] = [
                    [
                        {"kind": "choose", **about(regime, seed), "holdout": plan.holdout}
                        | {"settings": plan.settings(candidate)}
                        for seed in range(min(plan.selection_seeds, plan.seeds))
                    ]
                    for candidate in candidates
                ]
    _perform_all([t for rows in selection.values() for row in rows for t in row], plan, work, jobs, say)
    choices = {
        key: choose(
            [task["settings"] for task, *_ in rows],
            [[_result(task, work)["validation"]["balanced_accuracy"] for task in row] for row in rows],
        )
        for key, rows in selection.items()
    }

    generators = {
        (regime, name, seed): {"kind": "generator", **about(regime, seed), "generator": settings}
        for regime in plan.regimes
        for name, settings in plan.generators.items()
        for seed in range(plan.seeds)
    }
    _perform_all(list(generators.values()), plan, work, jobs, say)

    arms: dict[tuple[str, str, str | None, str | None], list[Task]] = {}
    for regime in plan.regimes:
        for base, candidates in plan.bases.items():
            chosen = choices[regime, base].best if (regime, base) in choices else plan.settings(candidates[0])
            for generator, policy in _with_and_without(plan):
                arms[regime, base, generator, policy] = [
                    {"kind": "arm", **about(regime, seed), **common, "settings": chosen}
                    | {"samples": _samples(plan, generators, work, regime, generator, policy, seed)}
                    for seed in range(plan.seeds)
                ]
    _perform_all([task for tasks in arms.values() for task in tasks], plan, work, jobs, say)

    return {
        "test_images": len(test),
        "regimes": {
            regime: {
                "train_images": len(subsets[regime][0]),
                "class_counts": [subset.class_counts.tolist() for subset in subsets[regime]],
                "choices": {base: choices[key].to_dict() for base in plan.bases if (key := (regime, base)) in choices},
                "generators": {
                    name: [_result(generators[regime, name, seed], work) for seed in range(plan.seeds)]
                    for name in plan.generators
                },
                "arms": [
                    {
                        "base": base,
                        "generator": generator,
                        "policy": policy,
                        "settings": tasks[0]["settings"],
                        "runs": [_result(task, work) for task in tasks],
                    }
                    for (name, base, generator, policy), tasks in arms.items()
                    if name == regime
                ],
            }
            for regime in plan.regimes
        },
    }


def count_tasks(plan: Plan) -> dict[str, int]:
    """Return how many tasks of each kind a plan has."""
    candidates = sum(len(options) for options in plan.bases.values() if len(options) > 1)
    arms = len(plan.bases) * (1 + len(plan.generators) * len(plan.policies))
    regimes = len(plan.regimes)
    return {
        "choose": regimes * candidates * min(plan.selection_seeds, plan.seeds),
        "generator": regimes * len(plan.generators) * plan.seeds,
        "arm": regimes * arms * plan.seeds,
    }


def _with_and_without(plan: Plan) -> Iterator[tuple[str | None, str | None]]:
    yield None, None
    for generator in plan.generators:
        for policy in plan.policies:
            yield generator, policy


def _samples(
    plan: Plan,
    generators: dict[tuple[str, str, int], Task],
    work: Path,
    regime: str,
    generator: str | None,
    policy: str | None,
    seed: int,
) -> dict[str, Any] | None:
    if generator is None or policy is None:
        return None
    task = generators[regime, generator, seed]
    return {
        "bank": bank_path(task, work).relative_to(work).as_posix(),
        "bank_digest": _result(task, work)["bank_digest"],
        "policy": Policy.from_dict(plan.policies[policy]).to_dict(),
    }


def _result(task: Task, work: Path) -> dict[str, Any]:
    result = finished(task, work)
    if result is None:
        raise RuntimeError(f"a {task['kind']} run has no result; run the same command again to go on.")
    return result


def _perform_all(tasks: Sequence[Task], plan: Plan, work: Path, jobs: int, say: Say) -> None:
    """Do the tasks that are not done; on an error or Ctrl-C the finished ones stay finished."""
    waiting = [task for task in tasks if finished(task, work) is None]
    if not tasks:
        return
    kind = tasks[0]["kind"]
    say(f"{kind}: {len(tasks)} runs, {len(tasks) - len(waiting)} done before")
    start = time.perf_counter()

    def report(number: int, task: Task, result: dict[str, Any]) -> None:
        left = (time.perf_counter() - start) / number * (len(waiting) - number)
        say(f"  {number}/{len(waiting)} {_describe(task, result)} · {left / 60:.1f} min left")

    if jobs == 1:
        for number, task in enumerate(waiting, start=1):
            report(number, task, perform(task, plan, work))
        return
    context = multiprocessing.get_context("spawn")
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with concurrent.futures.ProcessPoolExecutor(
        min(jobs, max(1, len(waiting))), mp_context=context, initializer=_use_threads, initargs=(threads,)
    ) as pool:
        futures = {pool.submit(perform, task, plan, work): task for task in waiting}
        try:
            for number, future in enumerate(concurrent.futures.as_completed(futures), start=1):
                report(number, futures[future], future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _use_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _describe(task: Task, result: dict[str, Any]) -> str:
    words = f"{task['regime']} seed {task['seed']} {result['task_seconds']:.0f} s"
    if task["kind"] == "generator":
        return f"{words} {task['generator'].get('family', 'vae')}"
    scores = result["test"] or result["validation"]
    samples = "" if not task.get("samples") else f" + samples {result['synthetic_images'] / result['images']:.2f}"
    return f"{words} {task['settings'].get('augmentation', '')}{samples}: {100 * scores['balanced_accuracy']:.1f} %"
