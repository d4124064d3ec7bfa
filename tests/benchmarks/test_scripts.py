"""Benchmarks without an experiment file of their own, from command line to JSON, at a size that says nothing else."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are run from the checkout, not installed

import synthaug
from benchmarks.copies import __main__ as copies
from benchmarks.latent import anomalies, compress, edit, impute, restore, vary
from benchmarks.privacy import __main__ as privacy
from synthaug.curation import copies as detector_of_copies
from synthaug.data import ImageDataset
from synthaug.storage import read_json

CLASSES = ("1", "4", "7")
TRAIN, TEST = 110, 12  # of each class: a tenth of 110 is as many as a detector of anomalies sets its threshold by
RUNS: dict[str, dict[str, Any]] = {
    "vae": {"family": "vae", "warmup_steps": 1},
    "for_noise": {"family": "autoencoder", "corruption": "noise"},
    "for_halves": {"family": "autoencoder", "corruption": "downsample", "corruption_strength": 2},
}
TINY = {"steps": 2, "batch_size": 8, "width": 8, "latent_dim": 4, "class_dim": 4, "components": 2, "preview_every": 0}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with digits in train/ and test/, which the built-in ones do not come in, and generators of them."""
    folder = tmp_path_factory.mktemp("scripts")
    chosen = ImageDataset.load("digits").only(*CLASSES).few_shot(TRAIN + TEST)
    train, test = chosen.split(TRAIN / (TRAIN + TEST), seed=0)
    for split, data in (("train", train), ("test", test)):
        for number, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
            path = folder / "data" / split / data.classes[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0]).save(path)
    for name, settings in RUNS.items():
        synthaug.fit(train, out=folder / name, progress=False, **TINY, **settings)
    return folder


@dataclasses.dataclass(frozen=True)
class Script:
    """How to run a benchmark, and what its JSON must hold.

    Attributes:
        main: What is run.
        words: Its command line but for ``--out``; {work} is where the data and the generators are.
        number: Of the measured rows.
        rows: Takes them out of the JSON.
        pictures: Files that the options ask for.
    """

    main: Callable[[list[str]], None]
    words: str
    number: int
    rows: Callable[[dict[str, Any]], list[Any]]
    pictures: tuple[str, ...] = ()


