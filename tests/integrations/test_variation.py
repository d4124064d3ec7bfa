"""`SyntheticVariation` and `VariationDataset`: variants of the images themselves, on the fly and from a bank."""

from __future__ import annotations

import pickle

import albumentations as A
import numpy as np
import pytest
import torch
from PIL import Image
from synthaug.integrations.albumentations import SyntheticReplace as AlbumentationsReplace
from synthaug.integrations.albumentations import SyntheticVariation as AlbumentationsVariation
from synthaug.integrations.torchvision import SyntheticReplace, SyntheticVariation, TransformedDataset, VariationDataset
from torch.utils.data import ConcatDataset, DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataError, FormatError, LabelError
from synthaug.generators import make_generator, save
from synthaug.latent.varying.bank import variation_bank

CLASSES = ["boot", "sneaker", "bag"]
OPTIONS = {"width": 8, "latent_dim": 4, "class_dim": 4, "components": 1}
PIXELS = np.random.default_rng(0).integers(60, 200, (8, 8, 3), dtype=np.uint8)

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    return save(make_generator("vae", CLASSES, (3, 8, 8), options=OPTIONS), tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def grey_run(tmp_path_factory):
    torch.manual_seed(0)
    return save(make_generator("vae", CLASSES, (1, 8, 8), options=OPTIONS), tmp_path_factory.mktemp("grey"))


def tensor(pixels=PIXELS) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)


KINDS = {
    "pil": lambda: Image.fromarray(PIXELS),
    "tensor": tensor,
    "float": lambda: tensor() / 255,
    "half": lambda: (tensor() / 255).half(),
    "tv": lambda: tv_tensors.Image(tensor()),
}


def values(image) -> np.ndarray:
    """The pixels (C, H, W) of an image of any kind in [0, 255]."""
    if isinstance(image, Image.Image):
        pixels = np.array(image)
        return pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1).astype(float)
    plain = image.as_subclass(torch.Tensor)
    return plain.numpy().astype(float) if plain.dtype == torch.uint8 else plain.double().numpy() * 255


# torchvision --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gets_the_same_variant(run, kind):
    before = KINDS[kind]()
    vary = SyntheticVariation(run, p=1.0, strength=0.5)
    torch.manual_seed(3)
    image, label = vary(before, 2)
    torch.manual_seed(3)
    expected, _ = vary(tensor(), torch.tensor(2))
    assert label == 2
    assert type(image) is type(before) or kind == "pil"
    assert kind == "pil" or image.dtype == before.dtype
    assert np.abs(values(image) - values(expected)).max() < (1 if kind == "half" else 1e-3)
    assert np.abs(values(image) - values(before)).max() > 1
    assert np.array_equal(values(before), values(KINDS[kind]()))  # the input is untouched


def test_the_label_decides_and_the_strength_says_how_far(run):
    def one(label, **settings):
        torch.manual_seed(0)
        return values(SyntheticVariation(run, p=1.0, **settings)(tensor(), label)[0])

    assert np.array_equal(one(1, strength=0), PIXELS.transpose(2, 0, 1))
    assert not np.array_equal(one(0, strength=0.5), one(1, strength=0.5))
    fresh = one(1, strength=1)
    assert np.array_equal(fresh, one(1, strength=1, keep_residual=False))
    assert not np.array_equal(fresh, one(1, strength=0.9))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_each_image_of_a_batch_is_drawn_for(run, dtype):
    torch.manual_seed(0)
    batch = tensor()[None].repeat(200, 1, 1, 1)
    batch = batch if dtype == torch.uint8 else (batch / 255).to(dtype)
    sample = {"image": tv_tensors.Image(batch), "label": torch.ones(200).long()}
    made, labels = SyntheticVariation(run, p=0.4)(sample).values()
    changed = (made != batch).flatten(1).any(1)
    assert isinstance(made, tv_tensors.Image)
    assert made.dtype == dtype
    assert 50 < changed.sum() < 110
    assert len(made.as_subclass(torch.Tensor)[changed].float().unique(dim=0)) == changed.sum()
    assert labels.sum() == 200


