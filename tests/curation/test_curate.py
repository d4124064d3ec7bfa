"""`curate`: what is kept, what is said of the rest, and that nothing but the training split is looked at."""

from __future__ import annotations

import numpy as np
import pytest

import synthaug
from synthaug.curation import Curation, Reference, curate
from synthaug.curation.filters.confidence import Confidence
from synthaug.errors import ConfigError, DataError, DataWarning, LabelError, OutputExistsError
from synthaug.sampling import SampleBank


@pytest.fixture
def bank(real_and_new):
    """A hundred held-out digits, of which every tenth has another label, and ten noise images."""
    data = real_and_new[1].subset(np.arange(0, 400, 4))
    labels = np.array(data.labels)
    labels[::10] = (labels[::10] + 1) % 10
    noise = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 1), dtype=np.uint8)
    images, labels = np.concatenate([data.images, noise]), np.concatenate([labels, np.arange(10)])
    return SampleBank.from_arrays(images, labels, data.classes, provenance={"made": "by hand"})


def test_keeps_the_good_and_tells_name_scores_and_reason_of_the_rest(bank, reference):
    kept = curate(bank, reference, ("outlier", "confidence"))
    assert synthaug.curate is curate
    assert len(kept) + kept.rejected.num_rows == len(bank)
    assert {"score_confidence", "score_outlier", "weight"} <= set(kept.table.column_names)
    rows = kept.rejected.to_pylist()
    assert {row["reason"] for row in rows} == {"confidence", "outlier"}
    for row in rows:
        assert row["score_outlier"] is not None
        assert (row["score_confidence"] is None) == (row["reason"] == "outlier"), "filters after it do not judge"
    names = {(row["label"], row["index"]) for table in (kept.table, kept.rejected) for row in table.to_pylist()}
    assert names == {(row["label"], row["index"]) for row in bank.table.to_pylist()}
    noise = [row["reason"] for row in rows if row["index"] == bank.counts[row["label"]] - 1]
    assert noise.count("outlier") == 10, "the last of each class is noise"
    lowest = kept.table.column("score_confidence").to_numpy().min()
    assert lowest > min(row["score_confidence"] for row in rows if row["reason"] == "confidence")


def test_order_of_the_filters_decides_the_reason(bank, reference):
    first = curate(bank, reference, ("confidence", "outlier"))
    second = curate(bank, reference, ("outlier", "confidence"))
    assert (first.images == second.images).all()
    assert first.rejected.column("reason").to_pylist() != second.rejected.column("reason").to_pylist()


def test_provenance_tells_settings_thresholds_counts_and_what_was_looked_at(bank, reference):
    kept = curate(bank, reference, "confidence", settings={"confidence": {"quantile": 0.1}})
    told = kept.provenance["curation"]
    assert kept.provenance["made"] == "by hand"
    (filter_,) = told["filters"]
    assert filter_["settings"] == {"quantile": 0.1, "agree": True}
    assert set(filter_["thresholds"]) == set(bank.classes)
    assert told["reference"]["train"]["digest"] == reference.train.digest
    assert told["candidates"] == len(bank)
    assert sum(told["accepted"].values()) == len(kept)
    assert sum(of.get("confidence", 0) for of in told["rejected"].values()) == kept.rejected.num_rows


def test_on_disk_it_is_what_it_was_in_memory(bank, reference, tmp_path):
    memory = curate(bank, reference, ("confidence", "duplicate"))
    disk = curate(bank.save(tmp_path / "bank").path, reference, ("confidence", "duplicate"), out=tmp_path / "kept")
    again = SampleBank.open(tmp_path / "kept")
    assert (again.images == memory.images).all()
    assert again.table.to_pylist() == memory.table.to_pylist()
    assert again.rejected.to_pylist() == memory.rejected.to_pylist()
    assert again.weights.tolist() == memory.weights.tolist() == disk.weights.tolist()
    assert (tmp_path / "kept" / "rejected.png").is_file()
    with pytest.raises(OutputExistsError, match="curate"):
        curate(bank, reference, "confidence", out=tmp_path / "kept")


