"""Distances to nearest neighbours in feature space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def nearest(points: NDArray[np.float32], queries: NDArray[np.float32] | None, neighbours: int) -> NDArray[np.floating]:
    """Return the distances from each query to its nearest points, in order, (M, k).

    Args:
        points: (N, D), N of 1 or more; of 2 or more without queries.
        queries: (M, D); `None` asks for each point's nearest others.
        neighbours: k; fewer where there are fewer points.

    Example:
        >>> nearest(np.array([[0.0], [1.0], [3.0]], np.float32), None, 1).tolist()
        [[1.0], [1.0], [2.0]]
    """
    from sklearn.neighbors import NearestNeighbors

    most = min(neighbours, len(points) - (queries is None))
    search = NearestNeighbors(n_neighbors=most, algorithm="brute").fit(points)
    distances: NDArray[np.floating] = search.kneighbors(queries)[0]
    return distances


def mean_distance(
    points: NDArray[np.float32], queries: NDArray[np.float32] | None, neighbours: int
) -> NDArray[np.floating]:
    """Return the mean distance from each query to its nearest points, (M,); see `nearest`."""
    means: NDArray[np.floating] = nearest(points, queries, neighbours).mean(axis=1)
    return means
