"""What all tests share: few threads, a cache of their own and tiny real images."""

from __future__ import annotations

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch

from synthaug.data import ImageDataset
from synthaug.generators import list_families

collect_ignore_glob = ["*conftest.py"]  # several of one name: read as fixtures, not collected for their doctests

TINY = {
    "vae": {"width": 8, "latent_dim": 6, "class_dim": 4, "components": 2, "warmup_steps": 5},
    "autoencoder": {"width": 8, "latent_dim": 6, "class_dim": 4, "components": 2},
    "vaegan": {
        "width": 8,
        "discriminator": "resnet",
        "discriminator_width": 8,
        "latent_dim": 6,
        "class_dim": 4,
        "components": 2,
    },
    "gan": {"width": 8, "discriminator": "resnet", "discriminator_width": 8, "latent_dim": 6, "class_dim": 4},
    "diffusion": {"widths": (4, 8), "patch": 4},
}
"""Small settings of each family; a family without an entry is tested with its defaults."""


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["SYNTHAUG_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def digits() -> ImageDataset:
    """Three hundred real 8×8 digits."""
    return ImageDataset.load("digits").few_shot(30, seed=0)


@pytest.fixture(params=list_families())
def family(request: pytest.FixtureRequest) -> str:
    """Each registered family in turn."""
    return str(request.param)


@pytest.fixture
def tiny(family: str) -> dict[str, object]:
    """Small settings of that family."""
    return dict(TINY.get(family, {}))
