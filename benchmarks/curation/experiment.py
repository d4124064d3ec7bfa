"""One seed of one dataset and regime: generator, arms, measures. What is finished is read from disk."""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import synthaug
from benchmarks.downstream.regimes import Regime
from benchmarks.downstream.tasks import train_and_test
from synthaug.classifiers import Classifier, Policy, fit_classifier, score, train_classifier
from synthaug.curation import BudgetError, BudgetWarning, Curation, Reference, ReferenceConfig, generate_curated
from synthaug.data import ImageDataset
from synthaug.evaluation import describe_environment
from synthaug.sampling import SampleBank
from synthaug.storage import canonical_json, digest, read_json, write_json

FORMAT = 1
NONE = "none"
Plan = dict[str, Any]
Say = Callable[[str], None]


class Experiment:
    """One dataset of a plan.

    Args:
        plan: See ``plan.yaml``.
        name: Of the dataset.
        data: Folder that relative paths of sources start from.
        work: Folder of generators and banks.
        results: Folder of finished runs, one JSON each.
        say: Takes a line of progress.
    """

    def __init__(self, plan: Plan, name: str, *, data: Path, work: Path, results: Path, say: Say = print) -> None:
        self.plan, self.name, self.work, self.results, self.say = plan, name, work, results, say
        self.about: dict[str, Any] = plan["datasets"][name]
        self._data = data

    def _load(self, source: str, split: str | None) -> ImageDataset:
        place = self._data / source
        return ImageDataset.load(place if place.exists() else source, self.about.get("image_size"), split=split)

    @functools.cached_property
    def _splits(self) -> tuple[ImageDataset, ImageDataset]:
        about, test = self.about, None
        if about.get("test_source") is not None or about.get("test_split") is not None:
            test = self._load(about.get("test_source", about["source"]), about.get("test_split"))
        return train_and_test(self._load(about["source"], about.get("split")), test, about.get("test_limit"))

    @property
    def train(self) -> ImageDataset:
        """The full training split; of it only the judge sees more than a subset."""
        return self._splits[0]

    @property
    def test(self) -> ImageDataset:
        """The fixed test images; without a test split a fifth of the images."""
        return self._splits[1]

    @functools.cached_property
    def judge(self) -> Classifier:
        """The independent classifier, trained on all real training images."""
        self.say(f"{self.name}: training the judge on {len(self.train):,} images")
        result, judge = fit_classifier(self.train, self.test, seed=12345, **self.plan["judge"])
        self.judge_accuracy = result.balanced_accuracy
        return judge

    def run(self, regime: str, seed: int, arm: str) -> dict[str, Any]:
        """Return what an arm came to, measured now or before."""
        subset = Regime.parse(regime).subset(self.train, seed)
        task = {
            "format": FORMAT,
            "dataset": self.name,
            "regime": regime,
            "seed": seed,
            "arm": arm,
            "curation": self.plan["arms"][arm],
            "subset": subset.digest,
            "test": self.test.digest,
            "reference": self.plan.get("reference", {}),
            **{key: self.plan[key] for key in ("per_class", "budget", "generator", "classifier", "judge", "policy")},
        }
        path = self.results / f"{digest(canonical_json(task))[:24]}.json"
        if not path.exists():
            start = time.process_time()
            result = self._measure(task, subset)
            result |= {"task": task, "cpu_seconds": time.process_time() - start, **describe_environment()}
            write_json(path, result)
            shown = {key: round(100 * result[key], 1) for key in ("sample_accuracy", "cas", "gain") if key in result}
            self.say(f"{self.name} {regime} seed {seed} {arm}: {shown or result.get('error')}")
        found: dict[str, Any] = read_json(path)
        return found

    def _measure(self, task: dict[str, Any], subset: ImageDataset) -> dict[str, Any]:
        settings, seed = self.plan["classifier"], int(task["seed"])
        try:
            bank, warning = self._bank(task, subset)
        except BudgetError as error:
            return {"error": str(error)}
        predictions = self.judge.logits(bank.images).argmax(axis=1)
        samples = ImageDataset.from_arrays(bank.images, bank.labels, bank.classes, name="samples")
        alone = train_classifier(samples, self.test, seed=seed, **settings)
        mixed = train_classifier(
            subset, self.test, bank=bank, policy=Policy.from_dict(self.plan["policy"]), seed=seed, **settings
        )
        without = self._real_only(task, subset)
        curation = bank.provenance.get("curation", {})
        return {
            "sample_accuracy": score(predictions, np.asarray(bank.labels), len(bank.classes)).balanced_accuracy,
            "cas": alone.balanced_accuracy,
            "balanced_accuracy": mixed.balanced_accuracy,
            "gain": mixed.balanced_accuracy - without,
            "real_only": without,
            "judge_accuracy": self.judge_accuracy,
            "samples": len(bank),
            "candidates": curation.get("candidates", len(bank)),
            "rejected": _by_reason(curation),
            "missing": curation.get("missing", {}),
            "warning": warning,
        }

    @functools.lru_cache(maxsize=4)  # noqa: B019 - an experiment lives as long as the program
    def _generator(self, regime: str, seed: int) -> synthaug.Generator:
        key = digest(canonical_json([self.name, regime, seed, self.plan["generator"]]))[:16]
        folder = self.work / "generators" / key
        if (folder / "config.json").is_file():
            return synthaug.load(folder)
        subset = Regime.parse(regime).subset(self.train, seed)
        return synthaug.fit(
            subset, seed=seed, out=folder, overwrite=True, progress=False, **self.plan["generator"]
        )  # fmt: skip

    @functools.lru_cache(maxsize=4)  # noqa: B019
    def _reference(self, regime: str, seed: int) -> Reference:
        config = ReferenceConfig.from_dict(self.plan.get("reference", {}))
        return Reference(Regime.parse(regime).subset(self.train, seed), seed, config)

    def _bank(self, task: dict[str, Any], subset: ImageDataset) -> tuple[SampleBank, str | None]:
        """Make the arm's bank; the filters' classifiers are trained once for all arms of a seed."""
        regime, seed = task["regime"], int(task["seed"])
        gen, out = self._generator(regime, seed), self.work / "banks" / digest(canonical_json(task))[:24]
        if not task["curation"]["filters"]:
            return synthaug.generate(
                gen, task["per_class"], seed=seed, out=out, overwrite=True, progress=False
            ), None  # fmt: skip
        curation = Curation.make(task["curation"]["filters"], task["curation"].get("settings"))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", BudgetWarning)
            bank = generate_curated(
                gen, self._reference(regime, seed), task["per_class"], filters=curation, budget=float(task["budget"]),
                seed=seed, out=out, overwrite=True, progress=False,
            )  # fmt: skip
        said = [str(entry.message) for entry in caught if issubclass(entry.category, BudgetWarning)]
        return (bank if isinstance(bank, SampleBank) else SampleBank.open(bank)), (said[0] if said else None)

    def _real_only(self, task: dict[str, Any], subset: ImageDataset) -> float:
        """Return the balanced accuracy without samples, trained once a seed."""
        about = {key: task[key] for key in ("format", "dataset", "regime", "seed", "subset", "test", "classifier")}
        path = self.results / f"real-{digest(canonical_json(about))[:24]}.json"
        if not path.exists():
            result = train_classifier(subset, self.test, seed=int(task["seed"]), **task["classifier"])
            write_json(path, {"task": about, "real_only": result.balanced_accuracy})
        return float(read_json(path)["real_only"])


def _by_reason(curation: dict[str, Any]) -> dict[str, int]:
    total: dict[str, int] = {}
    for of_class in curation.get("rejected", {}).values():
        for reason, count in of_class.items():
            total[reason] = total.get(reason, 0) + count
    return total
