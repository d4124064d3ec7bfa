from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthaug import ImageDataset, errors
from synthaug.data import pipeline


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Everything that was decoded since the list was last cleared."""
    seen: list[object] = []
    original = pipeline.decode

    def decode(image: object, *arguments: object) -> object:
        seen.append(image)
        return original(image, *arguments)

    monkeypatch.setattr(pipeline, "decode", decode)
    return seen


def test_a_second_start_decodes_nothing(class_folders: Path, decoded: list[object]) -> None:
    first = ImageDataset.load(class_folders)
    assert len(decoded) == 6
    decoded.clear()
    second = ImageDataset.load(class_folders)
    assert decoded == []
    assert np.array_equal(first.images, second.images)
    assert first.digest == second.digest
    assert isinstance(second.images, np.memmap)
    ImageDataset.load(class_folders, refresh=True)
    assert len(decoded) == 6


def test_a_moved_folder_is_still_known(class_folders: Path, decoded: list[object]) -> None:
    ImageDataset.load(class_folders)
    decoded.clear()
    moved = class_folders.rename(class_folders.with_name("moved"))
    assert ImageDataset.load(moved).name == "moved"
    assert decoded == []


def test_swapped_files_of_one_size_and_time_are_seen(tmp_path: Path) -> None:
    """As archives unpack: all files have the same time of modification."""
    for name, value in (("a", 1), ("b", 2)):
        (tmp_path / "x" / name).mkdir(parents=True)
        Image.new("L", (8, 8), value).save(tmp_path / "x" / name / "1.bmp")
        os.utime(tmp_path / "x" / name / "1.bmp", (0, 0))
    assert ImageDataset.load(tmp_path / "x").images[:, 0, 0, 0].tolist() == [1, 2]
    first, second = tmp_path / "x" / "a" / "1.bmp", tmp_path / "x" / "b" / "1.bmp"
    first.rename(tmp_path / "aside.bmp")
    second.rename(first)
    (tmp_path / "aside.bmp").rename(second)
    assert ImageDataset.load(tmp_path / "x").images[:, 0, 0, 0].tolist() == [2, 1]


@pytest.mark.parametrize("options", [{"image_size": 8}, {"channels": 1}, {"image_size": (10, 13)}])
def test_other_options_decode_again(class_folders: Path, decoded: list[object], options: dict) -> None:
    plain = ImageDataset.load(class_folders)
    decoded.clear()
    assert ImageDataset.load(class_folders, **options).digest != plain.digest
    assert len(decoded) == 6


def change(folder: Path) -> None:
    Image.new("RGB", (12, 10), "red").save(folder / "cat" / "0.png")


def touch(folder: Path) -> None:
    os.utime(folder / "cat" / "0.png", (1, 1))


def add(folder: Path) -> None:
    shutil.copy(folder / "cat" / "0.png", folder / "dog" / "9.png")


def rename_class(folder: Path) -> None:
    (folder / "cat").rename(folder / "zebra")


@pytest.mark.parametrize("happens", [change, touch, add, rename_class])
def test_changed_files_decode_again(class_folders: Path, decoded: list[object], happens) -> None:
    ImageDataset.load(class_folders)
    decoded.clear()
    happens(class_folders)
    ImageDataset.load(class_folders)
    assert len(decoded) in (6, 7)


def test_the_cache_directory_is_chosen(class_folders: Path, tmp_path: Path, own_cache: Path) -> None:
    data = ImageDataset.load(class_folders, cache_dir=tmp_path / "mine")
    assert data._stored.folder.is_relative_to(tmp_path / "mine")
    assert list(own_cache.iterdir()) == []
    assert ImageDataset.load(class_folders)._stored.folder.is_relative_to(own_cache)


def test_a_failure_leaves_nothing_behind(class_folders: Path, own_cache: Path, monkeypatch) -> None:
    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("synthaug.data.cache._hash", fail)
        with pytest.raises(KeyboardInterrupt):
            ImageDataset.load(class_folders)
    assert list((own_cache / "datasets").iterdir()) == []
    assert len(ImageDataset.load(class_folders)) == 6


def test_leftovers_of_killed_processes_go_after_a_day(class_folders: Path, own_cache: Path) -> None:
    old, new = own_cache / "datasets" / ".decoding-old", own_cache / "datasets" / ".decoding-new"
    for folder, age in ((old, 100_000), (new, 10)):
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age,) * 2)
    ImageDataset.load(class_folders)
    assert (old.exists(), new.exists()) == (False, True)


def load_in_process(folder: str, queue) -> None:
    queue.put(ImageDataset.load(folder, refresh=True).digest)


def test_processes_may_decode_the_same_at_once(class_folders: Path, own_cache: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=load_in_process, args=(str(class_folders), queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    digests = {queue.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join()
    assert digests == {ImageDataset.load(class_folders).digest}
    assert len(list((own_cache / "datasets").iterdir())) == 1


def test_pickles_as_a_path(class_folders: Path) -> None:
    data = ImageDataset.load(class_folders, image_size=64)
    part = data.subset([5, 0])
    _ = data.images, part.images, part.labels
    for original in (data, part):
        text = pickle.dumps(original)
        assert len(text) < 2_000  # against 73,728 bytes of pixels
        copy = pickle.loads(text)
        assert np.array_equal(copy.images, original.images)
        assert copy.labels.tolist() == original.labels.tolist()
        assert copy.digest == original.digest
        assert copy[1][1] == original[1][1]


def test_an_emptied_cache_is_explained(class_folders: Path) -> None:
    data = pickle.loads(pickle.dumps(ImageDataset.load(class_folders)))
    shutil.rmtree(data._stored.folder)
    with pytest.raises(errors.DataError, match="cache was emptied or damaged"):
        _ = data.images


def test_full_disks_raise(class_folders: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, images: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("synthaug.data.cache.Writer.append", full)
    with pytest.raises(OSError, match="No space left"):
        ImageDataset.load(class_folders)
    assert list((own_cache / "datasets").iterdir()) == []


def test_content_names_arrays_and_files_alike(class_folders: Path) -> None:
    data = ImageDataset.load(class_folders)
    arrays = ImageDataset.from_arrays(np.array(data.images), data.labels, data.classes)
    assert arrays.digest == data.digest
    assert ImageDataset.from_arrays(data.images, data.labels, ["cat", "cow"]).digest != data.digest
    assert ImageDataset.from_arrays(data.images, 1 - data.labels, data.classes).digest != data.digest


def test_decoding_again_leaves_no_time_without_the_images(class_folders, monkeypatch):
    data = ImageDataset.load(class_folders)
    folder, real = data._stored.folder, shutil.rmtree
    gone = []

    def looking(path, *args, **kwargs):
        gone.append(not (folder / "images.npy").exists())
        return real(path, *args, **kwargs)

    monkeypatch.setattr(shutil, "rmtree", looking)
    ImageDataset.load(class_folders, refresh=True)
    assert gone
    assert not any(gone)


@pytest.mark.parametrize("name", ["dataset.json", "images.npy"])
@pytest.mark.parametrize("content", [b"", b"{}"])
def test_a_damaged_entry_is_decoded_again(class_folders: Path, name: str, content: bytes) -> None:
    data = ImageDataset.load(class_folders)
    (data._stored.folder / name).write_bytes(content)
    again = ImageDataset.load(class_folders)
    assert again.digest == data.digest
    assert np.array_equal(again.images, ImageDataset.load(class_folders).images)
