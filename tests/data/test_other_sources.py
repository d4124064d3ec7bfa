from __future__ import annotations

import gzip
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import VisionDataset

from synthaug import ImageDataset
from synthaug.errors import ConfigError, DataError, DataWarning, LabelError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)


def test_arrays() -> None:
    data = ImageDataset.load((PIXELS, [0, 1, 2, 0, 1, 2], ["a", "b", "c"]))
    assert np.array_equal(data.images, PIXELS)
    assert data.classes == ("a", "b", "c")
    assert ImageDataset.load((PIXELS, np.array([0, 0, 0, 3, 3, 3]))).classes == ("0", "1", "2", "3")
    assert ImageDataset.load((PIXELS, ["y", "x"] * 3)).labels.tolist() == [1, 0] * 3


@pytest.mark.parametrize("named", [{"image_column": "scan"}, {"label_column": "kind"}])
def test_a_column_of_what_has_none_is_refused(named: dict[str, str]) -> None:
    arrays = (PIXELS, [0, 1, 2, 0, 1, 2])
    for source in ("digits", arrays, ImageDataset.load(arrays)):
        with pytest.raises(DataError, match=rf"a table .*'{next(iter(named.values()))}', but '\w+' has no columns"):
            ImageDataset.load(source, **named)


def test_arrays_of_any_shape_and_size() -> None:
    grey = PIXELS[..., 0]
    labels = [0] * 6
    assert ImageDataset.load((grey, labels)).image_shape == (1, 4, 5)
    assert ImageDataset.load((np.repeat(grey[..., None], 3, 3), labels)).image_shape == (1, 4, 5)
    assert ImageDataset.load((grey, labels), channels=3).image_shape == (3, 4, 5)
    assert ImageDataset.load((PIXELS, labels), channels=1).image_shape == (1, 4, 5)
    assert ImageDataset.load((PIXELS, labels), image_size=(8, 6)).image_shape == (3, 8, 6)
    clear = np.concatenate([PIXELS, np.zeros_like(PIXELS[..., :1])], axis=3)
    assert (ImageDataset.load((clear, labels)).images == 255).all()


def test_tensors_may_have_channels_first() -> None:
    import torch

    images = torch.from_numpy(PIXELS)
    data = ImageDataset.load((images.permute(0, 3, 1, 2), torch.tensor([0, 1] * 3)))
    assert np.array_equal(data.images, PIXELS)
    assert np.array_equal(ImageDataset.from_arrays(images, torch.zeros(6, dtype=torch.int64)).images, PIXELS)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (PIXELS / 255, r"uint8 with values from 0 to 255, but got float64.*round"),
        (PIXELS.transpose(0, 3, 1, 2), r"Channels come last: images.transpose"),
        (PIXELS[..., :2], "but got"),
        (PIXELS[:0], "at least one image"),
        ([PIXELS[0], PIXELS[0, :2]], "one size"),
    ],
)
def test_arrays_that_are_refused(images, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ImageDataset.load((images, [0] * len(images)))
    with pytest.raises(DataError, match=message):
        ImageDataset.from_arrays(images, [0] * len(images))


def test_labels_of_arrays_are_checked() -> None:
    with pytest.raises(DataError, match="6 images and 2 labels"):
        ImageDataset.from_arrays(PIXELS, [0, 1])
    with pytest.raises(LabelError, match="from 0 to 1, but got 2 at position 5"):
        ImageDataset.from_arrays(PIXELS, [0, 1, 0, 1, 0, 2], ["a", "b"])
    with pytest.raises(LabelError, match="Did you mean 'boot'"):
        ImageDataset.from_arrays(PIXELS, ["boot", "boott"] * 3, ["boot", "shoe"])
    with pytest.raises(LabelError, match="None at position 1"):
        ImageDataset.from_arrays(PIXELS, [0, None] * 3)
    with pytest.raises(DataError, match="'a' occurs more than once"):
        ImageDataset.from_arrays(PIXELS, [0] * 6, ["a", "a"])
    with pytest.warns(DataWarning, match="image 5: label 2 is out of range"):
        assert len(ImageDataset.load((PIXELS, [0, 1, 0, 1, 0, 2], ["a", "b"]))) == 5


def test_an_image_dataset_passes_through_or_is_converted() -> None:
    data = ImageDataset.from_arrays(PIXELS, [0, 1] * 3, ["a", "b"])
    assert ImageDataset.load(data) is data
    assert ImageDataset.load(data, image_size=(4, 5), channels=3) is data
    small = ImageDataset.load(data.subset([5, 2]), image_size=2, channels=1)
    assert (small.image_shape, small.labels.tolist(), small.classes) == ((1, 2, 2), [1, 0], ("a", "b"))
    with pytest.raises(DataError, match="no split"):
        ImageDataset.load(data, split="train")


class Pictures:
    """A map-style dataset of the plainest kind."""

    def __init__(self, items: list) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int):
        if isinstance(self.items[index], Exception):
            raise self.items[index]
        return self.items[index]


