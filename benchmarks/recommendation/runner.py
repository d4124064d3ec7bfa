"""The cells of the benchmark, each resumable: recommend, then read test for all settings."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.downstream.plan import Plan, require_known
from benchmarks.downstream.regimes import Regime
from benchmarks.downstream.tasks import Places, load_splits
from synthaug.classifiers import fit_classifier, judge
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DivergenceError
from synthaug.evaluation import describe_environment
from synthaug.recommendation import Candidate, recommend
from synthaug.recommendation.bookkeeping.clock import Clock, Costs
from synthaug.recommendation.bookkeeping.journal import Journal
from synthaug.recommendation.candidates import curating
from synthaug.recommendation.candidates.maker import GeneratorMaker
from synthaug.recommendation.candidates.space import ClassSets
from synthaug.storage import canonical_json, digest, read_json, write_json

FORMAT = 8
NEVER, ALWAYS, RECOMMENDED = "never", "always", "recommended"
WINNER = "winner of the race"
"""Also where it was not recommended, as it could not be confirmed: that is where a no may be wrong."""

TEST_SEED = 77_000
"""Classifier seeds from here on read test; no seed of a recommendation is that high."""

Say = Callable[[str], None]


def settings(family: str = "vae") -> dict[str, Candidate]:
    """Return the fixed settings with samples by name."""
    curated = curating.available()
    return {
        ALWAYS: Candidate(family, curated=curated, ratio=1, mode="add"),
        "replace 0.33": Candidate(family, ratio=0.5, mode="replace"),
        "mix 1": Candidate(family, ratio=1, mode="mix"),
    }


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What is run; see ``plan.yaml``.

    Attributes:
        datasets: Plans of the downstream benchmark, of which dataset, test and regimes are used.
        minutes: Of each recommendation.
        seeds: Subsets of each dataset and regime.
        first_seed: Of the first of them.
        test_seeds: Classifiers that each value on test is the mean of.
        classifier: Model, and settings that are not tuned.
        options: Further arguments of `synthaug.recommend`.
    """

    datasets: tuple[Plan, ...]
    minutes: float
    seeds: int
    test_seeds: int
    classifier: dict[str, Any]
    options: dict[str, Any]
    first_seed: int = 0

    @classmethod
    def read(cls, path: Path, data: Path | None = None, **overrides: Any) -> Benchmark:
        """Read a plan; sources that are folders in ``data`` are taken from there."""
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        values |= {key: value for key, value in overrides.items() if value is not None}
        known = {field.name for field in dataclasses.fields(cls)}
        if not set(values) <= known:
            raise ConfigError(f"expected a plan of {', '.join(sorted(known))}, but got {', '.join(values)}.")
        plans = tuple(Plan.from_dict(entry).located(data) for entry in values["datasets"])
        return cls(**{"minutes": 20, "seeds": 1, "test_seeds": 3, "options": {}} | values | {"datasets": plans})

    def cells(self) -> Iterator[tuple[Plan, str, int]]:
        """Yield dataset, regime and seed of each cell; one seed of all of them before the next."""
        for seed in range(self.first_seed, self.first_seed + self.seeds):
            for plan in self.datasets:
                for regime in plan.regimes:
                    yield plan, regime, seed


def run(
    benchmark: Benchmark,
    work: Path,
    results: Path,
    say: Say = print,
    *,
    datasets: Sequence[str] = (),
    regimes: Sequence[str] = (),
) -> None:
    """Do the cells that are not done.

    Args:
        benchmark: What to run.
        work: Folder of recommendations and generators.
        results: One JSON for each finished cell.
        say: Takes a line of progress.
        datasets: Those that are run; all if empty.
        regimes: Those that are run; all if empty.

    Raises:
        ConfigError: If the plan knows no such dataset or regime.
    """
    for name in datasets:
        require_known(name, [plan.name for plan in benchmark.datasets], "dataset")
    for name in regimes:
        require_known(name, [regime for plan in benchmark.datasets for regime in plan.regimes], "regime")
    for plan, regime, seed in benchmark.cells():
        if (datasets and plan.name not in datasets) or (regimes and regime not in regimes):
            continue
        train, test = load_splits(plan, Places(work, results))
        subset = Regime.parse(regime).subset(train, seed)
        task = {
            "format": FORMAT, "dataset": plan.name, "regime": regime, "seed": seed, "subset": subset.digest,
            "test": test.digest, "minutes": benchmark.minutes, "classifier": benchmark.classifier,
            "options": benchmark.options, "test_seeds": benchmark.test_seeds,
        }  # fmt: skip
        name = f"cell-{digest(canonical_json(task))[:20]}"
        if (results / f"{name}.json").exists():
            continue
        say(f"{plan.name} {regime} seed {seed}: {len(subset)} images")
        start = time.perf_counter()
        found = run_cell(benchmark, subset, test, work / name, seed, say)
        record = {"task": task, "result": found | {"seconds": time.perf_counter() - start}}
        write_json(results / f"{name}.json", record | describe_environment())


