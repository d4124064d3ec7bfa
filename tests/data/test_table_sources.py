from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from synthaug import ImageDataset
from synthaug.errors import DataError, DataWarning


def png(value: int, size: tuple[int, int] = (5, 4)) -> bytes:
    stream = io.BytesIO()
    Image.new("L", size, value).save(stream, "PNG")
    return stream.getvalue()


def table(labels: list, values: list[int] | None = None, names: list[str] | None = None, **extra: list) -> pa.Table:
    values = list(range(len(labels))) if values is None else values
    images = [{"bytes": png(value), "path": f"{value}.png"} for value in values]
    made = pa.table({"image": images, "label": labels, **extra})
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
        made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    return made


def first_pixels(data: ImageDataset) -> list[int]:
    return data.images[:, 0, 0, 0].tolist()


def test_class_names_come_from_the_metadata(tmp_path: Path) -> None:
    pq.write_table(table([1, 0, 1], names=["no", "yes"]), tmp_path / "x.parquet")
    data = ImageDataset.load(tmp_path / "x.parquet")
    assert (data.classes, data.labels.tolist(), first_pixels(data)) == (("no", "yes"), [1, 0, 1], [0, 1, 2])
    assert data.image_shape == (1, 4, 5)


def test_text_labels_become_sorted_classes_over_all_splits(tmp_path: Path) -> None:
    pq.write_table(table(["dog", "cat", "eel"]), tmp_path / "train-00000-of-00001.parquet")
    pq.write_table(table(["dog", "eel"]), tmp_path / "test-00000-of-00001.parquet")
    data = ImageDataset.load(tmp_path, split="test")
    assert (data.classes, data.labels.tolist()) == (("cat", "dog", "eel"), [1, 2])


def test_folder_takes_train_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(table([0, 1]), tmp_path / "data" / "train-0.parquet")
    pq.write_table(table([0, 1]), tmp_path / "data" / "train-1.parquet")
    pq.write_table(table([0]), tmp_path / "data" / "validation-0.parquet")
    assert len(ImageDataset.load(tmp_path)) == 4
    assert "using train" in caplog.text
    assert len(ImageDataset.load(tmp_path, split="val")) == 1
    with pytest.raises(DataError, match="splits train, validation, but got 'tset'"):
        ImageDataset.load(tmp_path, split="tset")


def test_glob(tmp_path: Path) -> None:
    for index in range(3):
        pq.write_table(table([0, 1]), tmp_path / f"part{index}.parquet")
    assert len(ImageDataset.load(str(tmp_path / "part[01].parquet"))) == 4
    with pytest.raises(DataError, match="nothing matches"):
        ImageDataset.load(str(tmp_path / "none*.parquet"))


def test_plain_binary_columns_and_named_columns(tmp_path: Path) -> None:
    made = pa.table({"scan": [png(1), png(2)], "mask": [png(7), png(8)], "a": [0, 1], "b": ["x", "y"]})
    pq.write_table(made, tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"one image column, but several.*scan, mask.*image_column="):
        ImageDataset.load(tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"one label column.*label_column=.*scan, mask, a, b"):
        ImageDataset.load(tmp_path / "x.parquet", image_column="scan")
    with pytest.raises(DataError, match=r"image_column to be one of.*'scam'.*Did you mean 'scan'"):
        ImageDataset.load(tmp_path / "x.parquet", image_column="scam")
    data = ImageDataset.load(tmp_path / "x.parquet", image_column="mask", label_column="b")
    assert (first_pixels(data), data.classes) == ([7, 8], ("x", "y"))


@pytest.mark.parametrize("beside", ["id", "file_name", "__index_level_0__", "shade"])
def test_the_column_with_a_usual_name_is_the_label_though_one_is_missing(tmp_path: Path, beside: str) -> None:
    """A table with a missing label holds whole numbers as floats, which no other column's type excuses."""
    made = table([0.0, 1.0, None, 1.0]).append_column(beside, [["p", "q", "r", "s"]])
    pq.write_table(made, tmp_path / "x.parquet")
    with pytest.warns(DataWarning, match="row 2"):
        data = ImageDataset.load(tmp_path / "x.parquet")
    assert (data.classes, data.labels.tolist()) == (("0", "1"), [0, 1, 1])


@pytest.mark.parametrize("column", ["id", "image_id", "caption", "File-Name"])
def test_what_tells_images_apart_is_no_label_unless_named(tmp_path: Path, column: str) -> None:
    made = table(["p", "q"]).rename_columns(["image", column])
    pq.write_table(made, tmp_path / "x.parquet")
    with pytest.raises(DataError, match=f"one label column, but {column} names or describes images.*label_column"):
        ImageDataset.load(tmp_path / "x.parquet")
    assert ImageDataset.load(tmp_path / "x.parquet", label_column=column).classes == ("p", "q")


