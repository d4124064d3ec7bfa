"""A class's images come from the others, common ones most often, as `swap_class` makes them, whoever asks and when."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataError, GenerationInterrupted, LabelError, OutputExistsError
from synthaug.generators import make_generator
from synthaug.latent import swap_class, swapped_bank
from synthaug.latent.editing import swapped


@pytest.fixture(scope="module")
def tail(digits) -> ImageDataset:
    """Many of the first class, few of the last."""
    data = digits.only("0", "1", "7")
    rows = [np.flatnonzero(data.labels == label)[:most] for label, most in enumerate((60, 20, 4))]
    return data.subset(np.concatenate(rows))


def test_a_bank_holds_images_of_other_classes_with_their_class_swapped(trained, tail, tmp_path):
    bank = swapped_bank(trained, tail, 30, seed=3, out=tmp_path / "bank")
    assert bank.counts.tolist() == [30, 30, 30]
    sources = bank.table.column("source").to_numpy()
    before = tail.labels[sources]
    assert (before != bank.labels).all()
    for label, name in enumerate(trained.classes):
        mine = bank.labels == label
        made = swap_class(trained, tail.take(sources[mine]), to=name, labels=before[mine])
        assert (bank.images[mine] == made).all()
        number = np.count_nonzero(tail.labels != label)
        assert len(np.unique(sources[mine])) == 30 if number >= 30 else len(np.unique(sources[mine])) <= number
    assert (before[bank.labels == 2] == 0).sum() > 15  # the common class lends most
    assert bank.provenance["swap"]["dataset"]["digest"] == tail.digest


def test_the_same_call_gives_the_same_bytes_and_another_seed_others(trained, tail, tmp_path):
    first = swapped_bank(trained, tail, counts={"7": 70}, seed=0, out=tmp_path / "a")
    again = swapped_bank(trained, tail, counts={"7": 70}, seed=0, out=tmp_path / "b")
    other = swapped_bank(trained, tail, counts={"7": 70}, seed=1, out=tmp_path / "c")
    assert first.digest == again.digest != other.digest
    assert (first.images == again.images).all()
    assert not (first.images == other.images).all()
    assert first.counts.tolist() == [0, 0, 70]
    balanced = swapped_bank(trained, tail, balance=tail, out=tmp_path / "d")
    assert set((balanced.counts + tail.class_counts).tolist()) == {tail.class_counts.max()}


def test_an_interrupted_bank_goes_on(trained, tail, tmp_path, monkeypatch):
    whole = swapped_bank(trained, tail, 50, out=tmp_path / "whole")

    def stopped(*args, **settings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(swapped, "swap_class", stopped)
        with pytest.raises((GenerationInterrupted, KeyboardInterrupt)):
            swapped_bank(trained, tail, 50, out=tmp_path / "cut")
    assert not (tmp_path / "cut").exists()
    assert (swapped_bank(trained, tail, 50, out=tmp_path / "cut").images == whole.images).all()
    with pytest.raises(OutputExistsError):
        swapped_bank(trained, tail, 50, out=tmp_path / "cut")


def test_what_cannot_be_swapped_is_said(trained, tail, digits, tmp_path):
    gan = make_generator("gan", trained.classes, (1, 8, 8), options={"width": 4, "latent_dim": 3})
    with pytest.raises(ConfigError, match="encoder"):
        swapped_bank(gan, tail, 1, out=tmp_path / "a")
    with pytest.raises(DataError, match="other classes than '0'"):
        swapped_bank(trained, tail.subset(np.flatnonzero(tail.labels == 0)), 1, out=tmp_path / "a")
    with pytest.raises(LabelError):
        swapped_bank(trained, digits, 1, out=tmp_path / "a")
    with pytest.raises(ConfigError, match="exactly one of per_class"):
        swapped_bank(trained, tail, out=tmp_path / "a")
    assert not (tmp_path / "a").exists()
