from __future__ import annotations

import io

import datasets
import datasets.distributed
import numpy as np
import pytest
from PIL import Image
from synthaug.integrations.datasets import SyntheticImages, add_synthetic

from synthaug.errors import ConfigError, DataError, LabelError
from synthaug.generators import make_generator
from synthaug.sampling import SampleBank
from synthaug.sampling.fit import fit

REAL = ("bag", "boot", "sneaker")


@pytest.fixture(autouse=True)
def _quiet():
    datasets.disable_progress_bars()


def jpeg(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(shade).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def real_rows(label=None, names=("picture", "kind"), **more) -> datasets.Dataset:
    image, kind = names
    columns = {image: [{"bytes": jpeg(i), "path": None} for i in range(3)], kind: [0, 1, 2]} | more
    features = {image: datasets.Image(), kind: label or datasets.ClassLabel(names=list(REAL))}
    if isinstance(features[kind], datasets.Value) and features[kind].dtype == "string":
        columns[kind] = list(REAL)
    features |= {name: datasets.Value("int64") for name in more}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def synthetic_rows(classes=("sneaker", "boot")) -> datasets.Dataset:
    count = len(classes)
    features = {
        "image": datasets.Image(),
        "label": datasets.ClassLabel(names=list(classes)),
        "generator": datasets.Value("string"),
        "index": datasets.Value("int64"),
    }
    columns = {
        "image": [np.full((4, 4), 9, np.uint8)] * count,
        "label": list(range(count)),
        "generator": ["abc"] * count,
        "index": list(range(count)),
    }
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def as_lists(rows) -> dict[str, list]:
    listed = [{name: value for name, value in row.items() if name != "picture"} for row in rows]
    return {name: [row[name] for row in listed] for name in listed[0]}


@pytest.mark.parametrize("streaming", [False, True])
def test_labels_follow_names_and_the_source_is_told(streaming):
    real = real_rows().to_iterable_dataset() if streaming else real_rows()
    joined = add_synthetic(real, synthetic_rows())
    assert type(joined) is type(real)
    assert joined.features["kind"].names == list(REAL)
    assert joined.features["source"].names == ["real", "synthetic"]
    assert as_lists(joined) == {
        "kind": [0, 1, 2, 2, 1],
        "source": [0, 0, 0, 1, 1],
        "generator": [None] * 3 + ["abc"] * 2,
        "index": [None] * 3 + [0, 1],
    }
    pictures = [np.array(row["picture"]) for row in joined]
    assert pictures[0].shape == (8, 8, 3)
    assert np.array_equal(pictures[4], np.full((8, 8, 3), 9))


@pytest.mark.parametrize("streaming", [False, True])
def test_real_images_are_not_encoded_anew(streaming):
    real = real_rows().to_iterable_dataset() if streaming else real_rows()
    joined = add_synthetic(real, synthetic_rows()).cast_column("picture", datasets.Image(decode=False))
    assert [row["picture"]["bytes"] for row in joined][:3] == [jpeg(i) for i in range(3)]


def pictures(images, name="picture", kind="kind", classes=REAL) -> datasets.Dataset:
    features = {name: datasets.Image(), kind: datasets.ClassLabel(names=list(classes))}
    labels = [number % len(classes) for number in range(len(images))]
    return datasets.Dataset.from_dict({name: list(images), kind: labels}, features=datasets.Features(features))


def shapes(rows) -> list[tuple[int, ...]]:
    return [np.array(row["picture"]).shape for row in rows]


NOISE = np.random.default_rng(0).integers(0, 256, (6, 12, 10), dtype=np.uint8)


def joined_with(real, kind: str, tmp_path):
    """Join with grey 12×10 samples from a bank, from rows, or from a stream."""
    bank = SampleBank.from_arrays(NOISE[..., None], np.arange(6) % 3, REAL)
    if kind == "bank":
        bank.save(tmp_path / "bank")
        return add_synthetic(real, tmp_path / "bank")
    rows = pictures(NOISE, "image", "label")
    return add_synthetic(*((real.to_iterable_dataset(), rows) if kind == "stream" else (real, rows)))


@pytest.mark.parametrize("kind", ["bank", "rows", "stream"])
def test_samples_take_the_real_images_size_and_mode(tmp_path, kind):
    joined = joined_with(real_rows(), kind, tmp_path)
    found = [np.array(row["picture"]) for row in joined]
    assert np.array_equal(found[3:], fit(NOISE[..., None], (3, 8, 8)))
    assert np.stack(found).shape == (9, 8, 8, 3)  # what a default collate does


@pytest.mark.parametrize("kind", ["bank", "rows", "stream"])
def test_where_real_images_differ_samples_keep_their_own(tmp_path, kind):
    def made(*real):
        joined = joined_with(pictures([np.zeros(shape, np.uint8) for shape in real]), kind, tmp_path)
        assert shapes(joined)[: len(real)] == list(real)
        (shape,) = set(shapes(joined)[len(real) :])
        return shape

    assert made((8, 8, 3), (8, 9, 3)) == (12, 10, 3)  # of one mode
    if kind != "bank":
        assert made((8, 8, 3), (8, 8)) == (8, 8)  # of one size
        assert made((8, 8, 3), (9, 8)) == (12, 10)
        assert made((8, 8, 4), (8, 8, 4)) == (8, 8)  # a bank holds nothing with transparency


def test_sizes_are_looked_for_all_over_a_table():
    real = pictures([np.zeros((8, 8), np.uint8)] * 100 + [np.zeros((9, 8), np.uint8)] * 20)
    assert set(shapes(add_synthetic(real, pictures(NOISE, "image", "label")))[120:]) == {(12, 10)}


def test_missing_images_and_formats_are_no_hindrance():
    real = pictures([None, np.zeros((8, 8, 3), np.uint8)]).with_format("numpy")
    samples = pictures([NOISE[0], None], "image", "label").with_format("numpy")
    joined = add_synthetic(real, samples)
    assert joined.format["type"] == "numpy"
    assert [None if row["picture"] is None else row["picture"].size for row in joined.with_format(None)] == [
        None,
        (8, 8),
        (8, 8),
        None,
    ]


def test_samples_that_fit_are_not_encoded_anew():
    samples = datasets.Dataset.from_dict(
        {"image": [{"bytes": jpeg(5), "path": None}] * 2, "label": [0, 1]},
        features=datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(REAL))}),
    )
    for real in (real_rows(), real_rows().to_iterable_dataset()):
        joined = add_synthetic(real, samples).cast_column("picture", datasets.Image(decode=False))
        assert [row["picture"]["bytes"] for row in joined][3:] == [jpeg(5)] * 2


