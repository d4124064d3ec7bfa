from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from synthaug.errors import ConfigError, DataError, LabelError
from synthaug.sampling import SampleBank
from synthaug.sampling.draw import NOTHING, ClassSampler, check_probability, uniform
from synthaug.sampling.fit import beta_shares, cutmix, cutmix_box, fit, mixup, pil_shape


@pytest.fixture
def bank() -> SampleBank:
    """Forty images of each of three classes, taking turns; the first pixel is the row."""
    images = np.zeros((120, 8, 8, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(120)
    return SampleBank.from_arrays(images, np.arange(120) % 3, ("boot", "sneaker", "bag"))


@pytest.fixture
def bank_path(bank, tmp_path):
    bank.save(tmp_path / "bank")
    return tmp_path / "bank"


def test_every_sample_of_the_class_is_drawn_and_no_other(bank):
    sampler = ClassSampler(bank)
    rows = {sampler.choose(1, 0.5, draw) for draw in np.linspace(0, 0.5, 2000, endpoint=False)}
    assert rows == set(bank.indices_of(1).tolist())


def test_one_and_many_choose_alike(bank):
    sampler = ClassSampler(bank)
    random = np.random.default_rng(0)
    labels, draws = random.integers(0, 3, 500), random.random(500)
    many = sampler.choose_many(labels, 0.7, draws)
    assert many.tolist() == [sampler.choose(int(a), 0.7, float(b)) for a, b in zip(labels, draws, strict=True)]
    assert 0.6 < np.mean(many != NOTHING) < 0.8


def test_a_draw_just_below_p_stays_inside_the_class(bank):
    sampler = ClassSampler(bank)
    last = int(bank.indices_of(2)[-1])
    for p in (0.1, 0.3, 0.7, 1.0):
        draw = np.nextafter(p, 0)
        assert sampler.choose(2, p, float(draw)) == last
        assert sampler.choose_many(np.array([2]), p, np.array([draw])).tolist() == [last]


def test_a_class_without_samples_is_left_alone():
    bank = SampleBank.from_arrays(np.zeros((2, 8, 8, 1), np.uint8), [0, 0], ["full", "empty"])
    sampler = ClassSampler(bank)
    assert sampler.choose(1, 1.0, 0.0) == NOTHING
    assert sampler.choose_many(np.array([1, 0]), 1.0, np.zeros(2)).tolist() == [NOTHING, 0]
    assert sampler.choose_many(np.array([1, 0]), 0.0, np.zeros(2)).tolist() == [NOTHING, NOTHING]


def test_images_come_in_the_order_asked_for(bank):
    rows = np.array([7, 3, 7, 100])
    assert np.array_equal(ClassSampler(bank).images(rows, bank.image_shape), bank.images[rows])


@pytest.mark.parametrize(
    ("classes", "reason"),
    [(("boot", "bag", "sneaker"), "label 1"), (("boot", "sneaker", "hat"), "hat")],
)
def test_other_classes_than_the_datas_are_refused(bank, classes, reason):
    with pytest.raises(LabelError, match=reason):
        ClassSampler(bank, classes)


def test_labels_of_all_kinds(bank):
    sampler = ClassSampler(bank)
    for label in (1, np.int64(1), np.array(1), torch.tensor(1), "sneaker"):
        assert sampler.label(label) == 1
    for wrong in (3, -1, 1.0, True, torch.tensor(1.0), np.array([1, 2]), "sneakers"):
        with pytest.raises(LabelError):
            sampler.label(wrong)


def test_labels_of_a_batch_are_integers_or_names(bank):
    sampler = ClassSampler(bank)
    names = ["bag", "boot"]
    for labels in ([2, 0], np.array([2, 0], np.uint8), torch.tensor([2, 0]), names, tuple(names), np.array(names)):
        found = sampler.labels(labels)
        assert (found.dtype, found.tolist()) == (np.int64, [2, 0])
    assert sampler.labels(np.array(names, dtype=object)).tolist() == [2, 0]
    with pytest.raises(LabelError, match="Did you mean 'boot'"):
        sampler.labels(["bag", "boots"])
    with pytest.raises(LabelError, match="each image of the batch, but got one: 'bag'"):
        sampler.labels("bag")
    for wrong in (np.array([0.0, 1.0]), torch.eye(3), [None, 1], [True, False], np.array([["bag"]])):
        with pytest.raises(LabelError):
            sampler.labels(wrong)


def test_a_sampler_on_disk_pickles_as_a_path(bank_path):
    sampler = ClassSampler(bank_path)
    sampler.choose(0, 1.0, 0.5)
    dump = pickle.dumps(sampler)
    assert len(dump) < 4000
    assert pickle.loads(dump).choose(0, 1.0, 0.5) == sampler.choose(0, 1.0, 0.5)


@pytest.mark.parametrize("p", [-0.1, 1.1, True, "half", float("nan")])
def test_only_probabilities(p):
    with pytest.raises(ConfigError, match="from 0 to 1"):
        check_probability(p)


def test_uniform_follows_torchs_seed():
    torch.manual_seed(3)
    first = [uniform() for _ in range(5)]
    torch.manual_seed(3)
    assert [uniform() for _ in range(5)] == first
    assert len(set(first)) == 5


def test_rgb_becomes_grey_as_in_pillow():
    image = np.random.default_rng(0).integers(0, 256, (1, 9, 7, 3), dtype=np.uint8)
    assert np.array_equal(fit(image, (1, 9, 7))[0, ..., 0], np.array(Image.fromarray(image[0]).convert("L")))


def test_grey_becomes_rgb():
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
    assert np.array_equal(fit(image, (3, 8, 8)), np.repeat(image, 3, axis=3))


def test_shrinking_is_antialiased():
    stripes = np.zeros((1, 32, 32, 1), np.uint8)
    stripes[:, :, ::2] = 255
    small = fit(stripes, (1, 8, 8))
    assert small.min() > 110
    assert small.max() < 145


def test_other_channels_are_refused():
    with pytest.raises(DataError, match="1 or 3 channels, but got 4"):
        fit(np.zeros((1, 8, 8, 3), np.uint8), (4, 8, 8))


def test_only_grey_and_rgb_pil_images_have_a_shape_to_fit_to():
    assert pil_shape(Image.new("L", (5, 4)), "") == (1, 4, 5)
    assert pil_shape(Image.new("RGB", (5, 4)), "") == (3, 4, 5)
    for wrong, named in ((Image.new("RGBA", (5, 4)), "RGBA"), (torch.zeros(3, 4, 5), "Tensor")):
        with pytest.raises(DataError, match=f"mode L or RGB, but got {named}. Convert it"):
            pil_shape(wrong, "Convert it.")


def test_mixup_takes_the_shares():
    real, synthetic = torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.full((3, 1, 4, 4), 200, dtype=torch.uint8)
    mixed = mixup(real, synthetic, np.array([1.0, 0.5, 0.0]))
    assert mixed[:, 0, 0, 0].tolist() == [0, 100, 200]


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_beta_distributed(alpha):
    shares = beta_shares(alpha, (np.arange(10_000) + 0.5) / 10_000)
    assert shares.mean() == pytest.approx(0.5, abs=1e-3)
    assert shares.var() == pytest.approx(0.25 / (2 * alpha + 1), rel=0.01)


def test_cutmix_pastes_a_box_of_the_right_area():
    real, synthetic = torch.zeros(2, 3, 20, 40), torch.ones(2, 3, 20, 40)
    boxes = [cutmix_box((20, 40), 0.75, centre) for centre in ((0.5, 0.5), (0.0, 0.0))]
    mixed = cutmix(real, synthetic, boxes)
    assert mixed[0].mean().item() == pytest.approx(0.25)
    assert mixed[1].mean().item() == pytest.approx(0.0625)  # clipped at the corner
    assert mixed[1, 0, :5, :10].min() == 1


def test_a_first_draw_in_inference_mode_leaves_later_ones_usable():
    found = []

    def draw():  # a thread has a scratch number of its own
        with torch.inference_mode():
            found.append(uniform())
        found.append(uniform())

    thread = threading.Thread(target=draw)
    thread.start()
    thread.join()
    assert len(found) == 2
