"""The search itself: probe, tune real images alone, race, confirm on other images, draw the curve, answer."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from synthaug.data import ImageDataset
from synthaug.devices import resolve_device
from synthaug.evaluation.statistics import PairedDifference
from synthaug.recommendation.answer.answering import Answer, publish
from synthaug.recommendation.answer.words import plus_minus
from synthaug.recommendation.bookkeeping.clock import (
    CONFIRMATION,
    CURVE,
    GENERATORS,
    RACE,
    REST,
    Clock,
    Costs,
    seconds_of_generator,
    seconds_of_samples,
)
from synthaug.recommendation.bookkeeping.journal import Journal
from synthaug.recommendation.candidates import curating
from synthaug.recommendation.candidates.labelling import LabellingMaker
from synthaug.recommendation.candidates.maker import GeneratorMaker, SampleMaker
from synthaug.recommendation.candidates.space import Arm, Candidate, candidates, class_sets
from synthaug.recommendation.measuring.confirmation import LEAST_SEEDS, Confirmed
from synthaug.recommendation.measuring.probe import probe
from synthaug.recommendation.measuring.trial import SAFETY, Pair, Trials
from synthaug.recommendation.policy import RecommendedPolicy
from synthaug.recommendation.race.comparison import Comparison, Measured
from synthaug.recommendation.race.halving import Race, runs_needed
from synthaug.recommendation.race.heats import Heats
from synthaug.recommendation.race.tuning import Grid, Tuned, tune
from synthaug.recommendation.request import Request

Conditioning = Literal["shared", "per_class"]

CONFIRMING_SEED = 1000
"""Classifier seeds from here on confirm."""

_TUNING_PAIRS, _RACE_SEEDS, _MOST_SEEDS = 4, 4, 12

_CHOOSING_FOLD = 0
_LONG = 600.0
_FEW_CANDIDATES = 4
_EPOCHS, _LEAST_STEPS, _MOST_STEPS = 40, 400, 3000
_APART, _FAR = 0.01, 3
"""Half of an interval above which a fold cannot tell ways apart, as most differ by a point or two (shares), and how
many times that a difference must be to be plain all the same."""
_LEAST_CURATION = 60
"""Steps below which the classifiers that curation asks know too little."""


class Search:
    """One search.

    Args:
        data: The training split.
        request: What was asked for.
        folder: Where everything is written.
        clock: Runs already.
        maker: Makes samples; generators of the families asked for if left out.
        unlabelled: Images without labels, which are tried too.
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
        unlabelled: ImageDataset | None = None,
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
        self.curation = maker is None and curating.available()
        self.sample_seconds = seconds_of_samples(self.total, len(self.arms), request.folds)
        self.generator_seconds = seconds_of_generator(self.sample_seconds, self.curation)
        # Both ways to ask for pretrained weights are one here: other learning rates are tried for those.
        pretrained = {"pretrained": True} if (model_options or {}).get("pretrained") else {}
        self.fixed = {"model": request.model, **settings, **pretrained}
        self.generators: GeneratorMaker | None = None
        if maker is None:
            maker = self.generators = self._generators(generator_settings, device)
        self.labelling: LabellingMaker | None = None
        if unlabelled is not None:
            maker = self.labelling = LabellingMaker(
                maker, unlabelled, self.journal, seed=request.seed, device=device, model_options=model_options
            )
        self.trials = Trials(
            data,
            maker,
            self.journal,
            clock,
            folds=request.folds,
            seed=request.seed,
            metric=request.metric,
            device=device,
            model_options=model_options,
        )

    def run(self, command: str) -> RecommendedPolicy:
        """Search, write everything, and return the answer."""
        counts = self.data.class_counts.tolist()
        run_seconds, steps = self._plan(Grid.of(counts, self.fixed).usual)
        self.fixed["steps"] = steps
        tuned = self._tune(Grid.of(counts, self.fixed), run_seconds)
        if self.labelling:
            self.labelling.settings = dict(tuned.settings)
        sets = class_sets(self.data.classes, counts, tuned.recalls)
        comparison = Comparison(self.trials, tuned, sets)
        race = self._unraced(comparison)
        raced = race is None
        race = race or self._race(comparison)
        best = race.best
        lead = comparison.lead(race, self._race_pairs())
        ahead = lead is not None and (not raced or lead.mean > 0)  # ratio 0 wins ties
        winner = best if ahead else None
        folds = self.confirming if raced else range(len(self.trials.folds))
        confirmed = None if winner is None else self._confirm(comparison, winner, folds)
        curve = {} if best is None else self._curve(comparison, best, confirmed, folds)
        answer = Answer(
            self.data, self.request, len(self.trials.folds), tuned, sets, race, raced, best, winner, lead,
            confirmed=confirmed,
            curve=curve,
            trials=self.journal.records,
            failures=self.trials.failures,
            effort=self._effort(),
            unlabelled=len(self.labelling.images) if self.labelling else 0,
        )  # fmt: skip
        policy = publish(answer, self.folder, self.trials.maker, self.clock, command)
        shutil.rmtree(self.folder / "trials" / "generators", ignore_errors=True)
        return policy

    @property
    def confirming(self) -> range:
        """Folds that choose nothing, where there is a race."""
        return range(_CHOOSING_FOLD + 1, len(self.trials.folds))

    # Preparation ----------------------------------------------------------------------------------------------

    def _arms(self) -> list[Arm]:
        """Return the kinds of generators; one model a class only where there is time and every class has images."""
        kinds: tuple[Conditioning, ...] = ("shared",)
        if self.total >= 3 * _LONG and self.data.class_counts.min() >= 20:
            kinds = ("shared", "per_class")
        return [Arm(family, kind) for kind in kinds for family in self.request.families]

    def _generators(self, settings: Mapping[str, Mapping[str, Any]] | None, device: str) -> GeneratorMaker:
        return GeneratorMaker(
            self.folder / "trials" / "generators",
            self.journal,
            seconds_each=self.generator_seconds,
            seed=self.request.seed,
            settings=settings,
            steps=self.request.generator_steps,
            device=str(resolve_device(device)),
        )

    def _effort(self) -> dict[str, float]:
        maker = self.generators
        return {"generator_seconds": maker.seconds_each, "curation_steps": maker.curation_steps} if maker else {}

    def _plan(self, settings: Mapping[str, Any]) -> tuple[float, int]:
        """Return the seconds of a run, and its number of steps, from a few steps that are timed."""
        step, rest = probe(self.trials, Pair(_CHOOSING_FOLD, 0), settings)
        self.costs.forget("classifier")
        batch = int(settings.get("batch_size", 64))
        useful = int(np.clip(_EPOCHS * len(self.data) / batch, _LEAST_STEPS, _MOST_STEPS))
        share = min(
            CONFIRMATION / (2 * LEAST_SEEDS * len(self.confirming)),
            RACE / runs_needed(_FEW_CANDIDATES, len(self._race_pairs()), control=True),
        )
        affordable = int((share * self.total - rest) / step)
        steps = int(self.fixed.get("steps", np.clip(affordable, min(50, useful), useful)))
        run_seconds = rest + steps * step
        self.costs.note("classifier", run_seconds)
        if self.curation and self.generators:
            part = self.trials.folds[_CHOOSING_FOLD][0]
            timed = self.journal.once(  # once, so that a call that goes on curates with as many steps
                "curation",
                {"train": part.digest, "folds": curating.FOLDS},
                lambda: {"step": curating.probe_step(part, self.clock.now, self.trials.device)},
                "curation probe",
            )
            their_step = timed["step"]
            curation_steps = int(self.generator_seconds / 2 / curating.FOLDS / their_step)
            self.curation = curation_steps >= _LEAST_CURATION
            if self.curation:
                self.generators.curation_steps = min(curation_steps, 400)
        self.say(f"each classifier takes {steps} steps, some {run_seconds:.1f} s")
        return run_seconds, steps

    # Phases ---------------------------------------------------------------------------------------------------

    def _tune(self, grid: Grid, run_seconds: float) -> Tuned:
        """Tune real images alone, on all folds in turn: more images judge, and no way to use samples is chosen."""
        reserve = (GENERATORS + RACE + CONFIRMATION + CURVE + REST) * self.total
        pairs = [Pair(seed % len(self.trials.folds), seed) for seed in range(_TUNING_PAIRS)]
        runs = self.journal.decided("runs of tuning", (self.clock.left - reserve) / run_seconds)
        tuned = tune(self.trials, grid, pairs, runs=runs, reserve=reserve, choosing_fold=_CHOOSING_FOLD)
        tried = sum(len(row["validation"]) > 0 for row in tuned.table)
        best = tuned.settings
        self.say(f"real images alone: {tried} settings, best {best['augmentation']} at {best['learning_rate']:g}")
        return tuned

    def _candidates(self, number: int, comparison: Comparison) -> list[Candidate]:
        return candidates(
            number,
            self.arms,
            comparison.sets,
            ratios=self.request.ratios,
            curation=self.curation,
            unlabelled=self.labelling is not None,
            seed=self.request.seed,
        )

    def _unraced(self, comparison: Comparison) -> Race[Candidate] | None:
        """Return the usual candidate alone where one fold could not tell ways apart, by how sure its first pair is.

        A race would then choose by chance, and keep a fold from confirming. The interval's width says next to nothing
        about where it lies, so that the fold may still judge the candidate that would have been first anyway.
        """
        pair = self._race_pairs()[0]
        for usual in self._candidates(1, comparison):
            done = comparison.pairs(usual, [pair], REST * self.total)
            if done:
                found = comparison.gain([done], [pair.fold])
                half = np.inf if found.low is None or found.high is None else (found.high - found.low) / 2
                if half > _APART and abs(found.mean) < _FAR * half:
                    self.say(f"one fold of these images cannot tell ways apart: {plus_minus(found)}")
                    return Race((usual,), {usual: (found.mean,)}, ())
        return None

    def _race(self, comparison: Comparison) -> Race[Candidate]:
        folds = len(self.confirming)
        kept = REST * self.total + (1 + folds) * self.sample_seconds
        reserve = CONFIRMATION * self.total + kept
        heats = Heats(
            comparison,
            lambda number: self._candidates(number, comparison),
            self._race_pairs(),
            self.clock,
            self.journal,
        )
        race = heats.run(
            self.clock.left - reserve - CURVE * self.total - len(self.arms) * self.sample_seconds,
            reserve=reserve,
            least_reserve=lambda: kept + SAFETY * 2 * LEAST_SEEDS * folds * self.costs.expected("classifier"),
        )
        if (lead := comparison.lead(race, self._race_pairs())) is not None:
            measured = sum(bool(values) for values in race.values.values())
            self.say(f"race: {measured} ways to use samples, the best {100 * lead.mean:+.1f} points")
        return race

    def _race_pairs(self) -> list[Pair]:
        return [Pair(_CHOOSING_FOLD, 100 + seed) for seed in range(_RACE_SEEDS)]

    def _confirm(self, comparison: Comparison, winner: Candidate, folds: Sequence[int]) -> Confirmed | None:
        """Measure winner and real images alone on these folds, with as many seeds as there is time for."""
        reserve = REST * self.total + self.sample_seconds
        rounds: list[list[Measured]] = []
        for seed in range(CONFIRMING_SEED, CONFIRMING_SEED + _MOST_SEEDS):
            round_seconds = 2 * len(folds) * self.costs.expected("classifier")
            if len(rounds) >= LEAST_SEEDS and self.clock.left < reserve + CURVE * self.total + round_seconds:
                break
            done = comparison.pairs(winner, [Pair(fold, seed) for fold in folds], reserve)
            if len(done) < len(folds):
                break
            rounds.append(done)
        if not rounds:
            return None
        found = Confirmed(comparison.outcomes(rounds, folds), self.request.metric, self.data.classes)
        self.say(f"measured on {found.images:,} images: {100 * found.gain.mean:+.1f} points, {found.seeds} seeds")
        return found

    def _curve(
        self, comparison: Comparison, best: Candidate, confirmed: Confirmed | None, confirming: Sequence[int]
    ) -> dict[float, PairedDifference]:
        """Measure the best candidate at all ratios, on folds whose generators are there already.

        At the ratio that was confirmed it is what confirmed it, of more seeds than the others'.
        """
        reserve = REST * self.total + (self.sample_seconds if confirmed else 0.0)
        folds = list(confirming) if confirmed else [_CHOOSING_FOLD]
        seed = CONFIRMING_SEED if confirmed else self._race_pairs()[0].seed
        wanted = [ratio for ratio in self.request.ratios if not (confirmed and ratio == best.ratio)]
        done: dict[float, list[Measured]] = {ratio: [] for ratio in wanted}
        for number, fold in enumerate(folds):  # all ratios on one fold before the next
            for ratio, rows in done.items():
                if len(rows) == number:
                    rows += comparison.pairs(best.replace(ratio=ratio), [Pair(fold, seed)], reserve)
        curve = {ratio: comparison.gain([rows], folds[: len(rows)]) for ratio, rows in done.items() if rows}
        return dict(sorted((curve | ({best.ratio: confirmed.gain} if confirmed else {})).items()))
