from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from imblearn.pipeline import make_pipeline
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from synthaug.integrations.imblearn import SyntheticOverSampler

import synthaug
from synthaug.errors import ConfigError, DataError, DataWarning, LabelError, MissingExtraError
from synthaug.generators import Generator, make_generator, save

QUICK = {"steps": 1, "settings": {"width": 8, "latent_dim": 4, "batch_size": 4}}
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (12, 8, 6), dtype=np.uint8)
Y = np.array([0] * 6 + [1] * 4 + [2] * 2)


@pytest.fixture(scope="module")
def gen() -> Generator:
    return make_generator("vae", ["boot", "sneaker", "bag"], (1, 8, 6), options={"width": 8, "latent_dim": 4})


def test_classes_are_filled_up_by_the_samples_of_that_seed_behind_the_real_images(gen: Generator) -> None:
    images, labels = SyntheticOverSampler(gen, random_state=3).fit_resample(IMAGES, Y)
    assert np.array_equal(images[:12], IMAGES)
    assert labels.tolist() == [*Y, 1, 1, 2, 2, 2, 2]
    drawn = gen.sample({"sneaker": 2, "bag": 4}, seed=3)
    assert np.array_equal(images[12:], drawn[:, 0].numpy())


@pytest.mark.parametrize(
    ("strategy", "sizes"),
    [
        ("minority", [6, 4, 6]),
        ("all", [6, 6, 6]),
        ({1: 9}, [6, 9, 2]),
        (lambda y: {2: int((y == 0).sum())}, [6, 4, 6]),
    ],
)
def test_the_strategies_are_those_of_imbalanced_learn(gen: Generator, strategy: object, sizes: list[int]) -> None:
    _, labels = SyntheticOverSampler(gen, sampling_strategy=strategy).fit_resample(IMAGES, Y)
    assert np.bincount(labels).tolist() == sizes


def test_rows_of_pixels_keep_type_and_shape_and_a_frame_stays_one(gen: Generator) -> None:
    pandas = pytest.importorskip("pandas")
    flat = IMAGES.reshape(12, 48).astype(np.float64)
    sampler = SyntheticOverSampler(gen, image_shape=(8, 6), random_state=3)
    rows, _ = sampler.fit_resample(flat, Y)
    assert (rows.dtype, rows.shape) == (np.float64, (18, 48))
    assert np.array_equal(rows[12:], gen.sample({1: 2, 2: 4}, seed=3).reshape(6, 48).numpy())
    frame, series = sampler.fit_resample(pandas.DataFrame(flat).add_prefix("pixel"), pandas.Series(Y, name="kind"))
    assert frame.columns[0] == "pixel0"
    assert np.array_equal(frame.to_numpy(), rows)
    assert series.name == "kind"


def test_samples_are_fitted_to_colour_images_of_another_size(gen: Generator) -> None:
    images, _ = SyntheticOverSampler(gen).fit_resample(RANDOM.integers(0, 256, (12, 10, 10, 3), np.uint8), Y)
    assert images.shape == (18, 10, 10, 3)
    assert np.array_equal(images[12:, ..., 0], images[12:, ..., 2])  # the generator's are grey


def numbered(*names: str) -> Generator:
    return make_generator("vae", names, (1, 8, 6), options={"width": 8, "latent_dim": 4})


def test_numbers_that_are_no_positions_are_names() -> None:
    by_number = numbered("2", "10", "1")
    y = np.array([1] * 6 + [2] * 5 + [10])
    images, labels = SyntheticOverSampler(by_number, random_state=0).fit_resample(IMAGES, y)
    assert labels[12:].tolist() == [2, 10, 10, 10, 10, 10]
    assert np.array_equal(images[12:], by_number.sample({"2": 1, "10": 5}, seed=0)[:, 0].numpy())


@pytest.mark.parametrize("y", [[1] * 7 + [2] * 5, [1] * 6 + [2] * 4 + [3] * 2])
def test_numbers_that_could_be_names_and_positions_are_refused_until_said(y: list[int]) -> None:
    """Which one is meant would depend on the fold: with a 0 among them they would be positions."""
    gen = numbered("1", "2", "3", "4", "5")
    with pytest.raises(LabelError, match=r"the label 1 is the name of one class .* position of another, '2'"):
        SyntheticOverSampler(gen).fit_resample(IMAGES, y)
    images, labels = SyntheticOverSampler(gen, classes=gen.classes, random_state=1).fit_resample(IMAGES, y)
    numbers = {gen.classes[label]: int((labels[12:] == label).sum()) for label in np.unique(labels[12:])}
    assert np.array_equal(images[12:], gen.sample(numbers, seed=1)[:, 0].numpy())
    images, _ = SyntheticOverSampler(gen, random_state=1).fit_resample(IMAGES, np.array(y).astype(str))
    numbers = {str(label): int((labels[12:] == label).sum()) for label in np.unique(labels[12:])}
    assert np.array_equal(images[12:], gen.sample(numbers, seed=1)[:, 0].numpy())


