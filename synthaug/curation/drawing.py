"""Draws candidates in rounds and judges them, until every class has enough or its budget is spent."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synthaug.curation.picture import Gallery
from synthaug.curation.pipeline import SURPLUS, FittedCuration, Judgement
from synthaug.curation.reference import Reference
from synthaug.labels import ClassKey
from synthaug.sampling import Plan, SampleBank, plan_samples
from synthaug.sampling.decoding import decoded_blocks
from synthaug.sampling.job import Job

if TYPE_CHECKING:
    from synthaug.generators import Generator

_LEAST_RATE = 0.1
"""A class of which less is accepted gets several rounds rather than one huge one."""
_ROUND = 1.1
"""Candidates drawn beyond what the rate of acceptance asks for, to save a further round."""


class Drawing:
    """Candidates of a generator and what became of them.

    Args:
        gen: Draws them.
        job: Names the generator, the seed and the classes.
        curation: The filters, fitted to the generator's training images.
        wanted: Samples of each class of the generator, (K,).
        budget: Candidates for each sample, at most.

    Raises:
        LabelError, DataError: As `matched_labels`.

    Attributes:
        labels: Of all candidates, among the generator's classes, (N,).
        indices: Within their classes, (N,).
        judgement: What became of them.
        rows: Which candidates are kept, by class and index, (M,).
        others: Which were rejected, by class and index.
        images: Those of the kept ones, uint8 (M, H, W, C).
        gallery: A few of each class and reason.
    """

    def __init__(
        self,
        gen: Generator,
        job: Job,
        curation: FittedCuration,
        wanted: NDArray[np.int64],
        budget: float,
    ) -> None:
        self.classes, self.wanted = gen.classes, wanted
        self._gen, self._job, self._reference, self._fitted = gen, job, curation.reference, curation
        self._ours = matched_labels(gen, self._reference, wanted)
        self._limit = np.ceil(wanted * budget - 1e-9).astype(np.int64)
        # Selections choose among more good candidates than are wanted.
        self._pool = np.minimum(np.ceil(wanted / curation.curation.share - 1e-9).astype(np.int64), self._limit)
        self.gallery = Gallery(self._fitted.names, gen.classes)
        self.labels, self.indices = np.empty(0, np.int64), np.empty(0, np.int64)
        self._good = np.empty(0, bool)

    def run(self, advance: Callable[[int], None]) -> None:
        """Draw and judge; ``advance`` takes how many more good samples there are."""
        drawn, good = np.zeros_like(self.wanted), np.zeros_like(self.wanted)
        whole: Judgement | None = None
        while True:
            numbers = self._numbers(drawn, good)
            if not numbers.sum():
                break
            labels = np.repeat(np.arange(len(self.classes)), numbers)
            indices = np.concatenate([drawn[label] + np.arange(numbers[label]) for label in range(len(self.classes))])
            images = self._decode(labels, indices)
            candidates = self._reference.candidates(images, self._ours[labels])
            judgement = self._fitted.judge(candidates, None if whole is None else whole.alive)
            rejected = judgement.reasons >= 0
            self.gallery.add(images[rejected], labels[rejected], judgement.reasons[rejected])
            able = self._fitted.good(judgement)
            found = np.bincount(labels[able], minlength=len(self.classes))
            advance(int((np.minimum(good + found, self.wanted) - np.minimum(good, self.wanted)).sum()))
            drawn, good = drawn + numbers, good + found
            self.labels = np.concatenate([self.labels, labels])
            self.indices = np.concatenate([self.indices, indices])
            self._good = np.concatenate([self._good, able])
            whole = judgement if whole is None else whole.joined(judgement)
        if whole is not None:
            self._finish(whole)

    def _numbers(self, drawn: NDArray[np.int64], good: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many candidates of each class the next round draws."""
        rate = np.maximum(np.where(drawn > 0, good / np.maximum(drawn, 1), 1.0), _LEAST_RATE)
        next_ones = np.ceil((self._pool - good).clip(min=0) / rate * _ROUND - 1e-9).astype(np.int64)
        numbers: NDArray[np.int64] = np.minimum(next_ones, self._limit - drawn)
        return numbers

    def _decode(self, labels: NDArray[np.int64], indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        job = dataclasses.replace(self._job, plan=Plan(labels, indices))
        with decoded_blocks(self._gen, job, job.shards()) as blocks:
            return np.concatenate([block.images for block in blocks])

    def _finish(self, judged: Judgement) -> None:
        """Drop what is beyond the pool, let the selections choose, and put all in the order of the output."""
        surplus = self._surplus(judged)
        alive = judged.alive.take(np.flatnonzero(~surplus[judged.accepted]))
        shrunk = dataclasses.replace(judged, alive=alive, reasons=np.where(surplus, SURPLUS, judged.reasons))
        ours = np.zeros(len(self._reference.classes), dtype=np.int64)
        asked = np.flatnonzero(self.wanted)
        ours[self._ours[asked]] = self.wanted[asked]
        self.judgement = self._fitted.choose(shrunk, ours)
        chosen_from = np.flatnonzero(shrunk.accepted)
        self.gallery.add(shrunk.alive.images, self.labels[chosen_from], self.judgement.reasons[chosen_from])
        order = np.lexsort((self.indices, self.labels))
        self.rows, self.others = order[self.judgement.accepted[order]], order[self.judgement.reasons[order] >= 0]
        # The alive ones stand in the order in which they were drawn.
        place = np.empty(len(self.labels), dtype=np.int64)
        place[np.sort(self.rows)] = np.arange(len(self.rows))
        self.images = self.judgement.alive.images[place[self.rows]]

    def _surplus(self, judged: Judgement) -> NDArray[np.bool_]:
        """Return which candidates are good, but beyond the first of their class that are needed."""
        surplus = np.zeros(len(self.labels), dtype=bool)
        for label in np.flatnonzero(self.wanted):
            good = np.flatnonzero(self._good & (self.labels == label))
            surplus[good[self._pool[label] :]] = True
        return surplus

    def missing(self) -> dict[str, int]:
        """Return by class how many samples there are too few."""
        have = np.bincount(self.labels[self.rows], minlength=len(self.classes))
        return {
            self.classes[label]: int(self.wanted[label] - have[label]) for label in np.flatnonzero(self.wanted > have)
        }

    def main_reason(self) -> str:
        """Say in words which filters rejected most."""
        reasons = self.judgement.reasons[self.judgement.reasons >= 0]
        counts = np.bincount(reasons, minlength=len(self.judgement.names))
        order = [number for number in np.argsort(-counts, kind="stable").tolist() if counts[number]]
        return "rejected by " + ", ".join(f"{self.judgement.names[number]}: {counts[number]}" for number in order)

    def describe(self) -> dict[str, Any]:
        """Return settings, thresholds and numbers, JSON-able."""
        unused = int((self.judgement.reasons == SURPLUS).sum())
        return self._fitted.describe() | self.judgement.counts(self.classes, self.labels) | {"unused": unused}


def matched_labels(gen: Generator, reference: Reference, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the label among the training split's classes of each class of a generator, (K,); −1 if it is not wanted.

    Raises:
        LabelError: If a wanted class is none of the training split's.
        DataError: If the training split has no image of it, or images of another shape.
    """
    channels, height, width = gen.image_shape
    reference.candidates(np.empty((0, height, width, channels), np.uint8), np.empty(0, np.int64))
    asked = np.flatnonzero(wanted)
    ours = np.full(len(gen.classes), -1, dtype=np.int64)
    ours[asked] = reference.labels_of(asked, gen.classes)
    return ours


def curated_bank(
    gen: Generator, curation: FittedCuration, counts: Mapping[ClassKey, int], *, seed: int, budget: float = 4.0
) -> SampleBank:
    """Draw samples that pass the filters into a bank in memory; a class that the budget is too small for has fewer.

    Args:
        gen: Draws them.
        curation: Fitted to the generator's training images.
        counts: Number by class.
        seed: In the samples' names.
        budget: Candidates for each sample, at most.

    Returns:
        Of each class the first samples that pass, with the weights that the filters give.
    """
    plan = plan_samples(gen.classes, counts=counts)
    wanted = np.bincount(plan.labels, minlength=len(gen.classes))
    drawing = Drawing(gen, Job.by(gen, plan, seed=seed, format="bank"), curation, wanted, budget)
    drawing.run(lambda more: None)
    return SampleBank.from_arrays(
        drawing.images,
        drawing.labels[drawing.rows],
        gen.classes,
        weights=drawing.judgement.weights[drawing.rows],
        provenance={"generator": gen.digest, "family": gen.family, "seed": seed, "curated": True},
    )
