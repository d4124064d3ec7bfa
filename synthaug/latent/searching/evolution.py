"""A short evolution strategy for scores that have no gradient.

The (μ/μ_w, λ)-CMA-ES with a diagonal covariance (Ros & Hansen 2008, "A simple modification in CMA-ES achieving linear
time and space complexity"; constants of Hansen 2016, "The CMA evolution strategy: a tutorial"), for many independent
searches at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class SeparableCMA:
    """Independent searches, P of them, for the point at which something is largest.

    Args:
        searches: P.
        size: Number of dimensions D.
        population: Candidates λ that each search tries in a step.
        spread: Standard deviation of the first candidates around the origin.

    Attributes:
        mean: Where each search stands, (P, D).

    Example:
        >>> search = SeparableCMA(searches=1, size=3, population=16, spread=0.5)
        >>> random = np.random.Generator(np.random.Philox(key=0))
        >>> for _ in range(60):
        ...     points = search.ask(random.standard_normal((1, 16, 3)))
        ...     search.tell(points, -np.square(points - 2).sum(2))
        >>> search.mean.round(2).tolist()
        [[2.0, 2.0, 2.0]]
    """

    def __init__(self, searches: int, size: int, population: int, spread: float) -> None:
        parents = population // 2
        weights = np.log(parents + 0.5) - np.log(np.arange(1, parents + 1))
        self._weights = weights / weights.sum()
        effective = 1 / np.square(self._weights).sum()
        self._effective = effective
        self._path_rate = (4 + effective / size) / (size + 4 + 2 * effective / size)
        self._spread_rate = (effective + 2) / (size + effective + 5)
        self._damping = 1 + 2 * max(0.0, np.sqrt((effective - 1) / (size + 1)) - 1) + self._spread_rate
        # A diagonal has fewer numbers to learn than a full covariance, and learns them so much faster.
        faster = (size + 2) / 3
        one = faster * 2 / ((size + 1.3) ** 2 + effective)
        self._rank_one = min(1.0, one)
        rank_many = faster * 2 * (effective - 2 + 1 / effective) / ((size + 2) ** 2 + effective)
        self._rank_many = min(1 - self._rank_one, rank_many)
        self._typical_norm = np.sqrt(size) * (1 - 1 / (4 * size) + 1 / (21 * size**2))
        self.mean: Floats = np.zeros((searches, size))
        self._variance: Floats = np.ones((searches, size))
        self._spread: Floats = np.full((searches, 1), spread)
        self._path: Floats = np.zeros((searches, size))
        self._spread_path: Floats = np.zeros((searches, size))
        self._size, self._steps = size, 0

    def ask(self, noise: NDArray[np.floating]) -> Floats:
        """Turn standard normals (P, λ, D) into candidates (P, λ, D)."""
        scale = self._spread * np.sqrt(self._variance)
        points: Floats = self.mean[:, None] + scale[:, None] * noise
        return points

    def tell(self, points: Floats, values: NDArray[np.floating]) -> None:
        """Move towards the better candidates (P, λ, D), given what each is worth (P, λ)."""
        self._steps += 1
        order = np.argsort(-values, axis=1, kind="stable")[:, : len(self._weights)]
        best = np.take_along_axis(points, order[..., None], axis=1)
        moves = (best - self.mean[:, None]) / self._spread[:, None]
        move = np.einsum("pmd,m->pd", moves, self._weights)
        self.mean = self.mean + self._spread * move
        rate = self._spread_rate
        self._spread_path = (1 - rate) * self._spread_path + np.sqrt(rate * (2 - rate) * self._effective) * (
            move / np.sqrt(self._variance)
        )
        length = np.linalg.norm(self._spread_path, axis=1, keepdims=True)
        expected = self._typical_norm * np.sqrt(1 - (1 - rate) ** (2 * self._steps))
        # While the spread still grows fast, the path would stretch the covariance on top.
        steady = length / expected < 1.4 + 2 / (self._size + 1)
        rate = self._path_rate
        self._path = (1 - rate) * self._path + steady * np.sqrt(rate * (2 - rate) * self._effective) * move
        self._variance = (
            (1 - self._rank_one - self._rank_many) * self._variance
            + self._rank_one * (np.square(self._path) + ~steady * rate * (2 - rate) * self._variance)
            + self._rank_many * np.einsum("pmd,m->pd", np.square(moves), self._weights)
        )
        self._spread = self._spread * np.exp(
            np.minimum(1.0, self._spread_rate / self._damping * (length / self._typical_norm - 1))
        )
