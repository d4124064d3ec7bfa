from __future__ import annotations

import io

import datasets
import numpy as np
import pytest
from PIL import Image
from synthaug.integrations.datasets import SyntheticImages, add_synthetic

from synthaug.errors import ConfigError, DataError, LabelError
from synthaug.generators import make_generator

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
    assert pictures[4].tolist() == np.full((4, 4), 9).tolist()


@pytest.mark.parametrize("streaming", [False, True])
def test_real_images_are_not_encoded_anew(streaming):
    real = real_rows().to_iterable_dataset() if streaming else real_rows()
    joined = add_synthetic(real, synthetic_rows()).cast_column("picture", datasets.Image(decode=False))
    assert [row["picture"]["bytes"] for row in joined][:3] == [jpeg(i) for i in range(3)]


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
