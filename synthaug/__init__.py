"""synthaug: from a labelled image dataset to a measured better classifier.

The public names are loaded on first use (PEP 562), so ``import synthaug`` costs no torch.

Example:
    >>> import synthaug
    >>> synthaug.list_families()  # doctest: +ELLIPSIS
    [...'gan', 'vae'...]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug.lazy import lazily

__version__ = "0.1.0"

if TYPE_CHECKING:
    from synthaug.curation import curate as curate
    from synthaug.curation import generate_curated as generate_curated
    from synthaug.data import ImageDataset as ImageDataset
    from synthaug.errors import SynthaugError as SynthaugError
    from synthaug.evaluation import compare as compare
    from synthaug.evaluation import evaluate as evaluate
    from synthaug.generators import Generator as Generator
    from synthaug.generators import list_families as list_families
    from synthaug.generators import load as load
    from synthaug.generators import save as save
    from synthaug.recommendation import recommend as recommend
    from synthaug.sampling import SampleBank as SampleBank
    from synthaug.sampling import generate as generate
    from synthaug.training import fit as fit

_HOMES = {
    "ImageDataset": "synthaug.data",
    "SynthaugError": "synthaug.errors",
    "compare": "synthaug.evaluation",
    "curate": "synthaug.curation",
    "generate_curated": "synthaug.curation",
    "evaluate": "synthaug.evaluation",
    "Generator": "synthaug.generators",
    "list_families": "synthaug.generators",
    "load": "synthaug.generators",
    "save": "synthaug.generators",
    "recommend": "synthaug.recommendation",
    "SampleBank": "synthaug.sampling",
    "generate": "synthaug.sampling",
    "fit": "synthaug.training",
}

__all__ = ["__version__", *_HOMES]


__getattr__, __dir__ = lazily(globals(), _HOMES)