@pytest.mark.parametrize(("mode", "size"), [("RGB", (8, 8)), ("L", (8, 8)), ("RGB", (20, 13)), ("L", (6, 30))])
def test_grey_and_colour_and_other_sizes(run, grey_run, mode, size):
    image = Image.fromarray(PIXELS).convert(mode).resize(size)
    for path in (run, grey_run):
        made, _ = SyntheticVariation(path, p=1.0)(image, 1)
        assert (made.mode, made.size) == (mode, size)
        assert not np.array_equal(np.array(made), np.array(image))
        same, _ = SyntheticVariation(path, p=1.0, strength=0)(image, 1)
        assert np.array_equal(np.array(same), np.array(image))


def test_what_belongs_to_the_image_is_refused_even_when_it_is_not_varied(run):
    vary = SyntheticVariation(run, p=0.0)
    for extra in (tv_tensors.Mask(torch.zeros(8, 8)), tv_tensors.KeyPoints(torch.zeros(1, 2), canvas_size=(8, 8))):
        with pytest.raises(DataError, match=r"SyntheticVariation.*it would not fit"):
            vary({"image": tv_tensors.Image(tensor()), "label": 1, "extra": extra})


def test_labels_and_ranges_are_checked(run):
    with pytest.raises(LabelError, match="TransformedDataset"):
        SyntheticVariation(run)(tensor())
    with pytest.raises(LabelError, match="from 0 to 2"):
        SyntheticVariation(run, p=0.0)(Image.fromarray(PIXELS), 3)
    with pytest.raises(LabelError, match="one-hot"):
        SyntheticVariation(run)(tensor()[None], torch.eye(3)[:1])
    with pytest.raises(DataError, match=r"before v2\.Normalize"):
        SyntheticVariation(run, p=1.0)(tensor() / 255 - 0.5, 1)


def test_settings_are_checked(run, tmp_path):
    with pytest.raises(ConfigError, match="from 0 to 1"):
        SyntheticVariation(run, p=2)
    with pytest.raises(ConfigError, match="strength"):
        SyntheticVariation(run, strength=1.5)
    with pytest.raises(LabelError, match="the data"):
        SyntheticVariation(run, classes=["bag", "boot", "sneaker"])
    with pytest.raises(FormatError, match="does not exist"):
        SyntheticVariation(tmp_path / "missing")
    gan = make_generator("gan", CLASSES, (3, 8, 8), options={"width": 4})
    for make in (SyntheticVariation, lambda gen: AlbumentationsVariation(save(gen, tmp_path / "gan"))):
        with pytest.raises(ConfigError, match="with an encoder"):
            make(gan)


def test_pickles_as_the_generators_path(run):
    vary = SyntheticVariation(run, p=1.0)
    dump = pickle.dumps(vary)
    assert len(dump) < 8000
    results = []
    for transform in (vary, pickle.loads(dump)):
        torch.manual_seed(1)
        results.append(values(transform(tensor(), 1)[0]))
    assert np.array_equal(*results)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_batch_on_a_gpu_stays_there(run):
    batch, labels = tensor()[None].repeat(4, 1, 1, 1).cuda(), torch.tensor([0, 1, 2, 0]).cuda()
    made, _ = SyntheticVariation(run, p=1.0)(batch, labels)
    assert made.device == batch.device
    assert (made != batch).any()


# A bank of variants -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def varied(run, tmp_path_factory):
    rng = np.random.default_rng(1)
    data = ImageDataset.from_arrays(
        rng.integers(0, 256, (30, 8, 8, 3), dtype=np.uint8), np.arange(30) % 3, classes=CLASSES
    )
    return data, variation_bank(run, data, per_image=4, out=tmp_path_factory.mktemp("bank") / "bank").path


def test_images_get_their_own_variants(varied):
    data, path = varied
    bank = VariationDataset(data, path, p=1.0)
    own = SyntheticReplace(path)._sampler.bank.images.reshape(30, 4, 8, 8, 3)
    for position in range(30):
        image, label = bank[position]
        assert label == data.labels[position]
        assert (np.array(image) == own[position]).all(axis=(1, 2, 3)).any()
    assert len({np.array(bank[5][0]).tobytes() for _ in range(40)}) == 4
    assert len(bank) == 30
    assert all(np.array_equal(VariationDataset(data, path, p=0.0)[n][0], data[n][0]) for n in range(30))


