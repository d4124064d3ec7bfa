from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from synthaug.data import ImageDataset
from synthaug.data.unlabelled import load_unlabelled
from synthaug.errors import DataError, DataWarning


@pytest.fixture
def labelled() -> ImageDataset:
    random = np.random.default_rng(0)
    return ImageDataset.from_arrays(random.integers(0, 256, (6, 8, 12, 3), np.uint8), [0, 0, 1, 1, 2, 2])


def test_every_image_below_a_folder_counts_in_the_size_of_the_labelled_ones(labelled, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    for number, place in enumerate(("one.png", "a/two.png", "a/b/three.png")):
        Image.new("L", (20, 30), 60 * number).save(tmp_path / place)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.warns(DataWarning, match=r"notes\.txt"):
        read = load_unlabelled(tmp_path, labelled)
    assert read.image_shape == labelled.image_shape
    assert read.classes == ("unlabelled",)
    assert sorted(read.images[:, 0, 0, 0].tolist()) == [0, 60, 120]


def test_a_file_that_changes_is_read_again(labelled, tmp_path):
    Image.new("L", (9, 9), 10).save(tmp_path / "one.png")
    before = load_unlabelled(tmp_path, labelled)
    Image.new("L", (9, 9), 20).save(tmp_path / "two.png")
    assert len(before) == 1
    assert len(load_unlabelled(tmp_path, labelled)) == 2


def test_labels_of_a_source_are_left_aside(labelled):
    digits = ImageDataset.load("digits")
    read = load_unlabelled(digits.subset(np.arange(1000)), digits.subset(np.arange(1000, 1797)))
    assert len(read) == 1000
    assert set(read.labels) == {0}
    assert load_unlabelled(digits.subset([0, 1]), labelled).image_shape == labelled.image_shape


@pytest.mark.parametrize("shape", [(4, 8, 12), (4, 8, 12, 1), (4, 16, 16, 3)])
def test_arrays_are_images(labelled, shape):
    read = load_unlabelled(np.full(shape, 7, np.uint8), labelled)
    assert read.images.shape == (4, 8, 12, 3)
    assert set(np.unique(read.images)) == {7}


def test_images_that_are_labelled_already_are_left_out(labelled):
    new = np.full((2, 8, 12, 3), 7, np.uint8)
    with pytest.warns(DataWarning, match="6 of 8 unlabelled images are among the labelled ones"):
        read = load_unlabelled(np.concatenate([labelled.images, new]), labelled)
    np.testing.assert_array_equal(read.images, new)
    with pytest.raises(DataError, match="all 6 of arrays are among the labelled ones"):
        load_unlabelled(labelled.images, labelled)


def test_what_is_not_there_is_named(labelled, tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        load_unlabelled(tmp_path / "nowhere", labelled)


def test_images_whose_label_is_missing_are_what_is_meant(labelled):
    datasets = pytest.importorskip("datasets")
    images = [np.full((8, 8), value, np.uint8) for value in range(5)]
    rows = datasets.Dataset.from_dict(
        {"image": images, "label": [None, None, -1, 0, 1]},
        features=datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")}),
    )
    assert len(load_unlabelled(rows, labelled)) == 5
