"""`evaluate`: what memorises is called out, what does not is not, and everything that cannot be measured is said."""

from __future__ import annotations

import dataclasses
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

import synthaug
from synthaug.classifiers import Policy
from synthaug.curation.copies import CopyDetector
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataError, LabelError, OutputExistsError
from synthaug.evaluation import paired_difference
from synthaug.evaluation.assessment import assessing, pictures, utility
from synthaug.evaluation.assessment.chances import Chance
from synthaug.evaluation.assessment.closeness import Closeness
from synthaug.evaluation.assessment.inputs import Samples
from synthaug.evaluation.assessment.memorisation import Membership, Memorisation
from synthaug.evaluation.assessment.verdicts import judge
from synthaug.evaluation.quality import Fidelity
from synthaug.generators import make_generator
from synthaug.recommendation.answer import page
from synthaug.sampling import SampleBank
from synthaug.storage import read_json

SMALL = {"network": "test_resnet", "seeds": 0}
CLASSIFIER = {"model": "test_resnet", "augmentation": "none", "batch_size": 16, "input_size": 8}


@pytest.fixture(scope="module", autouse=True)
def _no_downloads():
    """Features of a random network: what is tested here does not depend on what it knows."""
    from synthaug.networks import features
    from synthaug.networks.pretrained import load_pretrained

    patch = pytest.MonkeyPatch()
    patch.setattr(features, "load_pretrained", lambda name: load_pretrained(name, weights=False, min_size=32))
    yield
    patch.undo()


@pytest.fixture(scope="module", autouse=True)
def _one_detector_a_dataset():
    """Fit the copy detector to the same images once."""
    from synthaug.evaluation.assessment import memorisation

    known = {}

    def detector(train, seed):
        if train.digest not in known:
            known[train.digest] = CopyDetector(train, seed=seed)
        return known[train.digest]

    patch = pytest.MonkeyPatch()
    patch.setattr(memorisation, "CopyDetector", detector)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def splits():
    """As many training images as held-out and new ones."""
    data = ImageDataset.load("digits").only("0", "1", "7").few_shot(120, seed=0)
    train, rest = data.split(1 / 3, seed=0)
    return train, *rest.split(0.5, seed=0)


def bank_of(data):
    return SampleBank.from_arrays(data.images, data.labels, data.classes)


def evaluate(samples, real, *others, out, **changes):
    console = Console(record=True, width=200, file=io.StringIO())
    return synthaug.evaluate(
        samples, real, *others, out=out, console=console, **(SMALL | changes)
    ), console.export_text()


@pytest.fixture(scope="module")
def memorised(splits, tmp_path_factory):
    """What is found when the samples are the training images."""
    train, held_out, _ = splits
    return evaluate(bank_of(train), train, held_out, out=tmp_path_factory.mktemp("evaluation") / "out")


def test_a_generator_that_memorises_is_called_out(memorised, splits):
    result, shown = memorised
    known = result.memorisation
    assert known.share == 1
    np.testing.assert_array_equal(known.nearest, np.arange(len(splits[0])))
    assert known.membership[0].auc.value > 0.99
    assert known.nearer_to_training.low > 0.9
    assert known.control.low < 0.5 < known.control.high + 0.1
    kinds = {finding.about: finding.kind for finding in result.findings}
    assert kinds["copies"] == kinds["membership"] == "worse"
    assert "near-copies of training images" in shown


def test_new_real_images_are_not(splits, tmp_path):
    train, held_out, new = splits
    result, _ = evaluate(bank_of(new), train, held_out, out=tmp_path / "out")
    known = result.memorisation
    assert known.share < 0.1
    assert known.membership[0].auc.low < 0.5
    assert known.nearer_to_training.low < 0.5
    kinds = {finding.about: finding.kind for finding in result.findings}
    assert kinds["copies"] != "worse"
    assert kinds["membership"] == "better"
    assert kinds["fidelity"] == "better", "real images are as like real images as can be"


