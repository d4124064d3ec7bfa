from __future__ import annotations

import importlib
import os
import sys

import albumentations as A
import numpy as np
import pytest
import torch
from synthaug.integrations import albumentations as module
from synthaug.integrations.albumentations import SyntheticReplace

from synthaug.errors import ConfigError, DataError, FormatError, LabelError, MissingExtraError
from synthaug.sampling import SampleBank

BASE = "synthaug.integrations._albumentations_base"
IMAGE = np.zeros((8, 8, 3), np.uint8)


def rows(pipeline, number=64, label=1) -> list[int]:
    """The row of the bank that came at each call, 0 where the image stayed."""
    images = [pipeline(image=IMAGE, label=label)["image"][0, 0] for _ in range(number)]
    return [int(image[1]) * 256 + int(image[2]) for image in images]


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 8, 1), (8, 8), (5, 11, 3), (6, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_every_layout_and_type(grey_bank, tmp_path, shape, dtype):
    grey_bank.save(tmp_path / "grey")
    image = np.zeros(shape, dtype)
    out = A.Compose([SyntheticReplace(tmp_path / "grey", p=1.0)])(image=image, label=2)["image"]
    assert (out.shape, out.dtype) == (shape, np.dtype(dtype))
    assert np.allclose(out, 110 if dtype == np.uint8 else 110 / 255)
    assert out.flags.writeable
    assert not image.any()


@pytest.mark.parametrize("label", [1, np.int64(1), torch.tensor(1), "sneaker"], ids=lambda x: type(x).__name__)
def test_labels_of_every_kind(bank_path, label):
    out = SyntheticReplace(bank_path, p=1.0)(image=IMAGE, label=label)
    assert out["image"][0, 0, 0] == 60
    assert out["label"] is label


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((3, 8, 8), np.uint8), "channels first"),
        (np.zeros((1, 8, 8), np.float32), "channels first"),
        (np.zeros((8, 8, 4), np.uint8), r"\(H, W, 3\)"),
        (np.zeros((8, 8, 3), np.float64), "float64"),
        (np.full((8, 8, 3), 255, np.float32), "before Normalize"),
        (np.full((8, 8, 3), -1, np.float32), "before Normalize"),
    ],
)
def test_what_the_library_lets_through_silently_is_refused(bank_path, image, reason):
    with pytest.raises(DataError, match=reason):
        SyntheticReplace(bank_path, p=1.0)(image=image, label=1)


@pytest.mark.parametrize(
    "extra",
    [
        {"mask": np.zeros((8, 8), np.uint8)},
        {"masks": [np.zeros((8, 8), np.uint8)]},
        {"bboxes": np.array([[0, 0, 4, 4, 1]], np.float32)},
        {"keypoints": np.array([[1, 1]], np.float32)},
        {"volume": np.zeros((2, 8, 8), np.uint8)},
        {"teeth": np.zeros((8, 8), np.uint8)},
    ],
    ids=lambda extra: next(iter(extra)),
)
def test_what_belongs_to_the_image_is_refused_even_when_it_is_not_replaced(bank_path, extra):
    pipeline = A.Compose([SyntheticReplace(bank_path, p=0.0)], additional_targets={"teeth": "mask"})
    with pytest.raises(DataError, match=next(iter(extra))):
        pipeline(image=IMAGE, label=1, **extra)


def test_labels_are_checked_even_when_the_image_is_not_replaced(bank_path):
    pipeline = A.Compose([SyntheticReplace(bank_path, p=0.0, label_key="y")])
    with pytest.raises(LabelError, match="expected the label as y"):
        pipeline(image=IMAGE, label=1)
    with pytest.raises(LabelError, match="from 0 to 2"):
        pipeline(image=IMAGE, y=3)
    with pytest.raises(LabelError, match="each of the 2 images"):
        pipeline(images=np.stack([IMAGE, IMAGE]), y=[1])


def test_settings_are_checked(bank, bank_path, tmp_path):
    with pytest.raises(ConfigError, match=r"bank\.save"):
        SyntheticReplace(bank)
    with pytest.raises(ValueError, match="less than or equal to 1"):
        SyntheticReplace(bank_path, p=2.0)
    with pytest.raises(FormatError, match="no such folder"):
        SyntheticReplace(tmp_path / "missing")
    with pytest.raises(LabelError, match="label 0"):
        SyntheticReplace(bank_path, classes=["bag", "sneaker", "boot"])


def test_serialises(bank_path, tmp_path):
    pipeline = A.Compose([SyntheticReplace(bank_path, 0.25, "y", ["boot", "sneaker", "bag"]), A.HorizontalFlip()])
    A.save(pipeline, tmp_path / "pipeline.json")
    for copy in (A.from_dict(A.to_dict(pipeline)), A.load(tmp_path / "pipeline.json")):
        assert (copy[0].bank_path, copy[0].p, copy[0].label_key) == (str(bank_path), 0.25, "y")
        assert copy[0].classes == ["boot", "sneaker", "bag"]
    assert "bank_path" in repr(pipeline)


def test_no_argument_is_unknown_to_the_librarys_check(bank_path):
    A.Compose([SyntheticReplace(bank_path, p=0.5, label_key="label")], strict=True)(image=IMAGE, label=1)