def test_the_format_of_the_real_rows_stays():
    bank = SampleBank.from_arrays(np.zeros((2, 8, 8, 3), np.uint8), [0, 1], ["sneaker", "boot"])

    def shaded(rows):
        return {"mean": [np.asarray(image).mean() for image in rows["picture"]], "kind": rows["kind"]}

    joined = add_synthetic(real_rows().with_transform(shaded), bank)
    assert [set(row) for row in joined] == [{"mean", "kind"}] * 5
    assert joined[4]["mean"] == 0
    numbers = add_synthetic(real_rows().with_format("numpy"), bank)
    assert isinstance(numbers[4]["picture"], np.ndarray)
    assert numbers[4]["source"] is not None
    assert add_synthetic(real_rows(), bank).format["type"] is None
    assert set(add_synthetic(real_rows().with_format("numpy", columns=["kind"]), bank)[0]) == {"kind"}


def test_streams_stay_lazy():
    """Of the real rows a few are read to find their shape; of the synthetic ones none before their turn."""
    read = {"real": 0, "synthetic": 0}

    def rows(source, image):
        for number in range(50):
            read[source] += 1
            yield {"image": image, "label": number % 3}

    def stream(source, image):
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(REAL))})
        return datasets.IterableDataset.from_generator(
            rows, features=features, gen_kwargs={"source": source, "image": image}
        )

    joined = add_synthetic(stream("real", np.zeros((8, 8, 3), np.uint8)), stream("synthetic", NOISE[0]))
    assert read["real"] < 20
    assert read["synthetic"] == 0
    assert {np.array(row["image"]).shape for row in joined} == {(8, 8, 3)}


