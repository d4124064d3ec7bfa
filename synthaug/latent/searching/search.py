"""Moving through the latent space to raise a score: the mechanism behind property-guided design.

A search starts at a sample's code and looks near it for a code whose image scores higher, by gradient ascent through
score and decoder (Nguyen et al. 2016, "Synthesizing the preferred inputs for neurons via deep generator networks"), by
an evolution strategy, or by trying samples. How far it went costs, in standard deviations of the class's codes, so that
images stay of the kind that the generator was trained on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthaug.errors import ConfigError
from synthaug.generators import Generator
from synthaug.grids import row_grid
from synthaug.labels import ClassKey, class_index, resolve_counts
from synthaug.latent.inputs import as_generator, in_evaluation
from synthaug.latent.searching.methods import METHODS, Problem
from synthaug.latent.searching.scores import BlackBox, Constraint, Score
from synthaug.sampling import SampleBank
from synthaug.seeds import check_sample_seed

if TYPE_CHECKING:
    import pyarrow as pa

Method = Literal["gradient", "cma", "random"]


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """What a search found for each of N samples.

    Attributes:
        images: uint8, (N, H, W, C).
        codes: float32, (N, latent_size).
        labels: int64, (N,).
        indices: Index within its class of the sample each search started from, (N,).
        scores: Of the images, float32 (N,).
        start_images: The samples that were started from.
        start_scores: Their scores.
        distances: How far each went, in standard deviations of its class's codes (root mean square), (N,).
        holds: Whether the constraint holds for each, (N,); true without one.
        history: The best score so far after each step, float32 (steps + 1, N).
        gen: The generator.
        about: Settings of the search, JSON-able.
    """

    images: NDArray[np.uint8]
    codes: NDArray[np.float32]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]
    scores: NDArray[np.float32]
    start_images: NDArray[np.uint8]
    start_scores: NDArray[np.float32]
    distances: NDArray[np.float32]
    holds: NDArray[np.bool_]
    history: NDArray[np.float32]
    gen: Generator
    about: dict[str, Any]

    def summary(self) -> str:
        """Say in a line what was found."""
        kept = self.holds
        if not kept.any():
            return f"None of {len(kept)} images keeps what must hold."
        return (
            f"{int(kept.sum())} of {len(kept)} images keep what must hold; their mean score rose from "
            f"{self.start_scores[kept].mean():.3f} to {self.scores[kept].mean():.3f}, "
            f"{self.distances[kept].mean():.2f} standard deviations away."
        )

    def bank(self, **about: Any) -> SampleBank:
        """Return what holds as a bank in memory; columns ``score_before``, ``score`` and ``distance`` in its table.

        Args:
            **about: What else belongs into its provenance, JSON-able.

        Raises:
            ConfigError: If nothing holds.
        """
        kept = np.flatnonzero(self.holds)
        if not len(kept):
            raise ConfigError(
                f"none of the {len(self.holds)} images found keeps what must hold. Ask for less (a lower --threshold), "
                "take more steps, or check that classifier and generator agree on the classes."
            )
        provenance = {"generator": self.gen.digest, "family": self.gen.family, "search": self.about | about}
        return SampleBank.from_arrays(
            self.images[kept], self.labels[kept], self.gen.classes, table=self._table(kept), provenance=provenance
        )

    def _table(self, rows: NDArray[np.int64]) -> pa.Table:
        import pyarrow as pa

        def constant(value: str) -> pa.DictionaryArray:
            return pa.DictionaryArray.from_arrays(np.zeros(len(rows), dtype=np.int32), pa.array([value]))

        labels = self.labels[rows]
        names = pa.array(self.gen.classes, type=pa.string())
        return pa.table(
            {
                "label": labels,
                "class_name": pa.DictionaryArray.from_arrays(labels.astype(np.int32), names),
                "seed": np.full(len(rows), self.about["seed"], dtype=np.int64),
                "index": self.indices[rows],
                "generator": constant(self.gen.digest),
                "family": constant(self.gen.family),
                "score_before": self.start_scores[rows],
                "score": self.scores[rows],
                "distance": self.distances[rows],
            }
        )

    def picture(self, columns: int = 10, classes: int = 16) -> Image.Image:
        """Draw for each class a row of samples and under it what the search made of them, with the mean scores."""
        rows, captions = [], []
        for label in np.unique(self.labels)[:classes]:
            shown = np.flatnonzero((self.labels == label) & self.holds)[:columns]
            if not len(shown):
                continue
            rows += [self.start_images[shown], self.images[shown]]
            before, after = self.start_scores[shown].mean(), self.scores[shown].mean()
            captions += [f"{self.gen.classes[label][:16]} {before:.2f}", f"after search {after:.2f}"]
        return row_grid(rows, captions)


def search(
    gen: Generator | str | Path,
    score: Score,
    what: Mapping[ClassKey, int] | Sequence[ClassKey],
    *,
    steps: int = 60,
    seed: int = 0,
    method: Method | str = "gradient",
    distance_penalty: float = 0.1,
    keep: Constraint | None = None,
    pace: float = 0.1,
) -> SearchResult:
    """Find images near samples that score higher.

    Args:
        gen: A generator, or its folder.
        score: From images (B, C, H, W) in [-1, 1] to numbers (B,), or a `synthaug.latent.searching.scores.BlackBox`.
        what: Numbers by class, or a class for each image: samples 0, 1, … of the class are started from.
        steps: Of the search. ``"cma"`` and ``"random"`` look at 16 images a step for each one wanted.
        seed: In the names of the samples, and for what is random in the search.
        method: ``"gradient"`` (Adam) for differentiable scores; ``"cma"`` for any; ``"random"`` takes the best of
            other samples of the class.
        distance_penalty: What going one standard deviation away from the start costs, in standard deviations of the
            score among samples; grows with the square of the distance.
        keep: A constraint, such as `synthaug.latent.searching.scores.keeps_label`; what violates it is no candidate if
            anything else was found.
        pace: Of gradient ascent, in standard deviations a step.

    Returns:
        The best images found, with their scores as uint8 images.

    Raises:
        ConfigError: If a setting is out of range, or the score gives no gradient where one is needed.
        LabelError: If a class is unknown.

    Example:
        >>> from synthaug.generators import make_generator
        >>> from synthaug.latent.searching.scores import brightness
        >>> gen = make_generator("gan", ["boot", "bag"], (1, 8, 8), options={"width": 4})
        >>> found = search(gen, brightness, {"boot": 3}, steps=5)
        >>> bool((found.scores >= found.start_scores).all())
        True
    """
    gen = as_generator(gen)
    if method not in METHODS:
        raise ConfigError(f"method: expected {', '.join(map(repr, METHODS))}, but got {method!r}.")
    if method == "gradient" and isinstance(score, BlackBox):
        raise ConfigError("a black-box score has no gradient: search with method='cma' (--method cma).")
    if steps < 1 or distance_penalty < 0 or pace <= 0:
        raise ConfigError(
            "expected steps of 1 or more, a distance penalty of 0 or more and a pace above 0, but got "
            f"{steps}, {distance_penalty} and {pace}."
        )
    labels, indices = _named(what, gen)
    seed = check_sample_seed(seed)
    problem = Problem(gen, score, keep, distance_penalty, labels, indices, seed)
    start_images = gen.decode_codes(problem.start, labels)
    start_scores, _ = problem.judge(start_images, labels)
    with in_evaluation(gen):
        best = METHODS[method](problem, steps, pace)
    codes = problem.codes(best.moves)
    images = gen.decode_codes(codes, labels)
    scores, lacking = problem.judge(images, labels)
    return SearchResult(
        images=images,
        codes=codes,
        labels=labels,
        indices=indices,
        scores=scores,
        start_images=start_images,
        start_scores=start_scores,
        distances=np.sqrt(np.square(best.moves).mean(1)).astype(np.float32),
        holds=lacking <= 0,
        history=np.stack(best.history).astype(np.float32),
        gen=gen,
        about={"seed": seed, "method": method, "steps": steps, "distance_penalty": distance_penalty, "pace": pace},
    )


def _named(
    what: Mapping[ClassKey, int] | Sequence[ClassKey], gen: Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return labels and indices of the samples to start from; a list of classes counts up within each."""
    if isinstance(what, Mapping):
        counts = resolve_counts(what, gen.classes)
        labels = np.repeat(np.arange(len(counts)), counts)
    else:
        keys = [what] if isinstance(what, str) else what
        labels = np.array([class_index(key, gen.classes) for key in keys], dtype=np.int64)
    if not len(labels):
        raise ConfigError("expected one image or more to search for, but got none.")
    seen = np.zeros(len(gen.classes), dtype=np.int64)
    indices = np.empty_like(labels)
    for row, label in enumerate(labels):
        indices[row] = seen[label]
        seen[label] += 1
    return labels, indices
