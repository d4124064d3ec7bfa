"""From what was measured to the answer, and to everything that is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthaug.classifiers.policy import Policy
from synthaug.data import ImageDataset
from synthaug.errors import DivergenceError
from synthaug.evaluation.environment import describe_environment
from synthaug.evaluation.statistics import PairedDifference
from synthaug.recommendation.answer.page import recommendation_page
from synthaug.recommendation.answer.words import answer, table_rows, what_to_do
from synthaug.recommendation.bookkeeping.clock import Clock
from synthaug.recommendation.candidates.maker import SampleMaker
from synthaug.recommendation.candidates.space import Candidate, ClassSets
from synthaug.recommendation.measuring.confirmation import LEAST_SEEDS, Confirmed
from synthaug.recommendation.measuring.difference import WORTH, WORTH_SPREAD
from synthaug.recommendation.policy import RecommendedPolicy
from synthaug.recommendation.race.halving import Race
from synthaug.recommendation.race.tuning import Tuned
from synthaug.storage import write_json

if TYPE_CHECKING:
    from synthaug.recommendation.request import Request


@dataclasses.dataclass(frozen=True)
class Answer:
    """All that was found.

    Attributes:
        data: The training split.
        request: What was asked for.
        folds: Parts that the images were cut into.
        tuned: Real images alone.
        sets: Rarest and hardest classes.
        race: How the race went.
        raced: Whether there was one; else the usual candidate alone was measured, on all folds.
        best: The best candidate of the race; `None` if none could be measured.
        winner: The same if it was above ratio 0, or alone.
        lead: What the best came to in the race; being the best of many it looks better than it is.
        confirmed: The winner on images that did not choose it; `None` if there is none, or was no time for it.
        curve: Gain of the best candidate by ratio.
        trials: Everything that was measured.
        failures: Why trainings failed, if any did.
        effort: What went into each set of samples: ``generator_seconds`` and ``curation_steps``.
        unlabelled: Number of images without labels.
    """

    data: ImageDataset
    request: Request
    folds: int
    tuned: Tuned
    sets: ClassSets
    race: Race[Candidate]
    raced: bool
    best: Candidate | None
    winner: Candidate | None
    lead: PairedDifference | None
    confirmed: Confirmed | None
    curve: Mapping[float, PairedDifference]
    trials: Sequence[Mapping[str, Any]]
    failures: Sequence[str]
    effort: Mapping[str, float]
    unlabelled: int = 0

    @property
    def gain(self) -> PairedDifference | None:
        """What the winner gains on images that did not choose it."""
        return self.confirmed.gain if self.confirmed else None

    @property
    def class_gains(self) -> Mapping[str, PairedDifference]:
        """The same by class."""
        return self.confirmed.classes if self.confirmed else {}

    @property
    def tried(self) -> int:
        """Candidates that were measured."""
        return sum(bool(values) for values in self.race.values.values())

    def decide(self) -> tuple[bool, str]:
        """Return whether to use samples, and why."""
        return answer(
            winner=self.winner,
            sets=self.sets,
            gain=self.gain,
            gains=dict(self.class_gains),
            metric=self.request.metric,
            base=self.tuned.settings,
            tried=self.tried,
            raced=self.raced,
            best_in_race=self.lead,
            sure=self.confirmed.lower_end(self.request.confidence) if self.confirmed else None,
            chance=self.confirmed.chance if self.confirmed else None,
            seeds=self.confirmed.seeds if self.confirmed else 0,
            confidence=self.request.confidence,
            failures=self.failures,
        )

    def _confirming(self) -> str:
        """Say how much judged the winner."""
        if self.confirmed is None:
            return f"by {LEAST_SEEDS} classifiers or more an arm"
        return f"here {self.confirmed.images:,}, each judged by {self.confirmed.seeds} classifiers an arm"

    def _race_words(self) -> str:
        """Say how the winner came to be, and on what it was measured."""
        if not self.raced:
            return (
                "One fold has too few images to tell ways to use samples apart, so there was no race: the usual way "
                f"was measured against real images alone on all folds, {self._confirming()}."
            )
        return (
            f"Then {self.tried} {'way' if self.tried == 1 else 'ways'} to use samples, on the first fold, as "
            "differences from real images alone of the same seed; ratio 0 wins ties. A winner is measured against real "
            f"images alone on the other folds, whose images did not choose it, {self._confirming()}."
        )

    def method(self) -> list[str]:
        """Say how it was measured."""
        request, settings = self.request, self.tuned.settings
        steps, tuned = settings["steps"], sum(bool(row["validation"]) for row in self.tuned.table)
        epochs = steps * settings.get("batch_size", 64) / len(self.data)
        lines = [
            f"Only these images were used, cut into {self.folds} folds. Where a fold validates, generators, "
            "curation and classifiers see the others alone.",
            f"Each classifier: {steps} steps ({epochs:.0f} epochs), with and without samples the same.",
            f"Real images alone first, on the folds in turn: {tuned} settings by successive halving. Classifiers with "
            "samples take the best of them, and so do those that they are compared with.",
            self._race_words(),
            "Interval: Student's t over images (Bayle et al. 2020) with the variance between seeds added. Samples are "
            f"recommended only if that of {100 * request.confidence:g} % lies above 0.",
            "Gains are estimated from what was found and from the probability of the right class, which stands out "
            f"more clearly where images are few; a point of it is worth {WORTH:g} of a point, to within "
            f"{100 * WORTH_SPREAD:g} points.",
        ]
        if self.unlabelled:
            lines.insert(
                1,
                f"Beside them {self.unlabelled:,} images without labels, labelled by classifiers of those folds, with "
                "the best settings of real images alone; generators learn from them too.",
            )
        if epochs < 5:
            lines.append(f"{epochs:.1f} epochs are few: with more minutes the answer may differ.")
        return lines + [f"A training failed, and what it was for came last: {reason}" for reason in self.failures]


def publish(found: Answer, folder: Path, maker: SampleMaker, clock: Clock, command: str) -> RecommendedPolicy:
    """Write generator and bank where samples are recommended, then figures and page, and the policy last."""
    recommended, words = found.decide()
    winner = found.winner
    names = None if winner is None else found.sets.names(winner.classes)
    policy = Policy(replace_probability=0.0)
    if recommended and winner is not None:
        try:
            maker.publish(found.data, winner, folder / "generator")
            maker.bank(found.data, winner, names).save(folder / "bank", overwrite=True)
            policy = winner.policy(names)
        except DivergenceError as error:
            recommended = False
            words = f"No answer: parts of your images said {words!r}, but on all of them a training failed: {error}"
    answered = RecommendedPolicy(
        recommended=recommended,
        policy=policy,
        classifier=found.tuned.settings,
        gain=found.gain,
        words=words,
        classes=tuple(found.data.classes),
        image_shape=found.data.image_shape,
        folder=folder,
    )
    values: dict[str, Any] = {
        "recommended": recommended,
        "words": words,
        "command": command,
        "seconds": clock.spent,
        "request": found.request.to_dict(),
        "data": {
            "name": found.data.name,
            "images": len(found.data),
            "digest": found.data.digest,
            "classes": dict(zip(found.data.classes, found.data.class_counts.tolist(), strict=True)),
        },
        "unlabelled": found.unlabelled,
        "raced": found.raced,
        "winner": None if winner is None else winner.to_dict(),
        "sets": dataclasses.asdict(found.sets),
        "method": found.method(),
        "real_only": list(found.tuned.table),
        "effort": dict(found.effort),
        "curve_of": "" if found.best is None else what_to_do(found.best, found.sets),
        **describe_environment(),
    }
    hits = found.confirmed.found if found.confirmed else None
    measured = {"gain": found.gain, "gain_of_hits": hits, "classes": found.class_gains, "curve": found.curve}
    rows = table_rows(found.race.ranking, found.race.values, found.sets)
    recommendation_page(values | measured, rows).save(folder / "recommendation.html")
    race = [
        {"candidate": candidate.to_dict(), "words": what_to_do(candidate, found.sets), "differences": list(differences)}
        for candidate, differences in ((one, found.race.values[one]) for one in found.race.ranking)
    ]
    write_json(
        folder / "recommendation.json",
        values
        | {
            "gain": None if found.gain is None else found.gain.to_dict(),
            "gain_of_hits": None if hits is None else hits.to_dict(),
            "chance": found.confirmed.chance if found.confirmed else None,
            "classes": {name: gain.to_dict() for name, gain in found.class_gains.items()},
            "curve": [{"ratio": ratio, **gain.to_dict()} for ratio, gain in found.curve.items()],
            "race": race,
            "best_in_race": None if found.lead is None else found.lead.to_dict(),
            "failures": list(found.failures),
            "trials": list(found.trials),
        },
    )
    answered.write()
    return answered