def test_integer_labels_without_names(tmp_path: Path) -> None:
    pq.write_table(table([2, 0]), tmp_path / "x.parquet")
    assert ImageDataset.load(tmp_path / "x.parquet").labels.tolist() == [2, 0]
    pq.write_table(table([10, 7, 10]), tmp_path / "y.parquet")
    data = ImageDataset.load(tmp_path / "y.parquet")
    assert (data.classes, data.labels.tolist()) == (("7", "10"), [1, 0, 1])


def test_unusable_rows_are_listed(tmp_path: Path) -> None:
    made = table([0, 5, None, -1, 1, 1, 0], names=["a", "b"]).to_pydict()
    made["image"][4] = {"bytes": b"", "path": "4.png"}
    made["image"][5] = None
    schema = table([0], names=["a", "b"]).schema
    pq.write_table(pa.table(made, schema=schema), tmp_path / "x.parquet")
    with pytest.warns(DataWarning, match="5 of 7"):
        data = ImageDataset.load(tmp_path / "x.parquet")
    assert first_pixels(data) == [0, 6]
    reasons = {problem.path.split(" (")[0]: problem.reason for problem in data.problems}
    assert "label 5 is out of range: there are 2 classes" in reasons["x.parquet row 1"]
    assert "no label" in reasons["x.parquet row 2"]
    assert "-1 means no label" in reasons["x.parquet row 3"]
    assert "empty" in reasons["x.parquet row 4"]
    assert "no image" in reasons["x.parquet row 5"]
    with pytest.raises(DataError, match="row 1"):
        ImageDataset.load(tmp_path / "x.parquet", strict=True)


def test_paths_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(9))
    images = [{"bytes": None, "path": "a.png"}, {"bytes": None, "path": "gone.png"}]
    schema = pa.schema({"image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "label": pa.int64()})
    pq.write_table(pa.table({"image": images, "label": [0, 0]}, schema=schema), tmp_path / "x.parquet")
    with pytest.warns(DataWarning, match=r"gone\.png\): its image file is missing"):
        assert first_pixels(ImageDataset.load(tmp_path / "x.parquet")) == [9]


def test_damaged_files(tmp_path: Path) -> None:
    pq.write_table(table([0, 1]), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-30])
    with pytest.warns(DataWarning, match=r"b\.parquet: not a readable Parquet file"):
        assert len(ImageDataset.load(tmp_path)) == 2
    with pytest.raises(DataError, match="expected readable Parquet files"):
        ImageDataset.load(tmp_path / "b.parquet")


def test_no_rows(tmp_path: Path) -> None:
    pq.write_table(table([0]).slice(0, 0), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="at least one usable"):
        ImageDataset.load(tmp_path / "x.parquet")


@pytest.fixture
def hugging_face_dataset():
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["x", "y"])})
    images = [Image.new("RGB", (6, 5), (value, 0, 0)) for value in range(4)]
    return datasets.Dataset.from_dict({"picture": images, "kind": [0, 1, 1, 0]}, features=features)


def test_hugging_face_object(hugging_face_dataset) -> None:
    data = ImageDataset.load(hugging_face_dataset)
    assert (data.classes, data.labels.tolist(), data.image_shape) == (("x", "y"), [0, 1, 1, 0], (3, 5, 6))
    assert first_pixels(data) == [0, 1, 2, 3]
    shuffled = ImageDataset.load(hugging_face_dataset.select([3, 1]))  # an indices mapping, and another content
    assert (first_pixels(shuffled), shuffled.labels.tolist()) == ([3, 1], [0, 1])


def test_hugging_face_splits_and_disk(hugging_face_dataset, tmp_path: Path, caplog) -> None:
    datasets = pytest.importorskip("datasets")
    both = datasets.DatasetDict(train=hugging_face_dataset, test=hugging_face_dataset.select([2]))
    assert len(ImageDataset.load(both)) == 4
    assert "using train" in caplog.text
    both.save_to_disk(str(tmp_path / "saved"))
    assert first_pixels(ImageDataset.load(tmp_path / "saved", split="test")) == [2]
    hugging_face_dataset.save_to_disk(str(tmp_path / "one"))
    assert len(ImageDataset.load(tmp_path / "one")) == 4
    with pytest.raises(DataError, match="splits train, test, but got 'dev'"):
        ImageDataset.load(both, split="dev")