def test_any_map_style_dataset() -> None:
    import torch

    image = Image.fromarray(PIXELS[0])
    tensor = torch.from_numpy(PIXELS[2]).permute(2, 0, 1)
    items = [(image, 1), (PIXELS[1], np.int64(0)), (tensor, torch.tensor(1))]
    data = ImageDataset.load(Pictures(items))
    assert np.array_equal(data.images, PIXELS[:3])
    assert (data.labels.tolist(), data.classes) == ([1, 0, 1], ("0", "1"))
    other = ImageDataset.load(Pictures([(image, 0)]))
    assert len(other) == 1  # nothing names the content beforehand, so it is not taken for the first one


def test_unusable_items_are_listed() -> None:
    good = (Image.fromarray(PIXELS[0]), 0)
    items = [good, RuntimeError("disk on fire"), (PIXELS[0] / 255, 0), (PIXELS[0], None)]
    with pytest.warns(DataWarning, match="3 of 4") as caught:
        data = ImageDataset.load(Pictures(items))
    assert len(data) == 1
    text = str(caught[0].message)
    assert "item 1: the dataset raised RuntimeError: disk on fire" in text
    assert "item 2: expected pixels of uint8" in text
    assert "item 3: it has no label" in text


def test_torchvision_folder_and_its_transforms(class_folders: Path) -> None:
    from torch.utils.data import ConcatDataset, Subset
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    folder = ImageFolder(str(class_folders), transform=v2.RandomErasing(p=1))
    data = ImageDataset.load(folder)
    assert (data.classes, data.labels.tolist()) == (("cat", "dog"), [0, 0, 0, 1, 1, 1])
    assert np.array_equal(data.images, ImageDataset.load(class_folders).images)
    assert folder.transform is not None
    part = ImageDataset.load(Subset(Subset(folder, [5, 4, 0]), [2, 0]))
    assert np.array_equal(part.images, data.images[[0, 5]])
    assert part.classes == ("cat", "dog")
    joined = ConcatDataset([folder, Subset(ConcatDataset([folder]), [5])])
    both = ImageDataset.load(joined)
    assert np.array_equal(both.images, data.images[[0, 1, 2, 3, 4, 5, 5]])
    assert (both.classes, both.labels.tolist()) == (("cat", "dog"), [0, 0, 0, 1, 1, 1, 1])
    assert joined.datasets[0] is folder


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="file names are Unicode there")
def test_torchvision_folder_with_names_that_are_not_utf8(class_folders: Path) -> None:
    from torchvision.datasets import ImageFolder

    (class_folders / "dog").rename(class_folders / os.fsdecode(b"d\xf6g"))
    (class_folders / "cat" / os.fsdecode(b"bad\xe9.png")).write_bytes(b"no image")
    with pytest.warns(DataWarning, match=r"1 of 7 .*(?s:.)*bad\\udce9\.png: not an image"):
        data = ImageDataset.load(ImageFolder(str(class_folders)))
    assert data.classes == ("cat", r"d\udcf6g")


def test_a_file_of_a_torchvision_folder_that_has_gone_is_listed(class_folders: Path) -> None:
    from torchvision.datasets import ImageFolder

    folder = ImageFolder(str(class_folders))
    (class_folders / "cat" / "1.png").unlink()
    with pytest.warns(DataWarning, match=r"1 of 6 .*(?s:.)*cat/1\.png: cannot be decoded"):
        assert len(ImageDataset.load(folder)) == 5


def test_a_loader_of_the_users_own_is_used(class_folders: Path, tmp_path: Path) -> None:
    from torchvision.datasets import DatasetFolder, ImageFolder

    grey = ImageDataset.load(ImageFolder(str(class_folders), loader=lambda path: Image.open(path).convert("L")))
    assert grey.image_shape == (1, 10, 12)
    assert np.array_equal(grey.images[3, ..., 0], np.asarray(Image.open(class_folders / "dog" / "0.png").convert("L")))
    for number, label in enumerate("abb"):
        (tmp_path / "arrays" / label).mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "arrays" / label / f"{number}.npy", PIXELS[number])
    data = ImageDataset.load(DatasetFolder(str(tmp_path / "arrays"), loader=np.load, extensions=(".npy",)))
    assert np.array_equal(data.images, PIXELS[:3])
    assert (data.classes, data.labels.tolist()) == (("a", "b"), [0, 1, 1])


