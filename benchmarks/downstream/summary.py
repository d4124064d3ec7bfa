"""From cached runs to rows: one a comparison of an arm with samples against its real-only arm."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.downstream.plan import CLASS_SETS
from benchmarks.downstream.regimes import Regime
from synthaug.evaluation import PairedDifference, paired_difference
from synthaug.storage import read_json

METRIC = "balanced_accuracy"

FAMILIES = {
    "diffusion": ("diffusion", "diffusion long"),
    "VAE": ("vae",),
    "VAE-GAN": ("vaegan",),
    "GAN": ("gan",),
}
"""What summaries show: by family the banks of which the first one counts."""
WAYS = {"added": "add", "replacing 0.3": "replace 0.3", "mixed": "mix 0.5"}
"""What summaries show of every cell and family, none of it picked by its result: policies by what they are called."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """An arm with samples beside the real-only arm of the same settings, seed by seed.

    Attributes:
        base: Name of the real-only arm.
        best: Whether that is the real-only arm with the best validation score.
        bank: Name of the bank.
        family: Of the generator, or of what else made the samples.
        policy: How the samples entered.
        mode: Replaced, added or mixed; with what else the policy says besides the share.
        share: Of the images seen in training that were samples, or mixed with one.
        seeds: Of the pairs, in the order of the values.
        reference: Test balanced accuracy without samples, one a seed, from 0 to 1.
        synthetic: The same with samples.
        gain: Their paired difference.
        recalls: Recall of each class without and with samples, mean over the seeds, from 0 to 1.
    """

    base: str
    best: bool
    bank: str
    family: str
    policy: str
    mode: str
    share: float
    seeds: tuple[int, ...]
    reference: tuple[float, ...]
    synthetic: tuple[float, ...]
    gain: PairedDifference
    recalls: tuple[list[float], list[float]]


@dataclasses.dataclass(frozen=True)
class Cell:
    """A dataset, regime and classifier.

    Attributes:
        dataset: Name of the dataset.
        regime: Short form of the regime.
        classifier: Name of the classifier.
        choice: Real-only arms with their validation scores.
        real_only: Test balanced accuracy of each real-only arm, one a seed.
        comparisons: Arms with samples.
    """

    dataset: str
    regime: str
    classifier: str
    choice: dict[str, Any]
    real_only: dict[str, tuple[float, ...]]
    comparisons: tuple[Comparison, ...]

    def ordered(self) -> list[Comparison]:
        """Return the comparisons over the best real-only arm first, each group by its gain."""
        return sorted(self.comparisons, key=lambda one: (not one.best, one.base, -one.gain.mean))

    def find(self, base: str, banks: Sequence[str], policy: str) -> Comparison | None:
        """Return the comparison with the first of the banks with which it was run; `None` where it was with none."""
        run = {(one.base, one.bank, one.policy): one for one in self.comparisons}
        return next((run[base, bank, policy] for bank in banks if (base, bank, policy) in run), None)


def read_cells(results: Path) -> list[Cell]:
    """Collect everything that is finished; nothing else than the cached runs is looked at."""
    cells = [_cell(read_json(path), results) for path in sorted(results.glob("arms-*.json"))]
    return sorted(cells, key=lambda cell: (cell.dataset, Regime.parse(cell.regime).place, cell.classifier))


def rows(cells: list[Cell]) -> list[dict[str, Any]]:
    """Return one row a comparison; accuracies and gains are in percentage points."""
    return [
        {
            "dataset": cell.dataset,
            "regime": cell.regime,
            "classifier": cell.classifier,
            "family": one.family,
            "bank": one.bank,
            "policy": one.policy,
            "reference_arm": one.base,
            "reference_is_best_real_only": one.best,
            "metric": METRIC,
            "unit": "percentage points",
            "seeds": one.gain.pairs,
            "reference_mean": points(float(np.mean(one.reference))),
            "synthetic_mean": points(float(np.mean(one.synthetic))),
            "gain": points(one.gain.mean),
            "ci95_low": points(one.gain.low),
            "ci95_high": points(one.gain.high),
            "wins": one.gain.wins,
        }
        for cell in cells
        for one in cell.comparisons
    ]


def points(share: float | None) -> float | None:
    """Return a share from 0 to 1 in percentage points, as the files have it; `None` where there is none."""
    return None if share is None else round(100 * share, 3)


def signed(share: float) -> str:
    """Return a difference of shares in percentage points, as tables show it; never minus zero.

    Example:
        >>> signed(0.0123), signed(-0.0001)
        ('+1.2', '+0.0')
    """
    return f"{round(100 * share, 1) + 0.0:+.1f}"


def _cell(record: dict[str, Any], results: Path) -> Cell:
    key = {name: record[name] for name in ("dataset", "regime", "classifier")}
    choice = next(found for path in results.glob("choice-*.json") if key.items() <= (found := read_json(path)).items())
    arms = [(arm, list(_finished(arm["runs"], results))) for arm in record["arms"]]
    controls = {arm["base"]: runs for arm, runs in arms if arm["bank"] is None}
    comparisons = []
    for arm, runs in arms:
        # A run counts only beside a real-only one of the very same settings, images and test; earlier plans' do not.
        without = {run["seed"]: run for run in controls.get(arm["base"], [])}
        beside = [(without[run["seed"]], run) for run in runs if run["seed"] in without]
        pairs = [(real, run) for real, run in beside if real["basis"] == run["basis"]]
        if arm["bank"] is not None and pairs:
            comparisons.append(_comparison(arm, pairs, choice["best"]))
    real_only = {base: tuple(run["test"][METRIC] for run in runs) for base, runs in controls.items() if runs}
    return Cell(**key, choice=choice, real_only=real_only, comparisons=tuple(comparisons))


def _finished(keys: list[str], results: Path) -> Iterator[dict[str, Any]]:
    for key in keys:
        path = results / f"arm-{key}.json"
        if path.exists():
            stored = read_json(path)
            task = stored["task"]
            ways = (task["samples"] or {}).get("policy", {})
            basis = {name: task[name] for name in ("settings", "subset", "test")}
            yield {"seed": task["seed"], "basis": basis, "ways": ways, **stored["result"]}


def _comparison(arm: dict[str, Any], pairs: list[tuple[dict[str, Any], dict[str, Any]]], best: str) -> Comparison:
    reference, synthetic = (tuple(pair[side]["test"][METRIC] for pair in pairs) for side in (0, 1))
    recalls = tuple(
        np.array([pair[side]["test"]["recall"] for pair in pairs], dtype=float).mean(axis=0).tolist() for side in (0, 1)
    )
    return Comparison(
        base=arm["base"],
        best=arm["base"] == best,
        bank=arm["bank"],
        family=arm["family"],
        policy=arm["policy"],
        mode=_mode(pairs[0][1]["ways"], arm["policy"]),
        share=float(np.mean([run["synthetic_images"] / run["images"] for _, run in pairs])),
        seeds=tuple(run["seed"] for _, run in pairs),
        reference=reference,
        synthetic=synthetic,
        gain=paired_difference(synthetic, reference),
        recalls=(recalls[0], recalls[1]),
    )


def _mode(policy: Mapping[str, Any], name: str) -> str:
    """Describe a policy but for its share of samples.

    Example:
        >>> _mode({"mode": "add", "ratio": 0.5, "classes": ["a"]}, "add to rarest")
        'add, rarest'
    """
    named = ("mode", "replace_probability", "ratio", "classes")
    others = [f"{key} {value}" for key, value in policy.items() if key not in named]
    sets: list[str] = [kind for kind in CLASS_SETS if kind in name]
    which = sets or ["some classes"]  # each seed has its own
    return ", ".join([policy.get("mode", "replace"), *others, *(which if policy.get("classes") else [])])


def compute_spent(results: Path) -> dict[tuple[str, str], float]:
    """Return hours of work by kind of task and by where it was done: the accelerator's name, or ``"processor"``."""
    spent: dict[tuple[str, str], float] = {}
    for path in results.glob("*-*.json"):
        stored = read_json(path)
        if "task" in stored:
            place = stored["task"]["kind"], stored["machine"]["accelerator"] or "processor"
            spent[place] = spent.get(place, 0.0) + stored["result"].get("task_seconds", 0.0) / 3600
    return spent
