"""Runs a plan's tasks in phases (choose, generators, banks, arms), several at a time; results are collected on disk."""

from __future__ import annotations

import concurrent.futures
import itertools
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.downstream import Until
from benchmarks.downstream.plan import BEST, CLASS_SETS, Plan, Regime
from benchmarks.downstream.recipes import recipe_kind
from benchmarks.downstream.tasks import Places, Task, about_subset, finished, load_splits, perform, task_key
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError
from synthaug.recommendation.candidates.space import class_sets
from synthaug.recommendation.race.tuning import mean_recalls
from synthaug.storage import digest, read_json, write_json

Say = Callable[[str], None]


def run_plan(plan: Plan, places: Places, *, jobs: int = 1, say: Say = print, until: Until = "arms") -> None:
    """Do what of a plan is not done yet.

    Args:
        plan: What to run.
        places: Where generators, banks and results lie; a second call goes on from them.
        jobs: Tasks at a time; torch's threads are shared out among them.
        say: Takes a line of progress.
        until: The last phase: ``"choose"``, ``"banks"``, ``"comparisons"`` or ``"arms"``, which adds the real-only arms
            that no samples come on top of.
    """
    run = _Run(plan, places, jobs, say)
    choices = run.choose()
    if until == "choose":
        return
    banks = run.banks(choices)
    if until != "banks":
        run.arms(choices, banks, others=until != "comparisons")


