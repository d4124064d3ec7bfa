from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are run from the checkout, not installed

from benchmarks.downstream.recipes import make_bank
from benchmarks.downstream.regimes import Regime
from synthaug.data import ImageDataset
from synthaug.generators import make_generator
from synthaug.latent import swapped_bank


def test_the_control_holds_the_subsets_own_images_evenly(tmp_path):
    subset = Regime.parse("long-tail:8@16").subset(ImageDataset.load("digits"), 0)
    bank = make_bank({"real": True, "per_class": 20}, subset, None, tmp_path / "bank", 0)
    assert bank.counts.tolist() == [20] * 10
    known = {(int(label), image.tobytes()) for image, label in zip(subset.images, subset.labels, strict=True)}
    made = [(int(label), image.tobytes()) for image, label in zip(bank.images, bank.labels, strict=True)]
    assert set(made) == known  # every image, under its own label
    uses = [made.count(one) for one in set(made) if one[0] == int(np.argmax(subset.class_counts))]
    assert max(uses) - min(uses) <= 1


def test_swapped_images_are_those_of_the_library(tmp_path):
    subset = Regime.parse("long-tail:8@16").subset(ImageDataset.load("digits"), 0)
    generator = make_generator("vae", subset.classes, subset.image_shape, options={"width": 4, "latent_dim": 3})
    bank = make_bank({"swap": True, "generator": "any", "per_class": 30}, subset, generator, tmp_path / "bank", 0)
    assert bank.counts.tolist() == [30] * 10
    assert (subset.labels[bank.table.column("source").to_numpy()] != bank.labels).all()
    same = swapped_bank(generator, subset, 30, seed=0, out=tmp_path / "same")
    assert (bank.images == same.images).all()