SCRIPTS = {
    "copies": Script(
        copies.main,
        "digits --train-limit=60 --held-out=20 --copies=3",  # it splits what comes without splits
        8,  # the light changes, and two at once
        lambda found: list(found["kinds"].values()),
    ),
    "anomalies": Script(
        anomalies.main,
        "--source={work}/data --normal 1 7 --steps=2 --width=8 --latent-dim=4 --false-positive-rate=0.2"
        " --picture={work}/maps.png",
        2 * 5,  # normal classes; the detector, its two signs, and two others
        lambda found: [value for result in found["results"] for value in result["auroc"].values()],
        ("maps.png",),
    ),
    "compress": Script(
        compress.main,
        "{work}/vae {work}/for_noise --source={work}/data --images=14 --bits 3 6"
        " --picture={work}/codes.png --plot={work}/curves.png",
        2 * 2 * 3,  # generators, bits, codecs
        lambda found: [codec for run in found["runs"] for point in run["points"] for codec in point.values()],
        ("codes.png", "curves.png"),
    ),
    "edit": Script(
        edit.main,
        "{work}/vae --source={work}/data --per-class=4 --judge-per-class=12",
        4,  # images, reconstructions, and two ways to swap
        lambda found: list(found["results"].values()),
    ),
    "impute": Script(
        impute.main,
        "{work}/vae --source={work}/data --per-class=2 --number=2 --gradient-steps=2 --picture={work}/filled.png",
        3 * 6,  # masks; the mean, one completion, and four simple fills
        lambda found: [value for figures in found["masks"].values() for value in figures["psnr"].values()],
        ("filled.png",),
    ),
    "impute without labels": Script(
        impute.main,
        "{work}/vae --source={work}/data --per-class=2 --masks=half --number=2 --gradient-steps=2 --without-labels",
        6,
        lambda found: [value for figures in found["masks"].values() for value in figures["psnr"].values()],
    ),
    "restore": Script(
        restore.main,
        "{work}/vae {work}/for_noise {work}/for_halves --source={work}/data --images=6 --sigmas=0.2 --steps=2"
        " --pictures={work}/restored",
        3 + 1 + 1,  # the VAE does everything, the others what they were trained for
        lambda found: found["results"],
        (
            "restored/denoise_0.2_vae.png",
            "restored/upscale_2_vae.png",
            "restored/upscale_4_vae.png",
            "restored/denoise_0.2_for_noise.png",
            "restored/upscale_2_for_halves.png",
        ),
    ),
    "vary": Script(
        vary.main,
        "{work}/vae --source={work}/data --images=12 --number=2 --strengths 0 1 --model=test_resnet"
        " --classifier-steps=2 --picture={work}/variants.png",
        2 * 2,  # strengths, with the residual and without
        lambda found: found["variants"],
        ("variants.png",),
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_writes_all_that_it_measures(
    name: str, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector_of_copies, "_CHANGED", 21)  # learns from so many: else it would take most of the time
    script = SCRIPTS[name]
    script.main([*script.words.format(work=work).split(), f"--out={tmp_path / 'found.json'}"])
    found = read_json(tmp_path / "found.json")
    assert found["command"].startswith(f"python -m benchmarks.{'' if script.main is copies.main else 'latent.'}")
    assert found["benchmark"] == name.split()[0]
    assert found["versions"]["torch"]
    assert found["machine"]["cores"]
    rows = script.rows(found)
    assert len(rows) == script.number
    for row in rows:
        assert any(True for _ in numbers(row))
    assert all(map(math.isfinite, numbers(found)))
    for picture in script.pictures:
        with Image.open(work / picture) as image:
            image.load()
            assert len(set(image.convert("L").tobytes())) > 1


def numbers(value: Any) -> Iterator[float]:
    """Yield all numbers in a JSON."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers(part)
    elif isinstance(value, int | float):
        yield value


def test_planted_copies_are_of_the_training_split_and_alarms_of_the_test_split(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[ImageDataset] = []

    def measure(train: ImageDataset, held_out: ImageDataset, *_: Any) -> dict[str, Any]:
        given[:] = train, held_out
        return {}

    monkeypatch.setattr(copies, "_print", lambda result: None)
    monkeypatch.setattr(copies, "measure", measure)
    out = f"--out={tmp_path / 'found.json'}"
    copies.main([str(work / "data"), out])
    assert [len(data) for data in given] == [len(CLASSES) * TRAIN, len(CLASSES) * TEST]
    copies.main(["digits", out])  # comes without splits
    assert given[0].classes == given[1].classes
    assert len(given[1]) / 1797 == pytest.approx(0.3, abs=0.01)
    assert len(given[0]) + len(given[1]) == 1797
    copies.main(["digits", out, "--train-limit=50", "--held-out=20"])
    assert [len(data) for data in given] == [50, 20]


def test_variants_are_judged_by_the_names_of_classes(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nearest:
        """Says of an image what the nearest training image is."""

        def __init__(self, train: ImageDataset) -> None:
            self.train = train

        def logits(self, images: np.ndarray) -> np.ndarray:
            known, new = (part.reshape(len(part), -1).astype(float) for part in (self.train.images, images))
            nearest = np.square(new[:, None] - known).sum(-1).argmin(1)
            return np.eye(len(self.train.classes))[self.train.labels[nearest]]

    monkeypatch.setattr(vary, "fit_classifier", lambda train, **settings: (None, Nearest(train)))
    train = ImageDataset.load(work / "data", split="train")
    synthaug.fit(train.only(*reversed(CLASSES)), out=tmp_path / "turned", progress=False, **TINY, **RUNS["vae"])
    out = tmp_path / "found.json"
    words = [str(tmp_path / "turned"), f"--source={work / 'data'}", "--images=30", "--number=1", "--strengths=0"]
    vary.main([*words, f"--out={out}"])
    found = read_json(out)
    assert found["real"]["accuracy"] > 0.9
    kept = {row["keep_residual"]: row["kept"] for row in found["variants"]}
    assert kept[True] == found["real"]["accuracy"]  # at strength 0 and with the residual they are the images


@pytest.fixture
def private(work: Path, tmp_path: Path) -> list[str]:
    pytest.importorskip("opacus")
    small = "--epsilons 8 --steps=4 --batch-size=20 --width=8 --latent-dim=4 --per-class=12 --classifier-steps=2"
    places = [f"--source={work / 'data'}", f"--out={tmp_path / 'found.json'}", f"--pictures={tmp_path / 'pictures'}"]
    return [*small.split(), "--image-size=8", "--attacked=10", "--seeds=1", *places]


def test_the_cost_of_privacy_is_measured_once(
    private: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    privacy.main(private)
    found = read_json(out)
    assert found["command"].startswith("python -m benchmarks.privacy")
    assert found["versions"]["torch"]
    assert found["machine"]["cores"]
    assert list(found["rows"]) == ["ε = 8", "no privacy, normal prior", "no privacy, mixture prior"]
    assert all(map(math.isfinite, numbers(found)))
    assert 0 < found["runs"][0]["privacy"]["epsilon"] <= 8
    assert found["runs"][1]["privacy"] is None
    pictures = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert pictures == ["no_privacy_mixture_prior.png", "no_privacy_normal_prior.png", "ε_8.png"]

    monkeypatch.setattr(synthaug, "fit", lambda *_, **__: pytest.fail("trained again"))
    privacy.main(private)
    assert read_json(out)["runs"] == found["runs"]
    with pytest.raises(SystemExit):
        privacy.main([*private, "--per-class=13"])
    assert "another per_class: give another --out" in capsys.readouterr().err
    assert read_json(out)["runs"] == found["runs"]


def test_a_privacy_row_is_the_mean_of_its_seeds(
    private: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(epsilon: float | None, seed: int, *_: Any) -> list[dict[str, Any]]:
        return [{"row": str(epsilon), "asked": epsilon, "seed": seed, "accuracy": 0.5 + 0.2 * seed, "attack_auc": 0.5}]

    monkeypatch.setattr(privacy, "_measure", measure)
    privacy.main([*private, "--seeds=2"])
    rows = read_json(tmp_path / "found.json")["rows"]
    assert rows["8.0"] == pytest.approx(
        {
            "seeds": 2,
            "accuracy": 0.6,
            "accuracy_deviation": 0.1414,
            "attack_auc": 0.5,
            "attack_auc_deviation": 0.0,
        }
    )


def test_more_images_to_attack_than_there_are_is_said_before_training(
    private: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(synthaug, "fit", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(SystemExit):
        privacy.main([*private, f"--attacked={len(CLASSES) * TEST + 1}"])
    assert f"expected at most {len(CLASSES) * TEST}" in capsys.readouterr().err
