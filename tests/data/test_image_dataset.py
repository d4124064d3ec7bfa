from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synthaug import ImageDataset
from synthaug.errors import DataError, LabelError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)


@pytest.fixture
def data() -> ImageDataset:
    return ImageDataset.from_arrays(PIXELS, [0, 1, 2, 0, 1, 2], ["猫", "b", "c/../d"], name="six")


def test_items_are_pictures_and_labels(data: ImageDataset) -> None:
    image, label = data[-1]
    assert (image.mode, image.size, label) == ("RGB", (5, 4), 2)
    assert np.array_equal(np.asarray(image), PIXELS[5])
    assert type(label) is int
    grey = ImageDataset.from_arrays(PIXELS[..., 0], [0] * 6)
    assert grey[0][0].mode == "L"
    assert [label for _, label in data] == data.labels.tolist()
    with pytest.raises(IndexError):
        data[6]


def test_take_and_subset(data: ImageDataset) -> None:
    assert np.array_equal(data.take([4, 4, -1]), PIXELS[[4, 4, 5]])
    part = data.subset([5, 3, 1]).subset([2, 0])
    assert np.array_equal(part.images, PIXELS[[1, 5]])
    assert part.labels.tolist() == [1, 2]
    assert part.class_counts.tolist() == [0, 1, 1]
    assert part.digest == data.subset([1, 5]).digest != data.subset([5, 1]).digest
    assert np.array_equal(data.subset(data.labels == 0).images, PIXELS[[0, 3]])
    assert len(data.subset([])) == 0
    for wrong in ([6], [-7], [0.5], np.zeros(5, bool)):
        with pytest.raises(IndexError, match="expected"):
            data.subset(wrong)


def test_only_some_classes(data: ImageDataset) -> None:
    two = data.only("c/../d", 0)
    assert (two.classes, two.labels.tolist()) == (("c/../d", "猫"), [1, 0, 1, 0])
    assert np.array_equal(two.images, PIXELS[[0, 2, 3, 5]])
    assert [label for _, label in two] == [1, 0, 1, 0]
    one = two.only("猫")
    assert (one.classes, one.labels.tolist(), one.class_counts.tolist()) == (("猫",), [0, 0], [2])
    assert one.digest != data.subset([0, 3]).digest
    assert one.few_shot(1, seed=0).labels.tolist() == [0]
    for wrong in ((), ("猫", 0), ("x",)):
        with pytest.raises(LabelError, match="expected"):
            data.only(*wrong)


def test_labels_cannot_be_changed_by_accident(data: ImageDataset) -> None:
    with pytest.raises(ValueError, match="read-only"):
        data.labels[0] = 1


def test_data_loader_workers_share_the_memory_map(class_folders: Path) -> None:
    from torch.utils.data import DataLoader

    data = ImageDataset.load(class_folders).subset([5, 4, 3, 0])
    loader = DataLoader(data, batch_size=2, num_workers=1, multiprocessing_context="spawn", collate_fn=list)
    items = [item for batch in loader for item in batch]
    assert [label for _, label in items] == [1, 1, 1, 0]
    assert np.array_equal(np.stack([np.asarray(image) for image, _ in items]), data.images)


def test_shows_what_it_is(data: ImageDataset) -> None:
    assert repr(data) == "ImageDataset('six', 6 images, 3×4×5, 3 classes)"


def test_joining_appends_images_of_the_same_shape_and_classes():
    digits = ImageDataset.load("digits")
    few, more = digits.few_shot(3, seed=0), digits.subset([5, 6])
    both = few.joined(more.images, more.labels)
    np.testing.assert_array_equal(both.images, np.concatenate([few.images, more.images]))
    np.testing.assert_array_equal(both.labels, np.concatenate([few.labels, more.labels]))
    assert both.classes == digits.classes
    assert both.digest != few.digest
    with pytest.raises(DataError, match="expected images of shape"):
        few.joined(np.zeros((1, 9, 8, 1), np.uint8), [0])
    with pytest.raises(LabelError):
        few.joined(more.images, [0, 10])
    with pytest.raises(DataError, match="2 images and 1 labels"):
        few.joined(more.images, [0])
