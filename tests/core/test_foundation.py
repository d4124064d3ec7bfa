"""The ground floor: lazy names, configurations, storage, labels and registries."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import synthaug
from synthaug.config import Config
from synthaug.errors import ConfigError, FormatError, LabelError, OutputExistsError, SynthaugError, did_you_mean
from synthaug.grids import class_grid
from synthaug.labels import check_labels, class_index, resolve_counts
from synthaug.registry import Registry
from synthaug.storage import Contents, digest, new_directory, new_file, read_json, write_json


@dataclasses.dataclass(frozen=True)
class Shape(Config):
    width: int = 4
    scale: float = 1.0
    mode: Literal["near", "far"] = "near"
    limit: int | None = None
    names: tuple[str, ...] = ()
    on: bool = False

    def validate(self) -> None:
        self.require(self.width > 0, "width", "a number above 0")


def test_import_loads_no_heavy_package() -> None:
    heavy = ("torch", "timm", "datasets", "torchvision", "albumentations")
    script = f"import sys, synthaug; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_there() -> None:
    """Fails when a public name vanishes."""
    expected = {"ImageDataset", "SampleBank", "SynthaugError", "fit", "generate", "list_families", "load", "save"}
    assert expected <= set(synthaug.__all__)
    assert all(getattr(synthaug, name) is not None for name in synthaug.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = synthaug.fitt


def test_config_round_trips_through_json() -> None:
    config = Shape(width=7, limit=3, names=("a", "b"))
    assert Shape.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.replace(scale=2) == Shape(width=7, limit=3, names=("a", "b"), scale=2.0)


@pytest.mark.parametrize(
    ("text", "names"),
    [("a,b", ("a", "b")), ("a", ("a",)), ("[a, b]", ("a", "b")), ("", ()), (None, ())],
)
def test_lists_may_be_text_as_command_lines_give_them(text: str | None, names: tuple[str, ...]) -> None:
    assert Shape.from_dict({"names": text}).names == names


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widht": 3}, "Did you mean 'width'"),
        ({"width": "3"}, "width: expected int, but got '3'"),
        ({"width": 3.5}, "width: expected int"),
        ({"width": True}, "width: expected int"),
        ({"width": 0}, "width: expected a number above 0"),
        ({"mode": "nera"}, "Did you mean 'near'"),
        ({"names": [1]}, "names: expected str"),
        ({"on": 1}, "on: expected bool"),
        ({"scale": None}, "scale: expected float"),
    ],
)
def test_config_refuses_what_it_does_not_know(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Shape.from_dict(values)


def test_directory_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def crash_half_way() -> None:
        with new_directory(tmp_path / "out", overwrite=True, contents=Contents("test", ("file",))) as partial:
            (partial / "half").write_text("x")
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        crash_half_way()
    assert not list(tmp_path.iterdir())
    with new_directory(tmp_path / "out") as partial:
        (partial / "file").write_text("first")
    with pytest.raises(OutputExistsError, match="--overwrite"), new_directory(tmp_path / "out"):
        pass
    with pytest.raises(RuntimeError, match="crash"):
        crash_half_way()
    assert (tmp_path / "out" / "file").read_text() == "first", "the old output stays until the new one is whole"
    with new_directory(tmp_path / "out", overwrite=True, contents=Contents("test", ("file",))) as partial:
        (partial / "file").write_text("second")
    assert (tmp_path / "out" / "file").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": 1})

    def crash_half_way() -> None:
        with new_file(tmp_path / "a.json") as temporary:
            temporary.write_text("{")
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        crash_half_way()
    assert read_json(tmp_path / "a.json") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(FormatError, match="not valid JSON"):
        read_json(tmp_path / "b.json")
    with pytest.raises(FormatError, match="missing"):
        read_json(tmp_path / "c.json")


def test_digests_keep_parts_apart(tmp_path: Path) -> None:
    assert digest("ab", "c") != digest("a", "bc")
    (tmp_path / "f").write_bytes(b"ab")
    assert digest(tmp_path / "f") != digest(b"ab")


def test_labels_are_never_ignored() -> None:
    classes = ("boot", "sneaker")
    assert class_index("sneaker", classes) == class_index(np.int64(1), classes) == 1
    for wrong in ("snaeker", 2, -1, True, None, 0.0):
        with pytest.raises(LabelError, match="expected"):
            class_index(wrong, classes)
    with pytest.raises(LabelError, match="first is 5 at position 1"):
        check_labels(np.array([0, 5]), classes)
    with pytest.raises(LabelError, match="float64"):
        check_labels(np.array([0.0]), classes)
    assert resolve_counts({"boot": 3, 1: 0}, classes).tolist() == [3, 0]
    assert resolve_counts(2, classes).tolist() == [2, 2]
    with pytest.raises(LabelError, match="twice"):
        resolve_counts({"boot": 3, 0: 1}, classes)


def test_registry_finds_names_and_warns_of_doubles() -> None:
    registry: Registry[type] = Registry("thing", "synthaug.cli")

    @registry.register("first")
    class First: ...

    with pytest.warns(UserWarning, match=r"registered twice; .*Second takes over"):

        @registry.register("first")
        class Second: ...

    copied = type("Second", (), {"__module__": "another.file", "__qualname__": Second.__qualname__})
    with pytest.warns(UserWarning, match=r"registered twice; another\.file\..*Second takes over"):
        registry.register("first")(copied)
    with pytest.warns(UserWarning, match="registered twice"):
        registry.register("first")(Second)

    assert registry.get("first") is Second
    with pytest.raises(ConfigError, match=r"expected a thing among first.* Did you mean 'first'"):
        registry.get("frist")
    assert First is not Second


def test_a_plugin_that_fails_to_import_is_told_of_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "broken_plugins"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "broken.py").write_text("raise OSError('no such library')\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[type] = Registry("thing", "broken_plugins")
    for _ in range(2):
        with pytest.raises(OSError, match="no such library"):
            registry.names()


def test_errors_are_also_builtin_ones() -> None:
    assert issubclass(ConfigError, (SynthaugError, ValueError))
    assert issubclass(OutputExistsError, FileExistsError)
    assert did_you_mean("x", ["abcdef"]) == ""
    assert did_you_mean("set", ["seed", "seed"]) == " Did you mean 'seed'?"


def test_class_grid_has_a_row_for_each_class() -> None:
    images = np.full((6, 8, 8, 1), 200, np.uint8)
    one = class_grid(images, np.zeros(6, np.int64), ["a", "b"], columns=6)
    two = class_grid(images, np.array([0, 1] * 3), ["a", "b"], columns=6)
    assert two.height == 2 * one.height
    assert one.width == two.width


def test_every_package_is_installed_by_a_wheel_too() -> None:
    """An editable install finds packages that the list in pyproject.toml lacks; a wheel does not."""
    root = Path(synthaug.__file__).parents[1]
    listed = set(tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {".".join(path.parent.relative_to(root).parts) for path in root.glob("synthaug/**/__init__.py")}
    assert listed == found | {"synthaug.integrations"}


def test_a_run_that_can_go_on_is_not_swept_away(tmp_path: Path) -> None:
    unfinished = tmp_path / ".out.partial"
    unfinished.mkdir()
    (unfinished / "shard").write_text("kept")
    with new_directory(tmp_path / "out") as partial:
        (partial / "file").write_text("x")
    assert (unfinished / "shard").read_text() == "kept"


def test_the_current_folder_is_no_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputExistsError, match="Name a folder in it"), new_directory(Path()):
        pass


def test_registry_is_whole_for_every_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "slow_plugins"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in ("one", "two"):
        (package / f"{name}.py").write_text("import time\ntime.sleep(0.1)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[type] = Registry("thing", "slow_plugins")
    whole = []

    def look() -> None:
        registry.names()
        whole.append({"slow_plugins.one", "slow_plugins.two"} <= set(sys.modules))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert whole == [True] * 4
