from __future__ import annotations

import pickle
import types
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from synthaug.integrations.torchvision import (
    SyntheticMix,
    SyntheticReplace,
    TransformedDataset,
    find_labels,
)
from torch.utils.data import default_collate
from torchvision import tv_tensors
from torchvision.datasets import FakeData
from torchvision.transforms import v2

from synthaug.errors import ConfigError, DataError, DataWarning, LabelError
from synthaug.sampling import SampleBank

RGB = {
    "pil": lambda: Image.new("RGB", (8, 8)),
    "tensor": lambda: torch.zeros(3, 8, 8, dtype=torch.uint8),
    "float": lambda: torch.zeros(3, 8, 8),
    "half": lambda: torch.zeros(3, 8, 8, dtype=torch.float16),
    "tv": lambda: tv_tensors.Image(torch.zeros(3, 8, 8, dtype=torch.uint8)),
}


def red(image) -> int:
    """The red channel of an image in [0, 255], which says its class."""
    if isinstance(image, Image.Image):
        return int(np.array(image)[0, 0, 0])
    value = image.as_subclass(torch.Tensor)[0, 0, 0].float().item()
    return round(value if image.dtype == torch.uint8 else value * 255)


@pytest.mark.parametrize("kind", RGB)
@pytest.mark.parametrize("label", [2, np.int64(2), np.array(2), torch.tensor(2)], ids=lambda x: type(x).__name__)
def test_pairs_of_every_kind(bank, kind, label):
    before = RGB[kind]()
    image, same = SyntheticReplace(bank, p=1.0)(before, label)
    assert red(image) == 110
    assert same is label
    assert type(image) is (Image.Image if kind == "pil" else type(before))
    assert kind == "pil" or (image.dtype == before.dtype and image.shape == before.shape)
    assert red(before) == 0  # the input is untouched


@pytest.mark.parametrize("kind", RGB)
def test_mixing_keeps_kind_and_label(bank, kind):
    torch.manual_seed(0)
    seen = {red(SyntheticMix(bank, 1.0)(RGB[kind](), 2)[0]) for _ in range(20)}
    assert len(seen) > 5  # between 0 and 110, another share each time
    assert max(seen) <= 110
    image, label = SyntheticMix(bank, 1.0, "cutmix")(RGB[kind](), 2)
    assert label == 2
    assert isinstance(image, type(RGB[kind]()))


def test_with_both_ways_of_mixing_each_image_gets_one_and_alpha_is_that_of_the_augmentations():
    torch.manual_seed(0)
    white = SampleBank.from_arrays(np.full((2, 8, 8, 3), 255, np.uint8), [0, 1], ["boot", "bag"])
    mix = SyntheticMix(white, 1.0, "mixup+cutmix")
    images, labels = mix(torch.zeros(400, 3, 8, 8), torch.ones(400, dtype=torch.int64))
    assert labels.tolist() == [1] * 400
    flat = images.flatten(1)
    pasted = flat.amax(1) - flat.amin(1) > 0.5  # a white box on the black image
    assert 100 < int(pasted.sum()) < 220  # some boxes are empty, some cover all
    shares = flat[(flat.amax(1) == flat.amin(1)) & (flat[:, 0] > 0) & (flat[:, 0] < 1)][:, 0]
    assert 150 < len(shares) < 250
    assert ((shares < 0.1) | (shares > 0.9)).float().mean() > 0.35, "Beta(0.4, 0.4) leaves mostly one of the two"
    seen = {red(mix(Image.new("RGB", (8, 8)), 1)[0]) for _ in range(30)}
    assert len(seen) > 5