def test_json_and_page_hold_everything(memorised):
    result, _ = memorised
    stored = read_json(result.out / "evaluation.json")
    assert len(stored["copies"]) == stored["samples"]["images"] == len(result.memorisation.copies)
    first = stored["copies"][0]
    assert re.fullmatch(r"[017] \d+", first["sample"]), "class and number"
    assert first["nearest_training_image"] == f"digits #{first['training_position']}"
    assert 0 <= first["distance"] < 1
    exact = [copy["training_position"] for copy in stored["copies"] if copy["distance"] < 5e-4]
    assert exact == list(range(len(stored["copies"]))), "exact copies in the samples' order"
    assert stored["memorisation"]["membership"][0]["auc"]["value"] == result.memorisation.membership[0].auc.value
    assert set(stored["fidelity"]["per_class"]) == {"0", "1", "7"}
    assert stored["utility"] is None
    assert {"torch", "synthaug", "torchmetrics"} <= set(stored["versions"])

    page = (result.out / "evaluation.html").read_text(encoding="utf-8")
    assert page.count("src='data:image/png;base64,") == 5, "bars, map, extremes, copies and pairs at random"
    assert not re.search(r"src|href|url\(|@import|https?:", re.sub(r"src='data:[^']*'", "", page))
    for finding in result.findings:
        assert finding.words in page
    assert str(result.out.parent) not in page


@pytest.mark.slow
def test_utility_is_measured_on_held_out_images(splits, tmp_path):
    train, held_out, new = splits
    swapped = SampleBank.from_arrays(new.images, (new.labels + 1) % 3, new.classes)
    arguments = {"seeds": 2, "steps": 40, "classifier": CLASSIFIER}
    good, _ = evaluate(bank_of(new), train, held_out, out=tmp_path / "good", **arguments)
    bad, shown = evaluate(swapped, train, held_out, out=tmp_path / "bad", **arguments)
    assert good.utility.mean("samples") > 0.8
    assert bad.utility.mean("samples") < 0.3, "labels that are wrong teach what is wrong"
    assert good.utility.real == bad.utility.real, "the same classifiers without samples"
    assert good.utility.gain.pairs == 2
    assert good.findings[0].about == "utility"
    assert f"{100 * bad.utility.mean('samples'):.1f} %" in shown
    stored = read_json(tmp_path / "bad" / "evaluation.json")["utility"]
    assert stored["classification_accuracy_score"] == list(bad.utility.samples)
    assert stored["recall"]["7"]["samples"] < 0.5
    assert stored["classifier"]["model"] == "test_resnet"
    assert stored["classifier"]["steps"] == 40


def test_answers_that_samples_change_at_random_are_no_gain(monkeypatch):
    """All classifiers see the same held-out images: by the seeds alone a third of these would be better or worse."""
    random = np.random.default_rng(0)
    images, labels = np.zeros((100, 8, 8, 1), np.uint8), np.arange(100) % 2
    data = ImageDataset.from_arrays(images, labels, ("a", "b"))
    verdicts = []
    for _ in range(100):
        wrong = {"real": random.random(100) < 0.2}
        wrong["both"] = wrong["real"] ^ (random.random(100) < np.where(wrong["real"], 0.48, 0.12))  # as many either way

        class Predicting:
            def __init__(self, arm, wrong=wrong):
                self.wrong = wrong[arm] ^ (random.random(100) < 0.01)

            def predictions(self, data):
                return np.where(self.wrong, 1 - data.labels, data.labels)

        monkeypatch.setattr(
            utility, "fit_classifier", lambda *_, bank, **__: (None, Predicting("real" if bank is None else "both"))
        )
        found = utility.measure_utility(
            Samples(images, labels, (), {}), data, data, seeds=range(5), policy=Policy(), settings={}
        )
        verdicts.append(found.gain.verdict)
    assert verdicts.count("unclear") >= 90


