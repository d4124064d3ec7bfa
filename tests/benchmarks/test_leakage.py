from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are run from the checkout, not installed

from benchmarks.downstream.regimes import others
from benchmarks.leakage import __main__ as leakage
from synthaug.data import ImageDataset
from synthaug.storage import read_json


def test_the_detector_tells_augmented_images_from_those_as_they_are(monkeypatch):
    """Grey images of one brightness: changed brightness gives them away."""
    monkeypatch.setattr(leakage, "AUGMENTATION", "contrast")
    images = np.full((160, 8, 8, 1), 120, np.uint8) + np.random.default_rng(0).integers(0, 3, (160, 8, 8, 1), np.uint8)
    detect, reals = leakage.detector(images, seed=0, steps=60)
    assert reals[leakage.AS_THEY_ARE] < 0.2
    assert reals[leakage.AUGMENTED] > 0.7
    assert leakage.share_augmented(detect, leakage.augmented(images)) > 0.7


def test_the_detector_sees_no_image_of_the_generators_subset():
    train = ImageDataset.load("digits")
    subset = train.few_shot(per_class=50, seed=1)
    unseen = others(train, subset, 2 * leakage.OTHERS, seed=0).images
    seen = {row.tobytes() for row in subset.take(np.arange(len(subset)))}
    assert len(unseen) > 1000
    assert not seen & {row.tobytes() for row in unseen}


def test_the_command_writes_what_it_measured_and_keeps_generators(tmp_path, monkeypatch):
    plan = "name: digits\nsource: digits\nregimes: ['few-shot:4']\nbanks: {}\narms: []\n"
    (tmp_path / "digits.yaml").write_text(plan)
    monkeypatch.setattr(leakage, "PLANS", tmp_path)
    monkeypatch.setattr(leakage, "OTHERS", 30)
    monkeypatch.setattr(leakage, "SAMPLES", 20)
    monkeypatch.setitem(leakage.GENERATORS, "vae", {"family": "vae", "width": 8, "batch_size": 8, "latent_dim": 4})
    words = ["digits", "--families=vae", "--seeds=2", "--steps=2", f"--work={tmp_path}", f"--out={tmp_path / 'o.json'}"]
    leakage.main(words)
    found = read_json(tmp_path / "o.json")
    assert [row["what"] for row in found["rows"]] == ["real", "vae"]
    real = [run["shares"]["real"] for run in found["runs"]]
    assert found["rows"][0]["difference"]["mean"] == pytest.approx(
        np.mean([one[leakage.AUGMENTED] - one[leakage.AS_THEY_ARE] for one in real])
    )
    made = sorted(path.name for path in (tmp_path / "generators").iterdir())
    assert len(made) == 4  # two seeds, augmented and not
    leakage.main(words)
    assert read_json(tmp_path / "o.json")["runs"] == found["runs"]
