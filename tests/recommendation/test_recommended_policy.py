from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from synthaug.classifiers import Policy
from synthaug.data import ImageDataset
from synthaug.errors import DataError, FormatError, LabelError, OutputExistsError
from synthaug.evaluation import paired_difference
from synthaug.recommendation import RecommendedPolicy
from synthaug.recommendation.mixed import MixedDataset
from synthaug.sampling import SampleBank

CLASSES = ("a", "b", "c")


def recommended(folder, policy: Policy | None = None, yes: bool = True) -> RecommendedPolicy:
    """Samples are white, and of class b alone; a real image has the grey value of its label."""
    folder.mkdir()
    if yes:
        images = np.full((6, 4, 4, 1), 255, np.uint8)
        SampleBank.from_arrays(images, np.ones(6, int), CLASSES).save(folder / "bank")
        (folder / "generator").mkdir()
    made = RecommendedPolicy(
        recommended=yes,
        policy=policy or Policy(mode="add", replace_probability=0.8, classes=("b",)),
        classifier={"model": "resnet18", "augmentation": "none"},
        gain=paired_difference([0.8, 0.9], [0.7, 0.75]),
        words="Yes: add “samples” – 3×.",
        classes=CLASSES,
        image_shape=(1, 4, 4),
        folder=folder,
    )
    made.write()
    return made


def real(number: int = 30) -> ImageDataset:
    labels = np.arange(number) % 3
    images = np.broadcast_to(labels[:, None, None, None], (number, 8, 8, 1)).astype(np.uint8)
    return ImageDataset.from_arrays(images, labels, CLASSES)


@pytest.mark.parametrize("yes", [True, False])
def test_survives_its_file_and_a_copy(tmp_path, yes):
    made = recommended(tmp_path / "one", yes=yes)
    assert RecommendedPolicy.load(tmp_path / "one") == made
    assert RecommendedPolicy.load(tmp_path / "one" / "policy.yaml") == made
    copy = made.save(tmp_path / "two")
    assert copy.to_dict() == made.to_dict()
    assert len(copy.bank) == (6 if yes else 0)
    with pytest.raises(OutputExistsError):
        made.save(tmp_path / "two")


def test_added_samples_come_after_the_real_images_in_their_size(tmp_path):
    mixed = recommended(tmp_path / "p").apply(real())
    assert len(mixed) == 36
    assert [mixed.is_synthetic(position) for position in (0, 29, 30, -1)] == [False, False, True, True]
    for position in range(36):
        image, label = mixed[position]
        assert image.size == (8, 8)
        assert image.mode == "L"
        assert image.getpixel((0, 0)) == (255 if position >= 30 else label)
        assert label == (1 if position >= 30 else position % 3)
    assert np.array_equal(mixed[-1][0], mixed[35][0])
    with pytest.raises(IndexError):
        mixed[36]


def test_replacing_keeps_the_length_and_touches_only_the_classes_of_the_policy(tmp_path):
    torch.manual_seed(0)
    mixed = recommended(tmp_path / "p", Policy(replace_probability=0.8, classes=("b",))).apply(real(300))
    assert len(mixed) == 300
    items = [mixed[position] for position in range(300)]
    white = [label for image, label in items if image.getpixel((0, 0)) == 255]
    assert set(white) == {1}
    assert len(white) == pytest.approx(80, abs=15)


