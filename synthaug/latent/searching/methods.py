"""How a search is done: what it maximises, and three ways to do so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthaug.errors import ConfigError
from synthaug.generators import CHUNK, Generator
from synthaug.generators.noise import sample_noise
from synthaug.latent.searching.evolution import SeparableCMA
from synthaug.latent.searching.scores import Constraint, Score, evaluate
from synthaug.pixels import from_uint8

POPULATION = 16
"""Candidates that ``"cma"`` and ``"random"`` try for each image in a step."""

_PROBES, _SCORED = 64, 16
"""Samples of a class that tell the spread of its codes, and of their scores."""

_MUST_HOLD = 10.0
"""What a violated constraint costs, beside scores in standard deviations."""

_SAFETY = 0.05
"""By how much a constraint is overfulfilled on the way, so that rounding to uint8 does not break it."""

_FIRST_SPREAD = 0.3


class Problem:
    """What is searched for: moves from each start, in standard deviations of the class's codes.

    Scores are weighed against moves in standard deviations of their own, over samples of the class, so that scores of
    any scale can be searched for.
    """

    def __init__(
        self,
        gen: Generator,
        score: Score,
        keep: Constraint | None,
        distance_penalty: float,
        labels: NDArray[np.int64],
        indices: NDArray[np.int64],
        seed: int,
    ) -> None:
        self.gen, self.score, self.keep, self.distance_penalty = gen, score, keep, distance_penalty
        self.labels, self.indices, self.seed = labels, indices, seed
        self.start = gen.draw_codes(labels, indices, seed)
        self.spread = np.empty_like(self.start)
        for label in np.unique(labels):
            spread = gen.draw_codes(np.full(_PROBES, label), np.arange(_PROBES), seed).std(axis=0)
            # A dimension in which codes hardly differ is one in which nothing is known beyond them.
            self.spread[labels == label] = np.maximum(spread, 1e-3 * spread.mean() + 1e-8)
        self.unit = self._units(np.unique(labels))[np.unique(labels, return_inverse=True)[1]]

    def _units(self, classes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the standard deviation of scores among samples of each class."""
        labels, indices = np.repeat(classes, _SCORED), np.tile(np.arange(_SCORED), len(classes))
        codes = self.gen.draw_codes(labels, indices, self.seed)
        spread = self.judge(self.gen.decode_codes(codes, labels), labels)[0].reshape(-1, _SCORED).std(axis=1)
        units: NDArray[np.float32] = np.where(spread > 0, spread, 1)
        return units

    def __len__(self) -> int:
        return len(self.labels)

    def codes(self, moves: NDArray[np.floating], rows: slice = slice(None)) -> NDArray[np.float32]:
        """Return codes for moves (n, latent_size) of some of the searches."""
        return (self.start[rows] + self.spread[rows] * moves).astype(np.float32)

    def noise(self, step: int, size: int) -> NDArray[np.float32]:
        """Return normals (n, size) for a step; each search has its own, whatever others run beside it."""
        return sample_noise(1_000_003 * (self.seed + 1) + step, self.labels, self.indices, size)

    def measure(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return score, and by how much the constraint fails, of images in [-1, 1]; the latter signed."""
        scores = evaluate(self.score, images)
        lacking = torch.full_like(scores, -torch.inf) if self.keep is None else self.keep(images, labels).float()
        return scores, lacking

    def judge(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the same of uint8 images (n, H, W, C)."""
        scores, lacking = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
        for start in range(0, len(images), CHUNK):
            part = slice(start, start + CHUNK)
            pixels = torch.from_numpy(np.ascontiguousarray(images[part])).to(self.gen.device).permute(0, 3, 1, 2)
            with torch.no_grad():
                both = self.measure(from_uint8(pixels), torch.from_numpy(labels[part]).to(self.gen.device))
            scores.append(both[0].cpu().numpy())
            lacking.append(both[1].cpu().numpy())
        return np.concatenate(scores), np.concatenate(lacking)

    def worth(self, scores: Any, lacking: Any, moves: Any, unit: Any) -> Any:
        """Return what is maximised, for tensors or arrays alike: moves (…, latent_size), the others (…)."""
        cost = self.distance_penalty * (moves * moves).mean(-1)
        return scores / unit - cost - _MUST_HOLD * (lacking + _SAFETY).clip(0)


class Best:
    """The best move so far of each search: first what violates the constraint least, then what is worth most."""

    def __init__(self, problem: Problem) -> None:
        number = len(problem)
        self.moves = np.zeros(problem.start.shape)
        self._scores = np.full(number, -np.inf)
        self._violation = np.full(number, np.inf)
        self._worth = np.full(number, -np.inf)
        self.history: list[NDArray[np.float64]] = []
        self._problem = problem

    def offer(self, moves: NDArray[Any], scores: NDArray[Any], lacking: NDArray[Any]) -> None:
        """Take the moves (N, latent_size) that are better."""
        violation = (lacking + _SAFETY).clip(0)
        worth = self._problem.worth(scores, lacking, moves, self._problem.unit)
        better = (violation < self._violation) | ((violation == self._violation) & (worth > self._worth))
        self.moves = np.where(better[:, None], moves, self.moves)
        self._scores = np.where(better, scores, self._scores)
        self._violation = np.where(better, violation, self._violation)
        self._worth = np.where(better, worth, self._worth)

    def note(self) -> None:
        """End a step."""
        self.history.append(self._scores)


def ascend(problem: Problem, steps: int, pace: float) -> Best:
    """Adam (Kingma & Ba 2015) on the moves, in chunks of searches."""
    gen, best = problem.gen, Best(problem)
    labels = torch.from_numpy(problem.labels).to(gen.device)
    start, spread, unit = (
        torch.from_numpy(array).to(gen.device) for array in (problem.start, problem.spread, problem.unit)
    )
    moves = torch.zeros_like(start)
    first, second = torch.zeros_like(start), torch.zeros_like(start)
    for step in range(steps + 1):
        scores, lacking, slopes = torch.empty(len(start)), torch.empty(len(start)), torch.empty_like(start)
        for begin in range(0, len(start), CHUNK):
            part = slice(begin, begin + CHUNK)
            here = moves[part].clone().requires_grad_()
            with torch.enable_grad():
                images = gen.reconstruct(start[part] + spread[part] * here, labels[part])
                measured = problem.measure(images, labels[part])
                worth = problem.worth(*measured, here, unit[part]).sum()
            if not measured[0].requires_grad:
                raise ConfigError("the score gives no gradient: search with method='cma' (--method cma).")
            (slopes[part],) = torch.autograd.grad(worth, here)
            scores[part], lacking[part] = (value.detach().cpu() for value in measured)
        best.offer(moves.cpu().double().numpy(), scores.numpy(), lacking.numpy())
        best.note()
        first = 0.9 * first + 0.1 * slopes
        second = 0.99 * second + 0.01 * slopes.square()
        steady = (second / (1 - 0.99 ** (step + 1))).sqrt() + 1e-12
        moves = moves + pace * first / (1 - 0.9 ** (step + 1)) / steady
    return best


def evolve(problem: Problem, steps: int, pace: float) -> Best:
    """An evolution strategy for each search."""
    size = problem.start.shape[1]
    strategy = SeparableCMA(len(problem), size, POPULATION, _FIRST_SPREAD)
    best = _from_start(problem)
    for step in range(steps):
        moves = strategy.ask(problem.noise(step, POPULATION * size).reshape(-1, POPULATION, size))
        strategy.tell(moves, _offer_all(problem, best, moves))
        best.note()
    return best


def try_samples(problem: Problem, steps: int, pace: float) -> Best:
    """Other samples of the same class; their names have a seed of the search's own."""
    best = _from_start(problem)
    for step in range(steps):
        seed = (1_000_003 * (problem.seed + 1) + step) % (1 << 63)
        labels = np.repeat(problem.labels, POPULATION)
        indices = (problem.indices[:, None] * POPULATION + np.arange(POPULATION)).ravel()
        codes = problem.gen.draw_codes(labels, indices, seed).reshape(len(problem), POPULATION, -1)
        moves = (codes - problem.start[:, None]).astype(np.float64) / problem.spread[:, None]
        _offer_all(problem, best, moves)
        best.note()
    return best


def _from_start(problem: Problem) -> Best:
    best = Best(problem)
    _offer_all(problem, best, np.zeros((len(problem), 1, problem.start.shape[1])))
    best.note()
    return best


def _offer_all(problem: Problem, best: Best, moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Judge candidates (N, n, latent_size), and return what each is worth, (N, n)."""
    number, each, size = moves.shape
    codes = problem.start[:, None] + problem.spread[:, None] * moves
    labels = np.repeat(problem.labels, each)
    images = problem.gen.decode_codes(codes.reshape(-1, size), labels)
    scores, lacking = (array.reshape(number, each) for array in problem.judge(images, labels))
    for candidate in range(each):
        best.offer(moves[:, candidate], scores[:, candidate], lacking[:, candidate])
    worth: NDArray[np.float64] = problem.worth(scores, lacking, moves, problem.unit[:, None])
    return worth


METHODS: dict[str, Callable[[Problem, int, float], Best]] = {
    "gradient": ascend,
    "cma": evolve,
    "random": try_samples,
}
"""What a search is done by: from a problem, a number of steps and the pace of gradient ascent to the best moves."""
