"""Families side by side: equal time, no run twice, failures told, and claims judged by their intervals."""

from __future__ import annotations

import io
import json
import re
import sys

import numpy as np
import pytest
from rich.console import Console

import synthaug
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataError, OutputExistsError, TrainingInterrupted
from synthaug.evaluation.comparison import page, runs, worker
from synthaug.evaluation.comparison.claims import CLAIMS, Claim, judge
from synthaug.evaluation.comparison.intervals import difference_interval, mean_interval, spread_ratio_interval
from synthaug.evaluation.comparison.splits import train_and_held_out
from synthaug.evaluation.comparison.summary import summarise
from synthaug.evaluation.comparison.task import GRID
from synthaug.storage import read_json

TINY = {
    "vae": {"width": 4, "latent_dim": 3, "class_dim": 2, "components": 1},
    "gan": {"width": 4, "latent_dim": 3, "class_dim": 2, "discriminator": "resnet", "discriminator_width": 4},
}
SMALLEST = {"minutes": 0.002, "seeds": 2, "samples": 20, "pairs": 0, "settings": TINY, "batch_size": 8}


@pytest.fixture(scope="module")
def data():
    return ImageDataset.load("digits").few_shot(10, seed=0)


@pytest.fixture
def launched(monkeypatch):
    """Do runs in this process, and keep a list of them."""
    done = []

    def launch(out, task, threads):
        done.append(task.name)
        return worker.main([str(out), task.name])

    monkeypatch.setattr(runs, "launch", launch)
    return done


@pytest.fixture
def quiet():
    return Console(record=True, width=160, file=io.StringIO())


def compare(data, out, console, families=("vae", "gan"), **changes):
    return synthaug.compare(data, families, out=out, console=console, **(SMALLEST | changes))


@pytest.mark.slow
def test_runs_table_page_and_json(data, tmp_path, launched, quiet):
    out = tmp_path / "compare"
    result = compare(data, out, quiet, pairs=4)
    assert launched == ["reals", "vae/seed0", "gan/seed0", "vae/seed1", "gan/seed1"]
    assert list(result.families) == ["vae", "gan"]
    for family in result.families.values():
        assert family.seeds == (0, 1)
        for key in ("frechet_distance", "kid", "recall", "coverage", "sharpness", "path_length", "training_speed"):
            assert len(family.values(key)) == 2
            assert np.isfinite(family.values(key)).all()
    assert result.reals.metrics["frechet_distance"].mean < result.families["gan"].metrics["frechet_distance"].mean

    stored = read_json(out / "compare.json")
    assert stored["families"]["vae"]["metrics"]["kid"]["per_seed"] == list(result.families["vae"].values("kid"))
    assert (stored["train_images"], stored["held_out_images"], stored["measured_on"]) == (80, 20, 20)
    assert stored["families"]["gan"]["runs"][0]["task"]["settings"] == json.dumps(
        {**TINY["gan"], "batch_size": 8}, sort_keys=True, separators=(",", ":")
    )
    assert {"torch", "synthaug", "torchmetrics"} <= set(stored["versions"])
    assert len(stored["findings"]) == len(CLAIMS)

    page = (out / "compare.html").read_text(encoding="utf-8")
    assert page.count("src='data:image/png;base64,") == 4, "real, two families and the seeds"
    assert not re.search(r"src|href|url\(|@import|https?:", re.sub(r"src='data:[^']*'", "", page))
    assert str(tmp_path) not in page
    assert "real (train)" in quiet.export_text()
    assert synthaug.load(out / "runs" / "vae" / "seed1" / "generator").family == "vae"

    launched.clear()
    again = compare(data, out, quiet, pairs=4)
    assert launched == [], "what is done is not done again"
    assert again.families["vae"].metrics == result.families["vae"].metrics
    with pytest.raises(OutputExistsError, match="another minutes"):
        compare(data, out, quiet, minutes=0.003, pairs=4)
    with pytest.raises(OutputExistsError, match="other images"):
        compare(data.few_shot(9), out, quiet)
    compare(data, out, quiet, families=["vae"], seeds=1, minutes=0.003, overwrite=True)
    assert launched == ["reals", "vae/seed0"]
    assert not (out / "runs" / "gan").exists()