def test_samples_of_any_kind_and_shape(varied, grey_run):
    data, path = varied

    class Dicts(Dataset):
        def __len__(self):
            return 30

        def __getitem__(self, position):
            image, label = data[position]
            return {"image": v2.functional.to_image(image).float() / 255, "label": CLASSES[label]}

    out = VariationDataset(Dicts(), path, p=1.0)[-1]
    assert isinstance(out["image"], torch.Tensor)
    assert out["image"].dtype == torch.float32
    assert out["label"] == CLASSES[29 % 3]
    grey = [(image.convert("L").resize((12, 10)), label) for image, label in data]
    image, _ = VariationDataset(grey, path, p=1.0)[0]
    assert (image.mode, image.size) == ("L", (12, 10))
    chained = TransformedDataset(VariationDataset(data, path), v2.ToImage())
    assert chained[0][0].shape == (3, 8, 8)


def test_own_labels_and_the_order_of_classes(varied):
    data, path = varied
    samples = [{"image": image, "fine_label": label, "coarse_label": 0} for image, label in data]
    with pytest.raises(LabelError, match="coarse_label"):
        VariationDataset(samples, path, p=1.0)[4]
    out = VariationDataset(samples, path, p=1.0, labels_getter=lambda sample: sample["fine_label"], classes=CLASSES)[4]
    own = SyntheticReplace(path)._sampler.bank.images[16:20]
    assert (np.array(out["image"]) == own).all(axis=(1, 2, 3)).any()
    with pytest.raises(LabelError, match="image 4"):
        VariationDataset(samples, path, p=0.0, labels_getter=lambda sample: sample["coarse_label"])[4]
    with pytest.raises(LabelError, match="label 0 is 'bag' in the data"):
        VariationDataset(samples, path, classes=CLASSES[::-1])


def test_another_dataset_than_the_varied_one_is_refused(varied, bank_path):
    data, path = varied
    with pytest.raises(DataError, match="30 images"):
        VariationDataset(data.subset(range(29)), path)
    with pytest.raises(DataError, match="same order"):
        VariationDataset(data.subset(range(29, -1, -1)), path)
    with pytest.raises(LabelError, match="image 4"):
        VariationDataset([(image, 0) for image, _ in data], path, p=0.0)[4]
    with pytest.raises(FormatError, match="variation_bank"):
        VariationDataset(data, bank_path)
    with pytest.raises(LabelError, match="TransformedDataset"):
        VariationDataset([image for image, _ in data], path)[0]


# albumentations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 8, 1), (8, 8), (5, 11, 3), (6, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_every_layout_and_type(run, grey_run, shape, dtype):
    image = np.random.default_rng(0).integers(60, 200, shape).astype(dtype)
    image = image / dtype(255) if dtype == np.float32 else image
    for path in (run, grey_run):
        out = A.Compose([AlbumentationsVariation(path, p=1.0)])(image=image, label=2)["image"]
        assert (out.shape, out.dtype) == (shape, np.dtype(dtype))
        assert out.flags.writeable
        assert not np.array_equal(out, image)
        same = AlbumentationsVariation(path, p=1.0, strength=0)(image=image, label=2)["image"]
        np.testing.assert_allclose(same, image, atol=1e-6)


def test_albumentations_makes_what_torchvision_makes(run):
    torch.manual_seed(4)
    expected = values(SyntheticVariation(run, 1.0, 0.6)(Image.fromarray(PIXELS), 1)[0])
    torch.manual_seed(4)
    out = AlbumentationsVariation(run, 1.0, 0.6)(image=PIXELS, label="sneaker")["image"]
    assert np.array_equal(out.transpose(2, 0, 1), expected)


def test_masks_labels_and_layouts_are_checked(run):
    pipeline = A.Compose([AlbumentationsVariation(run, p=0.0)])
    with pytest.raises(DataError, match=r"SyntheticVariation.*mask"):
        pipeline(image=PIXELS, label=1, mask=np.zeros((8, 8), np.uint8))
    with pytest.raises(LabelError, match=r"SyntheticVariation: expected the label as label"):
        pipeline(image=PIXELS)
    with pytest.raises(DataError, match="channels first"):
        AlbumentationsVariation(run, p=1.0)(image=PIXELS.transpose(2, 0, 1), label=1)
    with pytest.raises(ConfigError, match=r"synthaug\.save"):
        AlbumentationsVariation(make_generator("vae", CLASSES, (3, 8, 8), options=OPTIONS))