def test_dicts_lists_and_nested_structures(bank):
    replace = SyntheticReplace(bank, p=1.0)
    # The label stands first: a rule that takes the first tensor for the image would replace the label.
    out = replace({"label": torch.tensor(1), "image": torch.zeros(3, 8, 8), "name": "a.png"})
    assert red(out["image"]) == 60
    assert (out["label"].item(), out["name"]) == (1, "a.png")
    out = replace([{"pixels": tv_tensors.Image(torch.zeros(3, 8, 8))}, {"Target": 2}])
    assert red(out[0]["pixels"]) == 110
    assert red(replace((Image.new("RGB", (8, 8)), 0, "extra"))[0]) == 10
    assert red(replace({"image": Image.new("RGB", (8, 8)), "label": "bag"})["image"]) == 110
    # The label follows the image, wherever in a structure the two are.
    assert red(replace((Image.new("RGB", (8, 8)), 2), 0)[0][0]) == 110
    assert red(replace([[torch.zeros(3, 8, 8), 2], {"path": "a.png", "shape": (8, 1)}])[0][0]) == 110
    assert red(replace({"image": torch.zeros(3, 8, 8), "shape": (8, 1)}, 2)[0]["image"]) == 110
    assert red(replace(torch.zeros(3, 8, 8), {"boxes": [[0, 1]], "labels": 2})[0]) == 110


@pytest.mark.parametrize("labels", [torch.tensor([2, 0, 1]), np.array([2, 0, 1]), [2, 0, 1]], ids=type)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_batches(bank, labels, dtype):
    images, same = SyntheticReplace(bank, p=1.0)(tv_tensors.Image(torch.zeros(3, 3, 8, 8, dtype=dtype)), labels)
    assert same is labels or same == labels
    assert isinstance(images, tv_tensors.Image)
    assert images.dtype == dtype
    tolerance = 1 if dtype == torch.bfloat16 else 0
    assert np.allclose([red(image) for image in images], [110, 10, 60], atol=tolerance)


def test_each_image_of_a_batch_is_drawn_for(bank):
    torch.manual_seed(0)
    before = torch.zeros(1000, 3, 8, 8, dtype=torch.uint8)
    after, _ = SyntheticReplace(bank, p=0.3)(before, torch.full((1000,), 1))
    replaced = after[:, 0, 0, 0] == 60
    assert 0.25 < replaced.float().mean() < 0.35
    assert len(after[replaced][:, 2, 0, 0].unique()) == 40  # all samples of the class
    assert not after[~replaced].any()
    assert not before.any()


def test_probability_for_single_images(bank):
    torch.manual_seed(0)
    replace = SyntheticReplace(bank, p=0.3)
    image = Image.new("RGB", (8, 8))
    assert 0.25 < np.mean([replace(image, 1)[0] is not image for _ in range(2000)]) < 0.35


def test_other_size_and_channels_are_fitted(bank, grey_bank):
    image, _ = SyntheticReplace(grey_bank, p=1.0)(Image.new("RGB", (12, 5)), 1)
    assert (image.mode, image.size, red(image)) == ("RGB", (12, 5), 60)
    image, _ = SyntheticReplace(bank, p=1.0)(Image.new("L", (4, 4)), 1)
    assert (image.mode, image.size) == ("L", (4, 4))
    images, _ = SyntheticMix(grey_bank, 1.0)(torch.zeros(2, 3, 16, 20), torch.tensor([0, 1]))
    assert images.shape == (2, 3, 16, 20)


@pytest.mark.parametrize("mode", ["RGBA", "P", "I;16", "CMYK"])
def test_other_pil_modes_are_refused(bank, mode):
    with pytest.raises(DataError, match="mode L or RGB"):
        SyntheticReplace(bank, p=1.0)(Image.new(mode, (8, 8)), 1)


def test_other_channels_are_refused(bank):
    with pytest.raises(DataError, match="1 or 3 channels"):
        SyntheticReplace(bank, p=1.0)(torch.zeros(4, 8, 8), 1)


