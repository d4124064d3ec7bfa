"""Images and labels come in the same way for every use of the latent space."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataError, LabelError
from synthaug.generators import make_generator
from synthaug.latent.inputs import choose_images, infer_labels, read_images, read_labelled, resolve_labels


@pytest.fixture
def rgb():
    return make_generator("gan", ["boot", "sneaker"], (3, 8, 6), options={"width": 4})


PIXELS = np.random.Generator(np.random.Philox(key=0)).integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)


def test_files_arrays_tensors_and_datasets_give_the_same_images(rgb, tmp_path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, pixels in zip(paths, PIXELS, strict=True):
        Image.fromarray(pixels).save(path)
    data = ImageDataset.from_arrays(PIXELS, [0, 1, 0], ["boot", "sneaker"])
    tensors = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)
    forms = [paths, [str(path) for path in paths], PIXELS, list(PIXELS), tensors, data, list(map(Image.open, paths))]
    for form in forms:
        np.testing.assert_array_equal(read_images(form, rgb), PIXELS)
    for one in (paths[1], PIXELS[1], tensors[1]):
        np.testing.assert_array_equal(read_images(one, rgb), PIXELS[1:2])


def test_files_are_turned_upright_resized_and_coloured(rgb, tmp_path) -> None:
    image = Image.new("L", (16, 12), 200)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    read = read_images(tmp_path / "turned.jpg", rgb)
    assert read.shape == (1, 8, 6, 3)
    assert abs(int(read[0, 0, 0, 0]) - 200) < 3


def test_what_cannot_be_read_is_named(rgb, tmp_path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    for path, reason in (("broken.png", "not an image"), ("none.png", "no such file"), (".", "folder")):
        with pytest.raises(DataError, match=reason) as error:
            read_images([PIXELS[0], tmp_path / path], rgb)
        assert str(tmp_path / path) in str(error.value)
    with pytest.raises(DataError, match="image 1: expected pixels of uint8"):
        read_images([PIXELS[0], PIXELS[0] / 255], rgb)
    with pytest.raises(DataError, match="at least one"):
        read_images([], rgb)


def test_labels_are_checked(rgb) -> None:
    assert resolve_labels("sneaker", rgb, PIXELS).tolist() == [1, 1, 1]
    assert resolve_labels(["boot", 1, "boot"], rgb, PIXELS).tolist() == [0, 1, 0]
    assert resolve_labels(np.array([1, 0, 0]), rgb, PIXELS).tolist() == [1, 0, 0]
    with pytest.raises(LabelError, match="Did you mean 'sneaker'"):
        resolve_labels("snaeker", rgb, PIXELS)
    with pytest.raises(LabelError, match="each of the 3 images, but got 2"):
        resolve_labels([0, 1], rgb, PIXELS)
    with pytest.raises(ConfigError, match="Pass labels"):
        resolve_labels(None, rgb, PIXELS)


def test_labels_of_a_dataset_go_by_name(rgb) -> None:
    data = ImageDataset.from_arrays(PIXELS, [0, 1, 1], ["sneaker", "boot"])
    assert read_labelled(data, None, rgb).labels.tolist() == [1, 0, 0]
    other = ImageDataset.from_arrays(PIXELS, [0, 1, 1], ["sneaker", "boots"])
    with pytest.raises(LabelError, match="Did you mean 'boot'"):
        read_labelled(other, None, rgb)


def test_labels_are_found_by_reconstruction() -> None:
    gen = make_generator("vae", ["dark", "light"], (1, 8, 8), options={"width": 4, "latent_dim": 2})
    gen.reconstruct = lambda z, labels: (labels.float() - 0.5).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    shades = np.array([20, 90, 170, 250], dtype=np.uint8)
    images = np.broadcast_to(shades[:, None, None, None], (4, 8, 8, 1))
    assert infer_labels(gen, images).tolist() == [0, 0, 1, 1]


def test_too_many_classes_to_try() -> None:
    gen = make_generator("vae", list(map(str, range(33))), (1, 8, 8), options={"width": 4, "latent_dim": 2})
    with pytest.raises(LabelError, match="--label"):
        infer_labels(gen, np.zeros((1, 8, 8, 1), np.uint8))


def test_choosing_from_a_dataset(rgb) -> None:
    data = choose_images(rgb, source="digits", indices=[5, 0])
    assert data.image_shape == (3, 8, 6)
    assert data.labels.tolist() == [5, 0]
    assert len(choose_images(rgb, source="digits", most=7)) == 7
    with pytest.raises(ConfigError, match="most: expected 1 or more images, but got -1"):
        choose_images(rgb, source="digits", most=-1)
    for words in ({}, {"files": ["a.png"], "source": "digits"}, {"files": ["a.png"], "indices": [0]}):
        with pytest.raises(DataError, match="--source"):
            choose_images(rgb, **words)
    with pytest.raises(DataError, match="--index"):
        choose_images(rgb, source="digits", indices=[9999])
