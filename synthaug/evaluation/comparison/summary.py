"""From the runs' results to one set of numbers a family: the value of each seed, mean, spread and interval."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from synthaug.evaluation.comparison.intervals import mean_interval


@dataclasses.dataclass(frozen=True)
class Metric:
    """A number that is compared.

    Attributes:
        key: Its name in ``compare.json``.
        title: Its name in tables; an arrow says which way is better.
        read: Takes it from a run's result.
        digits: Decimals to show.
        factor: From the number to what is shown.
        ratio: Whether families are compared by the ratio of their values instead of the difference.
    """

    key: str
    title: str
    read: Callable[[dict[str, Any]], Any]
    digits: int = 2
    factor: float = 1.0
    ratio: bool = False


def _of_fidelity(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda result: result["fidelity"][key]


def _of(*keys: str) -> Callable[[dict[str, Any]], Any]:
    def read(result: dict[str, Any]) -> Any:
        value: Any = result
        for key in keys:
            value = None if value is None else value.get(key)
        return value

    return read


def _count(*keys: str) -> Callable[[dict[str, Any]], Any]:
    def read(result: dict[str, Any]) -> Any:
        found = _of(*keys)(result)
        return None if found is None else len(found)

    return read


METRICS = (
    Metric("frechet_distance", "Fréchet distance ↓", _of_fidelity("frechet_distance"), 1, ratio=True),
    Metric("kid", "KID ↓", _of_fidelity("kid"), 3),
    Metric("precision", "precision ↑", _of_fidelity("precision")),
    Metric("recall", "recall ↑", _of_fidelity("recall")),
    Metric("density", "density ↑", _of_fidelity("density")),
    Metric("coverage", "coverage ↑", _of_fidelity("coverage")),
    Metric("sharpness", "sharpness (real = 1)", _of("sharpness"), ratio=True),
    Metric("path_length", "perceptual path length ↓", _of("path_length", "mean"), 2, ratio=True),
    Metric("collapse_warnings", "collapse warnings ↓", _count("training", "collapse_warnings"), 1),
    Metric("collapsed_classes", "collapsed classes ↓", _count("collapsed_classes"), 1),
    Metric("parameters", "parameters, millions", _of("parameters"), 2, 1e-6),
    Metric("training_images", "images trained on, thousands", _of("training", "images"), 1, 1e-3),
    Metric("processor_seconds", "processor time of fitting, s", _of("training", "processor_seconds"), 0),
    Metric("training_speed", "training, images/s ↑", _of("training", "images_per_second"), 0),
    Metric("sampling_speed", "sampling, images/s ↑", _of("sampling", "images_per_second"), 0, ratio=True),
    Metric("peak_memory", "peak memory of training, MB ↓", _of("training", "peak_bytes"), 0, 1e-6),
)


@dataclasses.dataclass(frozen=True)
class Spread:
    """One number over seeds.

    Attributes:
        per_seed: Its values, in the order of the seeds that were finished.
        mean: Their mean.
        std: Their standard deviation (n − 1), which tells how stable a family is; `None` with one seed.
        low: Lower end of the 95 % interval of the mean; `None` with one seed.
        high: Upper end.
    """

    per_seed: tuple[float, ...]
    mean: float
    std: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Sum up values."""
        mean, low, high = mean_interval(values)
        std = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return cls(tuple(float(value) for value in values), mean, std, low, high)

    def text(self, metric: Metric) -> str:
        """Return mean ± standard deviation as tables show it; spreads of exactly 0 are left out."""
        mean = f"{self.mean * metric.factor:,.{metric.digits}f}"
        return f"{mean} ± {self.std * metric.factor:,.{metric.digits}f}" if self.std else mean


@dataclasses.dataclass(frozen=True)
class FamilySummary:
    """A family over its seeds.

    Attributes:
        family: Its name, or ``"reals"`` for real training images in place of samples.
        seeds: Seeds that were finished.
        metrics: By the keys of `METRICS`; what a family does not have is left out.
        failures: Reason by seed of the runs that failed.
        runs: What each finished run measured.
    """

    family: str
    seeds: tuple[int, ...]
    metrics: dict[str, Spread]
    failures: dict[int, str]
    runs: tuple[dict[str, Any], ...]

    def values(self, key: str) -> tuple[float, ...]:
        """Return a metric's value of each finished seed; empty where there is none."""
        return self.metrics[key].per_seed if key in self.metrics else ()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {
            "family": self.family,
            "seeds": list(self.seeds),
            "metrics": {
                key: dataclasses.asdict(spread) | {"per_seed": list(spread.per_seed)}
                for key, spread in self.metrics.items()
            },
            "failures": {str(seed): reason for seed, reason in self.failures.items()},
            "runs": list(self.runs),
        }


def summarise(family: str, results: dict[int, dict[str, Any]], failures: dict[int, str]) -> FamilySummary:
    """Bring the results of a family's seeds together."""
    metrics = {}
    for metric in METRICS:
        values = [metric.read(result) for result in results.values()]
        if values and all(value is not None for value in values):
            metrics[metric.key] = Spread.of(values)
    return FamilySummary(family, tuple(results), metrics, failures, tuple(results.values()))