@pytest.mark.parametrize(
    "spatial",
    [
        tv_tensors.Mask(torch.zeros(8, 8)),
        tv_tensors.BoundingBoxes(torch.zeros(1, 4), format="XYXY", canvas_size=(8, 8)),
        tv_tensors.KeyPoints(torch.zeros(1, 2), canvas_size=(8, 8)),
        tv_tensors.Video(torch.zeros(2, 3, 8, 8)),
    ],
    ids=lambda leaf: type(leaf).__name__,
)
def test_what_belongs_to_the_image_is_refused_even_when_it_is_not_replaced(bank, spatial):
    with pytest.raises(DataError, match=type(spatial).__name__):
        SyntheticReplace(bank, p=0.0)({"image": Image.new("RGB", (8, 8)), "label": 1, "extra": spatial})


def test_normalised_floats_are_refused(bank):
    with pytest.raises(DataError, match=r"before v2.Normalize"):
        SyntheticReplace(bank, p=1.0)(torch.full((3, 8, 8), -1.0), 1)
    with pytest.raises(DataError, match="scale=True"):
        SyntheticMix(bank, p=1.0)(torch.full((2, 3, 8, 8), 255.0), torch.tensor([1, 2]))


def test_wrong_labels_are_refused_even_when_the_image_is_not_replaced(bank):
    replace = SyntheticReplace(bank, p=0.0)
    image, batch = Image.new("RGB", (8, 8)), torch.zeros(2, 3, 8, 8)
    with pytest.raises(LabelError, match="from 0 to 2"):
        replace(image, 3)
    with pytest.raises(LabelError, match="Did you mean 'sneaker'"):
        replace({"image": image, "label": "snaeker"})
    with pytest.raises(LabelError, match="outside"):
        replace(batch, torch.tensor([0, 3]))
    with pytest.raises(LabelError, match="one-hot or mixes"):
        replace(batch, torch.eye(3)[:2])
    with pytest.raises(LabelError, match="each of the 2 images"):
        replace(batch, torch.tensor([0, 1, 2]))


def test_an_image_without_label_says_what_to_do(bank):
    with pytest.raises(LabelError, match="use TransformedDataset"):
        SyntheticReplace(bank)(Image.new("RGB", (8, 8)))
    with pytest.raises(LabelError, match="labels_getter"):
        SyntheticReplace(bank)({"image": Image.new("RGB", (8, 8)), "fine_label": 1, "coarse_label": 0})


@pytest.mark.parametrize("kind", RGB)
@pytest.mark.parametrize(
    "rest", [{"shape": (8, 1)}, {"tags": ["x", "bag"]}, {"meta": {"size": [8, 1]}}, {"crops": [(1, 2), (0, 1)]}]
)
def test_what_else_is_in_a_dict_is_never_taken_for_a_missing_label(bank, kind, rest):
    replace = SyntheticReplace(bank, p=1.0)
    with pytest.raises(LabelError, match="expected labels beside the images"):
        replace({"image": RGB[kind](), **rest})
    with pytest.raises(LabelError, match="expected labels beside the images"):
        replace({"views": [RGB[kind](), 1], **rest})
    assert red(replace({"image": RGB[kind](), **rest, "label": 2})["image"]) == 110


@pytest.mark.parametrize("kind", RGB)
def test_what_else_is_in_a_tuple_is_never_taken_for_a_missing_label(bank, kind):
    replace, image = SyntheticReplace(bank, p=1.0), RGB[kind]()
    several = [torch.tensor([2, 0]), torch.tensor([1, 1])]
    for sample in ((1, image), (image, [1.0, 2.0]), (image, several), (image, [{"category_id": 1}]), [image]):
        with pytest.raises(LabelError, match="expected labels beside the images"):
            replace(sample)
    for labels in (["boot", "bag"], (2, 1)):
        with pytest.raises(LabelError, match="expected one label"):
            replace(image, labels)


def test_labels_in_two_places_are_refused(bank):
    replace, image = SyntheticReplace(bank, p=1.0), torch.zeros(3, 8, 8)
    for sample in ((image, {"a": {"label": 1}, "b": {"label": 2}}), [(image, 1), (torch.zeros(3, 8, 8), 2)]):
        with pytest.raises(LabelError, match=r"one place that holds the labels.*labels_getter"):
            replace(sample)