def test_a_file_of_a_torchvision_folder_that_was_swapped_is_noticed_whatever_its_time(class_folders: Path) -> None:
    from torchvision.datasets import ImageFolder

    path = class_folders / "cat" / "new.bmp"

    def first_pixel(value: int) -> int:
        Image.new("RGB", (8, 8), (value,) * 3).save(path)
        os.utime(path, (1, 1))  # as archives do
        data = ImageDataset.load(ImageFolder(str(class_folders)), image_size=8)
        return next(int(image[0, 0, 0]) for image in data.images if image.std() == 0)

    assert [first_pixel(10), first_pixel(200)] == [10, 200]


def test_what_a_subclass_makes_of_the_files_is_used(class_folders: Path) -> None:
    from torchvision.datasets import ImageFolder

    class Cropped(ImageFolder):
        def __getitem__(self, index: int) -> tuple[Image.Image, int]:
            image, label = super().__getitem__(index)
            return image.crop((0, 0, 8, 8)), 1 - label

    data = ImageDataset.load(Cropped(str(class_folders)))
    assert (data.image_shape, data.labels.tolist()) == ((3, 8, 8), [1, 1, 1, 0, 0, 0])


class Transforming:
    """Calls its transform in one of the ways there are, whether or not there is one."""

    classes = ("a", "b")

    def __init__(self, call) -> None:
        self.transform = self.transforms = lambda *values, **named: pytest.fail("it was not left out")
        self.call = call

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> object:
        return self.call(self, Image.fromarray(PIXELS[index]), index)


@pytest.mark.parametrize(
    "call",
    [
        lambda data, image, label: (data.transform(image), label),
        lambda data, image, label: data.transforms(image, label),
        lambda data, image, label: (data.transform(image=np.asarray(image))["image"], label),
    ],
)
def test_a_dataset_that_always_calls_its_transform_gives_raw_images(call) -> None:
    dataset = Transforming(call)
    assert np.array_equal(ImageDataset.load(dataset).images, PIXELS[:2])
    with pytest.raises(pytest.fail.Exception):
        dataset.transform(PIXELS[0])


def test_a_dataset_that_needs_what_its_transform_gives_says_that_it_was_left_out() -> None:
    dataset = Transforming(lambda data, image, label: (data.transform(image).permute(1, 2, 0), label))
    with pytest.raises(DataError, match=r"item 0: .*permute.*\(its transform and transforms .* raw images are wanted"):
        ImageDataset.load(dataset)


@pytest.mark.parametrize(
    ("target", "classes", "labels"),
    [
        (lambda label: label, ("cat", "dog"), [0, 0, 0, 1, 1, 1]),
        (lambda label: 1 - label, ("dog", "cat"), [1, 1, 1, 0, 0, 0]),
        (lambda label: 0, ("0",), [0] * 6),
        (lambda label: label + 1, ("1", "2"), [0, 0, 0, 1, 1, 1]),
    ],
)
def test_names_of_classes_follow_the_labels_that_a_dataset_makes(class_folders: Path, target, classes, labels) -> None:
    from torchvision.datasets import ImageFolder

    data = ImageDataset.load(ImageFolder(str(class_folders), target_transform=target))
    assert (data.classes, data.labels.tolist()) == (classes, labels)


def test_torchvision_without_names() -> None:
    from torchvision.datasets import FakeData
    from torchvision.transforms import v2

    data = ImageDataset.load(FakeData(12, (3, 8, 8), 2, transform=v2.ToImage()))
    assert data.images.shape == (12, 8, 8, 3)
    assert data.classes == ("0", "1")


def test_digits() -> None:
    data = ImageDataset.load("digits")
    assert data.images.shape == (1797, 8, 8, 1)
    assert data.classes == tuple("0123456789")
    assert (data.images.min(), data.images.max()) == (0, 255)
    with pytest.raises(DataError, match="has none, but got 'test'"):
        ImageDataset.load("digits", split="test")


