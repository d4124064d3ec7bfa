"""The bank: constant-time access, honest errors, safe in workers and over pickles."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest
import torch

from synthaug.errors import DataError, FormatError, LabelError
from synthaug.sampling import SampleBank, generate


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (30, 8, 12, 3), dtype=np.uint8), rng.integers(0, 3, 30), ("boot", "sneaker", "bag")


def test_indices_of_finds_each_sample_of_a_class(arrays):
    images, labels, classes = arrays
    bank = SampleBank.from_arrays(images, labels, classes)
    for label, name in enumerate(classes):
        assert bank.indices_of(name).tolist() == np.flatnonzero(labels == label).tolist()
        assert bank.indices_of(label).tolist() == bank.indices_of(name).tolist()
    assert bank.counts.tolist() == np.bincount(labels, minlength=3).tolist()
    assert not bank.indices_of(0).flags.writeable


def test_a_class_without_samples_is_empty_not_missing(arrays):
    images, _, classes = arrays
    bank = SampleBank.from_arrays(images, np.zeros(30, int), [*classes, "unseen"])
    assert bank.indices_of("unseen").size == 0
    assert bank.counts.tolist() == [30, 0, 0, 0]


def test_unknown_class_names_a_close_one(arrays):
    with pytest.raises(LabelError, match="sneaker"):
        SampleBank.from_arrays(*arrays).indices_of("snaeker")
    with pytest.raises(LabelError, match="0 to 2"):
        SampleBank.from_arrays(*arrays).indices_of(3)


@pytest.mark.parametrize(
    ("images", "labels", "error"),
    [
        (np.zeros((2, 8, 8, 1), np.float32), [0, 1], DataError),
        (np.zeros((2, 8, 8), np.uint8), [0, 1], DataError),
        (np.zeros((2, 1, 8, 8), np.uint8), [0, 1], DataError),
        (np.zeros((2, 8, 8, 1), np.uint8), [0], LabelError),
        (np.zeros((2, 8, 8, 1), np.uint8), [0, 2], LabelError),
    ],
)
def test_from_arrays_refuses_what_is_no_bank(images, labels, error):
    with pytest.raises(error, match="expected"):
        SampleBank.from_arrays(images, labels, ["a", "b"])


def test_save_and_open_round_trip(arrays, tmp_path):
    bank = SampleBank.from_arrays(*arrays, provenance={"made": "by hand"})
    again = bank.save(tmp_path / "bank")
    assert isinstance(again.images, np.memmap)
    assert (again.images == bank.images).all()
    assert (again.labels == bank.labels).all()
    assert (again.classes, again.image_shape, again.digest) == (bank.classes, (3, 8, 12), bank.digest)
    assert again.provenance == {"made": "by hand"}
    assert again.table.column("index").to_pylist() == bank.table.column("index").to_pylist()


def test_table_names_every_sample(gen, tmp_path):
    bank = generate(gen, counts={"bag": 3, "boot": 2}, seed=7, out=tmp_path / "bank")
    rows = bank.table.to_pylist()
    assert [(row["class_name"], row["label"], row["index"]) for row in rows] == [
        ("boot", 0, 0),
        ("boot", 0, 1),
        ("bag", 2, 0),
        ("bag", 2, 1),
        ("bag", 2, 2),
    ]
    assert {row["seed"] for row in rows} == {7}
    assert {row["generator"] for row in rows} == {gen.digest}
    assert bank.provenance["generator"] == gen.digest


@pytest.mark.parametrize("name", ["bank.json", "images.npy", "labels.npy", "table.parquet"])
def test_open_names_the_missing_file(gen, tmp_path, name):
    generate(gen, per_class=2, out=tmp_path / "bank")
    (tmp_path / "bank" / name).unlink()
    with pytest.raises(FormatError, match=name):
        SampleBank.open(tmp_path / "bank")


def test_open_refuses_foreign_damaged_and_newer_folders(gen, tmp_path):
    with pytest.raises(FormatError, match="no such folder"):
        SampleBank.open(tmp_path / "nowhere")
    (tmp_path / "gen").mkdir()
    (tmp_path / "gen" / "config.json").write_text("{}")
    with pytest.raises(FormatError, match="generator folder"):
        SampleBank.open(tmp_path / "gen")
    bank = tmp_path / "bank"
    generate(gen, per_class=2, out=bank)
    header = json.loads((bank / "bank.json").read_text())
    (bank / "bank.json").write_text(json.dumps(header | {"format_version": 99}))
    with pytest.raises(FormatError, match="99"):
        SampleBank.open(bank)
    (bank / "bank.json").write_text(json.dumps(header | {"count": 5}))
    with pytest.raises(FormatError, match="damaged"):
        SampleBank.open(bank)
    (bank / "bank.json").write_text(json.dumps(header))
    content = (bank / "images.npy").read_bytes()
    (bank / "images.npy").write_bytes(content[:-10])
    with pytest.raises(FormatError, match=r"images\.npy"):
        SampleBank.open(bank)


def test_pickles_as_its_path_and_notices_a_change(gen, tmp_path):
    bank = generate(gen, per_class=40, out=tmp_path / "bank")
    _ = bank.images, bank.table, bank.indices_of(0)
    opened = SampleBank.open(tmp_path / "bank")
    data = pickle.dumps(bank)
    assert len(data) < 2000
    again = pickle.loads(data)
    assert (again.images == bank.images).all()
    assert again.indices_of("bag").tolist() == bank.indices_of("bag").tolist()
    generate(gen, per_class=40, seed=1, out=tmp_path / "bank", overwrite=True)
    other = pickle.loads(data)
    for _ in range(2):  # asking again does not help
        with pytest.raises(FormatError, match="changed"):
            _ = other.images
    with pytest.raises(FormatError, match="changed"):  # nor are images of the one given weights of the other
        _ = opened.weights
    shutil.rmtree(tmp_path / "bank")
    with pytest.raises(FormatError, match="no such folder"):
        _ = pickle.loads(data).labels


def test_a_bank_in_memory_pickles_whole(arrays):
    bank = SampleBank.from_arrays(*arrays)
    again = pickle.loads(pickle.dumps(bank))
    assert (again.images == bank.images).all()
    assert again.digest == bank.digest


def test_weights_are_part_of_what_a_bank_is(arrays):
    weights = np.linspace(0.1, 1, len(arrays[1]))
    plain, weighted = SampleBank.from_arrays(*arrays), SampleBank.from_arrays(*arrays, weights=weights)
    assert weighted.weights.tolist() == pytest.approx(weights.tolist())
    assert plain.weights.tolist() == [1] * len(weights)
    assert plain.digest != weighted.digest != SampleBank.from_arrays(*arrays, weights=weights / 2).digest
    with pytest.raises(DataError, match="a weight for each"):
        SampleBank.from_arrays(*arrays, weights=weights[1:])


class _AsTensors(torch.utils.data.Dataset):
    def __init__(self, bank: SampleBank) -> None:
        self.bank = bank

    def __len__(self) -> int:
        return len(self.bank)

    def __getitem__(self, position: int) -> tuple[np.ndarray, int, int]:
        label = int(self.bank.labels[position])
        return np.array(self.bank.images[position]), label, int(self.bank.indices_of(label)[0])


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_workers_read_what_the_parent_reads(gen, tmp_path, context):
    bank = generate(gen, per_class=20, out=tmp_path / "bank")
    loader = torch.utils.data.DataLoader(_AsTensors(bank), batch_size=8, num_workers=2, multiprocessing_context=context)
    images, labels, firsts = (torch.cat(column).numpy() for column in zip(*loader, strict=True))
    assert (images == bank.images).all()
    assert (labels == bank.labels).all()
    assert (firsts == labels * 20).all()


def test_is_a_dataset_of_pictures(gen, tmp_path):
    picture, label = generate(gen, per_class=2, out=tmp_path / "bank")[3]
    assert (picture.size, picture.mode, label) == ((12, 8), "L", 1)