def test_without_held_out_images_it_says_what_is_missing(splits, tmp_path):
    train, _, new = splits
    result, _ = evaluate(bank_of(new), train, out=tmp_path / "out", seeds=2)
    assert result.utility is None
    assert result.closeness.reference is None
    assert result.memorisation.membership == ()
    assert result.memorisation.nearer_to_training is None
    assert any("--holdout" in note for note in result.missing)
    assert {finding.about for finding in result.findings} == {"copies", "fidelity"}
    assert "no held-out ones" in (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")


def test_a_generator_is_drawn_from_and_its_encoder_attacked(splits, tmp_path):
    train, held_out, _ = splits
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {"width": 4, "latent_dim": 3, "class_dim": 2, "components": 1}
        gen = make_generator("vae", train.classes, train.image_shape, options=options).eval()
    gen.provenance = {"dataset": {"name": "others", "digest": "0" * 64}}
    result, _ = evaluate(gen, train, held_out, out=tmp_path / "out", per_class=8)
    assert result.about["samples"]["family"] == "vae"
    assert result.about["samples"]["images"] == 24
    assert [attack.attack.split()[0] for attack in result.memorisation.membership] == ["distance", "reconstruction"]
    assert any("trained on other images (others)" in note for note in result.missing)
    assert any("biased upwards" in note for note in result.missing), "few samples are warned of"
    kinds = {finding.about: finding.kind for finding in result.findings}
    assert kinds["fidelity"] == "worse"


def test_another_tools_folder_is_matched_by_class_name(splits, tmp_path):
    train, held_out, new = splits
    for row in range(len(new)):
        image, label = new[row]
        folder = tmp_path / "fakes" / new.classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        image.resize((16, 16)).save(folder / f"{row:03d}.png")
    for row in range(3):  # three training images, as they are
        image, label = train[row]
        image.save(tmp_path / "fakes" / train.classes[label] / f"zz{row}.png")
    (tmp_path / "fakes" / "0" / "broken.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match="cannot be used"):
        result, _ = evaluate(tmp_path / "fakes", train, held_out, out=tmp_path / "out")
    assert result.about["samples"]["kind"] == "source"
    found = {copy.sample: copy.training_position for copy in result.memorisation.copies}
    planted = {f"{train.classes[train.labels[row]]}/zz{row}.png": row for row in range(3)}
    assert planted.items() <= found.items(), "copies are named by their files"
    few, _ = evaluate(bank_of(new), train, held_out, out=tmp_path / "few", per_class=9)
    assert few.about["samples"]["images"] == 27


def test_training_images_are_named_by_their_files(splits, tmp_path):
    train, held_out, _ = splits
    for row in range(30):
        image, label = train[row]
        folder = tmp_path / "real" / train.classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{row:03d}.png")
    result, _ = evaluate(bank_of(train.subset(np.arange(30))), tmp_path / "real", held_out, out=tmp_path / "out")
    files = {copy.sample_position: copy.nearest_training_image for copy in result.memorisation.copies}
    assert len(files) == 30
    assert files[4] == f"{train.classes[train.labels[4]]}/004.png"


def test_features_of_a_classifier_of_these_classes(splits, tmp_path):
    from synthaug.evaluation.assessment.features import features_by

    train, held_out, _ = splits
    features = features_by("classifier", train, model="test_resnet", steps=40, input_size=8, augmentation="none")
    found = features(held_out.images, False)
    assert found.shape[0] == len(held_out)
    means = np.stack([found[held_out.labels == label].mean(axis=0) for label in range(3)])
    nearest = np.linalg.norm(found[:, None] - means, axis=2).argmin(axis=1)
    assert (nearest == held_out.labels).mean() > 0.9


def test_what_does_not_fit_is_refused_before_anything_is_written(splits, tmp_path):
    train, held_out, new = splits
    bank, out = bank_of(new), tmp_path / "out"
    for error, words, arguments in (
        (DataError, "8×8", {"samples": bank, "image_size": 16}),
        (LabelError, "'3'", {"samples": SampleBank.from_arrays(new.images, new.labels, ["0", "1", "3"])}),
        (DataError, "all among the training images", {"holdout": train}),
        (DataError, "all among the training images", {"holdout": train.subset(np.arange(15))}),
        (LabelError, "'9'", {"holdout": ImageDataset.from_arrays(new.images, new.labels, ["0", "1", "9"])}),
        (DataError, "12 samples", {"samples": bank, "per_class": 2}),
        (DataError, "12 held-out", {"holdout": held_out.subset(np.arange(3))}),
        (ConfigError, "per_class", {"per_class": 0}),
        (ConfigError, "seeds", {"seeds": -1}),
        (ConfigError, "steps", {"steps": 0}),
        (ConfigError, "test_resnet", {"network": "test_resnt"}),
        (DataError, "there is no file or folder", {"samples": str(tmp_path / "runs" / "x")}),
    ):
        settings = {"samples": bank, "real": train, "holdout": held_out} | arguments
        with pytest.raises(error, match=words):
            evaluate(settings.pop("samples"), settings.pop("real"), settings.pop("holdout"), out=out, **settings)
        assert not out.exists()
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputExistsError, match="no evaluation of synthaug"):
            evaluate(bank, train, held_out, out=out, overwrite=overwrite)
    assert (out / "thesis.txt").is_file()
    (out / "thesis.txt").rename(out / "evaluation.json")
    with pytest.raises(OutputExistsError, match="no evaluation of synthaug"):
        evaluate(bank, train, held_out, out=out, overwrite=True)  # of that name, but another's
    (out / "evaluation.json").write_text('{"findings": [], "memorisation": {}}')
    with pytest.raises(OutputExistsError, match="overwrite"):
        evaluate(bank, train, held_out, out=out)
    evaluate(bank, train, held_out, out=out, overwrite=True)
    assert sorted(path.name for path in out.iterdir()) == ["evaluation.html", "evaluation.json"]


def test_intervals():
    from synthaug.evaluation.assessment.chances import area_under_curve, nearer

    random = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        chance = area_under_curve(random.normal(1, 1, 40), random.normal(0, 1, 60))
        covered.append(chance.low <= 0.7602 <= chance.high)  # Φ(1/√2)
    assert 0.9 < np.mean(covered) < 0.99
    assert area_under_curve(np.ones(5), np.ones(5)).value == 0.5, "ties count half"
    distances = random.random((40, 30))
    same = nearer(distances, random.random((40, 30)))
    assert same.low < 0.5 < same.high
    with pytest.raises(DataError, match="one shape"):
        nearer(distances, distances[:, :3])
    with pytest.raises(DataError, match="two finite scores"):
        area_under_curve(np.ones(1), np.ones(5))


def test_rare_classes_and_colour(tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (90, 12, 10, 3), dtype=np.uint8)
    labels = np.repeat([0, 1, 2], [60, 29, 1])
    train = ImageDataset.from_arrays(images[::2], labels[::2], ["a", "b", "c"])
    held_out = ImageDataset.from_arrays(images[1::2], labels[1::2], ["a", "b", "c"])
    fakes = random.integers(0, 256, (40, 12, 10, 3), dtype=np.uint8)
    result, _ = evaluate((fakes, np.repeat([0, 1], 20), ["a", "b"]), train, held_out, out=tmp_path / "out")
    assert set(result.closeness.fidelity.per_class) == {"a", "b"}
    picture = re.search(r"base64,([^']+)'", (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8"))
    import base64

    assert Image.open(io.BytesIO(base64.b64decode(picture[1]))).format == "PNG"


@pytest.mark.parametrize(
    ("precision", "coverage", "recall", "kind", "words"),
    [
        (0.8, 0.9, 0.8, "better", "as varied"),
        (0.85, 0.9, 0.1, "worse", "vary less"),
        (0.1, 0.9, 0.8, "worse", "unlike real images"),
        (0.8, 0.1, 0.8, "worse", "leave kinds"),
        (0.8, 0.9, 0.6, "unclear", "somewhat"),
    ],
)
def test_samples_that_lack_in_one_respect_are_not_called_like_real_ones(precision, coverage, recall, kind, words):
    def fidelity(precision: float, coverage: float, recall: float) -> Fidelity:
        return Fidelity(
            frechet_distance=1.0,
            kid=0.1,
            kid_std=0.1,
            kid_interval=(0.0, 0.2),
            precision=precision,
            recall=recall,
            density=1.0,
            coverage=coverage,
            reals=100,
            samples=100,
            features=8,
        )

    nothing = Memorisation((), 0.0, 0.0, np.zeros(100, np.int64), np.ones(100))
    found = fidelity(precision, coverage, recall)
    measured = Closeness(fidelity(0, 0, 0), sharpness=1.0, reference=fidelity(0.8, 0.95, 0.85), beside=found)
    *_, finding = judge(measured, nothing, None, 100, 50)
    assert finding.kind == kind
    assert words in finding.words


def test_new_real_images_are_measured_on_as_many_images_as_the_samples(splits, tmp_path):
    """With few training images, samples are measured on few beside them, and on all that there are by themselves."""
    train, held_out, new = splits
    few = train.few_shot(5, seed=0)
    result, shown = evaluate(bank_of(new), few, held_out, out=tmp_path / "out")
    measured = result.closeness
    assert measured.fidelity.samples == len(new)
    assert measured.beside.samples == measured.reference.samples == 15
    assert measured.beside.reals == measured.reference.reals == 15
    assert measured.beside.frechet_distance > measured.fidelity.frechet_distance, "biased upwards, for both alike"
    assert f"{measured.beside.frechet_distance:,.1f}" in shown
    assert {finding.about: finding.kind for finding in result.findings}["fidelity"] != "worse"
    stored = read_json(tmp_path / "out" / "evaluation.json")
    assert stored["fidelity_beside_real_images"]["samples"] == stored["fidelity_of_real_images"]["samples"] == 15


def test_two_training_images_a_class_leave_out_what_new_ones_would_reach(splits, tmp_path):
    train, held_out, new = splits
    few = train.only("0", "1").few_shot(2, seed=0)
    known = ImageDataset.from_arrays(held_out.images, held_out.labels, held_out.classes).only("0", "1")
    result, _ = evaluate(bank_of(new.only("0", "1")), few, known, out=tmp_path / "out")
    assert result.closeness.reference is None
    assert any("too few training images" in note for note in result.missing)


@pytest.mark.parametrize(
    ("control", "by_samples", "by_generator", "kind", "words"),
    [
        (0.5, 0.52, 0.70, "worse", "has the generator"),
        (0.73, 0.72, 0.70, "unclear", "differ without any samples"),
        (0.73, 0.95, 0.70, "worse", "has the samples"),
        (0.5, 0.52, 0.52, "better", "cannot tell"),
    ],
)
def test_images_that_differ_anyway_are_no_alarm(control, by_samples, by_generator, kind, words):
    def chance(value: float) -> Chance:
        return Chance(value, value - 0.03, value + 0.03)

    attacks = tuple(Membership("by it", chance(auc), 100, 100) for auc in (by_samples, by_generator))
    known = Memorisation((), 0.0, 0.0, np.zeros(9, np.int64), np.ones(9), membership=attacks, control=chance(control))
    perfect = Fidelity(1.0, 0.1, 0.1, (0.0, 0.2), 0.8, 0.8, 1.0, 0.8, 100, 100, 8)
    findings = {one.about: one for one in judge(Closeness(perfect, 1.0), known, None, 100, 50)}
    assert findings["membership"].kind == kind
    assert words in findings["membership"].words


def test_samples_that_reach_what_real_images_reach_are_like_them_be_it_nothing():
    known = Memorisation((), 0.0, 0.0, np.zeros(9, np.int64), np.ones(9))
    none = Fidelity(1.0, 0.1, 0.1, (0.0, 0.2), 0.8, 0.0, 1.0, 0.8, 100, 100, 8)
    some = dataclasses.replace(none, recall=0.8)
    for reference, kind in ((none, "better"), (some, "worse")):
        findings = {one.about: one for one in judge(Closeness(none, 1.0, reference, none), known, None, 100, 50)}
        assert findings["fidelity"].kind == kind


def test_a_class_may_be_named_like_a_formula():
    odd = r"$\x$"
    one = Fidelity(1.0, 0.1, 0.1, (0.0, 0.2), 0.8, 0.8, 1.0, 0.8, 100, 100, 8)
    drawn = pictures.class_bars(dataclasses.replace(one, per_class={odd: one}), None)
    assert Image.open(io.BytesIO(drawn)).format == "PNG"
    drawn = page.class_bars({odd: paired_difference([0.1, 0.2], [0.3, 0.3])})
    assert Image.open(io.BytesIO(drawn)).format == "PNG"


def test_real_images_are_brought_to_the_size_of_any_samples(splits, tmp_path):
    train, held_out, new = splits
    large = [
        ImageDataset.from_arrays(data.images.repeat(2, 1).repeat(2, 2), data.labels, data.classes)
        for data in (train, held_out)
    ]
    result, _ = evaluate((new.images, new.labels, new.classes), *large, out=tmp_path / "out")
    assert result.about["real"]["image_shape"] == [1, 8, 8]


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5])
def test_a_seed_that_cannot_be_used_is_refused_before_anything_is_measured(splits, tmp_path, seed):
    train, _, new = splits
    with pytest.raises(ConfigError, match="seed: expected an integer from 0"):
        evaluate(bank_of(new), train, out=tmp_path / "out", seed=seed)
    assert list(tmp_path.iterdir()) == []


def test_a_classifier_that_saw_the_training_images_does_not_judge_who_was_seen(splits, tmp_path, monkeypatch):
    monkeypatch.setattr(assessing, "DEFAULT_NETWORK", "test_resnet")
    train, held_out, new = splits
    by_network, _ = evaluate(bank_of(new), train, held_out, out=tmp_path / "network")
    settings = {"network": "classifier", "steps": 40, "classifier": CLASSIFIER}
    by_classifier, _ = evaluate(bank_of(new), train, held_out, out=tmp_path / "classifier", **settings)
    assert by_classifier.memorisation.membership == by_network.memorisation.membership
    assert by_classifier.memorisation.control == by_network.memorisation.control
    assert by_classifier.closeness.reference is None
    assert any("has seen the training images" in note for note in by_classifier.missing)


def test_a_test_part_that_is_taken_as_the_training_images_holds_nothing_out(splits, tmp_path):
    train, held_out, new = splits
    for part, images in (("train", train), ("test", held_out)):
        for row, (image, label) in enumerate(zip(images.images, images.labels, strict=True)):
            folder = tmp_path / "real" / part / train.classes[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[:, :, 0]).save(folder / f"{row:03d}.png")
    result, _ = evaluate(bank_of(new), tmp_path / "real", None, out=tmp_path / "out", split="test")
    assert result.about["held_out"] is None
    assert any("There are no held-out images" in note for note in result.missing)