@pytest.mark.parametrize("mode", ["add", "replace", "mix"])
def test_a_torchvision_dataset_keeps_its_own_transforms_and_applies_them_to_samples(tmp_path, mode):
    from torchvision.datasets import FakeData
    from torchvision.transforms import v2

    normalise = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.5])]
    transform = v2.Compose([v2.RandomCrop(8), v2.Grayscale(), *normalise])  # the samples are smaller than the crop
    data = FakeData(6, (3, 9, 9), num_classes=3, transform=transform, target_transform=lambda label: 2 - label)
    policy = Policy(mode=mode, replace_probability=0.5, classes=("b",))
    mixed = recommended(tmp_path / "p", policy).apply(data)
    items = [mixed[position] for position in range(len(mixed))]
    assert len(items) == (12 if mode == "add" else 6)
    assert {(tuple(image.shape), image.dtype) for image, _ in items} == {((1, 8, 8), torch.float32)}
    assert {label for _, label in items} <= {0, 1, 2}
    assert data.transform is transform


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_samples_have_the_labels_that_a_dataset_makes_of_its_own(tmp_path, mode):
    from torchvision.datasets import ImageFolder

    for name, value in (("a", 10), ("b", 200)):
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("L", (4, 4), value).save(tmp_path / "data" / name / "0.png")
    data = ImageFolder(str(tmp_path / "data"), target_transform=lambda label: 1 - label)
    loaded = ImageDataset.load(data)
    assert loaded.classes == ("b", "a")
    assert loaded.images[:, 0, 0, 0].tolist() == [10, 200]
    bank = SampleBank.from_arrays(loaded.images, loaded.labels, loaded.classes)
    for part in (data, torch.utils.data.Subset(data, [0, 1])):
        mixed = MixedDataset(part, bank, Policy(mode=mode, replace_probability=1.0))
        assert {(np.asarray(image)[0, 0, 0], label) for image, label in mixed} == {(10, 1), (200, 0)}
        with pytest.raises(LabelError):
            MixedDataset(part, SampleBank.from_arrays(loaded.images, loaded.labels, ("c", "d")), Policy())


def test_mixing_keeps_classes_without_samples_as_they_are(tmp_path):
    torch.manual_seed(0)
    mixed = recommended(tmp_path / "p", Policy(mode="mix", replace_probability=1.0)).apply(real())
    for position in range(30):
        image, label = mixed[position]
        assert (np.asarray(image) != label).any() == (label == 1)


def test_no_is_no(tmp_path):
    policy = recommended(tmp_path / "p", yes=False)
    data = real()
    assert policy.apply(data) is data
    image, label = policy.transform()(data[1][0], 1)
    assert (image.getpixel((0, 0)), label) == (1, 1)


def test_other_classes_and_damaged_files_are_refused(tmp_path):
    policy = recommended(tmp_path / "p")
    other = ImageDataset.from_arrays(np.zeros((2, 8, 8), np.uint8), [0, 1], ["x", "y"])
    with pytest.raises(LabelError, match="only in the data"):
        policy.apply(other)
    mixing = recommended(tmp_path / "mixing", Policy(mode="mix", replace_probability=0.5))
    turned = ImageDataset.from_arrays(np.zeros((3, 8, 8), np.uint8), [0, 1, 2], ["c", "b", "a"])
    with pytest.raises(LabelError, match="label 0 is 'c' in the data"):
        mixing.apply(turned)
    with pytest.raises(FormatError, match="cannot read"):
        RecommendedPolicy.load(tmp_path / "none.yaml")
    file = tmp_path / "p" / "policy.yaml"
    for text in ("", "recommended: true", "[1", file.read_text().replace("format_version: 1", "format_version: 9")):
        file.write_text(text)
        with pytest.raises(FormatError):
            RecommendedPolicy.load(file)


def test_a_dataset_whose_transforms_take_the_image_alone_is_left_as_it_is(tmp_path):
    class Own(torch.utils.data.Dataset):
        def __init__(self, transforms):
            self.data, self.classes, self.transforms = real(), list(CLASSES), transforms

        def __len__(self):
            return len(self.data)

        def __getitem__(self, position):
            image, label = self.data[position]
            return image if self.transforms is None else self.transforms(image), label

    policy = recommended(tmp_path / "p")
    image, label = policy.apply(Own(lambda image: image.rotate(90)))[0]
    assert isinstance(image, Image.Image)
    assert label in (0, 1, 2)
    with pytest.raises(DataError, match="PIL"):
        policy.apply(Own(np.asarray))
