from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test an empty cache folder."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SYNTHAUG_CACHE", str(folder))
    return folder


@pytest.fixture
def class_folders(tmp_path: Path) -> Path:
    """Two classes of three coloured 10×12 (H×W) PNG files each."""
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for index in range(3):
            pixels = random.integers(0, 256, (10, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{index}.png")
    return tmp_path / "pets"