def test_no_image_is_told_as_that(bank):
    for sample in ((np.zeros((8, 8, 3)), 1), (torch.zeros(8, 8), 1), {"label": 1}):
        with pytest.raises(DataError, match="expected a PIL image"):
            SyntheticReplace(bank)(sample)


@pytest.mark.parametrize("mode", ["tensors", "names", "dicts", "dicts of names"])
def test_batches_as_the_default_collate_makes_them(bank, mode):
    samples = [(torch.zeros(3, 8, 8), label) for label in (2, 0, 1)]
    if "names" in mode:
        samples = [(image, bank.classes[label]) for image, label in samples]
    if "dicts" in mode:
        samples = [{"image": image, "label": label, "shape": (8, 8, 3)} for image, label in samples]
    batch = SyntheticReplace(bank, p=1.0)(default_collate(samples))
    images = batch["image"] if "dicts" in mode else batch[0]
    assert [red(image) for image in images] == [110, 10, 60]


def test_a_batch_needs_a_name_for_each_image(bank):
    replace, batch = SyntheticReplace(bank, p=0.0), torch.zeros(2, 3, 8, 8)
    with pytest.raises(LabelError, match="Did you mean 'sneaker'"):
        replace(batch, ["boot", "snaeker"])
    with pytest.raises(LabelError, match="each of the 2 images of the batch, but got 1"):
        replace(batch, ["boot"])
    with pytest.raises(LabelError, match="each image of the batch, but got one: 'boot'"):
        replace(batch, "boot")


def test_two_images_in_a_sample_are_refused(bank):
    with pytest.raises(DataError, match="one image"):
        SyntheticReplace(bank)({"a": Image.new("RGB", (8, 8)), "b": Image.new("RGB", (8, 8)), "label": 1})


def test_own_labels_getter(bank):
    def fine(sample):
        return sample["fine_label"]

    def seen(transform):
        torch.manual_seed(0)
        return max(
            red(transform({"image": RGB["pil"](), "fine_label": 2, "coarse_label": 0})["image"]) for _ in range(9)
        )

    assert seen(SyntheticReplace(bank, 1.0, labels_getter=fine)) == 110
    assert 60 < seen(SyntheticMix(bank, 1.0, labels_getter=fine)) < 110  # class 1 has 60
    for make in (SyntheticReplace, SyntheticMix):
        with pytest.raises(LabelError, match="returned None"):
            make(bank, labels_getter=lambda sample: None)(RGB["pil"](), 1)


def test_a_class_without_samples_stays_real():
    bank = SampleBank.from_arrays(np.full((2, 8, 8, 1), 9, np.uint8), [0, 0], ["full", "empty"])
    images, _ = SyntheticReplace(bank, p=1.0)(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]))
    assert images[:, 0, 0, 0].tolist() == [9, 0]


def test_settings_are_checked(bank, tmp_path):
    with pytest.raises(ConfigError, match="from 0 to 1"):
        SyntheticReplace(bank, p=50)
    with pytest.raises(ConfigError, match="'mixup', 'cutmix' or 'mixup\\+cutmix'"):
        SyntheticMix(bank, mode="cut")
    for alpha in (0, float("inf"), float("nan"), "1", True):
        with pytest.raises(ConfigError, match="above 0"):
            SyntheticMix(bank, alpha=alpha)
    with pytest.raises(ConfigError, match="labels_getter"):
        SyntheticReplace(bank, labels_getter="label")
    with pytest.raises(LabelError, match="the data"):
        SyntheticReplace(bank, classes=["bag", "boot", "sneaker"])


def test_reproduces_under_manual_seed_and_never_repeats(bank):
    def run(transform):
        return [np.array(transform(Image.new("RGB", (8, 8)), i % 3)[0]).tobytes() for i in range(30)]

    for transform in (SyntheticReplace(bank), SyntheticMix(bank), SyntheticMix(bank, mode="cutmix", alpha=0.5)):
        torch.manual_seed(0)
        first, second = run(transform), run(transform)
        torch.manual_seed(0)
        assert run(transform) == first
        assert first != second