def test_hugging_face_text_labels_and_arrays() -> None:
    datasets = pytest.importorskip("datasets")
    pixels = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5)
    made = {"img": pixels.tolist(), "label": ["b", "a"]}
    features = datasets.Features({"img": datasets.Array2D((4, 5), "uint8"), "label": datasets.Value("string")})
    data = ImageDataset.load(datasets.Dataset.from_dict(made, features=features))
    assert np.array_equal(data.images[..., 0], pixels)
    assert (data.classes, data.labels.tolist()) == (("a", "b"), [1, 0])


def test_hugging_face_streams_are_refused(hugging_face_dataset) -> None:
    with pytest.raises(DataError, match="streaming=False"):
        ImageDataset.load(hugging_face_dataset.to_iterable_dataset())


def test_hub_names_go_to_load_dataset(hugging_face_dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def load_dataset(name: str):
        if name == "someone/pictures":
            return datasets.DatasetDict(train=hugging_face_dataset)
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    data = ImageDataset.load("someone/pictures")
    assert (len(data), data.name) == (4, "someone/pictures (train)")
    with pytest.raises(DataError, match=r"no file or folder someone/else.*no network"):
        ImageDataset.load("someone/else")
    (tmp_path / "photos" / "train").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"no network.* Did you mean 'photos/train'"):
        ImageDataset.load("photoz/train")


def test_files_beside_those_of_splits_are_not_dropped(tmp_path: Path) -> None:
    for name in ("cats", "dogs", "test"):
        pq.write_table(table([0, 1]), tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match=r"test beside cats\.parquet, dogs\.parquet"):
        ImageDataset.load(tmp_path)


def test_integer_labels_mean_the_same_in_all_splits(tmp_path: Path) -> None:
    pq.write_table(table([1, 2, 3, 4, 5]), tmp_path / "train.parquet")
    pq.write_table(table([5, 2, 3]), tmp_path / "test.parquet")
    train, test = (ImageDataset.load(tmp_path, split=split) for split in ("train", "test"))
    assert train.classes == test.classes == ("1", "2", "3", "4", "5")
    assert test.labels.tolist() == [4, 1, 2]
    datasets = pytest.importorskip("datasets")
    parts = {split: datasets.Dataset.from_parquet(str(tmp_path / f"{split}.parquet")) for split in ("train", "test")}
    again = ImageDataset.load(datasets.DatasetDict(parts), split="test")
    assert (again.classes, again.labels.tolist()) == (test.classes, [4, 1, 2])


def test_images_that_a_table_only_names_are_read_again(tmp_path: Path) -> None:
    for value in (10, 20):
        Image.new("L", (5, 4), value).save(tmp_path / f"{value}.png")
    cells = [{"bytes": None, "path": f"{value}.png"} for value in (10, 20)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(cells, kind), "label": [0, 1]}), tmp_path / "x.parquet")
    assert first_pixels(ImageDataset.load(tmp_path / "x.parquet")) == [10, 20]
    Image.new("L", (5, 4), 30).save(tmp_path / "10.png")
    assert first_pixels(ImageDataset.load(tmp_path / "x.parquet")) == [30, 20]


def test_a_mistyped_path_below_a_folder_is_not_looked_for_on_the_hub(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "data" / "photos" / "a").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"no file or folder data/photso\. Did you mean 'data/photos'"):
        ImageDataset.load("data/photso")


def test_shards_whose_labels_mean_other_classes_are_refused(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    for number, names in enumerate((["cat", "dog"], ["dog", "cat"])):
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
        images = [np.full((8, 8), value, np.uint8) for value in (10, 11)]
        rows = datasets.Dataset.from_dict({"image": images, "label": [0, 1]}, features=features)
        rows.to_parquet(str(tmp_path / f"part-{number}.parquet"))
    with pytest.raises(DataError, match=r"part-1\.parquet: expected labels as in part-0.* got the classes dog, cat"):
        ImageDataset.load(tmp_path)


def test_files_that_a_hugging_face_dataset_names_are_read_again_when_they_change(tmp_path: Path, monkeypatch) -> None:
    datasets = pytest.importorskip("datasets")

    def load() -> list[int]:
        rows = datasets.Dataset.from_dict({"image": ["0.png", "1.png"], "label": [0, 1]})
        return first_pixels(ImageDataset.load(rows.cast_column("image", datasets.Image())))

    for folder, values in (("one", (10, 20)), ("other", (30, 40))):  # as two projects with names alike
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        for number, value in enumerate(values):
            Image.new("L", (5, 4), value).save(f"{number}.png")
        assert load() == list(values)
    Image.new("L", (5, 4), 50).save("0.png")
    assert load() == [50, 40]