def test_real_training_images_are_measured_against_those_held_out(data, tmp_path, monkeypatch, quiet):
    def launch(out, task, threads):
        return worker.main([str(out), task.name]) if task.family == "reals" else -9

    def pixels(images, network, cache=True):
        return images.reshape(len(images), -1).astype(np.float32)

    monkeypatch.setattr(runs, "launch", launch)
    monkeypatch.setattr(worker, "extract_features", pixels)
    dark, bright = (
        ImageDataset.from_arrays(part.images // 2 + brightness, part.labels, data.classes)
        for part, brightness in zip(data.split(0.5, seed=0), (0, 100), strict=True)
    )
    reals = compare(dark, tmp_path / "compare", quiet, families=["vae"], seeds=1, held_out=bright).reals
    assert reals.metrics["frechet_distance"].mean > 0.9 * 64 * 100**2, "each of 64 pixels is 100 brighter"
    assert reals.metrics["precision"].mean == reals.metrics["recall"].mean == reals.metrics["coverage"].mean == 0


def test_overwriting_leaves_what_no_comparison_wrote(data, tmp_path, monkeypatch, quiet):
    monkeypatch.setattr(runs, "launch", lambda *_: -9)
    project = tmp_path / "project"
    for name in ("data/train/data.json", "data/raw/precious.txt", "runs/mine/weights.txt"):
        (project / name).parent.mkdir(parents=True)
        (project / name).write_text('{"annotations": []}')
    for overwrite in (False, True):
        with pytest.raises(OutputExistsError, match="holds data, runs, but no comparison"):
            compare(data, project, quiet, families=["vae"], overwrite=overwrite)
    assert len([*project.rglob("*.*")]) == 3

    out = tmp_path / "compare"
    compare(data, out, quiet, families=["vae"], seeds=1)
    for name in ("runs/photos/1.png", "runs/vae/notes.txt", "data/raw/precious.txt"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("mine")
    compare(data, out, quiet, families=["gan"], seeds=1, overwrite=True)
    assert sorted(path.name for path in (out / "runs").iterdir()) == ["gan", "photos", "reals", "vae"]
    assert [path.name for path in (out / "runs" / "vae").iterdir()] == ["notes.txt"]
    assert (out / "data" / "raw" / "precious.txt").is_file()


def test_the_page_says_where_real_images_are_too_few_to_compare_with():
    assert "Fréchet" not in page._on_reals({"measured_on": 100, "reals_measured_on": 100})
    few = page._on_reals({"measured_on": 100, "reals_measured_on": 80})
    assert "There are 80 to measure, in place of 100: by that alone their Fréchet distance is larger" in few
    assert page._on_reals({"measured_on": 100, "reals_failure": "six or more"}).endswith("samples: six or more")


@pytest.mark.slow
def test_each_run_has_a_process_of_its_own(data, tmp_path, quiet, monkeypatch):
    def launch(out, task, threads, before=runs.launch):
        here = task.family == "reals"  # one process is enough to see
        return worker.main([str(out), task.name]) if here else before(out, task, threads)

    monkeypatch.setattr(runs, "launch", launch)
    result = compare(data, tmp_path / "compare", quiet, families=["vae"], seeds=1, threads=1)
    assert result.families["vae"].failures == {}
    assert result.families["vae"].metrics["peak_memory"].mean > 1e8, "libraries included"


def test_a_failed_run_is_told_and_the_others_go_on(data, tmp_path, launched, quiet, monkeypatch):
    out = tmp_path / "compare"

    def train(task, *_):
        if task.family == "gan":
            raise MemoryError("too large")
        raise ConfigError("expected luck")

    monkeypatch.setattr(worker, "_train", train)
    result = compare(data, out, quiet, seeds=1)
    assert result.families["gan"].failures == {0: "MemoryError: too large"}
    assert result.families["vae"].failures == {0: "expected luck"}
    page = (out / "compare.html").read_text(encoding="utf-8")
    assert "gan, seed 0: MemoryError: too large" in page
    assert {finding.verdict for finding in result.findings} == {"not measured"}
    assert "0/1" in quiet.export_text()
    launched.clear()
    compare(data, out, quiet, seeds=1)
    assert launched == ["vae/seed0", "gan/seed0"], "failed runs are tried again"


def test_a_killed_process_is_a_failure(data, tmp_path, monkeypatch, quiet):
    monkeypatch.setattr(runs, "launch", lambda *_: -9)
    result = compare(data, tmp_path / "compare", quiet, families=["vae"], seeds=1)
    assert "memory" in result.families["vae"].failures[0]
    assert result.reals is None


def test_an_interruption_says_how_to_go_on(data, tmp_path, monkeypatch, quiet):
    monkeypatch.setattr(runs, "launch", lambda *_: 130)
    with pytest.raises(TrainingInterrupted, match="0 of 2 runs are done"):
        compare(data, tmp_path / "compare", quiet, families=["vae"], seeds=1)


def test_a_finished_training_is_not_lost_with_its_measurement(data, tmp_path, launched, quiet, monkeypatch):
    out = tmp_path / "compare"
    monkeypatch.setattr(worker, "measure_fidelity", lambda *_, **__: 1 / 0)
    compare(data, out, quiet, families=["vae"], seeds=1)
    weights = (out / "runs" / "vae" / "seed0" / "generator" / "model.safetensors").stat().st_mtime_ns
    monkeypatch.undo()
    monkeypatch.setattr(runs, "launch", lambda out, task, threads: worker.main([str(out), task.name]))
    result = compare(data, out, quiet, families=["vae"], seeds=1)
    assert result.families["vae"].seeds == (0,)
    assert (out / "runs" / "vae" / "seed0" / "generator" / "model.safetensors").stat().st_mtime_ns == weights
    assert (out / "runs" / "vae" / "seed0" / GRID).is_file()


def test_settings_are_checked_before_anything_is_done(data, tmp_path, quiet, launched):
    for changes, words in (
        ({"families": ["vea"]}, "vae"),
        ({"families": ["vae", "vae"]}, "different families"),
        ({"settings": {"vae": {"widht": 3}}}, "width"),
        ({"settings": {"van": {"width": 3}}}, "van"),
        ({"settings": {"vae": {"minutes": 3}}}, "same for all"),
        ({"steps": 3}, "same for all"),
        ({"seeds": 0}, "seeds"),
        ({"minutes": 0}, "minutes"),
        ({"samples": 3}, "samples"),
    ):
        with pytest.raises(ConfigError, match=words):
            compare(data, tmp_path / "compare", quiet, **changes)
    assert launched == []
    assert not (tmp_path / "compare").exists()


def test_other_folders_are_left_alone(data, tmp_path, quiet, launched):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="no comparison"):
        compare(data, tmp_path, quiet, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_test_part_is_held_out_if_there_is_one(tmp_path):
    digits = ImageDataset.load("digits")
    train, rest = train_and_held_out("digits")
    assert (len(train), len(rest)) == (1438, 359)
    assert train.digest == digits.split(0.8, seed=0)[0].digest
    for part, rows in (("train", range(40)), ("test", range(40, 70))):
        for row in rows:
            image, label = digits[row]
            folder = tmp_path / part / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            image.save(folder / f"{row}.png")
    train, rest = train_and_held_out(str(tmp_path), 16)
    assert (len(train), len(rest), rest.image_shape) == (40, 30, (1, 16, 16))
    train, rest = train_and_held_out(str(tmp_path / "train"), 16, held_out=str(tmp_path / "test"))  # no part: a path
    assert (len(train), len(rest)) == (40, 30)
    with pytest.raises(DataError, match="no split"):
        train_and_held_out("digits", held_out="fashion")
    with pytest.raises(DataError, match="pass the part itself"):
        train_and_held_out(digits, held_out="test")
    ones, others = digits.only("1").split(0.8, seed=0)
    train, rest = train_and_held_out(ones, held_out=others.few_shot(15))
    assert (len(train), len(rest)) == (146, 15)
    with pytest.raises(DataError, match="classes"):
        train_and_held_out(digits, held_out=digits.only("1"))
    with pytest.raises(DataError, match="12 held-out"):
        train_and_held_out(digits.few_shot(2))


def test_measured_rows_keep_the_classes_shares():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    data = ImageDataset.from_arrays(np.zeros((1000, 4, 4), np.uint8), labels)
    rows = worker.balanced_rows(data, 100)
    assert len(np.unique(rows)) == 100
    np.testing.assert_allclose(np.bincount(labels[rows]), [60, 30, 10], atol=1)


def test_intervals_are_the_textbooks():
    from scipy import stats

    first, second = [3.0, 3.5, 2.7], [1.0, 1.1, 0.4, 0.9]
    welch = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert difference_interval(first, second)[1:] == pytest.approx((welch.low, welch.high))
    student = stats.ttest_1samp(first, 0).confidence_interval(0.95)
    assert mean_interval(first)[1:] == pytest.approx((student.low, student.high))
    ratio = spread_ratio_interval(first, second)
    assert ratio.estimate == pytest.approx(np.std(first, ddof=1) / np.std(second, ddof=1))
    assert ratio.low < ratio.estimate < ratio.high
    assert difference_interval([1.0], [2.0]).against(0) == "unclear"
    assert difference_interval([2.0, 2.0], [1.0, 1.0]).against(0) == "unclear", "few images, and no certainty"
    assert difference_interval([2.0, 2.0], [2.0, 2.0])[1:] == (0.0, 0.0)


def family(name, **values):
    """A family with the given values of its metrics, one a seed."""
    runs = {
        seed: {
            "fidelity": dict.fromkeys(("frechet_distance", "kid", "precision", "recall", "density", "coverage"), 0.5)
            | {"frechet_distance": distance},
            "sharpness": sharpness,
            "sampling": {"images_per_second": speed},
        }
        for seed, (distance, sharpness, speed) in enumerate(
            zip(values["distance"], values["sharpness"], values["speed"], strict=True)
        )
    }
    return summarise(name, runs, {})


def test_claims_are_judged_by_their_intervals():
    vae = family("vae", distance=[80, 81, 79], sharpness=[0.2, 0.21, 0.19], speed=[900, 910, 905])
    gan = family("gan", distance=[29, 60, 45], sharpness=[0.9, 0.95, 0.92], speed=[800, 805, 1200])
    diffusion = family("diffusion", distance=[30, 31, 29], sharpness=[0.8, 0.8, 0.8], speed=[5, 5, 6])
    families = {one.family: one for one in (vae, gan, diffusion)}
    sharper = Claim("A GAN is sharper.", "sharpness", "gan", "vae")
    assert judge(sharper, families).verdict == "holds"
    assert judge(Claim("A VAE is sharper.", "sharpness", "vae", "gan"), families).verdict == "does not hold"
    assert judge(Claim("Faster.", "sampling_speed", "gan", "vae"), families).verdict == "unclear"
    assert judge(Claim("Closest.", "frechet_distance", "*", "diffusion"), families).verdict == "unclear"
    assert judge(Claim("Closest.", "frechet_distance", "*", "vae"), families).verdict == "does not hold"
    two = {"vae": vae, "diffusion": diffusion}
    assert judge(Claim("Slowest.", "sampling_speed", "*", "diffusion"), two).verdict == "holds"
    assert judge(Claim("Smoother.", "path_length", "gan", "vae"), families).verdict == "not measured"
    assert judge(sharper, {"gan": gan}).verdict == "not measured"
    spread = judge(Claim("Stable.", "frechet_distance", "gan", "vae", "spread"), families)
    assert spread.verdict == "holds"
    assert "gan 34.7 %, vae 1.2 %, ratio 27.7" in spread.detail
    few = Claim("Stable.", "frechet_distance", "vae", "diffusion", "spread")
    assert judge(few, families).verdict == "unclear", "of three seeds only large differences are clear"
    detail = judge(sharper, families).detail
    assert detail.startswith("sharpness (real = 1): gan 0.92 ± 0.03, vae 0.20 ± 0.01, ratio 4.62 (95 % interval 4.1")
    recall = judge(Claim("More varied.", "recall", "gan", "vae"), families)
    assert recall.detail == "recall: gan 0.50, vae 0.50, difference +0.000 (95 % interval +0.000 … +0.000)."
    assert recall.verdict == "unclear"


def test_claims_speak_of_what_is_measured():
    from synthaug.evaluation.comparison.summary import METRICS

    keys = {metric.key for metric in METRICS}
    assert {claim.metric for claim in CLAIMS} <= keys


def test_memory_is_this_process_own():
    if not sys.platform.startswith("linux"):
        pytest.skip("measured otherwise here")
    before = worker.peak_memory()
    block = np.ones(50_000_000, dtype=np.uint8)
    assert worker.peak_memory() >= before
    assert len(block) < worker.peak_memory() < 1e11
