"""An anomaly detector learns from normal images alone, keeps its rate of false alarms, and is a scikit-learn one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataError, DataWarning
from synthaug.generators import make_generator, save
from synthaug.latent.anomalies.detector import AnomalyDetector
from synthaug.latent.anomalies.report import AnomalyReport

SETTINGS = {"width": 8, "latent_dim": 4, "class_dim": 2, "components": 1, "batch_size": 32, "learning_rate": 3e-3}


def untrained():
    torch.manual_seed(0)
    return make_generator("vae", ["a"], (1, 8, 8), options={"width": 4, "latent_dim": 3, "components": 1}).eval()


def unlike(data, known):
    """The images of a dataset that are not among those of another."""
    names = {image.tobytes() for image in known.images}
    return data.subset([row for row, image in enumerate(data.images) if image.tobytes() not in names])


@pytest.fixture(scope="module")
def all_digits():
    return ImageDataset.load("digits")


@pytest.fixture(scope="module")
def zeros(all_digits):
    return all_digits.only("0")


@pytest.fixture(scope="module")
def detector(zeros):
    return AnomalyDetector(steps=60, held_out=0.3, settings=SETTINGS).fit(zeros)


def test_other_digits_are_less_normal(detector, zeros, all_digits):
    others = all_digits.subset(all_digits.labels != 0).images[:200]
    assert np.mean(detector.predict(others) == -1) > 0.8
    assert np.mean(detector.predict(zeros) == 1) > 0.8
    scores = detector.score_samples(others)
    np.testing.assert_array_equal(detector.predict(others), np.where(scores >= detector.offset_, 1, -1))
    np.testing.assert_allclose(detector.decision_function(others), scores - detector.offset_)


def test_scores_do_not_depend_on_their_neighbours(detector, zeros):
    scores = detector.score_samples(zeros)
    np.testing.assert_allclose(detector.score_samples(zeros.images[5:7]), scores[5:7], rtol=1e-5)
    np.testing.assert_allclose(detector.score_samples(zeros.images[5:7, ..., 0]), scores[5:7], rtol=1e-5)


def test_the_threshold_keeps_its_rate(detector):
    scores = detector.held_out_scores_
    for rate in (0.05, 0.1, 0.5):
        below = np.mean(scores < detector.threshold_for(rate))
        assert rate - 2 / len(scores) <= below <= rate
    assert detector.offset_ == detector.threshold_for(0.05)
    with pytest.raises(ConfigError, match="normal images were held out"):
        detector.threshold_for(0.001)


def test_the_threshold_comes_from_images_that_training_did_not_see(detector, zeros):
    assert len(detector.held_out_scores_) == round(0.3 * len(zeros))
    assert detector.generator_.provenance["dataset"]["images"] == len(zeros) - len(detector.held_out_scores_)


def test_the_map_points_at_the_anomaly(detector, zeros):
    images = zeros.images[:8].copy()
    images[:, :2, :2] = 255
    maps = detector.anomaly_map(images)
    assert maps.shape == (8, 8, 8)
    rows, columns = np.unravel_index(maps.reshape(8, -1).argmax(axis=1), (8, 8))
    assert np.mean((rows < 3) & (columns < 3)) == 1
    assert maps.max() > 3 * detector.anomaly_map(zeros.images[:8]).max()


def test_long_codes_are_judged_by_their_leading_components(all_digits):
    torch.manual_seed(0)
    options = {"width": 4, "latent_dim": 20, "code": "map", "code_stride": 2, "components": 1}
    gen = make_generator("autoencoder", ["0"], (1, 8, 8), options=options).eval()
    detector = AnomalyDetector(gen).fit(all_digits.images[:150], calibration=all_digits.images[150:300])
    assert gen.latent_size == 320
    assert detector.covariance_.covariance_.shape == (128, 128)
    assert np.isfinite(detector.score_samples(all_digits.images[300:310])).all()


def test_conventions_of_scikit_learn(detector, zeros):
    fresh = clone(detector)
    assert fresh.get_params() == detector.get_params()
    with pytest.raises(NotFittedError):
        fresh.score_samples(zeros)
    assert fresh.set_params(steps=1, seed=3).steps == 1
    assert fresh.fit(zeros) is fresh


def test_a_trained_generator_is_only_calibrated(trained, digits, all_digits):
    data = digits.only("0", "1", "7")
    new = unlike(all_digits.only("0", "1", "7"), data)
    detector = AnomalyDetector(trained).fit(data, calibration=new)
    assert detector.generator_ is trained
    assert detector.labels_.tolist() == [0, 1, 2]
    assert len(detector.held_out_scores_) == len(new)
    only_one = AnomalyDetector(trained).fit(data.only("1"), calibration=new.only("1").images)
    assert only_one.labels_.tolist() == [1]
    assert only_one.score_samples(data.only("0")).mean() < only_one.score_samples(data.only("1")).mean()
    unnamed = AnomalyDetector(trained).fit(data.images, calibration=new)
    assert set(unnamed.labels_) <= {0, 1, 2}
    assert len(unnamed.labels_) > 1, "nothing says that arrays are of the class named 0"


def test_new_normal_images_are_flagged_no_more_often_than_promised():
    """Held-out images, by which the threshold is set, must look no more normal than new ones."""
    gen = untrained()
    random = np.random.default_rng(0)
    flagged = []
    for _ in range(30):
        images = random.integers(0, 256, (240, 8, 8, 1), dtype=np.uint8)
        detector = AnomalyDetector(gen, false_positive_rate=0.1).fit(images[:48], calibration=images[48:88])
        flagged.append((detector.predict(images[88:]) == -1).mean())
    assert np.mean(flagged) == pytest.approx(4 / 41, abs=0.03)  # the fourth lowest of 40


@pytest.fixture
def by_heart(monkeypatch):
    """Makes a generator that rebuilds some images nearly exactly, and all others badly."""

    def make(images):
        gen, known, shown = untrained(), {image.tobytes() for image in images}, []
        encode = gen.encode_images

        def encode_images(images, labels):
            shown[:] = images
            return encode(images, labels)

        def decode_codes(codes, labels):
            return np.stack([image - image // (64 if image.tobytes() in known else 2) for image in shown])

        monkeypatch.setattr(gen, "encode_images", encode_images)
        monkeypatch.setattr(gen, "decode_codes", decode_codes)
        return gen

    return make


def test_the_rate_holds_for_a_generator_that_knows_its_images_by_heart(by_heart):
    random = np.random.default_rng(0)
    promised, seen = [], []
    for _ in range(20):
        images = random.integers(0, 256, (220, 8, 8, 1), dtype=np.uint8)
        gen, new = by_heart(images[:40]), images[60:]
        detector = AnomalyDetector(gen, false_positive_rate=0.1).fit(images[:40], calibration=images[40:60])
        promised.append((detector.predict(new) == -1).mean())
        with pytest.warns(DataWarning, match="not known"):
            detector = AnomalyDetector(gen, held_out=0.5, false_positive_rate=0.1).fit(images[:40])
        seen.append((detector.predict(new) == -1).mean())
    assert 0.02 < np.mean(promised) < 2 / 21 + 0.03  # the second lowest of 20
    assert np.mean(seen) > 0.9, "else the warning is for nothing"


def test_images_that_the_generator_was_trained_on_set_no_threshold(zeros, all_digits):
    gen = untrained()
    new = all_digits.only("1")
    gen.provenance = {"dataset": {"name": "zeros", "digest": zeros.digest, "images": len(zeros)}}
    with pytest.raises(DataError, match=rf"all {len(zeros)} given.*calibration=Y"):
        AnomalyDetector(gen, held_out=0.3).fit(zeros)
    with pytest.raises(DataError, match=r"calibration: .* trained on these"):
        AnomalyDetector(gen).fit(new, calibration=zeros)
    assert len(AnomalyDetector(gen).fit(zeros, calibration=new).held_out_scores_) == len(new)
    with pytest.warns(DataWarning, match=r"trained on zeros, has seen .* is not known"):
        AnomalyDetector(gen, held_out=0.3).fit(new)
    # Trained on all digits, of which zeros are a part.
    gen.provenance = {"dataset": {"name": "digits", "digest": all_digits.digest}}
    with pytest.raises(DataError, match="trained on all"):
        AnomalyDetector(gen, held_out=0.3).fit(zeros)


def test_a_generator_trained_on_what_is_kept_serves_again(detector, zeros, tmp_path):
    save(detector.generator_, tmp_path / "gen")
    again = AnomalyDetector(str(tmp_path / "gen"), held_out=0.3).fit(zeros)
    np.testing.assert_allclose(again.held_out_scores_, detector.held_out_scores_, rtol=1e-4)
    by_hand = untrained()
    by_hand.provenance = {"dataset": {"digest": zeros.split(0.7, seed=0)[0].digest}}
    AnomalyDetector(by_hand, held_out=0.3).fit(zeros)
    with pytest.warns(DataWarning, match="not known"):
        AnomalyDetector(detector.generator_, held_out=0.3, seed=1).fit(zeros)


def test_with_calibration_a_generator_is_trained_on_all_others(zeros):
    half, other = zeros.split(0.5)
    detector = AnomalyDetector(steps=1, settings=SETTINGS).fit(half, calibration=other)
    assert detector.generator_.provenance["dataset"]["images"] == len(half)
    assert len(detector.held_out_scores_) == len(other)
    with pytest.raises(DataError, match="trained on all"):
        AnomalyDetector(detector.generator_, held_out=0.5).fit(half)
    with pytest.raises(DataError, match="other than X"):
        AnomalyDetector(steps=1).fit(zeros, calibration=other)
    with pytest.warns(DataWarning, match=f"{len(half)} of {len(zeros)} images"):
        AnomalyDetector(steps=1, settings=SETTINGS).fit(half, calibration=zeros)


def test_wrong_requests(zeros):
    with pytest.raises(DataError, match="calibration has 9"):
        AnomalyDetector().fit(zeros, calibration=zeros.images[:9])
    gan = make_generator("gan", ["a"], (1, 8, 8), options={"width": 4})
    with pytest.raises(ConfigError, match="encoder"):
        AnomalyDetector(gan, held_out=0.2).fit(zeros)
    with pytest.raises(ConfigError, match="family"):
        AnomalyDetector(family="gan", held_out=0.2).fit(zeros)
    with pytest.raises(ConfigError, match="false_positive_rate"):
        AnomalyDetector(false_positive_rate=5).fit(zeros)
    with pytest.raises(DataError, match="held-out"):
        AnomalyDetector().fit(zeros.images[:20])


def test_report_of_known_classes(detector, all_digits, tmp_path):
    data = all_digits.few_shot(8)
    report = AnomalyReport.make(detector, data, ["0"])
    figures = report.to_dict()
    assert figures["auroc"] > 0.9
    assert figures["anomalies"] == report.anomalies.sum()
    assert "auroc" not in AnomalyReport.make(detector, data).to_dict()
    report.save_table(tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text().splitlines()[0] == '"index","class","score","anomaly"'
    report.save_table(tmp_path / "scores.parquet")
    assert report.picture(4).size[0] > 100
    with pytest.raises(ConfigError, match="csv"):
        report.save_table(tmp_path / "scores.txt")


def test_scores_sum_up_their_signs(detector, zeros):
    np.testing.assert_allclose(-detector.signs(zeros).sum(axis=1), detector.score_samples(zeros))