def run_cell(
    benchmark: Benchmark, subset: ImageDataset, test: ImageDataset, folder: Path, seed: int, say: Say
) -> dict[str, Any]:
    """Recommend, then read test for every setting; values are balanced accuracies, one a classifier seed."""
    classifier = dict(benchmark.classifier)
    policy = recommend(
        subset, classifier.pop("model"), benchmark.minutes, out=folder / "advice", seed=seed,
        **benchmark.options, **classifier,
    )  # fmt: skip
    say(f"  {policy.words}")
    advice = read_json(folder / "advice" / "recommendation.json")
    base = advice["real_only"][0]["settings"]
    sets = ClassSets(*(None if names is None else tuple(names) for names in advice["sets"].values()))
    families = advice["request"]["families"]
    clock, costs = Clock(float("inf")), Costs()
    journal = Journal(folder / "test", clock, costs)
    maker = GeneratorMaker(
        folder / "generators", journal,
        seconds_each=advice["effort"]["generator_seconds"], seed=seed,
        steps=benchmark.options.get("generator_steps"),
        settings=benchmark.options.get("generator_settings"),
    )  # fmt: skip
    maker.curation_steps = advice["effort"]["curation_steps"]

    beliefs: dict[str, list[float]] = {}

    def values(label: str, arguments: Mapping[str, Any], used: Mapping[str, Any]) -> list[float]:
        """Train and read test, once for each seed; both yardsticks of a recommendation."""

        def once(number: int) -> dict[str, Any]:
            _, classifier = fit_classifier(subset, seed=TEST_SEED + number, **arguments, **used)
            judged = judge(classifier.dataset_logits(test), np.asarray(test.labels))
            return {"value": judged.scores.balanced_accuracy, "belief": judged.probability}

        rows = [
            journal.once("test", {"setting": label, "number": number}, partial(once, number), "test")
            for number in range(benchmark.test_seeds)
        ]
        beliefs[label] = [row["belief"] for row in rows]
        return [row["value"] for row in rows]

    def with_samples(label: str, candidate: Candidate, used: Mapping[str, Any]) -> list[float]:
        """Do it with a candidate's samples; where training fails, it is never."""
        names = sets.names(candidate.classes)
        try:
            return values(
                label, {"bank": maker.bank(subset, candidate, names), "policy": candidate.policy(names)}, used
            )
        except DivergenceError:
            return found[NEVER]

    found = {NEVER: values(NEVER, {}, base)}
    fixed = settings(families[0])
    for label, candidate in fixed.items():
        found[label] = with_samples(label, candidate, base)
    winner = advice["winner"] and Candidate.from_dict(advice["winner"])
    alike = [label for label, one in fixed.items() if one == winner and policy.classifier == base]
    if policy.recommended:
        samples = {"bank": policy.bank, "policy": policy.policy}
        found[WINNER] = values(RECOMMENDED, samples, policy.classifier)
    elif alike:
        found[WINNER] = found[alike[0]]
    else:
        found[WINNER] = with_samples(WINNER, winner, policy.classifier) if winner else found[NEVER]
    found[RECOMMENDED] = found[WINNER] if policy.recommended else found[NEVER]
    return {
        "values": found,
        "beliefs": beliefs,
        "recommended": policy.recommended,
        "words": policy.words,
        "expected_gain": None if policy.gain is None else policy.gain.to_dict(),
        "gain_of_hits": advice["gain_of_hits"],
        "chance": advice["chance"],
    }