def test_a_seeded_compose_reproduces(bank_path):
    def pipeline(seed):
        return A.Compose([SyntheticReplace(bank_path, p=0.5), A.NoOp()], seed=seed)

    one, two = pipeline(7), pipeline(7)
    first = rows(one)
    assert first == rows(two)
    assert first != rows(pipeline(8))
    assert first != rows(one)  # the next epoch
    one.set_random_seed(7)
    assert rows(one) == first


def test_siblings_in_a_seeded_compose_are_not_correlated(bank_path):
    pipeline = A.Compose([SyntheticReplace(bank_path, p=0.5), SyntheticReplace(bank_path, p=0.5)], seed=7)
    first, second = pipeline
    a = [first(image=IMAGE, label=1)["image"].any() for _ in range(400)]
    b = [second(image=IMAGE, label=1)["image"].any() for _ in range(400)]
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.2


def test_without_a_seed_torchs_state_decides(bank_path):
    pipeline = A.Compose([SyntheticReplace(bank_path, p=0.5)])
    torch.manual_seed(0)
    first, second = rows(pipeline), rows(pipeline)
    torch.manual_seed(0)
    assert rows(pipeline) == first
    assert first != second
    assert 15 < sum(row > 0 for row in first) < 49


def test_a_shared_random_state_is_followed(bank_path):
    pipeline = A.Compose([SyntheticReplace(bank_path, p=1.0)], seed=0)
    runs = []
    for _ in range(2):
        pipeline.set_random_state(np.random.default_rng(5), None)
        pipeline.py_random = __import__("random").Random(0)
        runs.append(rows(pipeline, 20))
    assert runs[0] == runs[1]


def test_each_image_of_a_batch_is_drawn_for(bank_path):
    torch.manual_seed(0)
    pipeline = A.Compose([SyntheticReplace(bank_path, p=0.5)])
    images = np.zeros((200, 8, 8, 3), np.uint8)
    out = pipeline(images=images, label=np.arange(200) % 3)["images"]
    replaced = out[:, 0, 0, 0] > 0
    assert 70 < replaced.sum() < 130
    assert np.array_equal(out[replaced, 0, 0, 0], (np.arange(200) % 3 * 50 + 10)[replaced])
    assert not images.any()


def test_inside_one_of(bank_path):
    pipeline = A.Compose([A.OneOf([SyntheticReplace(bank_path, p=0.2)], p=1.0)])
    assert all(row > 0 for row in rows(pipeline, 20))


def test_a_class_without_samples_stays_real(tmp_path):
    SampleBank.from_arrays(np.full((1, 8, 8, 1), 9, np.uint8), [0], ["full", "empty"]).save(tmp_path / "b")
    replace = SyntheticReplace(tmp_path / "b", p=1.0)
    assert replace(image=IMAGE, label=0)["image"].max() == 9
    assert replace(image=IMAGE, label=1)["image"].max() == 0


def test_the_import_looks_no_version_up(monkeypatch, tmp_path):
    assert os.environ["NO_ALBUMENTATIONS_UPDATE"] == "1"
    (tmp_path / "albumentations.py").write_text(
        "import os\nraise ImportError('switch=' + os.environ.get('NO_ALBUMENTATIONS_UPDATE', 'unset'))\n"
    )
    monkeypatch.delenv("NO_ALBUMENTATIONS_UPDATE")
    monkeypatch.delitem(sys.modules, "albumentations")
    monkeypatch.delitem(sys.modules, BASE)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r"switch=1.*pip install 'albumentations"):
        importlib.reload(module)


def test_the_successor_of_another_licence_is_named(monkeypatch, tmp_path):
    (tmp_path / "albumentationsx-2.1.0.dist-info").mkdir()
    (tmp_path / "albumentationsx-2.1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: albumentationsx\nVersion: 2.1.0\n"
    )
    monkeypatch.delitem(sys.modules, BASE)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match="pip uninstall albumentationsx"):
        importlib.reload(module)


@pytest.mark.filterwarnings("ignore:.*ReplayMode.*:UserWarning")
def test_a_replay_gives_the_same_sample(bank_path):
    pipeline = A.ReplayCompose([SyntheticReplace(bank_path, p=0.5)])
    for _ in range(8):
        out = pipeline(image=IMAGE, label=1)
        again = A.ReplayCompose.replay(out["replay"], image=IMAGE, label=1)
        assert np.array_equal(again["image"], out["image"])


@pytest.mark.filterwarnings("ignore:.*ReplayMode.*:UserWarning")
def test_a_replay_for_another_class_is_refused(bank_path):
    pipeline = A.ReplayCompose([SyntheticReplace(bank_path, p=1.0)])
    out = pipeline(image=IMAGE, label=1)
    with pytest.raises(LabelError, match="labels of the call that is replayed"):
        A.ReplayCompose.replay(out["replay"], image=IMAGE, label=0)
    many = pipeline(images=np.stack([IMAGE] * 2), label=[0, 1])
    again = A.ReplayCompose.replay(many["replay"], images=np.stack([IMAGE] * 2), label=[0, 1])
    assert np.array_equal(again["images"], many["images"])
    with pytest.raises(LabelError, match="labels of the call that is replayed"):
        A.ReplayCompose.replay(many["replay"], images=np.stack([IMAGE] * 2), label=[1, 1])