def test_a_local_folder_called_digits(class_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders.rename(class_folders.parent / "digits")
    monkeypatch.chdir(class_folders.parent)
    assert len(ImageDataset.load("digits")) == 1797
    assert len(ImageDataset.load("./digits")) == 6
    assert len(ImageDataset.load(Path("digits"))) == 6


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_fashion_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHAUG_FASHION_MNIST", str(tmp_path))
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        ImageDataset.load("fashion-mnist", split="test")
    images = np.arange(3 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(3, 28, 28)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", images)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", np.array([9, 0, 7], np.uint8))
    for _ in range(2):
        data = ImageDataset.load("fashion-mnist", split="test")
        assert np.array_equal(data.images[..., 0], images)
        assert [data.classes[label] for label in data.labels] == ["Ankle boot", "T-shirt/top", "Sneaker"]
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8bdamaged")
    with pytest.raises(DataError, match="not a whole IDX file"):
        ImageDataset.load("fashion-mnist", split="test")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("digitz", "Did you mean 'digits'"),
        ("fashion_mnist", "Did you mean 'fashion-mnist'"),
        ("./not/there", "no file or folder"),
        (3, "expected a folder of class folders.*but got int"),
        (np.zeros(3), "but got ndarray"),
        ((1,), "expected"),
    ],
)
def test_unknown_sources(source, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ImageDataset.load(source)


def test_a_mistyped_path_names_its_neighbours(class_folders: Path) -> None:
    with pytest.raises(DataError, match=r"Did you mean '.*/pets'"):
        ImageDataset.load(str(class_folders) + "s")


@pytest.mark.parametrize("size", [0, -3, 2.5, True, "32", (8,), (8, 0), (8, 8, 3)])
def test_bad_sizes(size) -> None:
    with pytest.raises(ConfigError, match="image_size: expected"):
        ImageDataset.load("digits", image_size=size)


@pytest.mark.parametrize("channels", [2, 4, "rgb", None, True])
def test_bad_channels(channels) -> None:
    with pytest.raises(ConfigError, match="channels: expected"):
        ImageDataset.load("digits", channels=channels)


class Pets(VisionDataset):
    """As torchvision's OxfordIIITPet: `target_transform` is applied by the joint transforms alone."""

    classes = ("abyssinian", "beagle", "bombay")

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        image = Image.new("L", (8, 8), 10 * index)
        return self.transforms(image, index) if self.transforms else (image, index)


def test_labels_that_joint_transforms_change_are_changed(tmp_path: Path) -> None:
    data = ImageDataset.load(Pets(str(tmp_path), target_transform=[2, 0, 1].__getitem__))
    named = {int(image.max()): data.classes[label] for image, label in zip(data.images, data.labels, strict=True)}
    assert named == {0: "abyssinian", 10: "beagle", 20: "bombay"}
    binary = ImageDataset.load(Pets(str(tmp_path), target_transform=[0, 1, 0].__getitem__))
    assert binary.labels.tolist() == [0, 1, 0]


def test_a_subset_that_changes_its_items_is_taken_at_its_word(class_folders: Path) -> None:
    from torch.utils.data import Dataset, Subset
    from torchvision.datasets import ImageFolder

    class Swapped(Subset):
        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 1 - label

        def __getitems__(self, indices):
            return [self[index] for index in indices]

    class Pets(Dataset):
        classes = ("pet",)

        def __init__(self, dataset, indices):
            self.dataset, self.indices = dataset, indices

        def __len__(self):
            return len(self.indices)

        def __getitem__(self, index):
            return self.dataset[self.indices[index]][0], 0

    folder = ImageFolder(str(class_folders))
    plain = ImageDataset.load(folder)
    swapped = ImageDataset.load(Swapped(folder, [0, 5]))
    assert swapped.labels.tolist() == [1, 0]
    assert np.array_equal(swapped.images, plain.images[[0, 5], :, ::-1])
    pets = ImageDataset.load(Pets(folder, [5, 1]))
    assert (pets.classes, pets.labels.tolist()) == (("pet",), [0, 0])
    assert np.array_equal(pets.images, plain.images[[5, 1]])


def test_joined_datasets_of_other_classes_are_refused(class_folders: Path, tmp_path: Path) -> None:
    from torch.utils.data import ConcatDataset
    from torchvision.datasets import ImageFolder

    shutil.copytree(class_folders, tmp_path / "other")
    (tmp_path / "other" / "cat").rename(tmp_path / "other" / "fox")
    joined = ConcatDataset([ImageFolder(str(class_folders)), ImageFolder(str(tmp_path / "other"))])
    with pytest.raises(DataError, match="one label would mean several classes"):
        ImageDataset.load(joined)
