"""What a benchmark runs: sources, regimes, real-only bases, generators and policies, read from YAML."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, did_you_mean
from synthaug.evaluation import ClassifierConfig, Policy


@dataclasses.dataclass(frozen=True)
class Regime:
    """How the training subset is drawn: ``few-shot:20``, ``long-tail:100@500`` (imbalance @ head) or ``full``."""

    name: str
    kind: str
    per_class: int = 0
    imbalance: float = 1.0
    head: int | None = None

    @classmethod
    def parse(cls, text: str) -> Regime:
        """Read a regime from its short form."""
        kind, _, detail = text.partition(":")
        try:
            if kind == "few-shot":
                return cls(text, kind, per_class=int(detail))
            if kind == "long-tail":
                imbalance, _, head = detail.partition("@")
                return cls(text, kind, imbalance=float(imbalance), head=int(head) if head else None)
            if text == "full":
                return cls(text, kind)
        except ValueError:
            pass
        raise ConfigError(f"expected a regime like few-shot:20, long-tail:100@500 or full, but got {text!r}.")

    def subset(self, train: ImageDataset, seed: int) -> ImageDataset:
        """Draw the training images of one seed; in a long tail the seed also shuffles which classes are rare."""
        if self.kind == "few-shot":
            return train.few_shot(per_class=self.per_class, seed=seed)
        if self.kind == "long-tail":
            return train.long_tail(imbalance=self.imbalance, seed=seed, head=self.head, order="shuffled")
        return train


@dataclasses.dataclass(frozen=True)
class GeneratorPlan:
    """One generator: the arguments of `synthaug.fit`, and the number of samples a class."""

    per_class: int
    fit: dict[str, Any]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GeneratorPlan:
        """Read a generator's settings; all but ``per_class`` and ``options`` go to `synthaug.fit` as they are."""
        fit = {key: value for key, value in values.items() if key not in ("per_class", "options")}
        return cls(per_class=int(values.get("per_class", 200)), fit=fit | dict(values.get("options", {})))


@dataclasses.dataclass(frozen=True)
class Plan:
    """A whole benchmark. See ``fashion_mnist.yaml`` beside this file for an example.

    Attributes:
        name: Of the result.
        source: Training images, anything `ImageDataset.load` takes by name or path.
        split: Name of the training split; `None` takes all of the source.
        test_source: Source of the test split; the same source if left out.
        test_split: Name of the test split; `None` cuts a fifth off the training images, stratified, with seed 0.
        test_limit: Number of test images, drawn once for all seeds; `None` takes all.
        image_size: Side to which images are resized when loaded.
        regimes: Short forms, see `Regime`.
        seeds: Number of seeds, from 0.
        holdout: Share of the subset held out to choose settings.
        selection_seeds: Number of seeds whose subsets are used to choose.
        classifier: Settings of `train_classifier` that all arms share.
        bases: Candidate settings of each real-only arm.
        generators: Generators by name.
        policies: Policies by name.
    """

    name: str
    source: str
    split: str | None = None
    test_source: str | None = None
    test_split: str | None = None
    test_limit: int | None = None
    image_size: int | None = None
    regimes: tuple[str, ...] = ("few-shot:20",)
    seeds: int = 5
    holdout: float = 0.25
    selection_seeds: int = 3
    classifier: dict[str, Any] = dataclasses.field(default_factory=dict)
    bases: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=lambda: {"none": [{}]})
    generators: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = dataclasses.field(default_factory=lambda: {"replace 0.5": {}})

    def __post_init__(self) -> None:
        for regime in self.regimes:
            Regime.parse(regime)
        for candidates in self.bases.values():
            if not candidates:
                raise ConfigError("bases: expected at least one candidate for each base, but got an empty list.")
            for settings in candidates:
                ClassifierConfig.from_dict(self.settings(settings))
        for policy in self.policies.values():
            Policy.from_dict(policy)
        if self.seeds < 1 or self.selection_seeds < 1 or not 0 < self.holdout < 1:
            raise ConfigError(
                f"expected seeds and selection_seeds of 1 or more and a holdout between 0 and 1, but got "
                f"{self.seeds}, {self.selection_seeds} and {self.holdout}."
            )

    def settings(self, candidate: Mapping[str, Any]) -> dict[str, Any]:
        """Return a candidate's settings on top of those that all arms share."""
        return self.classifier | dict(candidate)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON-able values."""
        return dataclasses.asdict(self) | {"regimes": list(self.regimes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """Make a plan, refusing unknown settings."""
        known = [field.name for field in dataclasses.fields(cls)]
        for key in values:
            if key not in known:
                raise ConfigError(
                    f"a plan has no setting {key!r}.{did_you_mean(key, known)} Known: {', '.join(known)}."
                )
        return cls(**{**values, "regimes": tuple(values.get("regimes", ("few-shot:20",)))})

    @classmethod
    def read(cls, path: Path, **overrides: Any) -> Plan:
        """Read a plan from YAML; overrides that are not `None` take precedence."""
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        classifier = dict(values.get("classifier", {}))
        for name in ("steps", "model", "batch_size"):
            value = overrides.pop(name, None)
            if value is not None:
                classifier[name] = value
        given = {key: value for key, value in overrides.items() if value is not None}
        return cls.from_dict({**values, "classifier": classifier, **given})
