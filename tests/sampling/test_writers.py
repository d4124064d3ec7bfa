"""Each format as its own ecosystem reads it back."""

from __future__ import annotations

import io
import json
import shutil
import tarfile

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from synthaug.data import ImageDataset
from synthaug.data.sources.written import classes_of_folders
from synthaug.images import encode_png, encode_pngs
from synthaug.sampling import generate
from synthaug.sampling.folder_names import folder_names
from synthaug.sampling.writers.base import _WRITERS, list_formats

CLASSES = ("T-shirt/top", "../x", "boot", "train")
COUNTS = {"T-shirt/top": 70, "boot": 5, "train": 60, "../x": 2}


@pytest.fixture(params=[(1, 8, 12), (3, 8, 8)], ids=["grey", "rgb"])
def made(request, make_gen):
    """A generator and its samples, in the order of the output."""
    gen = make_gen(classes=CLASSES, image_shape=request.param)
    images = gen.sample({name: COUNTS[name] for name in CLASSES}, seed=2).permute(0, 2, 3, 1).numpy()
    return gen, images, np.repeat(np.arange(4), [COUNTS[name] for name in CLASSES])


def pixels(picture, like):
    return np.asarray(picture).reshape(like.shape)


@pytest.mark.parametrize("source", ["folder", "files"])
def test_parquet_loads_with_datasets(made, tmp_path, source):
    datasets = pytest.importorskip("datasets")
    gen, images, labels = made
    out = generate(gen, counts=COUNTS, seed=2, out=tmp_path / "out", format="parquet", shard_size=64)
    where = {"path": str(out)} if source == "folder" else {"path": "parquet", "data_files": str(out / "*.parquet")}
    data = datasets.load_dataset(**where, split="train", cache_dir=str(tmp_path / "cache"))
    assert data.features["label"] == datasets.ClassLabel(names=list(CLASSES))
    assert data.features["image"] == datasets.Image()
    assert data["label"][:] == labels.tolist()
    assert all(
        (pixels(picture, images[0]) == image).all() for picture, image in zip(data["image"], images, strict=True)
    )
    row = data[72]
    assert (row["class_name"], row["seed"], row["index"], row["generator"]) == ("boot", 2, 0, gen.digest)


def test_parquet_schema_is_what_datasets_would_write(made, tmp_path):
    datasets = pytest.importorskip("datasets")
    out = generate(made[0], counts=COUNTS, out=tmp_path / "out", format="parquet")
    schema = pq.read_schema(out / "data-00000-of-00001.parquet")
    features = datasets.Features.from_arrow_schema(schema)
    assert features.arrow_schema.equals(schema)
    assert json.loads(features.arrow_schema.metadata[b"huggingface"]) == json.loads(schema.metadata[b"huggingface"])


def test_imagefolder_reads_in_torchvision(made, tmp_path):
    folder_dataset = pytest.importorskip("torchvision.datasets").ImageFolder
    gen, images, labels = made
    out = generate(gen, counts=COUNTS, seed=2, out=tmp_path / "out", format="imagefolder", shard_size=64)
    data = folder_dataset(str(out))
    assert sorted(data.classes) == sorted(folder_names(CLASSES))
    table = pq.read_table(out / "metadata.parquet").to_pylist()
    assert [row["label"] for row in table] == labels.tolist()
    for row, image in zip(table, images, strict=True):
        assert (pixels(Image.open(out / row["file_name"]), image) == image).all()
    assert {path for path, _ in data.samples} == {str(out / row["file_name"]) for row in table}
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "a class name left the folder"


@pytest.mark.parametrize("format", ["imagefolder", "parquet"])
def test_synthaug_reads_its_own_files(make_gen, tmp_path, format):
    gen = make_gen(classes=("boot", "bag", "train"), image_shape=(1, 8, 8))
    out = generate(gen, per_class=3, seed=2, out=tmp_path / "out", format=format)
    data = ImageDataset.load(out, strict=True)
    assert sorted(data.classes) == ["bag", "boot", "train"]
    for name in data.classes:
        images = {image.tobytes() for image in data.only(name).images}
        assert images == {image.numpy().tobytes() for image in gen.sample({name: 3}, seed=2)}


def test_synthaug_reads_class_names_that_folders_cannot_have(make_gen, tmp_path):
    classes = ("zero.", "T-shirt/top", "b", "", "../x", "train", "é" * 100, "e\u0301")
    gen = make_gen(classes=classes, image_shape=(1, 8, 8))
    counts = dict.fromkeys(classes, 2) | {"b": 0}
    out = generate(gen, counts=counts, seed=2, out=tmp_path / "out", format="imagefolder")
    data = ImageDataset.load(out, strict=True, cache_dir=tmp_path / "cache")
    assert data.classes == classes
    assert data.class_counts.tolist() == [2, 2, 0, 2, 2, 2, 2, 2]
    assert (data.images == gen.sample(counts, seed=2).permute(0, 2, 3, 1).numpy()).all()


def test_parts_copied_into_one_folder_read_as_one(make_gen, tmp_path):
    gen = make_gen(classes=("a/b", "c"), image_shape=(1, 8, 8))
    for part in (1, 2):
        out = generate(gen, per_class=64, seed=2, out=tmp_path / f"{part}", format="imagefolder", shard=(part, 2))
        shutil.copytree(out, tmp_path / "all", dirs_exist_ok=True)
    data = ImageDataset.load(tmp_path / "all", strict=True, cache_dir=tmp_path / "cache")
    assert (data.classes, data.class_counts.tolist()) == (("a/b", "c"), [64, 64])


