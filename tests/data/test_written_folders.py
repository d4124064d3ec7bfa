"""Image folders that `synthaug generate` wrote: their classes are those they name, and only files in them are read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from synthaug import ImageDataset
from synthaug.errors import DataError, DataWarning

CLASSES = ["T-shirt/top", "b", "zero."]
COLUMNS = ["file_name", "label", "class_name", "seed", "index", "generator", "family"]


def add(path: Path, value: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), value).save(path)


def describe(folder: Path, classes: object = CLASSES, columns: list[str] = COLUMNS, file: str = "b/1.png") -> None:
    """Write the metadata of an output, with one row."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table({name: [0 if name in ("label", "seed", "index") else file] for name in columns})
    features = {"label": {"names": classes, "_type": "ClassLabel"}}
    described = json.dumps({"info": {"features": features}})
    pq.write_table(table.replace_schema_metadata({"huggingface": described}), folder / "metadata.parquet")


def manifest(folder: Path, **values: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".synthaug.json").write_text(json.dumps({"format": "imagefolder", "classes": CLASSES} | values))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The second class has no images, and so no folder."""
    add(tmp_path / "out" / "zero%2E" / "1.png", 2)
    add(tmp_path / "out" / "T-shirt%2Ftop" / "1.png", 0)
    return tmp_path / "out"


@pytest.mark.parametrize("tell", [describe, manifest])
def test_classes_and_their_order_are_those_that_the_folder_names(folder: Path, tell) -> None:
    tell(folder)
    data = ImageDataset.load(folder, strict=True)
    assert data.classes == tuple(CLASSES)
    assert data.labels.tolist() == data.images[:, 0, 0, 0].tolist() == [0, 2]


def test_damaged_metadata_leaves_the_manifest(folder: Path) -> None:
    manifest(folder)
    (folder / "metadata.parquet").write_bytes(b"PAR1 not")
    assert ImageDataset.load(folder, strict=True).classes == tuple(CLASSES)


@pytest.mark.parametrize(
    "tell",
    [
        lambda folder: describe(folder, columns=["file_name", "label"]),
        lambda folder: describe(folder, classes=[1, 2]),
        lambda folder: describe(folder, classes="T-shirt/top"),
        lambda folder: manifest(folder, format="parquet"),
        lambda folder: manifest(folder, classes=None),
        lambda folder: (folder / ".synthaug.json").write_text("[not JSON"),
    ],
)
def test_other_folders_are_what_their_class_folders_are(folder: Path, tell) -> None:
    tell(folder)
    assert ImageDataset.load(folder, strict=True).classes == ("T-shirt%2Ftop", "zero%2E")


def test_a_folder_of_no_named_class_is_listed_file_by_file(folder: Path) -> None:
    describe(folder)
    for name in ("zero", "%FF", "50%-off"):
        add(folder / name / "1.png")
    with pytest.warns(DataWarning, match=r"3 of 5 entries.*(?s:.)*Did you mean 'zero\.'"):
        data = ImageDataset.load(folder)
    assert {problem.path for problem in data.problems} == {"zero/1.png", "%FF/1.png", "50%-off/1.png"}
    assert (data.classes, data.labels.tolist()) == (tuple(CLASSES), [0, 2])


def test_what_a_folder_says_of_itself_leads_to_no_file_outside(tmp_path: Path) -> None:
    add(tmp_path / "secret" / "1.png")
    for escape in ("../secret", str(tmp_path / "secret")):
        describe(tmp_path / "out", classes=[escape, "b"], file=f"{escape}/1.png")
        add(tmp_path / "out" / "b" / "1.png", 7)
        data = ImageDataset.load(tmp_path / "out", strict=True)
        assert data.classes == (escape, "b")
        assert (data.labels.tolist(), np.unique(data.images).tolist()) == ([1], [7])


def test_classes_named_twice_are_refused(folder: Path) -> None:
    describe(folder, classes=[*CLASSES, "b"])
    with pytest.raises(DataError, match="every class name once, but 'b'"):
        ImageDataset.load(folder)


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    for name in ("train", "test"):
        add(tmp_path / name / "1.png")
    describe(tmp_path, classes=["train", "test"])
    assert ImageDataset.load(tmp_path, strict=True).classes == ("train", "test")


def test_a_split_may_be_an_output_beside_plain_ones(folder: Path) -> None:
    root = folder.parent
    folder.rename(root / "train")
    describe(root / "train")
    add(root / "test" / "b" / "1.png")
    assert ImageDataset.load(root, strict=True).classes == tuple(CLASSES)
    test = ImageDataset.load(root, split="test", strict=True)
    assert (test.classes, test.labels.tolist()) == (tuple(CLASSES), [1])


def test_other_classes_with_the_same_files_are_not_taken_from_the_cache(folder: Path) -> None:
    describe(folder)
    assert ImageDataset.load(folder).labels.tolist() == [0, 2]
    describe(folder, classes=CLASSES[::-1])
    data = ImageDataset.load(folder)
    assert (data.classes, data.labels.tolist()) == (tuple(CLASSES[::-1]), [0, 2])
    assert data.images[:, 0, 0, 0].tolist() == [2, 0]


def test_webdataset_shards_are_said_to_be_unreadable(tmp_path: Path) -> None:
    (tmp_path / "data-00000-of-00001.tar").write_bytes(b"")
    with pytest.raises(DataError, match="WebDataset shards are not read: generate in the format imagefolder"):
        ImageDataset.load(tmp_path)
