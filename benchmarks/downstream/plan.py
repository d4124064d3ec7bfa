"""What a benchmark runs on one dataset: regimes, classifiers, real-only arms, banks and policies, read from YAML."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.downstream.recipes import RECIPES, recipe_kind
from benchmarks.downstream.regimes import Regime
from synthaug.classifiers import ClassifierConfig, Policy
from synthaug.errors import ConfigError, did_you_mean
from synthaug.recommendation.candidates import space

__all__ = ["BEST", "Arm", "Plan", "Regime"]

CLASS_SETS = tuple(which for which in space.CLASS_SETS if which != "all")
"""Stand for classes in a policy, as in `synthaug.recommend`."""

BEST = "best"
"""Stands for the real-only arm with the best validation score, in ``with_samples``."""


@dataclasses.dataclass(frozen=True)
class Arm:
    """A bank and the policy by which its samples enter."""

    bank: str
    policy: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """One dataset's part of the benchmark. See ``plans/fashion_mnist_long_tail.yaml`` for an example.

    Attributes:
        name: Of the dataset, in results.
        source: Training images, anything `ImageDataset.load` takes by name or path.
        split: Name of the training split; `None` takes all of the source.
        test_source: Source of the test split; the same source if left out.
        test_split: Name of the test split; `None` cuts a fifth off the training images, stratified, with seed 0.
        test_limit: Number of test images, drawn once for all seeds; `None` takes all.
        test_skip: Test images left to other plans: with the others' ``test_limit`` none of theirs is read.
        image_size: Side to which images are resized when loaded.
        regimes: Short forms, see `Regime`.
        seeds: Number of seeds.
        first_seed: The first of them.
        holdout: Share of the subset held out to choose settings.
        selection_seeds: Number of seeds whose subsets are used to choose.
        classifiers: Settings of `train_classifier` by name of the classifier.
        bases: Real-only arms: candidate settings of each. The best candidate by validation is the arm.
        with_samples: Bases that samples are put on top of; ``best`` is the one with the best validation score.
        generators: Arguments of `synthaug.fit` by name; with ``beside``, the name of a bank without generator, the
            bank's images are training images too.
        banks: Recipes by name: what is made of a subset and its generators; see `benchmarks.downstream.recipes`.
        policies: Policies by name. ``classes: rarest`` stands for the classes with the fewest images of a seed's
            subset, ``classes: hardest`` for those that the best real-only arm finds least often in validation.
        arms: Pairs ``[bank, policy]``; all of them if left out.
    """

    name: str
    source: str
    split: str | None = None
    test_source: str | None = None
    test_split: str | None = None
    test_limit: int | None = None
    test_skip: int = 0
    image_size: int | None = None
    regimes: tuple[str, ...] = ("few-shot:20",)
    seeds: int = 5
    first_seed: int = 0
    holdout: float = 0.25
    selection_seeds: int = 3
    classifiers: dict[str, dict[str, Any]] = dataclasses.field(default_factory=lambda: {"resnet": {}})
    bases: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=lambda: {"none": [{}]})
    with_samples: tuple[str, ...] = ("none", BEST)
    generators: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    banks: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = dataclasses.field(default_factory=lambda: {"replace 0.5": {}})
    arms: tuple[Arm, ...] | None = None

    def __post_init__(self) -> None:
        for regime in self.regimes:
            Regime.parse(regime)
        for base, candidates in self.bases.items():
            if not candidates or base == BEST:
                raise ConfigError(f"bases: expected names other than 'best', each with candidates, but got {base!r}.")
            for classifier, settings in itertools.product(self.classifiers, candidates):
                ClassifierConfig.from_dict(self.settings(classifier, settings))
        for policy in self.policies.values():
            if policy.get("classes") not in CLASS_SETS:
                Policy.from_dict(policy)
        for base in self.with_samples:
            require_known(base, {*self.bases, BEST}, "with_samples")
        for recipe in self.banks.values():
            known = {*RECIPES[recipe_kind(recipe)], "per_class"}
            for key in recipe:
                require_known(key, known, "a bank's setting")
            if "generator" in recipe:
                require_known(recipe["generator"], self.generators, "a bank's generator")
            if "labelled_by" in recipe:
                require_known(recipe["labelled_by"], self.classifiers, "a bank's labelled_by")
        made = [name for name, recipe in self.banks.items() if "generator" not in recipe]
        for beside in (*self.generators.values(), *self.banks.values()):
            if "beside" in beside:
                require_known(beside["beside"], made, "beside, a bank without generator")
        for arm in self.arms or ():
            require_known(arm.bank, self.banks, "an arm's bank")
            require_known(arm.policy, self.policies, "an arm's policy")
        if min(self.first_seed, self.test_skip) < 0:
            raise ConfigError(
                f"expected first_seed and test_skip of 0 or more, but got {self.first_seed} and {self.test_skip}."
            )
        if self.seeds < 1 or self.selection_seeds < 1 or not 0 < self.holdout < 1:
            raise ConfigError(
                f"expected seeds and selection_seeds of 1 or more and a holdout between 0 and 1, but got "
                f"{self.seeds}, {self.selection_seeds} and {self.holdout}."
            )

    def settings(self, classifier: str, candidate: Mapping[str, Any]) -> dict[str, Any]:
        """Return a candidate's settings on top of those of its classifier."""
        return self.classifiers[classifier] | dict(candidate)

    def sample_arms(self) -> tuple[Arm, ...]:
        """Return the pairs of bank and policy to run."""
        if self.arms is not None:
            return self.arms
        return tuple(Arm(bank, policy) for bank, policy in itertools.product(self.banks, self.policies))

    def bank_names(self) -> tuple[str, ...]:
        """Return the banks that the arms use, and those that these are made of."""
        used = dict.fromkeys(arm.bank for arm in self.sample_arms())
        generators = [
            self.generators[self.banks[name]["generator"]] for name in used if "generator" in self.banks[name]
        ]
        beside = [made["beside"] for made in (*generators, *(self.banks[name] for name in used)) if "beside" in made]
        return tuple(dict.fromkeys([*beside, *used]))

    def cells(self) -> Iterator[tuple[str, str]]:
        """Yield each regime with each classifier."""
        yield from itertools.product(self.regimes, self.classifiers)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """Make a plan, refusing unknown settings."""
        for key in values:
            require_known(key, [field.name for field in dataclasses.fields(cls)], "a plan's setting")
        made = dict(values)
        for name in ("regimes", "with_samples"):
            if name in made:
                made[name] = tuple(made[name])
        if made.get("arms") is not None:
            made["arms"] = tuple(Arm(*pair) for pair in made["arms"])
        return cls(**made)

    def located(self, data: Path | None) -> Plan:
        """Return the plan with sources that are folders in ``data`` taken from there."""
        if data is None:
            return self
        test = None if self.test_source is None else _located(self.test_source, data)
        return dataclasses.replace(self, source=_located(self.source, data), test_source=test)

    @classmethod
    def read(cls, path: Path, **overrides: Any) -> Plan:
        """Read a plan from YAML; overrides that are not `None` take precedence.

        ``extends`` names another file, from the folder of this one, whose values hold where this one says nothing; of
        a list of files the later ones count.
        ``steps`` overrides those of all classifiers, and ``classifiers`` and ``banks`` choose among the plan's.
        """
        values = _read_extended(path)
        given = {key: value for key, value in overrides.items() if value is not None}
        for name in ("classifiers", "banks"):
            values.setdefault(name, getattr(cls(name="", source=""), name))
            if name in given:
                given[name] = {key: values[name][require_known(key, values[name], name)] for key in given[name]}
        if "banks" in given and values.get("arms"):
            given["arms"] = [pair for pair in values["arms"] if pair[0] in given["banks"]]
        values = {**values, **{key: value for key, value in given.items() if key != "steps"}}
        if "steps" in given:
            for settings in values["classifiers"].values():
                settings["steps"] = given["steps"]
        return cls.from_dict(values)


def _located(source: str, data: Path) -> str:
    return str(data / source) if (data / source).is_dir() else source


def _read_extended(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    extended = values.pop("extends", [])
    merged: dict[str, Any] = {}
    for name in [extended] if isinstance(extended, str) else extended:
        merged |= _read_extended(path.parent / name)
    return merged | values


def require_known(name: str, known: Any, what: str) -> str:
    """Return a name that is known.

    Raises:
        ConfigError: If it is not.
    """
    if name not in known:
        raise ConfigError(
            f"{what}: expected one of {', '.join(sorted(known))}, but got {name!r}.{did_you_mean(name, list(known))}"
        )
    return name
