"""What was asked for."""

from __future__ import annotations

import dataclasses

from synthaug.classifiers.scores import Metric
from synthaug.config import Config


@dataclasses.dataclass(frozen=True)
class Request(Config):
    """What was asked for; see `synthaug.recommend`."""

    model: str = "resnet18"
    minutes: float = 20.0
    families: tuple[str, ...] = ("vae",)
    ratios: tuple[float, ...] = ()
    metric: Metric = "balanced_accuracy"
    folds: int = 3
    confidence: float = 0.95
    seed: int = 0
    generator_steps: int | None = None