def test_weights_are_in_range_and_ones_without_curation(bank, reference):
    assert bank.weights.tolist() == [1.0] * len(bank)
    assert bank.rejected.num_rows == 0
    weights = curate(
        bank, reference, ("confidence",), settings={"confidence": {"quantile": 0.0, "agree": False}}
    ).weights
    assert weights.dtype == np.float32
    assert ((weights > 0) & (weights <= 1)).all()
    assert len(set(weights.tolist())) > 5
    assert set(curate(bank, reference, ("outlier",)).weights.tolist()) == {1.0}


def test_curating_again_keeps_the_earlier_rejections(bank, reference):
    once = curate(bank, reference, "outlier")
    twice = curate(once, reference, "confidence")
    reasons = twice.rejected.column("reason").to_pylist()
    assert reasons.count("outlier") == once.rejected.num_rows
    assert reasons.count("confidence") == len(once) - len(twice) > 0


@pytest.mark.parametrize("name", ["diversity", "hardness"])
def test_selections_keep_the_share_or_the_number(bank, reference, name):
    half = curate(bank, reference, name)
    assert half.counts.sum() <= np.ceil(bank.counts / 2).sum()
    three = curate(bank, reference, name, per_class=3)
    assert (three.counts <= 3).all()
    assert three.counts.sum() > 20
    one = curate(bank, reference, name, counts={"4": 2})
    assert one.counts.tolist() == [0, 0, 0, 0, 2, 0, 0, 0, 0, 0]


def test_two_selections_share_the_number_out(bank, reference):
    kept = curate(bank, reference, ("diversity", "hardness"), per_class=2)
    reasons = kept.rejected.column("reason").to_pylist()
    assert (kept.counts <= 2).all()
    assert reasons.count("hardness") > 0, "diversity leaves hardness a choice"


def test_classes_are_matched_by_name(bank, reference):
    order = np.roll(np.arange(10), 3)
    position = np.empty(10, dtype=int)
    position[order] = np.arange(10)
    moved = SampleBank.from_arrays(bank.images, position[bank.labels], [bank.classes[label] for label in order])
    first, second = curate(bank, reference, "confidence"), curate(moved, reference, "confidence")
    assert (first.images == second.images).all()
    assert first.provenance["curation"]["accepted"] == {
        name: second.provenance["curation"]["accepted"][name] for name in first.classes
    }


def test_a_filter_object_is_as_good_as_its_name(bank, reference):
    named = curate(bank, reference, "confidence", settings={"confidence": {"quantile": 0.4}})
    assert len(curate(bank, reference, (Confidence(quantile=0.4),))) == len(named)
    assert len(curate(bank, reference, Curation((Confidence(quantile=0.4),)))) == len(named)


@pytest.mark.filterwarnings("ignore:no sample is left")  # so few steps
def test_seeds_reproduce(bank, real_and_new, reference):
    settings = {"reference": reference.config.to_dict() | {"steps": 15}}
    train = real_and_new[0].few_shot(10, seed=0)
    first, second = (curate(bank, train, "confidence", settings=settings) for _ in range(2))
    assert first.table.to_pylist() == second.table.to_pylist()
    other = curate(bank, train, "confidence", settings=settings, seed=1)
    assert other.table.column("score_confidence") != first.table.column("score_confidence")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"filters": "confidense"}, ConfigError, r"filter among confidence.*Did you mean 'confidence'"),
        ({"filters": ()}, ConfigError, "one or more different filters, but got none"),
        ({"filters": ("outlier", "outlier")}, ConfigError, "different filters"),
        ({"filters": ("diversity", "outlier")}, ConfigError, "Put 'diversity' at the end"),
        ({"filters": "outlier", "settings": {"outlier": {"slak": 1}}}, ConfigError, "slack"),
        ({"filters": "outlier", "settings": {"confidence": {}}}, ConfigError, "expected those of outlier, reference"),
        ({"filters": "outlier", "settings": {"outlier": {"slack": 0.01}}}, DataError, "none of 110 samples"),
        ({"filters": "outlier", "per_class": 3}, ConfigError, "chooses among good samples"),
        ({"filters": "diversity", "per_class": 3, "counts": {"0": 1}}, ConfigError, "not both"),
        ({"filters": "outlier", "seed": -1}, ConfigError, "seed"),
    ],
)
def test_wrong_requests_say_what_to_do(bank, reference, arguments, error, message):
    with pytest.raises(error, match=message):
        curate(bank, reference, **arguments)