def test_torchvision_datasets_give_the_transform_their_labels(bank):
    replace = SyntheticReplace(bank, p=1.0)
    with pytest.raises(LabelError, match="sees the image alone"):
        FakeData(4, (3, 8, 8), num_classes=3, transform=replace)[0]
    chain = v2.Compose([replace, v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    data = TransformedDataset(FakeData(4, (3, 8, 8), num_classes=3), chain)
    for position in range(len(data)):
        image, label = data[position]
        assert red(image) == 50 * int(label) + 10


def test_comes_before_mixup(bank):
    chain = v2.Compose([SyntheticReplace(bank, p=1.0), v2.MixUp(num_classes=3)])
    images, labels = chain(torch.zeros(4, 3, 8, 8), torch.tensor([0, 1, 2, 0]))
    assert images.shape == (4, 3, 8, 8)
    assert labels.shape == (4, 3)


def test_pickles_as_the_banks_path(bank_path):
    transform = SyntheticMix(bank_path, mode="cutmix")
    transform(Image.new("RGB", (8, 8)), 1)
    dump = pickle.dumps(transform)
    assert len(dump) < 8000
    assert pickle.loads(dump)(Image.new("RGB", (8, 8)), 1)[1] == 1


def test_find_labels_prefers_the_outermost():
    assert find_labels({"label": 1, "meta": {"label": 2}}) == 1
    assert find_labels(({"image": 0}, {"labels": 5})) == 5
    with pytest.raises(LabelError, match="expected labels"):
        find_labels([torch.zeros(3)])


def test_a_dataset_whose_labels_mean_other_classes_is_refused() -> None:
    """A folder of training images that lacks a class counts the classes after it differently."""
    bank = SampleBank.from_arrays(np.zeros((3, 8, 8, 3), np.uint8), [0, 1, 2], ["boot", "sandal", "sneaker"])
    chain = v2.Compose([v2.Resize(8), v2.Compose([SyntheticReplace(bank)])])

    def named(*classes: str) -> FakeData:
        data = FakeData(4, (3, 8, 8), num_classes=2)
        data.classes = list(classes)
        return data

    for classes in (("boot", "sneaker"), ("boot", "sandal", "wader", "sneaker")):
        whole = named(*classes)
        for dataset in (whole, torch.utils.data.Subset(whole, [0, 1]), torch.utils.data.ConcatDataset([whole, whole])):
            with pytest.raises(LabelError, match=r"label \d is 'sneaker' in the dataset, but ('sandal'|no class)"):
                TransformedDataset(dataset, chain)
    features = {"image": object(), "label": types.SimpleNamespace(names=["boot", "sneaker"])}
    table = types.SimpleNamespace(features=features)  # as Hugging Face's datasets say it
    with pytest.raises(LabelError, match="label 1 is 'sneaker' in the dataset"):
        TransformedDataset(table, chain)
    array = named()
    array.classes = np.array(["boot", "sneaker"])
    with pytest.raises(LabelError, match="label 1 is 'sneaker' in the dataset"):
        TransformedDataset(array, chain)
    array.classes = 3  # a number says no names
    assert len(TransformedDataset(array, chain)) == 4
    with pytest.raises(LabelError, match="label 0 is 'Sneaker' in the dataset"):
        TransformedDataset(named("Sneaker", "Boot", "Sandal"), chain)
    with pytest.warns(DataWarning, match=r"none of the dataset's classes \(apple, pear\)"):
        TransformedDataset(named("apple", "pear"), chain)
    for fits in (("boot", "sandal"), ("Boot", "Sandal", "sneaker", "wader"), ("0", "1", "2"), ()):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(TransformedDataset(named(*fits), chain)) == 4
    assert len(TransformedDataset(named("boot", "sneaker"), v2.Resize(8))) == 4