class _Run:
    """A plan while it runs."""

    def __init__(self, plan: Plan, places: Places, jobs: int, say: Say) -> None:
        self.plan, self.places, self.jobs, self.say = plan, places, jobs, say
        train, test = load_splits(plan, places)
        self.test: ImageDataset = test
        self.subsets = {
            (regime, seed): Regime.parse(regime).subset(train, seed) for regime in plan.regimes for seed in self.seeds
        }

    @property
    def seeds(self) -> range:
        return range(self.plan.first_seed, self.plan.first_seed + self.plan.seeds)

    def about(self, regime: str, seed: int) -> Task:
        """Return what names a subset in a task."""
        return about_subset(self.plan, regime, seed, self.subsets[regime, seed])

    def choose(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Choose each base's settings, and the best base, for each regime and classifier."""
        rows: dict[tuple[str, str], list[tuple[str, list[Task]]]] = {}
        for regime, classifier in self.plan.cells():
            rows[regime, classifier] = [
                (base, self._choices(regime, self.plan.settings(classifier, settings)))
                for base, candidates in self.plan.bases.items()
                for settings in candidates
            ]
        self.perform([task for tasks in rows.values() for _, group in tasks for task in group])
        return {cell: self._record(cell, groups) for cell, groups in rows.items()}

    def _selection_seeds(self) -> range:
        return self.seeds[: self.plan.selection_seeds]

    def _choices(self, regime: str, settings: dict[str, Any]) -> list[Task]:
        """Return the runs that judge a candidate, one for each seed of the selection."""
        shared = {"holdout": self.plan.holdout, "settings": settings}
        return [{"kind": "choose", **self.about(regime, seed), **shared} for seed in self._selection_seeds()]

    def _record(self, cell: tuple[str, str], groups: list[tuple[str, list[Task]]]) -> dict[str, Any]:
        """Write down what was chosen for a cell, which the report reads; what more seeds chose from the same stands."""
        bases: dict[str, dict[str, Any]] = {}
        for base, tasks in groups:
            scores = [self.result(task)["validation"]["balanced_accuracy"] for task in tasks]
            candidate = {"settings": tasks[0]["settings"], "validation": scores, "mean": float(np.mean(scores))}
            bases.setdefault(base, {"candidates": []})["candidates"].append(candidate)
        for chosen in bases.values():
            best = max(chosen["candidates"], key=lambda candidate: candidate["mean"])
            chosen |= {"settings": best["settings"], "mean": best["mean"]}
        regime, classifier = cell
        path = self.places.results / f"choice-{cell_key(self.plan.name, regime, classifier)}.json"
        if path.exists():
            before = read_json(path)
            if len(before["seeds"]) > len(self._selection_seeds()) and _offered(before["bases"]) == _offered(bases):
                self.say(f"{regime}, {classifier}: settings as {len(before['seeds'])} seeds chose them before")
                return dict(before)
        record = {
            "dataset": self.plan.name, "regime": regime, "classifier": classifier, "bases": bases,
            "best": max(bases, key=lambda base: bases[base]["mean"]),
            "train_images": len(self.subsets[regime, self.plan.first_seed]), "test_images": len(self.test),
            "classes": list(self.test.classes),
            "seeds": list(self._selection_seeds()),
        }  # fmt: skip
        write_json(path, record)
        return record

    def banks(self, choices: dict[tuple[str, str], dict[str, Any]]) -> dict[tuple[str, str, int], Task]:
        """Train generators and make the banks that the arms want; those that need no generator are made first."""
        recipes = {name: self.plan.banks[name] for name in self.plan.bank_names()}
        plain = {name: recipe for name, recipe in recipes.items() if "generator" not in recipe}
        drawn = {name: recipe for name, recipe in recipes.items() if "generator" in recipe}
        places = list(itertools.product(self.plan.regimes, self.seeds))
        banks: dict[tuple[str, str, int], Task] = {}
        for regime, seed in places:
            for name, recipe in plain.items():
                whole = self._recipe(recipe, choices, regime)
                task = {"kind": "bank", **self.about(regime, seed), "recipe": whole, "generator": None}
                banks[regime, name, seed] = task
        self.perform([*banks.values()])

        def beside(settings: dict[str, Any], regime: str, seed: int) -> Task:
            return {"beside": task_key(banks[regime, settings["beside"], seed])} if "beside" in settings else {}

        generators: dict[tuple[str, str, int], Task] = {}
        for regime, seed in places:
            for name in dict.fromkeys(recipe["generator"] for recipe in drawn.values()):
                settings = self.plan.generators[name]
                task = {"kind": "generator", **self.about(regime, seed), **beside(settings, regime, seed)}
                task["generator"] = {key: value for key, value in settings.items() if key != "beside"}
                generators[regime, name, seed] = task
        self.perform([*generators.values()])
        samples: dict[tuple[str, str, int], Task] = {}
        for regime, seed in places:
            for name, recipe in drawn.items():
                task = {"kind": "bank", **self.about(regime, seed), "recipe": recipe, **beside(recipe, regime, seed)}
                samples[regime, name, seed] = task | {
                    "generator": task_key(generators[regime, recipe["generator"], seed])
                }
        self.perform([*samples.values()])
        return banks | samples

    def _recipe(
        self, recipe: dict[str, Any], choices: dict[tuple[str, str], dict[str, Any]], regime: str
    ) -> dict[str, Any]:
        """Return a recipe with the settings of what labels: the best real-only arm of the classifier that it names."""
        if "labelled_by" not in recipe:
            return recipe
        chosen = choices[regime, recipe["labelled_by"]]
        return recipe | {"labelled_by": chosen["bases"][chosen["best"]]["settings"]}

    def arms(
        self,
        choices: dict[tuple[str, str], dict[str, Any]],
        banks: dict[tuple[str, str, int], Task],
        *,
        others: bool = True,
    ) -> None:
        """Train the arms that comparisons need, then all others, and write down under which names they go."""
        compared: list[Task] = []
        alone: list[Task] = []
        for regime, classifier in self.plan.cells():
            chosen = choices[regime, classifier]
            names: list[dict[str, Any]] = []
            for base, bank, policy in self._arms(chosen, others):
                group = []
                for seed in self.seeds:
                    samples = None
                    if bank is not None:
                        made = banks[regime, bank, seed]
                        samples = {
                            "bank": task_key(made),
                            "bank_digest": self.result(made)["digest"],
                            "policy": self._policy(policy or "", regime, seed, chosen),
                        }
                    group.append(
                        {"kind": "arm", **self.about(regime, seed), "test": self.test.digest}
                        | {"settings": chosen["bases"][base]["settings"], "samples": samples}
                    )
                (compared if base in self._used(chosen) else alone).extend(group)
                family = None if bank is None else self._family(bank)
                names.append(
                    {"base": base, "bank": bank, "policy": policy, "family": family}
                    | {"runs": [task_key(task) for task in group]}
                    | {"banks": [] if bank is None else [task_key(banks[regime, bank, seed]) for seed in self.seeds]}
                )
            path = self.places.results / f"arms-{cell_key(self.plan.name, regime, classifier)}.json"
            write_json(path, {**_cell(self.plan.name, regime, classifier), "arms": _merged(path, names)})
        self.perform(compared)
        self.perform(alone)

    def _policy(self, name: str, regime: str, seed: int, chosen: dict[str, Any]) -> dict[str, Any]:
        """Return a policy's settings, with the names of the classes that it stands for."""
        policy = self.plan.policies[name]
        if policy.get("classes") not in CLASS_SETS:
            return policy
        if policy["classes"] == "hardest" and Regime.parse(regime).kind == "long-tail":
            raise ConfigError(f"policy {name!r}: in a long tail each seed has its own rare classes; take rarest.")
        subset = self.subsets[regime, seed]
        best = chosen["bases"][chosen["best"]]["settings"]
        scores = [self.result(task)["validation"] for task in self._choices(regime, best)]
        recalls = mean_recalls([one["recall"] for one in scores], len(subset.classes))
        classes = class_sets(subset.classes, subset.class_counts.tolist(), recalls).names(policy["classes"])
        if classes is None:
            raise ConfigError(
                f"policy {name!r}: expected classes that differ, but none is {policy['classes']} in {regime}."
            )
        return policy | {"classes": list(classes)}

    def _arms(self, chosen: dict[str, Any], others: bool) -> Iterator[tuple[str, str | None, str | None]]:
        """Yield (base, bank, policy): first bases that get samples, without and with them, then others if wanted."""
        used = self._used(chosen)
        for base in used:
            yield base, None, None
            for arm in self.plan.sample_arms():
                yield base, arm.bank, arm.policy
        for base in self.plan.bases if others else ():
            if base not in used:
                yield base, None, None

    def _used(self, chosen: dict[str, Any]) -> list[str]:
        """Return the bases that get samples."""
        return list(dict.fromkeys(chosen["best"] if base == BEST else base for base in self.plan.with_samples))

    def _family(self, bank: str) -> str:
        recipe = self.plan.banks[bank]
        if "generator" in recipe:
            return str(self.plan.generators[recipe["generator"]].get("family", "vae"))
        return str(recipe.get("peer", recipe_kind(recipe)))

    def result(self, task: Task) -> dict[str, Any]:
        """Return the result of a task that was performed."""
        result = finished(task, self.places)
        if result is None:
            raise RuntimeError(f"a {task['kind']} run has no result; run the same command again to go on.")
        return result

    def perform(self, tasks: Sequence[Task]) -> None:
        """Do the tasks that are not done; on an error or Ctrl-C the finished ones stay finished."""
        unique = {task_key(task): task for task in tasks}
        waiting = [task for task in unique.values() if finished(task, self.places) is None]
        if not tasks:
            return
        self.say(f"{tasks[0]['kind']}: {len(unique)} runs, {len(unique) - len(waiting)} done before")
        start = time.perf_counter()

        def report(number: int, task: Task, result: dict[str, Any]) -> None:
            left = (time.perf_counter() - start) / number * (len(waiting) - number)
            self.say(f"  {number}/{len(waiting)} {_describe(task, result)} · {left / 60:.1f} min left")

        if self.jobs == 1:
            for number, task in enumerate(waiting, start=1):
                report(number, task, perform(task, self.plan, self.places))
            return
        context = multiprocessing.get_context("spawn")
        threads = max(1, (os.cpu_count() or 1) // self.jobs)
        with concurrent.futures.ProcessPoolExecutor(
            min(self.jobs, max(1, len(waiting))), mp_context=context, initializer=use_threads, initargs=(threads,)
        ) as pool:
            futures = {pool.submit(perform, task, self.plan, self.places): task for task in waiting}
            try:
                for number, future in enumerate(concurrent.futures.as_completed(futures), start=1):
                    report(number, futures[future], future.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _offered(bases: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the settings that each base could choose from."""
    return {name: [candidate["settings"] for candidate in base["candidates"]] for name, base in bases.items()}


def _cell(dataset: str, regime: str, classifier: str) -> dict[str, str]:
    return {"dataset": dataset, "regime": regime, "classifier": classifier}


def cell_key(dataset: str, regime: str, classifier: str) -> str:
    """Return the name of the files of one dataset, regime and classifier."""
    return digest(dataset, regime, classifier)[:12]


def _merged(path: Any, names: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the arms of earlier plans; those of the same name are replaced, unless they hold more seeds."""

    def key(arm: dict[str, Any]) -> tuple[Any, ...]:
        return arm["base"], arm["bank"], arm["policy"]

    known = {key(arm): arm for arm in (read_json(path)["arms"] if path.exists() else [])}
    for arm in names:
        before = known.get(key(arm))
        if before is None or before["runs"][: len(arm["runs"])] != arm["runs"]:
            known[key(arm)] = arm
    return list(known.values())


def use_threads(threads: int) -> None:
    """Begin a process that shares the cores with others."""
    import torch

    torch.set_num_threads(threads)


def _describe(task: Task, result: dict[str, Any]) -> str:
    words = f"{task['dataset']} {task['regime']} seed {task['seed']} {result['task_seconds']:.0f} s"
    if task["kind"] == "generator":
        return f"{words} {result['family']}"
    if task["kind"] == "bank":
        return f"{words} {result['samples']} samples"
    scores = result["test"] or result["validation"]
    samples = "" if not task.get("samples") else f" + samples {result['synthetic_images'] / result['images']:.2f}"
    settings = task["settings"]
    return (
        f"{words} {settings.get('model', '')} {settings.get('augmentation', '')}{samples}: "
        f"{100 * scores['balanced_accuracy']:.1f} %"
    )
