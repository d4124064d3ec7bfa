"""How close are samples to real images? Features, distances between sets, manifolds and sharpness.

Convention: images are uint8 (N, H, W, C), features float32 (N, D), real ones come before samples. Distances read real
images that no generator was trained on.
"""

from __future__ import annotations

from synthaug.evaluation.quality.distances import frechet_distance, kernel_distance
from synthaug.evaluation.quality.fidelity import Fidelity, measure_fidelity
from synthaug.evaluation.quality.manifolds import ManifoldScores, manifold_scores
from synthaug.evaluation.quality.sharpness import laplacian_variance, relative_sharpness
from synthaug.networks.features import extract_features

__all__ = [
    "Fidelity",
    "ManifoldScores",
    "extract_features",
    "frechet_distance",
    "kernel_distance",
    "laplacian_variance",
    "manifold_scores",
    "measure_fidelity",
    "relative_sharpness",
]
