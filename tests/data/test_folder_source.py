from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthaug import ImageDataset
from synthaug.errors import DataError, DataWarning
from synthaug.sampling import SampleBank


def add(path: Path, colour: object = 100, size: tuple[int, int] = (12, 10), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


def test_a_stray_table_does_not_hide_the_images(class_folders: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    expected = ImageDataset.load(class_folders)
    pq.write_table(pa.table({"embedding": [[0.5, 0.5]]}), class_folders / "embeddings.parquet")
    with pytest.warns(DataWarning, match="embeddings.parquet: not in a class folder"):
        data = ImageDataset.load(class_folders)
    assert np.array_equal(data.images, expected.images)
    with pytest.raises(DataError, match="embedding"):
        ImageDataset.load(class_folders, image_column="embedding")


@pytest.mark.parametrize("inner", ["photos/train/cat photos/test/cat", "cat/train cat/test"])
def test_splits_inside_a_class_folder_are_refused(tmp_path: Path, inner: str) -> None:
    """One folder too high, or class and split the wrong way round: else test images would be trained on."""
    for folder in inner.split():
        add(tmp_path / folder / "1.png")
    with pytest.raises(DataError, match=r"the images of one class, but it holds the folders test, train\..*wrong|put"):
        ImageDataset.load(tmp_path)


def test_images_beside_the_splits_are_told_of(class_folders: Path) -> None:
    for part in ("train", "test", "more"):
        shutil.copytree(class_folders / "cat", class_folders / part / "cat")
        shutil.copytree(class_folders / "dog", class_folders / part / "dog")
    for name in ("cat", "dog"):
        shutil.rmtree(class_folders / name)
    (class_folders / "runs").mkdir()
    (class_folders / "runs" / "log.txt").write_text("no image")
    with pytest.warns(DataWarning, match="more/: a folder beside the splits"):
        data = ImageDataset.load(class_folders, split="train")
    assert len(data) == 6
    assert [problem.path for problem in data.problems] == ["more/"]
    shutil.rmtree(class_folders / "more")
    assert ImageDataset.load(class_folders, split="train", strict=True).problems == ()


def test_a_bank_of_samples_is_no_dataset(tmp_path: Path) -> None:
    SampleBank.from_arrays(np.zeros((2, 8, 8, 1), np.uint8), [0, 1], ["a", "b"]).save(tmp_path / "bank")
    with pytest.raises(DataError, match=r"bank is a bank of samples\. Open it with SampleBank\.open"):
        ImageDataset.load(tmp_path / "bank")


def test_class_folders(class_folders: Path) -> None:
    data = ImageDataset.load(class_folders)
    assert data.classes == ("cat", "dog")
    assert data.images.shape == (6, 10, 12, 3)
    assert data.image_shape == (3, 10, 12)
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.problems == ()
    assert np.array_equal(data.images[4], np.asarray(Image.open(class_folders / "dog" / "1.png")))


def test_nested_files_are_found_and_hidden_ones_ignored(class_folders: Path) -> None:
    add(class_folders / "cat" / "tabby" / "young" / "9.png")
    add(class_folders / ".git" / "1.png")
    (class_folders / "cat" / ".DS_Store").write_text("x")
    assert ImageDataset.load(str(class_folders)).class_counts.tolist() == [4, 3]


@pytest.mark.parametrize(("folder", "wanted"), [("val", "validation"), ("valid", "val"), ("testing", "test")])
def test_splits_and_their_spellings(tmp_path: Path, folder: str, wanted: str) -> None:
    for name in ("a", "b"):
        add(tmp_path / "train" / name / "1.png")
    add(tmp_path / folder / "b" / "1.png")
    data = ImageDataset.load(tmp_path, split=wanted)
    assert data.classes == ("a", "b")  # a class that the split lacks keeps its place
    assert data.labels.tolist() == [1]
    assert folder in data.name


def test_train_is_the_default_and_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    add(tmp_path / "train" / "a" / "1.png")
    add(tmp_path / "test" / "a" / "1.png")
    add(tmp_path / "test" / "a" / "2.png")
    assert len(ImageDataset.load(tmp_path)) == 1
    assert "using train" in caplog.text


def test_a_split_that_is_not_there(class_folders: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder for the split 'test'"):
        ImageDataset.load(class_folders, split="test")
    add(tmp_path / "two" / "train" / "a" / "1.png")
    with pytest.raises(DataError, match="expected one of the splits train, but got 'test'"):
        ImageDataset.load(tmp_path / "two", split="test")


def test_an_unlabelled_test_folder_is_no_class(tmp_path: Path) -> None:
    for name in ("train/cat/1.png", "train/dog/1.png", "test/1.png", "test/2.png"):
        add(tmp_path / name)
    with pytest.warns(DataWarning, match="a split without class folders"):
        data = ImageDataset.load(tmp_path)
    assert (data.classes, len(data), data.name) == (("cat", "dog"), 2, f"{tmp_path.name} (train)")
    with pytest.raises(DataError, match="at least one usable labelled image"):
        ImageDataset.load(tmp_path, split="test")


def test_train_and_test_without_class_folders_are_no_classes(tmp_path: Path) -> None:
    for name in ("train/1.png", "test/1.png"):
        add(tmp_path / name)
    with pytest.raises(DataError, match=r"expected one folder a class in test, as in test/cat/1\.png"):
        ImageDataset.load(tmp_path)


def test_classes_may_be_called_test_or_anything(tmp_path: Path) -> None:
    names = ["test", "..odd", "a b", "Ünïcode 猫", "weird'\"%$"]
    for name in names:
        add(tmp_path / name.replace("..", "_") / "1.png")
    assert set(ImageDataset.load(tmp_path).classes) == {name.replace("..", "_") for name in names}


def break_some(root: Path) -> None:
    (root / "cat" / "empty.png").write_bytes(b"")
    (root / "cat" / "notes.txt").write_text("no image")
    whole = (root / "dog" / "0.png").read_bytes()
    (root / "dog" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "loose.png").write_bytes(whole)
    (root / "fish").mkdir()
    (root / "dog" / "gone.png").symlink_to(root / "nowhere.png")


def test_unusable_files_are_listed_by_path_and_reason(class_folders: Path) -> None:
    break_some(class_folders)
    for _ in range(2):  # decoded, then from the cache
        with pytest.warns(DataWarning, match="6 of 12 entries cannot be used"):
            data = ImageDataset.load(class_folders)
        reasons = {problem.path: problem.reason for problem in data.problems}
        assert set(reasons) == {
            "cat/empty.png", "cat/notes.txt", "dog/cut.png", "loose.png", "fish/", "dog/gone.png",
        }  # fmt: skip
        assert "empty" in reasons["cat/empty.png"]
        assert "not an image" in reasons["cat/notes.txt"]
        assert "truncated" in reasons["dog/cut.png"].lower() or "cannot be decoded" in reasons["dog/cut.png"]
        assert "no label" in reasons["loose.png"]
        assert data.class_counts.tolist() == [3, 3, 0]
        assert data.images.shape[0] == len(data.labels) == 6


def test_strict_stops_and_names_them(class_folders: Path) -> None:
    break_some(class_folders)
    for _ in range(2):
        with pytest.raises(DataError, match=r"(?s)6 of 12.*cat/empty\.png: .*empty"):
            ImageDataset.load(class_folders, strict=True)


def test_nothing_usable(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected one folder a class"):
        ImageDataset.load(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"(?s)at least one usable.*cat/a\.txt"):
        ImageDataset.load(tmp_path)


def test_sizes(tmp_path: Path) -> None:
    for index, size in enumerate([(10, 20), (10, 20), (30, 40)]):
        add(tmp_path / "a" / f"{index}.png", size=size)
    assert ImageDataset.load(tmp_path).image_shape == (1, 20, 10)  # the median
    assert ImageDataset.load(tmp_path, image_size=8).image_shape == (1, 8, 8)
    assert ImageDataset.load(tmp_path, image_size=(6, 9)).image_shape == (1, 6, 9)


def test_sizes_that_differ_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    add(tmp_path / "a" / "1.png", 1, (8, 8))
    add(tmp_path / "b" / "1.png", 1, (12, 10))
    ImageDataset.load(tmp_path)
    assert "brought to their median, 9×10. Name another with image_size" in caplog.text


def test_auto_channels_look_at_colour_and_not_at_the_mode(tmp_path: Path) -> None:
    add(tmp_path / "a" / "1.png", (7, 7, 7), mode="RGB")
    add(tmp_path / "a" / "2.png", 9)
    assert ImageDataset.load(tmp_path).image_shape[0] == 1
    assert ImageDataset.load(tmp_path, channels=3).image_shape[0] == 3
    add(tmp_path / "b" / "3.png", (7, 8, 9), mode="RGB")
    data = ImageDataset.load(tmp_path)
    assert data.images[:, 0, 0].tolist() == [[7, 7, 7], [9, 9, 9], [7, 8, 9]]
    assert ImageDataset.load(tmp_path, channels=1).images[:, 0, 0, 0].tolist() == [7, 9, 8]


def test_colour_that_appears_late_widens_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthaug.data.pipeline._BLOCK_BYTES", 1)
    monkeypatch.setattr("synthaug.data.pipeline._BATCH", 2)
    for index in range(7):
        add(tmp_path / "a" / f"{index}.png", index)
    add(tmp_path / "b" / "9.png", (1, 2, 3), mode="RGB")
    data = ImageDataset.load(tmp_path)
    assert data.images[:, 0, 0].tolist() == [[i] * 3 for i in range(7)] + [[1, 2, 3]]


def test_linked_class_folders_and_loops(class_folders: Path, tmp_path: Path) -> None:
    shutil.copytree(class_folders / "cat", tmp_path / "elsewhere")
    (class_folders / "fox").symlink_to(tmp_path / "elsewhere")
    (class_folders / "dog" / "loop").symlink_to(class_folders / "dog")
    assert ImageDataset.load(class_folders).class_counts.tolist() == [3, 3, 3]


def test_a_thousand_classes(tmp_path: Path) -> None:
    for label in range(1000):
        add(tmp_path / f"c{label:04d}" / "1.png", label % 256, (8, 8))
    data = ImageDataset.load(tmp_path)
    assert len(data.classes) == 1000
    assert data.class_counts.tolist() == [1] * 1000
    assert data.images[:, 0, 0, 0].tolist() == [label % 256 for label in range(1000)]


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="file names are Unicode there")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b"photos \xe9")
    add(root / os.fsdecode(b"caf\xe9") / "1.png", 7)
    add(root / "tea" / os.fsdecode(b"gr\xfcn.png"), 9)
    (root / "tea" / os.fsdecode(b"bad\xe9.png")).write_bytes(b"no image")
    (root / "tea" / os.fsdecode(b"empty\xe9.png")).touch()
    (root / os.fsdecode(b"loose\xe9.png")).touch()
    for _ in range(2):  # decoded, then from the cache
        with pytest.warns(DataWarning, match=r"3 of 5 entries"):
            data = ImageDataset.load(root)
        assert data.classes == (r"caf\udce9", "tea")
        assert data.images[:, 0, 0, 0].tolist() == [7, 9]
        assert {problem.path for problem in data.problems} == {
            r"tea/bad\udce9.png", r"tea/empty\udce9.png", r"loose\udce9.png",
        }  # fmt: skip
        for text in (data.name, data.digest, *map(str, data.problems)):
            text.encode()
    again = ImageDataset.load((data.images, [os.fsdecode(b"caf\xe9"), "tea"], [os.fsdecode(b"caf\xe9"), "tea"]))
    assert (again.classes, again.labels.tolist()) == (data.classes, [0, 1])


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="file names are Unicode there")
def test_two_names_that_are_shown_alike_are_refused(tmp_path: Path) -> None:
    add(tmp_path / os.fsdecode(b"caf\xe9") / "1.png")
    add(tmp_path / r"caf\udce9" / "1.png")
    with pytest.raises(DataError, match="every class name once"):
        ImageDataset.load(tmp_path)


@pytest.mark.parametrize("table", ["metadata.csv", "metadata.jsonl"])
def test_a_table_with_other_labels_than_the_folders_is_not_passed_over(class_folders: Path, table: str) -> None:
    files = sorted(path.relative_to(class_folders).as_posix() for path in class_folders.glob("*/*"))

    def write(labels: list[str]) -> None:
        pairs = list(zip(files, labels, strict=True))
        lines = [json.dumps({"file_name": file, "label": label}) for file, label in pairs]
        if table.endswith("csv"):
            lines = ["file_name,label", *(f"{file},{label}" for file, label in pairs)]
        (class_folders / table).write_text("\n".join(lines) + "\n", encoding="utf-8")

    expected = ImageDataset.load(class_folders)
    write([{"cat": "0", "dog": "1"}[file.split("/")[0]] for file in files])
    assert ImageDataset.load(class_folders).classes == expected.classes, "other names for the same"
    for labels in ((["young", "old"] * len(files))[: len(files)], ["animal"] * len(files)):
        write(labels)
        with pytest.raises(DataError, match=f"{table} gives the files in them other labels"):
            ImageDataset.load(class_folders)