def test_serialises_and_replays(run, tmp_path):
    pipeline = A.Compose([AlbumentationsVariation(run, 0.25, 0.7, False, "y", CLASSES)], strict=True)
    A.save(pipeline, tmp_path / "pipeline.json")
    for copy in (A.from_dict(A.to_dict(pipeline))[0], A.load(tmp_path / "pipeline.json")[0]):
        assert (copy.generator_path, copy.p, copy.strength) == (str(run), 0.25, 0.7)
        assert (copy.keep_residual, copy.label_key, copy.classes) == (False, "y", CLASSES)


@pytest.mark.filterwarnings("ignore:.*ReplayMode.*:UserWarning")
def test_a_replay_gives_the_same_variant(run):
    pipeline = A.ReplayCompose([AlbumentationsVariation(run, p=0.7)])
    for _ in range(6):
        out = pipeline(image=PIXELS, label=1)
        again = A.ReplayCompose.replay(out["replay"], image=PIXELS, label=1)
        assert np.array_equal(again["image"], out["image"])


def test_seeded_composes_reproduce_and_siblings_of_both_kinds_differ(run, bank_path):
    def images(seed):
        pipeline = A.Compose([AlbumentationsVariation(run, p=0.5)], seed=seed)
        return [pipeline(image=PIXELS, label=1)["image"].tobytes() for _ in range(20)]

    assert images(7) == images(7)
    assert images(7) != images(8)
    mixed = A.Compose([AlbumentationsVariation(run, p=0.5), AlbumentationsReplace(bank_path, p=0.5)], seed=7)
    chosen = [[(one(image=PIXELS, label=1)["image"] != PIXELS).any() for _ in range(200)] for one in mixed]
    assert abs(np.corrcoef(*chosen)[0, 1]) < 0.25


def test_each_image_of_an_albumentations_batch_is_drawn_for(run):
    torch.manual_seed(0)
    images = np.repeat(PIXELS[None], 40, axis=0)
    out = A.Compose([AlbumentationsVariation(run, p=0.5)])(images=images, label=np.arange(40) % 3)["images"]
    changed = (out != images).any(axis=(1, 2, 3))
    assert 8 < changed.sum() < 32
    assert len(np.unique(out[changed], axis=0)) == changed.sum()


# Workers ------------------------------------------------------------------------------------------------------

ITEMS = 32


class Varied(Dataset):
    """One image through a transform; an item is a number that tells the variant."""

    def __init__(self, transform, library: str) -> None:
        self.transform, self.library = transform, library

    def __len__(self) -> int:
        return ITEMS

    def __getitem__(self, position: int) -> int:
        if self.library == "albumentations":
            image = self.transform(image=PIXELS, label=0)["image"]
        else:
            image = self.transform(tensor(), 0)[0].permute(1, 2, 0).numpy()
        return int((image.astype(np.int64).ravel() * np.arange(1, 193) ** 3).sum())


def make(kind: str, path) -> Dataset:
    if kind == "torchvision":
        return Varied(SyntheticVariation(path, p=1.0, strength=0.9), kind)
    seed = 0 if kind == "seeded compose" else None
    return Varied(A.Compose([AlbumentationsVariation(path, p=1.0, strength=0.9)], seed=seed), "albumentations")


def epoch(loader: DataLoader) -> list[int]:
    return torch.cat(list(loader)).tolist()


def loader(data: Dataset, context: str) -> DataLoader:
    return DataLoader(data, batch_size=4, num_workers=2, multiprocessing_context=context)


@pytest.mark.parametrize("kind", ["torchvision", "albumentations", "seeded compose"])
def test_forked_workers_differ_epochs_differ_and_the_seed_reproduces(run, kind):
    data = make(kind, run)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # a parent that has computed in several threads must not lock its workers
    torch.ones(512, 512) @ torch.ones(512, 512)
    data[0]
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    one = loader(data, "fork")
    first, second = epoch(one), epoch(one)
    assert len({*first, *second}) == 2 * ITEMS
    torch.manual_seed(0)
    assert epoch(loader(make(kind, run), "fork")) == first


@pytest.mark.slow
def test_spawned_workers_give_what_forked_ones_do(run):
    in_memory = make_generator("vae", CLASSES, (3, 8, 8), options=OPTIONS).requires_grad_(False)
    data = ConcatDataset([make("torchvision", run), make("albumentations", run), make("torchvision", in_memory)])
    runs = []
    for context in ("fork", "spawn"):
        torch.manual_seed(0)
        runs.append(epoch(loader(data, context)))
    assert runs[0] == runs[1]
