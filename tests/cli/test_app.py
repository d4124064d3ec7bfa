"""The command itself: quick help, clean errors, exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from calling import call
from PIL import Image

import synthaug
from synthaug.errors import DivergenceError, GenerationInterrupted, LabelError, TrainingInterrupted

HEAVY = ("torch", "torchvision", "timm", "datasets", "sklearn", "matplotlib", "pyarrow", "numpy", "albumentations")


def test_help_names_the_verbs_and_imports_nothing_heavy():
    resource = pytest.importorskip("resource")
    script = (
        "import sys\nsys.argv = ['synthaug', '--help']\nfrom synthaug.cli import main\n"
        f"try:\n    main()\nfinally:\n    print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    costs = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    for verb in ("fit", "generate", "demo"):
        assert verb in done.stdout
    assert done.stderr.strip() == "[]"
    assert min(costs) < 0.5, "processor seconds of --help"


@pytest.mark.parametrize("verb", ["fit", "generate", "demo"])
def test_help_of_a_verb(verb):
    result = call(verb, "--help")
    assert result.exit_code == 0
    assert "--out" in result.stdout


def test_version():
    result = call("--version")
    assert (result.exit_code, result.stdout) == (0, f"synthaug {synthaug.__version__}\n")


@pytest.mark.parametrize(
    ("error", "code", "start"),
    [
        (LabelError("no such class"), 2, "error: no such class"),
        (DivergenceError("NaN\nin the loss"), 2, "error: NaN in the loss"),
        (TrainingInterrupted("go on with --resume"), 130, "go on with --resume"),
        (GenerationInterrupted("run it again"), 130, "run it again"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_errors_are_one_line_on_stderr(monkeypatch, tmp_path, error, code, start):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("synthaug.training.fit", fail)
    result = call("fit", "digits", "--out", tmp_path / "run")
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr == f"{start}\n"


def test_errors_of_the_program_keep_their_traceback(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("synthaug.evaluation.demo.run_demo", fail)
    assert isinstance(call("demo", "--out", tmp_path / "demo").exception, ZeroDivisionError)


def test_demo_passes_its_flags_on(monkeypatch, tmp_path):
    seen = {}
    monkeypatch.setattr("synthaug.evaluation.demo.run_demo", lambda out, **flags: seen.update(flags, out=out))
    call("demo", "--out", tmp_path / "d", "--seeds", 2, "--steps", 7, "--overwrite")
    assert seen["out"] == tmp_path / "d"
    assert (seen["seeds"], seen["steps"], seen["overwrite"]) == (2, 7, True)
    assert "family" not in seen, "the function knows its defaults"


def test_demo_knows_the_flags_of_the_function():
    import inspect

    from synthaug.cli import demo
    from synthaug.evaluation.demo import run_demo

    assert set(inspect.signature(demo.run).parameters) <= set(inspect.signature(run_demo).parameters)


def test_an_interrupted_demo_says_what_that_means_for_it(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise TrainingInterrupted("go on with --resume")  # which the demo does not have

    monkeypatch.setattr("synthaug.evaluation.demo.run_demo", fail)
    result = call("demo", "--out", tmp_path / "demo")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "the demo was interrupted, and nothing is kept. The same command begins anew.\n"


def test_a_place_that_cannot_be_written_to_is_said_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SYNTHAUG_CACHE", str(tmp_path / "file"))
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    Image.new("L", (8, 8)).save(folder / "1.png")
    result = call("fit", folder.parent, "--family", "vae", "--steps", 1, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "SYNTHAUG_CACHE" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1
