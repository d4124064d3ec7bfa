"""The table of families, at a size that says nothing but that every kind of row is made, once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from benchmarks.families.__main__ import main
from benchmarks.families.rows import Experiment
from synthaug.storage import read_json

PLAN = {
    "split": "train",
    "test_split": "test",
    "classifier": {
        "model": "test_resnet",
        "augmentation": "none",
        "steps": 12,
        "batch_size": 16,
        "learning_rate": 2e-3,
    },
    "families": {"vae": {"family": "vae", "steps": 60, "batch_size": 16, "width": 8, "latent_dim": 4, "class_dim": 4}},
    "reference": {"steps": 8, "folds": 2},
    "choice": {"samples_per_class": 4, "images_per_class": 3, "steps": 2},
    "curated": {
        "vae-curated": {
            "of": "vae",
            "temperatures": [0.5, 1.5],
            "filters": {"diversity": {}},
            "budget": 4,
        }
    },
}


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    random = np.random.default_rng(0)
    for split, number in (("train", 12), ("test", 4)):
        for label, name in enumerate(("dark", "light")):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for index in range(number):
                pixels = random.integers(80 * label, 80 * label + 160, (8, 8)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / split / name / f"{index}.png")
    plan = PLAN | {"source": str(tmp_path / "data")}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    places = {"config": "plan.yaml", "work": "work", "out": "table.json"}
    return [f"--{name}={tmp_path / place}" for name, place in places.items()]


def test_rows_are_made_once_and_tabled(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main(words)
    table = read_json(tmp_path / "table.json")
    rows = table["rows"]
    assert list(rows) == ["real", "vae", "vae-curated"]
    assert rows["real"]["images"] == rows["vae"]["images"]  # as many samples as real images
    assert rows["vae-curated"]["digest"] == rows["vae"]["digest"]  # the same generator's
    chosen = rows["vae-curated"]["chosen"]
    scores = chosen["accuracy_on_training_images"]
    assert scores[str(chosen["temperature"])] == max(scores.values())
    assert rows["vae-curated"]["rejected"] > 0
    monkeypatch.setattr(Experiment, "row", lambda *_: pytest.fail("a finished row was made again"))
    main(words)
    assert read_json(tmp_path / "table.json")["rows"] == rows


def test_an_unknown_row_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["gann", *words])
    assert "expected rows among real, vae, vae-curated" in capsys.readouterr().err


def test_a_row_that_was_cut_off_keeps_its_temperature_and_its_bank(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(words)
    rows = read_json(tmp_path / "table.json")["rows"]
    (tmp_path / "work" / "vae-curated.json").unlink()
    for name in ("_choose_temperature", "_draw"):
        monkeypatch.setattr(Experiment, name, lambda *_: pytest.fail("what was finished was made again"))
    main(words)
    assert read_json(tmp_path / "table.json")["rows"] == rows
