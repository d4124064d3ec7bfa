"""Are samples like real images (precision, density), and do they cover them (recall, coverage)?

Each set stands for the union of balls around its members, as large as the distance to their k-th neighbour.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from synthaug.evaluation.quality.distances import check_features


@dataclasses.dataclass(frozen=True)
class ManifoldScores:
    """Shares from 0 to 1, except density, which may pass 1; higher is better.

    Attributes:
        precision: Samples that lie among real images (Kynkäänniemi et al. 2019).
        recall: Real images that lie among samples (the same).
        density: How many real images' balls a sample lies in, over how many it would (Naeem et al. 2020).
        coverage: Real images whose ball holds a sample (the same).
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold_scores(
    reals: NDArray[np.floating],
    samples: NDArray[np.floating],
    *,
    neighbours: int = 3,
    density_neighbours: int = 5,
) -> ManifoldScores:
    """Measure fidelity and diversity apart.

    Sources: Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative models" (k = 3);
    Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models" (k = 5).

    Args:
        reals: Features of real images, (N, D).
        samples: Features of samples, (M, D); take as many as real images, since more of one set shrinks its balls.
        neighbours: k of precision and recall.
        density_neighbours: k of density and coverage.

    Raises:
        DataError: If a set has no more than k members, or the numbers of features differ.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(50, 4))
        >>> manifold_scores(features, features).recall
        1.0
    """
    from sklearn.metrics import pairwise_distances_chunked
    from sklearn.neighbors import NearestNeighbors

    most = max(neighbours, density_neighbours)
    check_features(reals, samples, least=most + 1)

    def distances(features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Distances to the nearest other members, in order, (N, most)."""
        found: NDArray[np.floating] = NearestNeighbors(n_neighbors=most).fit(features).kneighbors()[0]
        return found

    nearest = distances(reals)
    real_radius, real_ball = nearest[:, neighbours - 1], nearest[:, density_neighbours - 1]
    sample_radius = distances(samples)[:, neighbours - 1]
    precise, inside, row = 0, 0, 0
    recalled = np.zeros(len(reals), dtype=bool)
    covered = np.zeros(len(reals), dtype=bool)
    for block in pairwise_distances_chunked(samples, reals):
        precise += int((block <= real_radius).any(axis=1).sum())
        recalled |= (block <= sample_radius[row : row + len(block), None]).any(axis=0)
        balls = block < real_ball
        inside += int(balls.sum())
        covered |= balls.any(axis=0)
        row += len(block)
    return ManifoldScores(
        precision=precise / len(samples),
        recall=float(recalled.mean()),
        density=inside / (density_neighbours * len(samples)),
        coverage=float(covered.mean()),
    )
