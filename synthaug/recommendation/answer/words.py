"""The answer in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthaug.evaluation.statistics import PairedDifference
from synthaug.generators import family_class
from synthaug.recommendation.candidates.space import UNLABELLED, Candidate, ClassSets
from synthaug.recommendation.measuring.confirmation import LEAST_SEEDS

_FEW = 3
"""Fewer candidates than this say nothing about samples in general."""

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


def plus_minus(gain: PairedDifference) -> str:
    """Write a difference of shares in points: ``+2.1 ± 0.8 points``."""
    words = f"{100 * gain.mean:+.1f}"
    if gain.low is not None and gain.high is not None:
        words += f" ± {50 * (gain.high - gain.low):.1f}"
    return f"{words} points"


def classifier_words(settings: Mapping[str, Any]) -> str:
    """Say how a classifier is trained.

    Example:
        >>> classifier_words({"augmentation": "affine", "learning_rate": 0.003, "balanced_sampling": True})
        'affine, learning rate 0.003, classes drawn evenly'
    """
    words = f"{settings['augmentation']}, learning rate {settings['learning_rate']:g}"
    if settings.get("balanced_sampling"):
        words += ", classes drawn evenly"
    if settings.get("logit_adjustment"):
        words += f", logit adjustment {settings['logit_adjustment']:g}"
    return words


def what_to_do(candidate: Candidate, sets: ClassSets) -> str:
    """Say in words what a candidate does.

    Example:
        >>> what_to_do(Candidate(ratio=1, curated=True, classes="rarest"), ClassSets(("boot", "bag"), None))
        'add 1× curated VAE samples to the two rarest classes (boot, bag)'
    """
    if candidate.family == UNLABELLED:
        samples = "unlabelled images, labelled by classifiers"
    else:
        kind = family_class(candidate.family).title
        samples = f"{candidate.ratio:g}× {'curated ' if candidate.curated else ''}{kind} samples"
    if candidate.conditioning == "per_class":
        samples += " (one model a class)"
    if candidate.sampling:
        samples += f" ({candidate.sampling.replace('=', ' ')})"
    names = sets.names(candidate.classes)
    where = ""
    if names:
        number = _NUMBERS[len(names)] if len(names) < len(_NUMBERS) else str(len(names))
        several = f"{number} {candidate.classes} classes" if len(names) > 1 else f"{candidate.classes} class"
        where = f" the {several} ({', '.join(names)})"
    share = f"{100 * candidate.ratio / (1 + candidate.ratio):.0f} %"
    return {
        "add": f"add {samples}{' to' + where if where else ''}",
        "weight": f"add {samples}{' to' + where if where else ''} at three tenths of a real image's weight",
        "first": f"train on {samples}{' of' + where if where else ''} and real images first, then on real ones alone",
        "replace": f"replace {share} of the images{' of' + where if where else ''} by {samples}",
        "mix": f"mix {share} of the images with {samples}{' of' + where if where else ''}",
    }[candidate.mode]


def class_words(gains: dict[str, PairedDifference], *, most: int = 6) -> str:
    """Say which classes gain and which lose; empty when there are no intervals to tell."""
    known = {name: gain for name, gain in gains.items() if gain.low is not None}
    if not known:
        return ""
    better = sorted((name for name in known if known[name].verdict == "better"), key=lambda name: -known[name].mean)
    worse = [name for name in known if known[name].verdict == "worse"]
    sentences = []
    if better:
        listed = ", ".join(f"{name} ({100 * known[name].mean:+.0f})" for name in better[:most])
        others = "" if len(better) == len(gains) else "; on the others no gain can be told from chance"
        sentences.append(f"Classes that gain: {listed}{others}.")
    else:
        sentences.append("For no single class can the gain be told from chance.")
    if worse:
        sentences.append(f"Classes that lose: {', '.join(worse[:most])}.")
    return " ".join(sentences)


def answer(
    *,
    winner: Candidate | None,
    sets: ClassSets,
    gain: PairedDifference | None,
    gains: dict[str, PairedDifference],
    metric: str,
    base: dict[str, Any],
    tried: int,
    raced: bool,
    best_in_race: PairedDifference | None,
    sure: float | None,
    chance: float | None,
    seeds: int,
    confidence: float,
    failures: Sequence[str] = (),
) -> tuple[bool, str]:
    """Return whether to use samples, and the answer in words.

    Args:
        winner: The candidate that won the race; `None` where ratio 0 did.
        sets: Names of the classes.
        gain: What the winner came to on images that did not choose it; `None` where there was no time for it.
        gains: The same by class.
        metric: What was measured.
        base: Settings that were best on real images alone.
        tried: Number of candidates in the race.
        raced: Whether there was a race; else the usual candidate alone was measured, on all images.
        best_in_race: What the best candidate came to in the race.
        sure: Lower end of the gain's interval at ``confidence``, which has to lie above 0 for a yes.
        chance: How likely the gain is above 0, from 0 to 1.
        seeds: Classifiers of each arm and fold that the gain is the mean of.
        confidence: That was asked for.
        failures: Why trainings failed, if any did.
    """
    measure = metric.replace("_", " ")
    alone = f"Train on real images alone: augmentation {classifier_words(base)}."
    if winner is None:
        if not tried or best_in_race is None:
            if failures:
                return False, f"No answer: with samples no training succeeded, {failures[-1]} {alone}"
            return False, f"No answer in the time given: no setting with samples could be tried. {alone}"
        came_to = f"the best came to {plus_minus(best_in_race)} of {measure} against real images alone"
        if tried < _FEW:
            return False, (
                f"No answer in the time given: only {tried} of the ways to use samples could be tried, and {came_to}. "
                f"Give more minutes. {alone}"
            )
        sure_of_it = best_in_race.high is not None and best_in_race.high <= 0
        far = "" if sure_of_it else ", as far as can be told"
        return False, f"No, not for your data{far}: of {tried} ways to use samples {came_to}. {alone}"
    words = what_to_do(winner, sets)
    if seeds < LEAST_SEEDS and failures:
        return False, f"No answer: to {words} could not be measured, as a training failed: {failures[-1]} {alone}"
    if gain is None or gain.low is None or sure is None or seeds < LEAST_SEEDS:
        return False, (
            f"No answer in the time given: to {words}{' looked best, but' if raced else ', the usual way,'} could not "
            f"be confirmed. That takes {LEAST_SEEDS} classifiers or more with samples on each part of the "
            f"images, and as many without; there was time for {seeds}. Give more minutes. {alone}"
        )
    if sure <= 0:
        found = (
            f"to {words} looked best, but on images that did not choose it it came to"
            if raced
            else f"your images are too few to tell ways apart, and the usual one, to {words}, comes to"
        )
        if gain.high is not None and gain.high <= 0:
            return False, f"No, not for your data: {found} {plus_minus(gain)} of {measure}. {alone}"
        return False, (
            f"No, not for your data, as far as can be told: {found} {plus_minus(gain)} of {measure}, and the "
            f"{100 * confidence:g} % interval includes 0"
            f"{'' if chance is None else f'; it gains with a chance of {100 * chance:.0f} %'}. {alone}"
        )
    doubt = "" if gain.low > 0 or chance is None else f" It gains with a chance of {100 * chance:.0f} %."
    return True, (f"Yes: {words}: {plus_minus(gain)} of {measure}.{doubt} {class_words(gains)}".strip())


def table_rows(
    ranking: Sequence[Candidate], values: dict[Candidate, tuple[float, ...]], sets: ClassSets
) -> list[list[str]]:
    """Return a row for each candidate that was measured: what it does, its mean difference, its pairs."""
    return [
        [
            what_to_do(candidate, sets),
            f"{100 * sum(values[candidate]) / len(values[candidate]):+.1f}",
            str(len(values[candidate])),
        ]
        for candidate in ranking
        if values[candidate]
    ]
