"""The search itself: probe, tune real images alone, race, confirm on fresh splits, draw the curve, answer."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from synthaug.config import Config
from synthaug.data import ImageDataset
from synthaug.evaluation.statistics import PairedDifference
from synthaug.recommendation import curating
from synthaug.recommendation.answering import Answer, publish
from synthaug.recommendation.clock import CONFIRMATION, CURVE, GENERATORS, RACE, REST, Clock, Costs
from synthaug.recommendation.confirmation import class_differences, difference_of, mean_outcome
from synthaug.recommendation.halving import Race, affordable_entries, successive_halving
from synthaug.recommendation.journal import Journal
from synthaug.recommendation.maker import GeneratorMaker, SampleMaker
from synthaug.recommendation.policy import RecommendedPolicy
from synthaug.recommendation.space import Arm, Candidate, ClassSets, candidates, class_sets
from synthaug.recommendation.trial import Metric, Outcome, Pair, Trials, not_failed
from synthaug.recommendation.tuning import Tuned, grid, tune

Conditioning = Literal["shared", "per_class"]

_FRESH = 1000
"""Splits from this number on choose nothing: they confirm."""

_LONG = 600.0
_MOST_CANDIDATES = 48
_EPOCHS = 40
_LEAST_CURATION = 60
"""Steps below which the classifiers that curation asks know too little."""


@dataclasses.dataclass(frozen=True)
class Request(Config):
    """What was asked for; see `synthaug.recommend`."""

    model: str = "resnet18"
    minutes: float = 20.0
    families: tuple[str, ...] = ("vae",)
    ratios: tuple[float, ...] = ()
    metric: Metric = "balanced_accuracy"
    holdout: float = 0.25
    confirmations: int = 5
    confidence: float = 0.95
    seed: int = 0
    generator_steps: int | None = None


class Search:
    """One search.

    Args:
        data: The training split.
        request: What was asked for.
        folder: Where everything is written.
        clock: Runs already.
        maker: Makes samples; generators of the families asked for if left out.
        settings: Of the classifier, not to be tuned.
        generator_settings: By family.
        model_options: Of timm.
        device: Where classifiers are trained.
        say: Takes a line of progress.
    """

    def __init__(
        self,
        data: ImageDataset,
        request: Request,
        folder: Path,
        clock: Clock,
        *,
        maker: SampleMaker | None,
        settings: Mapping[str, Any],
        generator_settings: Mapping[str, Mapping[str, Any]] | None,
        model_options: Mapping[str, Any] | None,
        device: str,
        say: Callable[[str], None],
    ) -> None:
        self.data, self.request, self.folder, self.clock, self.say = data, request, folder, clock, say
        self.total = clock.seconds
        self.costs = Costs()
        self.journal = Journal(folder / "trials", clock, self.costs)
        self.arms = self._arms()
        self.race_splits = 2 if self.total < _LONG else 3
        trainings = self.race_splits * len(self.arms) + request.confirmations + 1
        # Curation, where it can be had, takes up to half of what training the generator takes.
        self.curation = maker is None and curating.available()
        self.sample_seconds = GENERATORS * self.total / trainings
        self.generator_seconds = self.sample_seconds / (1.5 if self.curation else 1)
        self.fixed = {"model": request.model, **settings}
        self.trials = Trials(
            data,
            maker or self._generators(generator_settings),
            self.journal,
            clock,
            holdout=request.holdout,
            seed=request.seed,
            metric=request.metric,
            device=device,
            model_options=model_options,
        )

    def run(self, command: str) -> RecommendedPolicy:
        """Search, write everything, and return the answer."""
        settings = grid(self.data.class_counts.tolist(), self.fixed)
        run_seconds, steps = self._probe(settings[0])
        self.fixed["steps"] = steps
        tuned = self._tune([one | {"steps": steps} for one in settings], run_seconds)
        sets = class_sets(self.data.classes, self.data.class_counts.tolist(), tuned.recalls)
        race = self._race(tuned, sets)
        best = next((one for one in race.ranking if race.values[one]), None)
        lead = None if best is None else float(np.mean(race.values[best]))
        winner = best if lead is not None and lead > 0 else None  # ratio 0 wins ties
        confirmed = None if winner is None else self._confirm(tuned, winner, sets)
        curve = {} if best is None else self._curve(tuned, best, sets, confirmed)
        answer = Answer(
            self.data, self.request, tuned, sets, race, best, winner, lead,
            gain=confirmed.gain if confirmed else None,
            class_gains=confirmed.classes if confirmed else {},
            curve=curve,
            trials=self.journal.records,
            failed=self.trials.failed,
            seeds_a_split=confirmed.seeds if confirmed else 0,
        )  # fmt: skip
        policy = publish(answer, self.folder, self.trials.maker, self.clock, command)
        shutil.rmtree(self.folder / "trials" / "generators", ignore_errors=True)
        return policy

    # Preparation ----------------------------------------------------------------------------------------------

    def _arms(self) -> list[Arm]:
        """Return the kinds of generators; one model a class only where there is time and every class has images."""
        kinds: tuple[Conditioning, ...] = ("shared",)
        if self.total >= 3 * _LONG and self.data.class_counts.min() >= 20:
            kinds = ("shared", "per_class")
        return [Arm(family, kind) for kind in kinds for family in self.request.families]

    def _generators(self, settings: Mapping[str, Mapping[str, Any]] | None) -> GeneratorMaker:
        import torch

        return GeneratorMaker(
            self.folder / "trials" / "generators",
            self.journal,
            seconds_each=self.generator_seconds,
            seed=self.request.seed,
            settings=settings,
            steps=self.request.generator_steps,
            device="cuda" if torch.cuda.is_available() else "cpu",
        )

    def _probe(self, settings: Mapping[str, Any]) -> tuple[float, int]:
        """Measure a few steps; return the seconds of a run, and its number of steps."""
        few = 12
        for steps in (2, few):  # the first run pays for what is loaded once
            self.trials.real(Pair(0, 0), {**settings, "steps": steps})
        task = self.trials.task(Pair(0, 0), {**settings, "steps": few})
        step = max(1e-6, self.journal.once("trial", task, dict, "classifier")["seconds"] / few)
        self.costs.forget("classifier")
        batch = int(settings.get("batch_size", 64))
        useful = int(np.clip(_EPOCHS * len(self.data) / batch, 200, 3000))
        affordable = int(CONFIRMATION * self.total / (2 * self.request.confirmations) / step)
        steps = int(self.fixed.get("steps", np.clip(affordable, min(50, useful), useful)))
        self.costs.note("classifier", steps * step)
        if self.curation and isinstance(self.trials.maker, GeneratorMaker):
            curation_steps = int(self.generator_seconds / 2 / curating.FOLDS / step)
            self.curation = curation_steps >= _LEAST_CURATION
            self.trials.maker.curation_steps = min(curation_steps, 400)
        self.say(f"each classifier takes {steps} steps, some {steps * step:.1f} s")
        return steps * step, steps

    # Phases ---------------------------------------------------------------------------------------------------

    def _tune(self, settings: list[dict[str, Any]], run_seconds: float) -> Tuned:
        reserve = (GENERATORS + RACE + CONFIRMATION + CURVE + REST) * self.total
        pairs = [Pair(number % self.race_splits, number) for number in range(4)]
        number = affordable_entries((self.clock.left - reserve) / run_seconds, len(settings), len(pairs))
        tuned = tune(self.trials, settings[: max(1, number)], pairs, reserve=reserve)
        tried = sum(len(row["validation"]) > 0 for row in tuned.table)
        best = tuned.bases[0]
        self.say(f"real images alone: {tried} settings, best {best['augmentation']} at {best['learning_rate']:g}")
        return tuned

    def _race(self, tuned: Tuned, sets: ClassSets) -> Race[Candidate]:
        reserve = (CONFIRMATION + REST) * self.total + (1 + self.request.confirmations) * self.sample_seconds
        pairs = [Pair(number % self.race_splits, 100 + number) for number in range(4 if self.total < _LONG else 8)]
        seconds = self.clock.left - reserve - CURVE * self.total
        seconds -= self.race_splits * len(self.arms) * self.sample_seconds
        runs = seconds / max(1e-9, self.costs.expected("classifier"))
        number = max(1, affordable_entries(runs, _MOST_CANDIDATES, len(pairs), control=True))
        entries = candidates(
            number,
            self.arms,
            sets,
            ratios=self.request.ratios,
            curation=self.curation,
            augmentations=min(2, len(tuned.bases)),
            seed=self.request.seed,
        )

        def measure(entry: Candidate, pair: int) -> float | None:
            control = self.trials.real(pairs[pair], tuned.bases[0], reserve=reserve)
            outcome = None if control is None else self._with(pairs[pair], tuned, entry, sets, reserve)
            return None if control is None or outcome is None else outcome.value - control.value

        race = successive_halving(entries, measure, most_pairs=len(pairs))
        measured = [entry for entry in race.ranking if race.values[entry]]
        if measured:
            lead = 100 * float(np.mean(race.values[measured[0]]))
            self.say(f"race: {len(measured)} ways to use samples, the best {lead:+.1f} points")
        return race

    def _with(self, pair: Pair, tuned: Tuned, candidate: Candidate, sets: ClassSets, reserve: float) -> Outcome | None:
        base = tuned.bases[min(candidate.augmentation, len(tuned.bases) - 1)]
        return not_failed(
            self.trials,
            str(candidate.arm),
            lambda: self.trials.with_samples(pair, base, candidate, sets, reserve=reserve),
        )

    def _confirm(self, tuned: Tuned, winner: Candidate, sets: ClassSets) -> _Confirmed | None:
        """Measure winner and real images alone on fresh splits, once around all of them and again as time allows."""
        reserve = REST * self.total + self.sample_seconds
        rounds: list[list[tuple[Outcome, Outcome]]] = []
        numbers = [_FRESH + number for number in range(self.request.confirmations)]
        for seed in range(_FRESH, _FRESH + 3):
            done: list[tuple[Outcome, Outcome]] = []
            if rounds and self.clock.left < reserve + (CURVE + CONFIRMATION) * self.total:
                break
            for number in numbers:
                pair = Pair(number, seed)
                control = self.trials.real(pair, tuned.bases[0], reserve=reserve)
                outcome = None if control is None else self._with(pair, tuned, winner, sets, reserve)
                if control is None or outcome is None or not outcome.recall:
                    break
                done.append((outcome, control))
            if len(done) < len(numbers):
                rounds = rounds or [done]
                break
            rounds.append(done)
        if not rounds or not rounds[0]:
            return None
        columns = [list(column) for column in zip(*rounds, strict=True)]
        found = _Confirmed(
            with_samples=[mean_outcome([pair[0] for pair in column]) for column in columns],
            real=[mean_outcome([pair[1] for pair in column]) for column in columns],
            seeds=len(rounds),
            ratio=self.trials.validation_ratio,
            names=self.data.classes,
        )
        self.say(f"fresh splits: {len(columns)}, {100 * found.gain.mean:+.1f} points")
        return found

    def _curve(
        self, tuned: Tuned, best: Candidate, sets: ClassSets, confirmed: _Confirmed | None
    ) -> dict[float, PairedDifference]:
        """Measure the best candidate at all ratios, on splits whose generators are there already."""
        reserve = REST * self.total + (self.sample_seconds if confirmed else 0.0)
        if confirmed:
            pairs = [Pair(_FRESH + number, _FRESH) for number in range(len(confirmed.real))]
        else:
            pairs = [Pair(number % self.race_splits, 100 + number) for number in range(4)]
        found: dict[float, list[tuple[Outcome, Outcome]]] = {ratio: [] for ratio in self.request.ratios}
        for pair in pairs:
            for ratio, rows in found.items():
                control = self.trials.real(pair, tuned.bases[0], reserve=reserve)
                outcome = None if control is None else self._with(pair, tuned, best.replace(ratio=ratio), sets, reserve)
                if control is None or outcome is None:
                    break
                rows.append((outcome, control))
        return {
            ratio: difference_of(
                [outcome for outcome, _ in rows], [control for _, control in rows], self.trials.validation_ratio
            )
            for ratio, rows in found.items()
            if rows
        }


@dataclasses.dataclass(frozen=True)
class _Confirmed:
    """Both arms on the fresh splits, a value each, the mean over the seeds."""

    with_samples: Sequence[Outcome]
    real: Sequence[Outcome]
    seeds: int
    ratio: float
    names: Sequence[str]

    @property
    def gain(self) -> PairedDifference:
        return difference_of(self.with_samples, self.real, self.ratio)

    @property
    def classes(self) -> dict[str, PairedDifference]:
        return class_differences(self.with_samples, self.real, self.names, self.ratio)
