"""`generate_curated`: counts are met or it is said, the same call gives the same output, in every format."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from synthaug.curation import BudgetError, BudgetWarning, Curation, generate_curated
from synthaug.curation.drawing import curated_bank
from synthaug.errors import ConfigError, DataWarning, GenerationInterrupted, LabelError, OutputExistsError
from synthaug.sampling import SampleBank, list_formats


def tree(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_counts_are_met_with_the_first_good_ones(listed, reference, tmp_path):
    gen = listed(wrong_every=2)
    bank = generate_curated(gen, reference, 12, filters="confidence", budget=6, out=tmp_path / "bank")
    assert bank.counts.tolist() == [12] * 10
    assert len(gen.decoded) == len(set(gen.decoded)), "nothing is decoded twice"
    told = bank.provenance["curation"]
    assert told["missing"] == {}
    assert told["budget"] == 6
    assert told["candidates"] == len(gen.decoded) == len(bank) + bank.rejected.num_rows + told["unused"]
    for label in range(10):
        indices = bank.table.column("index").to_numpy()[bank.labels == label]
        assert (np.diff(indices) > 0).all()
    for row, image in zip(bank.table.to_pylist(), bank.images, strict=True):
        assert (image == gen.images_by_class[row["label"]][row["index"] % 40]).all(), "image and name belong together"
    odd = bank.rejected.column("index").to_numpy() % 2
    assert (odd == 0).mean() > 0.7, "the mislabelled ones are rejected"
    good = bank.table.column("score_confidence").to_numpy()
    assert good.min() > 0


def test_a_bank_in_memory_holds_the_same_samples_with_the_same_weights(listed, reference, tmp_path):
    counts = {"1": 5, "7": 9}
    filters = Curation.make("confidence")
    written = generate_curated(listed(wrong_every=2), reference, counts=counts, filters=filters, out=tmp_path / "bank")
    kept = curated_bank(listed(wrong_every=2), filters.fit(reference), counts, seed=0)
    assert np.array_equal(kept.images, written.images)
    assert kept.labels.tolist() == written.labels.tolist() == [1] * 5 + [7] * 9
    assert np.array_equal(kept.weights, written.weights)
    assert len(np.unique(kept.weights)) > 2


def test_a_bank_in_memory_has_fewer_where_the_budget_is_too_small(listed, reference):
    filters = Curation.make("confidence").fit(reference)
    kept = curated_bank(listed(wrong_every=2), filters, {"1": 8, "7": 8}, seed=0, budget=1)
    assert 0 < len(kept) < 16
    noise = listed(noise_classes=(7,))
    assert len(curated_bank(noise, Curation.make("outlier").fit(reference), {"7": 3}, seed=0)) == 0


def test_only_classes_that_lack_are_drawn_on(listed, reference, tmp_path):
    gen = listed()
    gen.images_by_class[3][::2] = gen.images_by_class[4][::2]
    generate_curated(gen, reference, 12, filters="confidence", budget=4, out=tmp_path / "bank")
    drawn = np.bincount([label for label, _ in gen.decoded], minlength=10)
    assert drawn[3] == drawn.max()
    assert (drawn <= 48).all()


def test_the_end_of_the_budget_is_said_and_what_there_is_is_written(listed, reference, tmp_path):
    gen = listed(wrong_every=2)
    with pytest.warns(BudgetWarning, match=r"budget of 1 candidates a sample spent: '0' has \d+ of 10.*Raise budget"):
        bank = generate_curated(gen, reference, 10, filters="confidence", budget=1, out=tmp_path / "bank")
    missing = bank.provenance["curation"]["missing"]
    assert missing
    for label, name in enumerate(bank.classes):
        assert bank.counts[label] + missing.get(name, 0) == 10
    assert len(gen.decoded) == 100


def test_strict_and_empty_classes_are_errors_that_write_nothing(listed, reference, tmp_path):
    with pytest.raises(BudgetError, match=r"'0' has \d+ of 10.*Nothing was written"):
        generate_curated(
            listed(wrong_every=2), reference, 10, filters="confidence", budget=1, strict=True, out=tmp_path / "a"
        )
    with pytest.raises(BudgetError, match=r"'7' has 0 of 5 \(rejected by outlier: \d+\)"):
        generate_curated(listed(noise_classes=(7,)), reference, 5, filters="outlier", out=tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_same_call_same_bytes_in_every_format(listed, reference, tmp_path):
    assert list_formats() == ["bank", "imagefolder", "parquet", "webdataset"]
    trees = {}
    for format in list_formats():
        for run in "ab":
            out = tmp_path / f"{format}-{run}"
            made = generate_curated(
                listed(wrong_every=3), reference, counts={"1": 4, "5": 3}, filters="confidence", format=format, out=out
            )
            assert (made if format != "bank" else made.path) == out
            trees[format, run] = tree(out)
        assert trees[format, "a"] == trees[format, "b"]
    assert sum(name.endswith(".png") and "/" in name for name in trees["imagefolder", "a"]) == 7


def test_a_failure_leaves_nothing_and_the_same_call_does_it_again(listed, reference, tmp_path):
    broken = listed()
    whole, calls = broken.sample_named, []

    def sample_named(labels, indices, seed=0):
        calls.append(len(labels))
        if len(calls) > 1:
            raise KeyboardInterrupt
        return whole(labels, indices, seed)

    broken.sample_named = sample_named
    with pytest.raises(GenerationInterrupted, match="nothing was written"):
        generate_curated(broken, reference, 40, filters="confidence", out=tmp_path / "bank")
    assert list(tmp_path.iterdir()) == []
    bank = generate_curated(listed(), reference, 10, filters="confidence", out=tmp_path / "bank")
    assert len(bank) == 100


def test_selections_draw_more_than_they_keep(listed, reference, tmp_path):
    gen = listed()
    bank = generate_curated(gen, reference, 6, filters=("outlier", "diversity"), budget=4, out=tmp_path / "bank")
    assert bank.counts.tolist() == [6] * 10
    reasons = bank.rejected.column("reason").to_pylist()
    assert reasons.count("diversity") == 60, "of twice as many good ones half are kept"
    drawn = {(row["label"], row["index"]) for row in bank.rejected.to_pylist() + bank.table.to_pylist()}
    assert drawn <= set(gen.decoded)


def test_no_more_is_drawn_than_the_budget_allows_for_selections(listed, reference, tmp_path):
    gen = listed()
    bank = generate_curated(gen, reference, 6, filters=("diversity",), budget=1.5, out=tmp_path / "bank")
    assert bank.counts.tolist() == [6] * 10
    assert len(gen.decoded) == 90


def test_of_what_a_selection_cannot_choose_more_is_drawn(listed, reference, tmp_path):
    """Half of the samples are of other classes, which hardness, choosing among the others, never takes."""
    gen = listed(wrong_every=2)
    bank = generate_curated(gen, reference, 5, filters="hardness", budget=8, out=tmp_path / "bank")
    assert bank.counts.tolist() == [5] * 10
    assert bank.provenance["curation"]["missing"] == {}
    with pytest.warns(BudgetWarning, match="budget of 1 candidates"):
        generate_curated(listed(wrong_every=2), reference, 10, filters="hardness", budget=1, out=tmp_path / "few")


def test_the_picture_shows_what_selections_rejected(listed, reference, tmp_path, monkeypatch):
    from synthaug.curation import drawing

    shown = []

    class Watched(drawing.Gallery):
        def add(self, images, labels, reasons):
            shown.extend(zip(images, labels.tolist(), reasons.tolist(), strict=True))
            super().add(images, labels, reasons)

    monkeypatch.setattr(drawing, "Gallery", Watched)
    bank = generate_curated(listed(), reference, 4, filters="diversity", budget=4, out=tmp_path / "bank")
    assert {reason for _, _, reason in shown} == {-1, 0}
    kept = sorted(image.tobytes() for image, _, reason in shown if reason == -1)
    assert kept == sorted(image.tobytes() for image in bank.images), "what is shown as kept is kept"


def test_other_images_than_the_generators_are_told(listed, real_and_new, tmp_path):
    gen = listed()
    gen.provenance["dataset"] = {"name": "others", "digest": "0" * 64}
    settings = {"reference": {"steps": 20, "folds": 2}}
    with pytest.warns(DataWarning, match="trained on other images"):
        generate_curated(
            gen,
            real_and_new[0],
            counts={"0": 1},
            filters="confidence",
            settings=settings,
            budget=20,
            out=tmp_path / "b",
        )


def test_an_unfinished_run_is_found_before_anything_is_drawn(listed, reference, tmp_path):
    gen = listed()
    partial = tmp_path / ".bank.partial"
    partial.mkdir()
    (partial / ".synthaug.json").write_text('{"generator": "other"}')
    with pytest.raises(OutputExistsError, match="unfinished run with other settings"):
        generate_curated(gen, reference, 2, filters="confidence", out=tmp_path / "bank")
    assert gen.decoded == []
    assert len(generate_curated(gen, reference, 2, filters="confidence", overwrite=True, out=tmp_path / "bank")) == 20


def test_rejects_copies_of_training_images(listed, reference, real_and_new, tmp_path):
    gen = listed()
    train = real_and_new[0]
    gen.images_by_class[2][:20] = train.images[train.labels == 2][:20]
    bank = generate_curated(gen, reference, counts={"2": 8}, filters="duplicate", out=tmp_path / "bank")
    assert len(bank) == 8
    assert bank.table.column("index").to_numpy().min() >= 18


def test_samples_of_a_bank_with_a_picture_and_rejections(listed, reference, tmp_path):
    gen = listed(wrong_every=4)
    bank = generate_curated(gen, reference, 5, filters="confidence", budget=8, out=tmp_path / "bank")
    assert (bank.path / "rejected.png").is_file()
    again = SampleBank.open(bank.path)
    assert again.rejected.to_pylist() == bank.rejected.to_pylist() != []
    assert again.rejected.column("seed").to_pylist() == [0] * again.rejected.num_rows


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"budget": 0.5}, ConfigError, "budget: expected 1 candidate or more"),
        ({"format": "parket"}, ConfigError, "parquet"),
        ({"filters": "confidense"}, ConfigError, "Did you mean 'confidence'"),
        ({"counts": {"3": 2}}, ConfigError, "exactly one"),
        ({"per_class": None, "counts": {"x": 2}}, LabelError, "expected one of the 10 classes"),
        ({"seed": 0.5}, ConfigError, "seed"),
    ],
)
def test_wrong_requests_leave_nothing_behind(listed, reference, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        generate_curated(listed(), reference, **{"per_class": 2, "out": tmp_path / "out"} | arguments)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_stays(listed, reference, tmp_path):
    gen = listed()
    generate_curated(gen, reference, 3, filters="outlier", out=tmp_path / "bank")
    before = len(gen.decoded)
    with pytest.raises(OutputExistsError, match="already holds data"):
        generate_curated(gen, reference, 4, filters="outlier", out=tmp_path / "bank")
    assert len(gen.decoded) == before, "found out before anything is drawn"
    assert len(generate_curated(gen, reference, 4, filters="outlier", overwrite=True, out=tmp_path / "bank")) == 40