def test_classes_that_get_no_samples_are_looked_up_too() -> None:
    with pytest.raises(LabelError, match="from 0 to 4"):
        SyntheticOverSampler(numbered("1", "2", "3", "4", "5")).fit_resample(IMAGES, [9] * 8 + [1] * 4)


def test_one_hot_labels_are_positions_and_come_back_as_such() -> None:
    gen = numbered("2", "1", "0")
    images, labels = SyntheticOverSampler(gen, random_state=2).fit_resample(IMAGES, np.eye(3, dtype=int)[Y])
    assert labels[12:].argmax(axis=1).tolist() == [1, 1, 2, 2, 2, 2]
    assert np.array_equal(images[12:], gen.sample({1: 2, 2: 4}, seed=2)[:, 0].numpy())


def test_whole_numbers_of_any_type_are_labels(gen: Generator) -> None:
    pandas = pytest.importorskip("pandas")
    expected, _ = SyntheticOverSampler(gen, random_state=2).fit_resample(IMAGES, Y)
    for y in (Y.astype(np.float64), Y.tolist(), pandas.Series(Y, dtype="Int64")):
        images, labels = SyntheticOverSampler(gen, random_state=2).fit_resample(IMAGES, y)
        assert np.array_equal(images, expected)
        assert list(labels[12:]) == [1, 1, 2, 2, 2, 2]


def test_missing_labels_are_refused(gen: Generator) -> None:
    pandas = pytest.importorskip("pandas")
    names = np.array(["boot", "sneaker", "bag"], dtype=object)[Y]
    names[7] = None
    for y in (names, pandas.Series(names, dtype="string"), np.where(Y == 1, np.nan, 1.0)):
        with pytest.raises(LabelError, match=r"that of row [67] is missing"):
            SyntheticOverSampler(gen).fit_resample(IMAGES, y)
    with pytest.raises(LabelError, match="one class in each row of y, but row 6 has 0"):
        SyntheticOverSampler(gen).fit_resample(IMAGES, np.eye(3, dtype=int)[Y] * (Y != 1)[:, None])


def test_classes_that_the_generator_never_saw_are_warned_of(gen: Generator) -> None:
    blind = copy.copy(gen)
    blind.provenance = {"unseen_classes": ["bag"]}
    with pytest.warns(DataWarning, match="'bag' of the classes had no training image"):
        SyntheticOverSampler(blind).fit_resample(IMAGES, Y)


def test_names_are_labels_too_and_unknown_ones_are_refused(gen: Generator) -> None:
    names = np.array(["boot", "sneaker", "bag"])[Y]
    _, labels = SyntheticOverSampler(gen).fit_resample(IMAGES, names)
    assert labels[12:].tolist() == ["bag"] * 4 + ["sneaker"] * 2
    with pytest.raises(LabelError, match="Did you mean 'sneaker'"):
        SyntheticOverSampler(gen).fit_resample(IMAGES, np.where(names == "sneaker", "sneakers", names))
    with pytest.raises(LabelError, match="from 0 to 2"):
        SyntheticOverSampler(gen).fit_resample(IMAGES, Y + 2)


def test_without_a_generator_one_is_trained_on_the_images_and_only_if_some_are_missing() -> None:
    sampler = SyntheticOverSampler(random_state=5, **QUICK)
    images, labels = sampler.fit_resample(IMAGES, np.array(["p", "q", "r"])[Y])
    data = synthaug.ImageDataset.from_arrays(IMAGES[..., None], Y, ["p", "q", "r"])
    same = synthaug.fit(data, "vae", steps=1, seed=5, progress=False, **QUICK["settings"])
    assert sampler.generator_.digest == same.digest
    assert np.array_equal(images[12:], same.sample({"q": 2, "r": 4}, seed=5)[:, 0].numpy())
    assert labels[12:].tolist() == ["q"] * 2 + ["r"] * 4
    unchanged, _ = sampler.fit_resample(IMAGES[4:8], Y[4:8])
    assert sampler.generator_ is None
    assert np.array_equal(unchanged, IMAGES[4:8])