def test_training_images_that_do_not_fit_are_refused(bank, real_and_new, reference):
    with pytest.raises(LabelError, match="expected one of the 2 classes"):
        curate(bank, real_and_new[0].only(0, 1), "outlier")
    train = real_and_new[0]
    with pytest.raises(DataError, match="real training images of every class"):
        curate(bank, train.subset(train.labels != 4), "outlier")
    larger = SampleBank.from_arrays(np.zeros((2, 16, 16, 1), np.uint8), [0, 1], bank.classes)
    with pytest.raises(DataError, match=r"expected samples of shape \(8, 8, 1\)"):
        curate(larger, reference, "outlier")
    with pytest.raises(DataError, match="empty dataset"):
        Reference(train.subset([]))


def test_curation_goes_on_from_an_earlier_one(bank, reference):
    """Weights that other filters gave count on, and what was done before is told."""
    first = curate(bank, reference, "confidence")
    second = curate(first, reference, "outlier")
    kept = {image.tobytes(): weight for image, weight in zip(first.images, first.weights.tolist(), strict=True)}
    assert min(kept.values()) < 1
    for image, weight in zip(second.images, second.weights.tolist(), strict=True):
        assert weight == pytest.approx(kept[image.tobytes()])
    told = second.provenance["curation"]
    assert [one["name"] for one in told["before"]["filters"]] == ["confidence"]
    third = curate(second, reference, "outlier")
    assert third.weights.tolist() == second.weights[: len(third)].tolist(), "what weighs nothing leaves weights alone"
    again = curate(first, reference, "confidence")
    np.testing.assert_allclose(again.weights, first.weights[: len(again)], rtol=1e-6), "the same filter counts once"


def test_weights_of_a_bank_reach_the_loss(bank, real_and_new):
    import pyarrow as pa

    from synthaug.classifiers import Policy, fit_classifier

    train = real_and_new[0].few_shot(4, seed=0)
    noise = np.random.default_rng(1).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
    labels = np.arange(40) % 10

    def weighed(weight):
        table = pa.table({"label": labels, "weight": np.full(40, weight, np.float32)})
        return SampleBank.from_arrays(noise, labels, train.classes, table=table)

    settings = {"model": "test_resnet", "steps": 6, "batch_size": 16, "augmentation": "none"}
    half = Policy(replace_probability=0.5, loss_weight=0.5)

    def logits(bank, policy):
        return fit_classifier(train, bank=bank, policy=policy, **settings)[1].logits(noise)

    full = logits(weighed(1.0), Policy(replace_probability=0.5))
    light = logits(weighed(0.5), Policy(replace_probability=0.5))
    assert not np.allclose(full, light)
    assert np.allclose(light, logits(weighed(1.0), half)), "the policy's weight and the bank's multiply"


def test_a_class_of_which_nothing_is_left_is_warned_of(real_and_new, reference):
    zeros = real_and_new[1].only("0")
    labels = np.where(np.arange(len(zeros)) % 2, 0, 9)
    bank = SampleBank.from_arrays(zeros.images, labels, real_and_new[1].classes)
    with pytest.warns(DataWarning, match=r"no sample is left of '9' \(of '9', rejected by: confidence 20\)"):
        kept = curate(bank, reference, ("confidence",))
    assert kept.counts[9] == 0 < kept.counts[0]
