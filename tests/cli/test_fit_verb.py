"""`synthaug fit`: flags become arguments of the same names."""

from __future__ import annotations

import inspect
import json

import pytest
import yaml
from calling import call

import synthaug
from synthaug.cli import fit as verb
from synthaug.errors import TrainingInterrupted

TINY = ["--steps", 2, "--width", 4, "--latent-dim", 3, "--class-dim", 2, "--components", 1]


@pytest.fixture
def fitted(monkeypatch):
    """Replace training by a record of what it was asked for."""
    calls = []

    def fit(data, family, **settings):
        calls.append({"data": data, "family": family, **settings})
        if settings["out"] is not None and not settings["dry_run"]:
            settings["out"].mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr("synthaug.training.fit", fit)
    return calls


def test_flags_have_the_names_and_defaults_of_the_arguments():
    from synthaug.data import ImageDataset
    from synthaug.training import TrainingConfig, fit

    behind = dict(inspect.signature(ImageDataset.load).parameters) | dict(inspect.signature(fit).parameters)
    defaults = {name: parameter.default for name, parameter in behind.items()} | TrainingConfig().to_dict()
    for name, flag in inspect.signature(verb.run).parameters.items():
        if name not in ("ctx", "config", "source"):
            assert flag.default == defaults[name], name


def test_flags_and_fields_arrive(fitted, tmp_path):
    words = ["--horizontal-flip", "--beta=0.5", "--latent-dim", 8, "--encoder", "resnet10t", "--strict"]
    result = call("fit", *words, "digits", "--image-size", "16x12", "--out", tmp_path / "run", "--seed", 3)
    assert result.exit_code == 0, result.stderr
    (asked,) = fitted
    assert asked["data"].image_shape == (1, 16, 12)
    assert {name: asked[name] for name in ("horizontal_flip", "beta", "latent_dim", "encoder", "seed", "steps")} == {
        "horizontal_flip": True,
        "beta": 0.5,
        "latent_dim": 8,
        "encoder": "resnet10t",
        "seed": 3,
        "steps": 2000,
    }
    assert result.stdout == f"{tmp_path / 'run'}\n"


def test_unknown_settings_are_refused_with_close_names(fitted, tmp_path):
    for flag, close in (("--latent-dm", "latent_dim"), ("--batchsize", "batch_size"), ("--image-sise", "image_size")):
        result = call("fit", "digits", flag, 3, "--out", tmp_path / "run")
        assert result.exit_code == 2
        assert close in result.stderr
        assert result.stderr.startswith("error: ")
    assert fitted == []
    assert not (tmp_path / "run").exists()


def test_config_gives_defaults_and_flags_override(fitted, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(
        "source: digits\nsteps: 5\nbatch-size: 16\nimage_size: 16\nlatent_dim: 4\nbeta: 0.5\nstrict: true\n"
    )
    result = call("fit", "--config", file, "--steps", 9, "--beta", 0.25, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    (asked,) = fitted
    assert asked["data"].image_shape == (1, 16, 16)
    assert {name: asked[name] for name in ("steps", "batch_size", "latent_dim", "beta")} == {
        "steps": 9,
        "batch_size": 16,
        "latent_dim": 4,
        "beta": 0.25,
    }


def test_the_saved_config_repeats_the_run(fitted, tmp_path):
    call("fit", "digits", "--out", tmp_path / "a", "--steps", 7, "--beta", 0.5, "--image-size", "16x12")
    saved = tmp_path / "a" / "cli.yaml"
    assert yaml.safe_load(saved.read_text())["beta"] == 0.5
    result = call("fit", "--config", saved, "--out", tmp_path / "b")
    assert result.exit_code == 0, result.stderr
    first, second = ({k: v for k, v in asked.items() if k not in ("data", "out")} for asked in fitted)
    assert first == second
    assert fitted[0]["data"].digest == fitted[1]["data"].digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latent_dm: 3\n", "latent_dim"),
        ("- 1\n", "map settings"),
        ("a: [\n", "not valid YAML"),
        ("steps: many\n", "--steps"),
    ],
)
def test_wrong_config_files(fitted, tmp_path, text, message):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    result = call("fit", "digits", "--config", file, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert fitted == []


def test_missing_config_file_and_missing_out(fitted, tmp_path):
    result = call("fit", "digits", "--config", tmp_path / "no.yaml", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "cannot read" in result.stderr
    result = call("fit", "digits")
    assert result.exit_code == 2
    assert "--out" in result.stderr


def test_an_interrupted_run_keeps_its_settings_and_a_refused_one_touches_nothing(monkeypatch, tmp_path):
    out = tmp_path / "run"

    def interrupted(*_, **__):
        out.mkdir()
        raise TrainingInterrupted("saved at step 3; go on with --resume")

    monkeypatch.setattr("synthaug.training.fit", interrupted)
    assert call("fit", "digits", "--out", out, "--steps", 5).exit_code == 130
    before = (out / "cli.yaml").read_text()
    monkeypatch.undo()
    assert call("fit", "digits", "--out", out, "--steps", 6).exit_code == 2
    assert (out / "cli.yaml").read_text() == before

    def before_it_began(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("synthaug.training.fit", before_it_began)
    assert call("fit", "digits", "--out", out, "--steps", 7).exit_code == 130
    assert (out / "cli.yaml").read_text() == before


def test_dry_run_prints_and_writes_nothing(tmp_path):
    result = call("fit", "digits", *TINY, "--dry-run", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["model"]["latent_dim"] == 3
    assert printed["training"]["steps"] == 2
    assert printed["parameters"]["generator"] > 0
    assert list(tmp_path.iterdir()) == []


def test_fit_for_real(tmp_path):
    result = call("fit", "digits", *TINY, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'run'}\n"
    assert synthaug.load(tmp_path / "run").classes == tuple("0123456789")


def test_private_training_tells_what_it_spent(tmp_path):
    pytest.importorskip("opacus")
    words = [*TINY, "--privacy-epsilon", 3, "--privacy-delta", 1e-4, "--privacy-clip", 0.5, "--out", tmp_path / "run"]
    result = call("fit", "digits", *words)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'run'}\n"
    assert "(ε, δ) = (3, 0.0001) for one training image" in result.stderr
    privacy = synthaug.load(tmp_path / "run").privacy
    assert (privacy["delta"], privacy["clip"]) == (1e-4, 0.5)
    assert yaml.safe_load((tmp_path / "run" / "cli.yaml").read_text())["privacy_epsilon"] == 3
    result = call("fit", "digits", "--family", "gan", "--privacy-epsilon", 3, "--out", tmp_path / "gan")
    assert result.exit_code == 2
    assert "expected family 'vae'" in result.stderr