def test_a_folder_is_loaded(gen: Generator, tmp_path: Path) -> None:
    save(gen, tmp_path / "run")
    loaded, _ = SyntheticOverSampler(tmp_path / "run", random_state=1).fit_resample(IMAGES, Y)
    given, _ = SyntheticOverSampler(gen, random_state=1).fit_resample(IMAGES, Y)
    assert np.array_equal(loaded, given)


def test_random_states_reproduce_and_differ(gen: Generator) -> None:
    def drawn(state: object) -> list[int]:
        images, _ = SyntheticOverSampler(gen, random_state=state).fit_resample(IMAGES, Y)
        return images[12:].ravel().tolist()

    assert drawn(1) != drawn(2)
    assert drawn(np.random.RandomState(1)) == drawn(np.random.RandomState(1))
    state = np.random.RandomState(1)
    assert drawn(state) != drawn(state)


def test_in_a_pipeline_only_training_images_reach_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    plain = synthaug.fit

    def watched(data: synthaug.ImageDataset, *args: object, **options: object) -> Generator:
        seen.append({image.tobytes() for image in data.images})
        return plain(data, *args, **options)

    monkeypatch.setattr(synthaug, "fit", watched)
    rows, y = IMAGES.reshape(12, 48), np.array([0] * 8 + [1] * 4)
    pipeline = make_pipeline(SyntheticOverSampler(image_shape=(8, 6), random_state=0, **QUICK), KNeighborsClassifier(1))
    scores = cross_val_score(pipeline, rows, y, cv=2, error_score="raise")
    assert len(scores) == len(seen) == 2
    assert not seen[0] & seen[1]


def test_it_can_be_cloned_and_pickled() -> None:
    sampler = SyntheticOverSampler("runs/x", sampling_strategy={1: 5}, image_shape=(8, 6), steps=7)
    for other in (clone(sampler), pickle.loads(pickle.dumps(sampler))):
        assert other.get_params() == sampler.get_params()


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (IMAGES / 255, r"whole numbers from 0 to 255, .* but got float64 from 0 to 1\. Scale them first"),
        (np.ones((12, 8, 6)), "from 1 to 1"),
        (IMAGES.astype(int) * 2, "int64 from 0 to 5"),
        (IMAGES.astype(int) - 9, "int64 from -9"),
        (np.full((12, 8, 6), "dark"), "but got <U4"),
        ((IMAGES // 2).astype(np.int8), "in a type that holds them, but got int8"),
        (np.zeros((12, 8, 6, 2), np.uint8), r"with C in 1, 3, .* but got X of shape \(12, 8, 6, 2\)"),
        (np.zeros((12, 3, 8, 6), np.uint8), "Channels come last"),
        (csr_matrix(IMAGES.reshape(12, 48)), "a sparse matrix: X.toarray"),
        ([[1, 2], [3]] * 6, "images of one size"),
    ],
)
def test_what_holds_no_pixels_is_refused(gen: Generator, pixels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        SyntheticOverSampler(gen).fit_resample(pixels, Y)


def test_rows_want_the_shape_of_an_image(gen: Generator) -> None:
    flat = IMAGES.reshape(12, 48)
    with pytest.raises(ConfigError, match="expected image_shape, as X holds rows of 48 pixels"):
        SyntheticOverSampler(gen).fit_resample(flat, Y)
    with pytest.raises(DataError, match=r"image_shape \(8, 8\) and X of shape \(12, 48\)"):
        SyntheticOverSampler(gen, image_shape=(8, 8)).fit_resample(flat, Y)
    with pytest.raises(DataError, match=r"image_shape \(3, 4, 4\) and .* Channels come last"):
        SyntheticOverSampler(gen, image_shape=(3, 4, 4)).fit_resample(flat, Y)
    with pytest.raises(DataError, match="12 images and 11 labels"):
        SyntheticOverSampler(gen).fit_resample(IMAGES, Y[:-1])


def test_dark_images_are_warned_of_where_their_scale_may_be_another(gen: Generator) -> None:
    with pytest.warns(DataWarning, match="the brightest of all pixels is 16 of 255"):
        SyntheticOverSampler(gen).fit_resample(IMAGES // 16 + 1.0, Y)


def test_settings_of_the_training_are_not_arguments_of_its_own() -> None:
    with pytest.raises(ConfigError, match="expected none of data, family, steps, seed, out, but got 'seed'"):
        SyntheticOverSampler(settings={"seed": 3}).fit_resample(IMAGES, Y)


def test_without_imbalanced_learn_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imblearn.over_sampling.base", None)
    monkeypatch.delitem(sys.modules, "synthaug.integrations.imblearn")
    with pytest.raises(MissingExtraError, match=r"pip install 'synthaug\[imblearn\]'"):
        import synthaug.integrations.imblearn  # noqa: F401
