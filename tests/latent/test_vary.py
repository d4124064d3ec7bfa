"""Variants keep the label, keep what is the image's own as far as the strength says, and depend on nothing else."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataError, FormatError, GenerationInterrupted, LabelError, OutputExistsError
from synthaug.generators import make_generator, save
from synthaug.latent.varying.bank import VariantSampler, variation_bank
from synthaug.latent.varying.live import LiveVariation
from synthaug.latent.varying.vary import ClassCentres, Variation, Varier, variant_names, vary
from synthaug.sampling import SampleBank


@pytest.fixture(scope="module")
def data(digits) -> ImageDataset:
    return digits.only("0", "1", "7")


@pytest.fixture
def tiny_vae():
    torch.manual_seed(0)
    return make_generator("vae", ["boot", "bag"], (1, 8, 8), options={"width": 8, "latent_dim": 4}).eval()


def test_strength_0_is_the_image_and_without_the_residual_its_reconstruction(trained, data) -> None:
    assert (vary(trained, data, strength=0, number=2) == data.images[:, None]).all()
    restored = trained.decode_codes(trained.encode_images(data.images, data.labels)[0], data.labels)
    assert (vary(trained, data, strength=0, number=2, keep_residual=False) == restored[:, None]).all()


def test_strength_1_is_a_sample_of_the_class(trained, data) -> None:
    few = data.subset([0, 40, 70])
    names = np.array([variant_names(image, 2) for image in few.images], dtype=np.uint64)
    samples = trained.sample_named(np.repeat(few.labels, 2), names.ravel(), seed=3)
    assert (vary(trained, few, strength=1, number=2, seed=3).reshape(samples.shape) == samples).all()


def test_a_variant_depends_on_its_image_label_seed_and_number_alone(trained, data) -> None:
    every = vary(trained, data, number=3, seed=5)
    order = np.random.default_rng(0).permutation(len(data))[:70]
    assert (vary(trained, data.subset(order), number=2, seed=5) == every[order, :2]).all()
    one = vary(trained, data.images[4], data.classes[data.labels[4]], number=3, seed=5)
    assert (one[0] == every[4]).all()
    assert (vary(trained, data, number=3, seed=6) != every).any(axis=(2, 3, 4)).all()
    codes = {name for image in data.images[:20] for name in variant_names(image, 3)}
    assert len(codes) == 60  # no image borrows the fresh codes of another


@pytest.mark.parametrize("keep_residual", [True, False])
def test_labels_are_kept_while_variants_differ_the_more_the_greater_the_strength(trained, data, keep_residual) -> None:
    centroids = np.stack([data.images[data.labels == label].mean(0) for label in range(3)]).reshape(3, -1)
    spread = []
    for strength in (0.2, 0.5, 0.9):
        made = vary(trained, data, strength=strength, number=4, keep_residual=keep_residual).astype(np.float64)
        nearest = np.square(made.reshape(len(data), 4, 1, -1) - centroids).sum(-1).argmin(-1)
        assert (nearest == data.labels[:, None]).mean() > 0.9
        spread.append(made.std(axis=1).mean())
    assert spread[0] > 1
    assert spread[0] < spread[1] < spread[2]


def test_variants_keep_the_detail_that_the_decoder_loses(trained, data) -> None:
    def sharpness(images):
        return np.abs(np.diff(images.astype(np.float64), axis=-2)).mean()

    kept, lost = (vary(trained, data, strength=0.3, keep_residual=keep) for keep in (True, False))
    assert abs(sharpness(kept) - sharpness(data.images)) < abs(sharpness(lost) - sharpness(data.images))


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.8, 1.0])
def test_the_spread_of_a_classs_codes_is_the_same_at_every_strength(strength) -> None:
    rng = np.random.default_rng(0)
    centre = np.array([3.0, -1.0])
    mu, fresh = (centre + rng.normal(size=(40_000, 2)) * [1, 2] for _ in range(2))
    mixed = Variation(strength).mix(mu, fresh, centre[None])
    np.testing.assert_allclose(mixed.mean(0), centre, atol=0.05)
    np.testing.assert_allclose(mixed.std(0), [1, 2], rtol=0.02)


def test_the_mean_of_noise_is_exact(tiny_vae) -> None:
    noise = tiny_vae.with_sampling(prior="normal")
    assert ClassCentres(noise).of(np.array([0, 1, 0])).abs().max() < 1e-6
    assert Varier(noise, Variation(0.5)).variants(np.zeros((0, 8, 8, 1), np.uint8), np.zeros(0, np.int64), 2).shape == (
        0,
        2,
        8,
        8,
        1,
    )


@pytest.mark.parametrize("conditioning", ["shared", "per_class"])
def test_every_family_with_an_encoder(family, tiny, conditioning) -> None:
    gen = make_generator(family, ["boot", "bag"], (3, 8, 12), conditioning=conditioning, options=tiny).eval()
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), dtype=np.uint8)
    if not gen.has_encoder:
        with pytest.raises(ConfigError, match="with an encoder"):
            vary(gen, images, "bag")
        return
    made = vary(gen, images, ["bag", "boot", "bag"], strength=0.4, number=2)
    assert made.shape == (3, 2, 8, 12, 3)
    assert (made[0, 0] != made[0, 1]).any()


def test_what_is_wrong_is_said(tiny_vae) -> None:
    images = np.zeros((2, 8, 8, 1), np.uint8)
    with pytest.raises(LabelError, match="expected the labels"):
        vary(tiny_vae, images)
    with pytest.raises(LabelError, match="bag"):
        vary(tiny_vae, images, "bags")
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="from 0"):
            vary(tiny_vae, images, "bag", strength=strength)
    for number in (0, 1.5, True):
        with pytest.raises(ConfigError, match="number: expected"):
            vary(tiny_vae, images, "bag", number=number)


# The bank -----------------------------------------------------------------------------------------------------


def test_a_bank_holds_the_variants_and_says_of_which_image(trained, data, tmp_path) -> None:
    bank = variation_bank(trained, data, per_image=3, strength=0.4, seed=2, out=tmp_path / "bank")
    every = vary(trained, data, strength=0.4, number=3, seed=2)
    assert (bank.images.reshape(every.shape) == every).all()
    assert (bank.labels == np.repeat(data.labels, 3)).all()
    assert bank.table.column("source").to_pylist() == np.repeat(np.arange(len(data)), 3).tolist()
    assert bank.table.column("variant").to_pylist()[:4] == [0, 1, 2, 0]
    described = bank.provenance["variation"]
    assert (described["strength"], described["per_image"]) == (0.4, 3)
    assert described["dataset"]["digest"] == data.digest
    other = variation_bank(trained, data, per_image=3, strength=0.5, seed=2, out=tmp_path / "other")
    assert other.digest != bank.digest


def test_an_interrupted_bank_goes_on_and_a_finished_one_stays(trained, data, tmp_path, monkeypatch) -> None:
    made = Varier.variants

    def stop_at_the_second_block(self, images, labels, number):
        if not (images[0] == data.images[0]).all():
            raise KeyboardInterrupt
        return made(self, images, labels, number)

    monkeypatch.setattr(Varier, "variants", stop_at_the_second_block)
    with pytest.raises(GenerationInterrupted, match="go on"):
        variation_bank(trained, data, per_image=5, out=tmp_path / "bank")
    assert not (tmp_path / "bank").exists()
    monkeypatch.undo()
    with pytest.raises(OutputExistsError, match="variation"):
        variation_bank(trained, data, per_image=5, strength=0.1, out=tmp_path / "bank")
    bank = variation_bank(trained, data, per_image=5, out=tmp_path / "bank")
    assert (bank.images.reshape(len(data), 5, 8, 8, 1) == vary(trained, data, number=5)).all()
    with pytest.raises(OutputExistsError, match="already complete"):
        variation_bank(trained, data, per_image=5, out=tmp_path / "bank")


def test_labels_of_a_bank_are_the_generators(trained, digits, tmp_path) -> None:
    bank = variation_bank(trained, digits.only("7", "0"), per_image=1, out=tmp_path / "bank")
    assert bank.classes == ("0", "1", "7")
    assert bank.counts.tolist() == [30, 0, 30]
    with pytest.raises(LabelError, match="'5'"):
        variation_bank(trained, digits.only("5"), out=tmp_path / "unknown")
    large = ImageDataset.from_arrays(np.zeros((1, 9, 9), np.uint8), ["0"])
    with pytest.raises(DataError, match="image_size"):
        variation_bank(trained, large, out=tmp_path / "large")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bank"]


def test_a_variant_is_found_by_its_images_position(trained, data, tmp_path) -> None:
    sampler = VariantSampler(variation_bank(trained, data, per_image=4, out=tmp_path / "bank"))
    label = int(data.labels[50])
    drawn = {sampler.choose_variant(50, label, 0.5, draw) for draw in np.linspace(0, 0.999, 200)}
    assert drawn == {-1, 200, 201, 202, 203}
    assert sampler.choose_variant(len(data), 0, 1.0, 0.5) == -1
    with pytest.raises(LabelError, match="image 50"):
        sampler.choose_variant(50, (label + 1) % 3, 1.0, 0.5)
    with pytest.raises(DataError, match="other images"):
        sampler.check_dataset(len(data), "another digest")
    plain = SampleBank.from_arrays(np.zeros((1, 8, 8, 1), np.uint8), [0], ["a"])
    with pytest.raises(FormatError, match="variation_bank"):
        VariantSampler(plain)


# On the fly ---------------------------------------------------------------------------------------------------


def test_live_variants_follow_the_same_recipe(trained, data) -> None:
    few = data.subset([0, 40, 70])
    images = torch.from_numpy(few.take([0, 1, 2])).permute(0, 3, 1, 2)
    live = LiveVariation(trained, Variation(0.4))
    names = live.choose_many(few.labels, 1.0, np.array([0.1, 0.5, 0.9]))
    made = live.vary(images, few.labels, names)
    means, _ = trained.encode_images(few.images, few.labels)
    fresh = trained.draw_codes(few.labels, names, seed=0)
    codes = Variation(0.4).mix(means, fresh, ClassCentres(trained).of(few.labels).numpy())
    decoded, restored = trained.decode_codes(codes, few.labels), trained.decode_codes(means, few.labels)
    expected = np.clip(decoded + Variation(0.4).kept * (few.images.astype(float) - restored), 0, 255)
    assert np.abs(made.permute(0, 2, 3, 1).numpy() - expected).max() < 1.6
    assert (live.vary(images[1:2], few.labels[1:2], names[1:2]).int() - made[1:2].int()).abs().max() <= 1


def test_images_of_another_size_keep_their_detail(trained) -> None:
    images = torch.randint(0, 256, (2, 3, 24, 20), dtype=torch.uint8)
    same = LiveVariation(trained, Variation(0.0)).vary(images, np.array([0, 1]), np.array([5, 6]))
    assert torch.equal(same, images)
    with pytest.raises(DataError, match="channels"):
        LiveVariation(trained, Variation(0.0)).vary(images[:, :2], np.array([0, 1]), np.array([5, 6]))


def test_a_path_pickles_as_such_and_notices_another_generator(tiny_vae, tmp_path) -> None:
    live = LiveVariation(save(tiny_vae, tmp_path / "run"), Variation(0.5))
    images, labels, names = torch.zeros(1, 1, 8, 8, dtype=torch.uint8), np.array([1]), np.array([7])
    dump = pickle.dumps(live)
    assert len(dump) < 1000
    assert torch.equal(pickle.loads(dump).vary(images, labels, names), live.vary(images, labels, names))
    other = make_generator("vae", ["boot", "bag"], (1, 8, 8), options={"width": 8, "latent_dim": 4})
    save(other, tmp_path / "run")
    with pytest.raises(FormatError, match="changed"):
        pickle.loads(dump).vary(images, labels, names)
    in_memory = LiveVariation(tiny_vae, Variation(0.5))
    copy = pickle.loads(pickle.dumps(in_memory))
    assert torch.equal(copy.vary(images, labels, names), in_memory.vary(images, labels, names))


def test_what_cannot_vary_is_refused_when_made(tiny_vae) -> None:
    gan = make_generator("gan", ["boot", "bag"], (1, 8, 8), options={"width": 4})
    with pytest.raises(ConfigError, match="with an encoder"):
        LiveVariation(gan, Variation())
    with pytest.raises(LabelError, match="generator"):
        LiveVariation(tiny_vae, Variation(), classes=["bag", "boot"])
    with pytest.raises(FormatError, match="does not exist"):
        LiveVariation("nowhere", Variation())
    bank = SampleBank.from_arrays(np.zeros((1, 8, 8, 1), np.uint8), [0], ["a"])
    with pytest.raises(ConfigError, match="VariationDataset"):
        LiveVariation(bank, Variation())
