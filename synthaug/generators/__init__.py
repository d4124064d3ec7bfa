"""Generator families, one file each, behind one contract.

Convention: `Generator` is what is saved and sampled, `Objective` is what is trained; inside, images are floats in
[-1, 1] of shape (B, C, H, W), outside they are uint8. Everything a sample depends on is in its name
(generator digest, seed, class, index).
"""

from synthaug.generators.base import CHUNK, Generator, Objective, Phase, Posterior, SamplingConfig
from synthaug.generators.folder import load, make_generator, save
from synthaug.generators.registry import family_class, list_families, register_family

__all__ = [
    "CHUNK",
    "Generator",
    "Objective",
    "Phase",
    "Posterior",
    "SamplingConfig",
    "family_class",
    "list_families",
    "load",
    "make_generator",
    "register_family",
    "save",
]
