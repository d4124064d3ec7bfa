"""The explorer: its views over every family, and its page as a browser asks for pictures."""

from __future__ import annotations

import builtins
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio
import httpx
import numpy as np
import pytest
from PIL import Image, ImageChops

from synthaug.errors import ConfigError, MissingExtraError
from synthaug.generators import Generator, make_generator, save
from synthaug.grids import class_grid, row_grid
from synthaug.latent import explore, interpolate_samples
from synthaug.latent.exploring.page import make_page
from synthaug.latent.exploring.views import Choice, Picture, Slider, View, views_of

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # a page leaves an event loop to be collected

CLASSES = ("boot", "sneaker", "bag")
GIVEN = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))


def small(conditioning: str = "shared", classes: tuple[str, ...] = CLASSES) -> Generator:
    options = {"width": 8, "latent_dim": 4}
    return make_generator("vae", classes, (1, 8, 6), conditioning=conditioning, options=options)


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Collect what a page leaves while its warnings are ignored, not in the middle of another test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def gen() -> Generator:
    return small()


def few(view: View) -> list[Any]:
    """The values that the controls have at first, but for small numbers; and an image where one is wanted."""
    values: list[Any] = []
    for control in view.controls:
        if isinstance(control, Slider) and control.step == 1:
            values.append(int(control.low) + 1)
        else:
            values.append(GIVEN if isinstance(control, Picture) else control.value)
        if isinstance(control, Choice) and not control.several:
            assert control.value in control.options
    return values


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and ImageChops.difference(one, other).getbbox() is None


@pytest.mark.parametrize("conditioning", ["shared", "per_class"])
def test_every_view_of_every_family_draws_by_its_seed(family: str, tiny: dict[str, object], conditioning: str) -> None:
    gen = make_generator(family, CLASSES, (1, 16, 16), conditioning=conditioning, options=tiny)
    views = {view.name: view for view in views_of(gen)}
    assert ("Styles" in views) == (conditioning == "shared")
    assert ("Variants" in views) == gen.has_encoder
    assert ("Swap" in views) == (gen.has_encoder and conditioning == "shared")
    for view in views.values():
        first = view.draw(gen, 1, *few(view))
        assert same(first, view.draw(gen, 1, *few(view)))
        assert same(first, view.draw(gen, 2, *few(view))) == (view.name == "Swap")


def test_samples_and_paths_are_those_of_the_library(gen: Generator) -> None:
    samples, paths = views_of(gen)[:2]
    drawn = gen.sample({"bag": 2, "boot": 2}, seed=5).permute(0, 2, 3, 1).numpy()
    expected = class_grid(drawn, np.array([2, 2, 0, 0]), CLASSES, columns=2)
    assert same(samples.draw(gen, 5, ["bag", "boot"], 2), expected)
    with pytest.raises(ConfigError, match="one class or more"):
        samples.draw(gen, 5, [], 2)
    path = interpolate_samples(gen, {"boot": 2}, 3, "linear", to="bag", seed=5)
    assert same(paths.draw(gen, 5, "boot", "bag", 2, 3, "linear"), path.picture())


def test_a_style_keeps_its_column_and_the_source_class_its_samples(gen: Generator) -> None:
    styles = next(view for view in views_of(gen) if view.name == "Styles")
    drawn = gen.sample(["sneaker"] * 3, seed=4).permute(0, 2, 3, 1).numpy()
    row = row_grid([drawn], ["sneaker"])
    picture = styles.draw(gen, 4, "sneaker", 3)
    top = (picture.height - row.height) // 2
    middle = picture.crop((picture.width - row.width, top, picture.width, top + row.height))
    assert same(middle, row)


def test_of_many_classes_some_are_shown() -> None:
    gen = small(classes=tuple(f"c{number}" for number in range(40)))
    samples = views_of(gen)[0].controls[0]
    assert isinstance(samples, Choice)
    assert len(samples.options) == 40
    assert len(samples.value) == 12
    assert (samples.value[0], samples.value[-1]) == ("c0", "c39")
    ten = views_of(gen)[0].draw(gen, 0, gen.classes[:10], 1)
    assert views_of(gen)[0].draw(gen, 0, gen.classes, 1).height > 3.9 * ten.height


@pytest.fixture(scope="module")
def page(gen: Generator) -> Any:
    return make_page(gen)


def answering(page: Any, name: str, *, changed: bool = False) -> Callable[..., Any]:
    """What the page calls when a view comes into view, or when one of its controls has changed."""
    functions = list(page.fns.values())
    place = next(place for place, function in enumerate(functions) if function.api_name == name)
    return functions[place + changed].fn


def test_the_page_takes_the_values_of_its_controls(gen: Generator, page: Any) -> None:
    views = {view.name: view for view in views_of(gen)}
    half = gen.with_sampling(temperature=0.5)
    name, drawn = answering(page, "samples")(3.0, 0.5, ["boot", "bag"], 2.0)
    assert name == "Samples"
    assert same(drawn, views["Samples"].draw(half, 3, ["boot", "bag"], 2))
    _, drawn = answering(page, "variants")(3.0, 1.0, GIVEN, "bag", 0.25, 3.0)
    assert same(drawn, views["Variants"].draw(gen, 3, GIVEN, "bag", 0.25, 3))


