"""What a classifier takes: a few steps are timed, before anything is planned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from synthaug.recommendation.bookkeeping.clock import seconds_of_step
from synthaug.recommendation.measuring.trial import Pair, Trials

_STEPS = (1, 4, 24)


class Probed(NamedTuple):
    """Seconds of a step, and of all else in a run: the model is made, the fold judged."""

    step: float
    rest: float


def probe(trials: Trials, pair: Pair, settings: Mapping[str, Any]) -> Probed:
    """Time a few steps on real images alone; where there is no time even for that, a step takes all there was."""
    seconds: dict[int, float] = {}
    for steps in _STEPS:  # the first run pays for what is loaded once
        outcome = trials.real(pair, {**settings, "steps": steps})
        if outcome is None:
            most = max(seconds, default=0)
            return Probed(seconds[most] / most if most else trials.clock.seconds, 0.0)
        seconds[steps] = outcome.seconds
    few, more = [(steps, seconds[steps]) for steps in _STEPS[1:]]
    step = seconds_of_step(few, more)
    return Probed(step, max(0.0, few[1] - few[0] * step))
