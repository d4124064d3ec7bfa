"""The explorer's page, by Gradio: a tab for each view, its controls, and the picture that follows from them."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from synthaug.errors import ConfigError, SynthaugError, require_extra
from synthaug.generators import Generator
from synthaug.latent.exploring.views import Choice, Control, Picture, Slider, View, views_of
from synthaug.latent.inputs import as_generator

_NARROWEST, _WIDEST = 0.1, 2.0
_FOLDER = "GRADIO_TEMP_DIR"
"""Where Gradio keeps uploads and pictures."""


def explore(
    gen: Generator | str | Path,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    browser: bool = True,
    device: str | None = None,
) -> None:
    """Look around in a generator's latent space, on a page in the browser, until interrupted.

    Samples, paths between them, styles across classes, and, where there is an encoder, variants and class swaps of an
    image of yours. What is drawn has the names of samples and seeds that the rest of the library has. The page is
    served to this machine alone, unless ``host`` says otherwise. Images go nowhere else, and lie meanwhile in a folder
    that no other user reads and that goes with the process (unless ``GRADIO_TEMP_DIR`` names another).

    Args:
        gen: A generator, its folder, or its name on the hub.
        host: Address to serve; ``"0.0.0.0"`` lets other machines in, whoever uses them.
        port: Port; the first free one from 7860 if left out.
        browser: Open the page.
        device: Where a generator given by its folder goes; the GPU if there is one.

    Raises:
        MissingExtraError: If Gradio is not installed.
        ConfigError: If host or port cannot be had.

    Example:
        >>> explore("runs/x")  # doctest: +SKIP
    """
    _check_address(host, port)
    import_gradio()
    if _FOLDER not in os.environ:
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix="synthaug-explore-")
        atexit.register(shutil.rmtree, os.environ[_FOLDER], ignore_errors=True)
    page = make_page(as_generator(gen, device))
    import httpx

    try:
        page.launch(server_name=host, server_port=port, inbrowser=browser, share=False, theme=_theme())
    except (OSError, ValueError, httpx.HTTPError) as error:
        raise ConfigError(
            f"the page cannot be served at {host}, port {port or 'any'} ({error}). Choose another port, or, behind a "
            f"proxy, set NO_PROXY={host}."
        ) from error


def make_page(gen: Generator) -> Any:
    """Return the page, a `gradio.Blocks` that `explore` serves.

    Raises:
        MissingExtraError: If Gradio is not installed.
    """
    gradio = import_gradio()
    views = views_of(gen)
    lock = threading.Lock()
    with gradio.Blocks(title=f"synthaug: {gen.family}", analytics_enabled=False) as page:
        channels, height, width = gen.image_shape
        gradio.Markdown(
            f"### {gen.family}, {len(gen.classes)} classes, {height}×{width} "
            f"{'grey' if channels == 1 else 'colour'}\n`{gen.digest}`"
        )
        in_view = gradio.State(views[0].name)
        with gradio.Row():
            seed = gradio.Number(0, label="Seed", precision=0)
            usual = gen.sampling.temperature
            temperature = gradio.Slider(
                min(_NARROWEST, usual), max(_WIDEST, usual), usual, step=0.05, label="Temperature"
            )
        for view in views:
            with gradio.Tab(view.name) as tab:
                gradio.Markdown(view.about)
                with gradio.Row():
                    controls = [_control(gradio, control) for control in view.controls]
                picture = gradio.Image(
                    type="pil", format="png", interactive=False, show_label=False, buttons=["download", "fullscreen"]
                )  # the button to share would upload
                inputs = [seed, temperature, *controls]
                entered, changed = _answers(gradio, gen, view, lock)
                gradio.on(
                    [page.load, tab.select] if view is views[0] else [tab.select],
                    entered,
                    inputs,
                    [in_view, picture],
                    api_name=view.name.lower(),
                    show_progress="minimal",
                )
                gradio.on(
                    [control.change for control in inputs],
                    changed,
                    [in_view, *inputs],
                    picture,
                    api_visibility="private",
                    trigger_mode="always_last",
                    show_progress="minimal",
                )
    return page


def _answers(
    gradio: ModuleType, gen: Generator, view: View, lock: threading.Lock
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return what is called when a view comes into view, and when a control changes, wherever the user is.

    One picture at a time is drawn: models by class share their settings.
    """

    def drawn(*values: Any) -> Any:
        try:
            with lock:
                return draw(gen, view, *values)
        except SynthaugError as error:
            raise gradio.Error(str(error), print_exception=False) from error

    def entered(*values: Any) -> Any:
        return view.name, drawn(*values)

    def changed(name: str, *values: Any) -> Any:
        return drawn(*values) if name == view.name else gradio.skip()

    return entered, changed


def draw(gen: Generator, view: View, seed: float | None, temperature: float, *values: Any) -> Any:
    """Return the picture of a view by the values of all controls; `None` where an image of the user's is wanted.

    Raises:
        ConfigError: If a value is missing.
    """
    if seed is None:
        raise ConfigError("Seed: expected a whole number, but it is empty.")
    given = dict(zip(view.controls, values, strict=True))
    if any(isinstance(control, Picture) and value is None for control, value in given.items()):
        return None
    there = gen if temperature == gen.sampling.temperature else gen.with_sampling(temperature=temperature)
    whole = [
        int(value) if isinstance(control, Slider) and control.step == 1 else value for control, value in given.items()
    ]
    return view.draw(there, int(seed), *whole)


def _check_address(host: str, port: int | None) -> None:
    """Raise `ConfigError` where no page could be served."""
    if port is not None and not 1 <= port <= 65535:
        raise ConfigError(f"port: expected 1 to 65535, but got {port}.")
    try:
        socket.getaddrinfo(host, port)
    except OSError as error:
        raise ConfigError(f"host: expected an address of this machine, but got {host!r} ({error}).") from error


def _control(gradio: ModuleType, control: Control) -> Any:
    if isinstance(control, Choice):
        value = list(control.value) if control.several else control.value
        return gradio.Dropdown(list(control.options), value=value, multiselect=control.several, label=control.label)
    if isinstance(control, Slider):
        return gradio.Slider(control.low, control.high, control.value, step=control.step, label=control.label)
    return gradio.Image(type="pil", image_mode=None, label=control.label, height=180)


def _theme() -> Any:
    """Return a theme whose fonts are the browser's own: Gradio's are fetched from elsewhere."""
    return import_gradio().themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])


def import_gradio() -> ModuleType:
    """Import Gradio.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import gradio
    except ImportError as error:
        raise require_extra("gradio", "explore", error) from error
    module: ModuleType = gradio
    return module