def test_names_that_differ_by_case_are_different_classes():
    real = real_rows(label=datasets.ClassLabel(names=["A", "a", "b"]))
    assert add_synthetic(real, synthetic_rows(("a", "A")))["kind"][3:] == [1, 0]


def test_unknown_classes_are_refused():
    with pytest.raises(LabelError, match="Did you mean 'sneaker'"):
        add_synthetic(real_rows(), synthetic_rows(("boot", "snaeker")))


def test_string_labels_stay_strings():
    joined = add_synthetic(real_rows(label=datasets.Value("string"), names=("image", "label")), synthetic_rows())
    assert joined["label"][:] == ["bag", "boot", "sneaker", "sneaker", "boot"]


def test_integer_labels_without_names_are_refused():
    with pytest.raises(LabelError, match="cast_column"):
        add_synthetic(real_rows(label=datasets.Value("int64"), names=("image", "label")), synthetic_rows())


def test_integer_labels_are_the_names_of_classes_that_were_learnt_from_them():
    real = real_rows(label=datasets.Value("int32"), names=("image", "label"))
    joined = add_synthetic(real, synthetic_rows(("2", "0")))
    assert joined["label"][:] == [0, 1, 2, 2, 0]
    assert joined.features["label"] == datasets.Value("int32")


def test_all_splits_of_a_dictionary_get_the_columns_and_train_the_rows():
    joined = add_synthetic(datasets.DatasetDict(train=real_rows(), test=real_rows()), synthetic_rows())
    assert {name: len(rows) for name, rows in joined.items()} == {"train": 5, "test": 3}
    assert joined["train"].features == joined["test"].features
    assert joined["test"]["source"][:] == [0, 0, 0]
    assert joined["test"]["generator"][:] == [None] * 3
    streams = datasets.IterableDatasetDict({name: real_rows().to_iterable_dataset() for name in ("train", "test")})
    joined = add_synthetic(streams, synthetic_rows())
    assert [len(list(joined[name])) for name in ("train", "test")] == [5, 3]
    with pytest.raises(DataError, match="Did you mean 'train'"):
        add_synthetic(datasets.DatasetDict(train=real_rows()), synthetic_rows(), split="trian")


def test_a_column_of_the_same_name_keeps_its_meaning():
    joined = add_synthetic(real_rows(index=[7, 8, 9]), synthetic_rows())
    assert joined["index"][:] == [7, 8, 9, None, None]
    assert joined["synthetic_index"][:] == [None, None, None, 0, 1]


def test_more_samples_can_be_added_later():
    joined = add_synthetic(add_synthetic(real_rows(), synthetic_rows()), synthetic_rows(("bag",)), label_column="kind")
    assert joined["source"][:] == [0, 0, 0, 1, 1, 1]
    assert joined["kind"][5] == 0


def test_a_foreign_source_column_is_refused():
    with pytest.raises(ConfigError, match="rename_column"):
        add_synthetic(real_rows(source=[1, 2, 3]), synthetic_rows())


def test_columns_are_found_or_named():
    real = real_rows(fine=[0, 1, 2]).cast_column("fine", datasets.ClassLabel(names=list(REAL)))
    with pytest.raises(DataError, match="label_column"):
        add_synthetic(real, synthetic_rows())
    assert add_synthetic(real, synthetic_rows(), label_column="fine")["fine"][:] == [0, 1, 2, 2, 1]
    with pytest.raises(DataError, match="Did you mean 'fine'"):
        add_synthetic(real, synthetic_rows(), label_column="fien")
    with pytest.raises(DataError, match="image_column"):
        add_synthetic(real.remove_columns("picture"), synthetic_rows(), label_column="fine")


def test_a_stream_cannot_join_a_table():
    with pytest.raises(DataError, match="to_iterable_dataset"):
        add_synthetic(real_rows(), synthetic_rows().to_iterable_dataset())


def test_a_subset_of_the_real_rows():
    joined = add_synthetic(real_rows().shuffle(seed=0).select([2, 0]), synthetic_rows())
    assert joined["source"][:] == [0, 0, 1, 1]