def test_imagefolder_loads_with_datasets_though_a_class_is_called_train(made, tmp_path):
    datasets = pytest.importorskip("datasets")
    gen, images, labels = made
    out = generate(gen, counts=COUNTS, seed=2, out=tmp_path / "out", format="imagefolder", shard_size=64)
    data = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert data.features["label"] == datasets.ClassLabel(names=list(CLASSES))
    assert data["label"][:] == labels.tolist()
    assert (pixels(data[72]["image"], images[72]) == images[72]).all()
    assert data[72]["class_name"] == "boot"


def test_webdataset_is_plain_tar(made, tmp_path):
    gen, images, labels = made
    out = generate(gen, counts=COUNTS, seed=2, out=tmp_path / "out", format="webdataset", shard_size=64)
    number = 0
    for path in sorted(out.glob("*.tar")):
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            assert {(member.mtime, member.uid, member.mode) for member in members} == {(0, 0, 0o644)}
            for picture, label, facts in zip(members[::3], members[1::3], members[2::3], strict=True):
                key = picture.name.removesuffix(".png")
                assert (label.name, facts.name) == (f"{key}.cls", f"{key}.json")
                content = archive.extractfile(picture).read()
                assert (pixels(Image.open(io.BytesIO(content)), images[number]) == images[number]).all()
                assert int(archive.extractfile(label).read()) == labels[number]
                provenance = json.loads(archive.extractfile(facts).read())
                assert provenance["class_name"] == CLASSES[labels[number]]
                assert (provenance["seed"], provenance["generator"]) == (2, gen.digest)
                number += 1
    assert number == len(images)


def test_webdataset_loads_with_datasets(made, tmp_path):
    datasets = pytest.importorskip("datasets")
    gen, images, labels = made
    out = generate(gen, counts=COUNTS, seed=2, out=tmp_path / "out", format="webdataset")
    data = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert data["cls"][:] == labels.tolist()
    assert (pixels(data[100]["png"], images[100]) == images[100]).all()


def test_files_of_parts_fit_into_one_folder(made, tmp_path):
    names = []
    for part in (1, 2):
        out = generate(made[0], counts=COUNTS, out=tmp_path / str(part), format="parquet", shard=(part, 2))
        names += [path.name for path in out.glob("*.parquet")]
    assert len(names) == len(set(names)) == 2


def test_the_card_names_generator_seed_and_counts(made, tmp_path):
    gen = made[0]
    out = generate(gen, counts=COUNTS, seed=2, out=tmp_path / "out", format="parquet")
    card = (out / "README.md").read_text()
    assert gen.digest in card
    assert "seed: 2" in card
    assert "| 2 | boot | 5 |" in card


@pytest.mark.parametrize("shape", [(5, 9, 7, 1), (5, 9, 7, 3), (200, 8, 8, 3)])
def test_png_is_lossless_and_the_same_over_threads(shape):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    encoded = encode_pngs(images)
    for image, png in zip(images, encoded, strict=True):
        picture = Image.open(io.BytesIO(png))
        assert picture.mode == ("L" if shape[-1] == 1 else "RGB")
        assert (pixels(picture, image) == image).all()
    assert encode_pngs(images, threads=3) == encoded
    assert encode_png(images[0]) == encoded[0]


def test_png_without_opencv(monkeypatch):
    import sys

    from synthaug import images as module

    monkeypatch.setitem(sys.modules, "cv2", None)
    module._encoder.cache_clear()
    try:
        image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
        assert (np.asarray(Image.open(io.BytesIO(encode_png(image)))) == image).all()
    finally:
        module._encoder.cache_clear()


NASTY = [
    "boot",
    "Boot",
    "BOOT",
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a\\b",
    "a%2Fb",
    "%",
    "con",
    "CON",
    "con.txt",
    "nul ",
    ".hidden",
    "dot.",
    " space",
    "new\nline",
    "nul\0",
    "Turnschuh · Größe",
    "é",
    "e\u0301",
    "straße",
    "strasse",
    "靴",
    "x" * 300,
    "x" * 301,
    "靴" * 200,
    "a:b",
    "a*b",
    "-rf",
    "~",
    "\ud800",
]


def test_no_class_name_leaves_the_folder_or_meets_another(tmp_path):
    names = folder_names(NASTY)
    assert len({name.casefold() for name in names}) == len(NASTY)
    for name in names:
        assert not set(name) & set('/\\:*?"<>|\0\n')
        assert name.strip(" .") == name.rstrip(" .") == name
        assert name.split(".")[0].lower() not in {"con", "nul", "aux", "prn"}
        assert len(name.encode()) <= 255
        (tmp_path / name).mkdir()
        assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert len(list(tmp_path.iterdir())) == len(NASTY)


def test_every_folder_name_tells_its_class():
    assert classes_of_folders(folder_names(NASTY), NASTY) == dict(zip(folder_names(NASTY), NASTY, strict=True))


def test_plain_names_stay_as_they_are():
    plain = ["sneaker", "Ankle boot", "v1.0", "靴", "Größe", "0"]
    assert folder_names(plain) == plain


def test_a_format_of_someone_elses_is_one_class(make_gen, tmp_path, monkeypatch):
    class Raw:
        files = ("shard*.bin",)

        def __init__(self, folder, job):
            self.folder = folder

        def write(self, shard, blocks):
            data = b"".join(block.images.tobytes() for block in blocks)
            (self.folder / f"shard{shard.number}.bin").write_bytes(data)

        def finish(self):
            pass

    list_formats()
    monkeypatch.setitem(_WRITERS._classes, "raw", Raw)
    gen = make_gen(classes=CLASSES, image_shape=(1, 8, 8))
    for number in (2, 3):
        out = generate(gen, number, out=tmp_path / "out", format="raw", overwrite=number == 3)
        assert (out / "shard0.bin").stat().st_size == number * len(CLASSES) * 64
