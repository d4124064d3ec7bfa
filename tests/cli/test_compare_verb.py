"""`synthaug compare`: flags become arguments of the same names."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest
from calling import call

from synthaug.cli import compare as verb
from synthaug.cli.family_settings import family_settings
from synthaug.errors import ConfigError


@pytest.fixture
def compared(monkeypatch):
    """Replace the comparison by a record of what it was asked for; no GAN can be trained."""
    calls = []

    def compare(source, families, **arguments):
        calls.append({"source": source, "families": families, **arguments})
        arguments["out"].mkdir(parents=True, exist_ok=True)
        runs = {name: [{}] for name in families or ()} | {"gan": [{}] * (arguments["seeds"] - 1)}
        return SimpleNamespace(families={name: SimpleNamespace(runs=runs[name]) for name in families or ()})

    monkeypatch.setattr("synthaug.evaluation.compare", compare)
    return calls


def test_flags_have_the_names_and_defaults_of_the_arguments():
    from synthaug.evaluation import compare

    behind = inspect.signature(compare).parameters
    for name, flag in inspect.signature(verb.run).parameters.items():
        if name not in ("ctx", "config", "source", "out", "overrides"):
            assert flag.default == behind[name].default, name
    assert set(behind) - set(inspect.signature(verb.run).parameters) == {"console", "command", "training"}


def test_flags_and_settings_arrive(compared, tmp_path):
    out = tmp_path / "c"
    words = [
        "--seeds",
        2,
        "--families",
        "vae, gan",
        "--minutes",
        0.5,
        "--image-size",
        16,
        "--set",
        "gan.width=32",
        "--batch-size",
        8,
    ]
    result = call("compare", "digits", "--out", out, *words, "--set", "vae.latent-dim=4", "--threads", 1)
    assert result.exit_code == 0, result.stderr
    (asked,) = compared
    assert (asked["source"], asked["families"], asked["minutes"]) == ("digits", ["vae", "gan"], 0.5)
    assert asked["settings"] == {"gan": {"width": 32}, "vae": {"latent_dim": 4}}
    assert (asked["batch_size"], asked["image_size"], asked["threads"]) == (8, 16, 1)

    assert call("compare", "digits", "--out", tmp_path / "d", "--config", out / "cli.yaml").exit_code == 0
    assert {key: value for key, value in compared[1].items() if key not in ("out", "command")} == {
        key: value for key, value in asked.items() if key not in ("out", "command")
    }


def test_settings_come_from_a_file_and_are_overridden(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("gan: {width: 16, balance: 1.0}\n")
    assert family_settings(str(path), ["gan.width=8"]) == {"gan": {"width": 8, "balance": 1.0}}
    for wrong in ("gan", "gan.width", "gan=3", ".width=3"):
        with pytest.raises(ConfigError, match=r"FAMILY\.KEY=VALUE"):
            family_settings(None, [wrong])
    path.write_text("gan: 3\n")
    with pytest.raises(ConfigError, match="mapped to their settings"):
        family_settings(str(path))
    with pytest.raises(ConfigError, match="cannot read"):
        family_settings(str(tmp_path / "none.yaml"))


def test_unknown_flags_are_refused_with_close_names(compared, tmp_path):
    result = call("compare", "digits", "--out", tmp_path / "c", "--batchsize", 8)
    assert result.exit_code == 2
    assert "batch_size" in result.stderr
    assert not compared


def test_a_family_that_could_not_be_measured_is_told_by_the_exit_code(compared, tmp_path):
    for seeds, code in ((1, 1), (2, 0)):
        words = ("--families", "vae,gan", "--seeds", seeds, "--out", tmp_path / str(seeds))
        assert call("compare", "digits", *words).exit_code == code


def test_a_network_that_no_one_knows_is_refused_before_anything_is_trained(tmp_path):
    result = call("compare", "digits", "--network", "efficientnet_lite", "--out", tmp_path / "c")
    assert result.exit_code == 2
    assert "Did you mean 'efficientnet_lite" in result.stderr
    assert not (tmp_path / "c").exists()