@pytest.mark.parametrize("streaming", [False, True])
def test_takes_our_builder(tmp_path, streaming):
    gen = make_generator("vae", ("sneaker", "boot"), (1, 8, 8), options={"width": 4, "latent_dim": 2})
    builder = SyntheticImages(gen, per_class=2, cache_dir=tmp_path)
    real = real_rows().to_iterable_dataset() if streaming else real_rows()
    rows = as_lists(add_synthetic(real, builder))
    assert rows["kind"] == [0, 1, 2, 2, 1, 2, 1]
    assert rows["source"] == [0] * 3 + [1] * 4
    assert rows["generator"][3:] == [gen.digest] * 4


def test_a_stream_keeps_its_format():
    joined = add_synthetic(real_rows().to_iterable_dataset().with_format("numpy"), synthetic_rows())
    assert {type(row["picture"]) for row in joined} == {np.ndarray}


def test_samples_of_several_label_columns_are_joined_by_the_name_of_the_real_one():
    columns = {"image": [np.full((4, 4), 9, np.uint8)] * 2, "coarse": [0, 0], "fine": [0, 1]}
    names = {"coarse": ["shoe"], "fine": ["boot", "sneaker"]}
    features = {"image": datasets.Image()} | {name: datasets.ClassLabel(names=of) for name, of in names.items()}
    rows = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    joined = add_synthetic(rows, rows, label_column="fine")
    assert joined["fine"][:] == [0, 1, 0, 1]


@pytest.mark.parametrize("kind", ["bank", "rows"])
def test_a_joined_stream_is_shuffled_batched_and_mapped(tmp_path, kind):
    for row in range(6):
        folder = tmp_path / "photos" / "train" / REAL[row % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row}.jpg").write_bytes(jpeg(row))
    real = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "photos"), split="train", streaming=True)
    bank = SampleBank.from_arrays(np.zeros((4, 8, 8, 3), np.uint8), [0, 0, 1, 1], ("sneaker", "boot"))
    joined = add_synthetic(real, bank if kind == "bank" else synthetic_rows())
    wanted = as_sets(joined)
    assert sum(source for _, source, _ in wanted) == (4 if kind == "bank" else 2)
    for way in (
        joined.shuffle(seed=0, buffer_size=9),
        joined.shuffle(seed=0, buffer_size=9).filter(lambda row: row["label"] < 9),
        joined.map(lambda rows: {"twice": [2 * label for label in rows["label"]]}, batched=True, batch_size=5),
    ):
        assert as_sets(way) == wanted
    (batch,) = joined.iter(batch_size=99)
    assert sorted(batch["source"]) == sorted(source for _, source, _ in wanted)


def as_sets(rows):
    return sorted((row["label"], row["source"], row.get("generator") or "") for row in rows)


def test_nothing_to_add_changes_nothing_but_the_source(tmp_path):
    nothing = SampleBank.from_arrays(np.zeros((0, 8, 8, 3), np.uint8), [], REAL)
    for real in (real_rows(), real_rows().to_iterable_dataset()):
        joined = add_synthetic(real, nothing)
        assert [row["kind"] for row in joined] == [0, 1, 2]
        assert [row["source"] for row in joined] == [0, 0, 0]


def test_all_splits_of_streams_keep_their_format():
    parts = {name: real_rows().to_iterable_dataset().with_format("numpy") for name in ("train", "test")}
    joined = add_synthetic(datasets.IterableDatasetDict(parts), synthetic_rows())
    assert all(isinstance(next(iter(joined[name]))["picture"], np.ndarray) for name in ("train", "test"))


def test_a_plain_dictionary_of_splits_stays_one():
    joined = add_synthetic({"train": real_rows(), "test": real_rows()}, synthetic_rows())
    assert {name: len(rows) for name, rows in joined.items()} == {"train": 5, "test": 3}


def test_what_cannot_be_joined_is_refused_with_what_to_do():
    stream = real_rows().to_iterable_dataset()
    part = datasets.distributed.split_dataset_by_node(stream, rank=0, world_size=2)
    for real, says in (
        ([1, 2], "expected a Dataset or IterableDataset"),
        (part, "before split_dataset_by_node"),
        (stream.map(lambda row: {"more": 1}), "pass features="),
    ):
        with pytest.raises(DataError, match=says):
            add_synthetic(real, synthetic_rows())