def test_only_what_is_in_view_is_drawn_again(gen: Generator, page: Any) -> None:
    changed = answering(page, "samples", changed=True)
    expected = views_of(gen)[0].draw(gen, 3, ["boot"], 2)
    assert same(changed("Samples", 3, 1.0, ["boot"], 2), expected)
    assert changed("Paths", 3, 1.0, ["boot"], 2) == gradio.skip()


def test_until_there_is_an_image_there_is_no_picture_and_no_error(page: Any) -> None:
    assert answering(page, "swap")(0, 1.0, None, "boot") == ("Swap", None)
    assert answering(page, "variants", changed=True)("Variants", 0, 1.0, None, "boot", 0.5, 2) is None


@pytest.mark.parametrize("temperature", [0.05, 3.0])
def test_the_slider_reaches_the_temperature_that_the_generator_has(gen: Generator, temperature: float) -> None:
    warmer = make_page(gen.with_sampling(temperature=temperature))
    slider = next(block for block in warmer.blocks.values() if getattr(block, "label", None) == "Temperature")
    assert slider.value == temperature
    assert slider.minimum <= temperature <= slider.maximum


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("samples", (0, 1.0, [], 2), "choose one class or more"),
        ("samples", (None, 1.0, ["boot"], 2), "Seed: expected a whole number"),
        ("paths", (0, 1.0, "boot", "bags", 1, 2, "auto"), "Did you mean 'bag'"),
    ],
)
def test_the_page_shows_what_is_wrong(page: Any, name: str, values: tuple[Any, ...], message: str) -> None:
    with pytest.raises(gradio.Error, match=message):
        answering(page, name)(*values)


SERVED = """
import sys
from gradio_client import Client
import synthaug
from synthaug.latent.exploring.page import make_page

_, url, _ = make_page(synthaug.load(sys.argv[1])).launch(prevent_thread_lock=True, quiet=True, share=False)
print(Client(url, verbose=False, download_files=sys.argv[2]).predict(7, 1.0, "sneaker", 3, api_name="/styles"))
"""


def test_a_browser_gets_the_picture(gen: Generator, tmp_path: Path) -> None:
    """In a process of its own, as the server leaves sockets to be collected."""
    save(gen, tmp_path / "run")
    words = [sys.executable, "-c", SERVED, str(tmp_path / "run"), str(tmp_path)]
    environment = os.environ | {"GRADIO_TEMP_DIR": str(tmp_path / "gradio"), "GRADIO_ANALYTICS_ENABLED": "False"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    styles = next(view for view in views_of(gen) if view.name == "Styles")
    with Image.open(done.stdout.splitlines()[-1]) as answer:
        assert same(answer, styles.draw(gen, 7, "sneaker", 3))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """How the page would be served, and where it keeps files."""
    seen: dict[str, Any] = {}
    monkeypatch.setenv("GRADIO_TEMP_DIR", "x")  # so that it is as before afterwards
    monkeypatch.delenv("GRADIO_TEMP_DIR")

    def launch(_: Any, **options: Any) -> None:
        seen.update(options, folder=Path(os.environ["GRADIO_TEMP_DIR"]))

    monkeypatch.setattr(gradio.Blocks, "launch", launch)
    return seen


@pytest.mark.parametrize("error", [OSError("no empty port"), ValueError("no localhost"), httpx.ConnectError("proxy")])
def test_what_cannot_be_served_is_one_line(
    gen: Generator, served: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(gradio.Blocks, "launch", refused)
    with pytest.raises(ConfigError, match=rf"cannot be served at 127\.0\.0\.1, port 80 \({error}\)"):
        explore(gen, port=80)


def test_addresses_that_are_none_are_refused(gen: Generator, served: dict[str, Any]) -> None:
    for port in (0, -1, 70000):
        with pytest.raises(ConfigError, match=f"port: expected 1 to 65535, but got {port}"):
            explore(gen, port=port)
    with pytest.raises(ConfigError, match=r"host: expected an address .* but got '256\.0\.0\.1'"):
        explore(gen, host="256.0.0.1")
    assert not served


def test_a_folder_is_served_to_this_machine_alone_and_files_to_this_user(
    gen: Generator, served: dict[str, Any], tmp_path: Path
) -> None:
    save(gen, tmp_path / "run")
    explore(tmp_path / "run", browser=False)
    assert (served["server_name"], served["share"], served["inbrowser"]) == ("127.0.0.1", False, False)
    assert served["folder"].name.startswith("synthaug-explore-")
    assert served["folder"].stat().st_mode & 0o077 == 0


def test_without_gradio_one_line_says_what_to_install(gen: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def missing(name: str, *rest: Any, **options: Any) -> Any:
        if name == "gradio":
            raise ImportError("No module named 'gradio'")
        return plain(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'synthaug\[explore\]'"):
        explore(gen)
