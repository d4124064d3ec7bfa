"""The explorer's page, by Gradio: a tab for each view, its controls, and the picture that follows from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from synthaug.errors import ConfigError, SynthaugError, require_extra
from synthaug.generators import Generator
from synthaug.latent.exploring.views import Choice, Control, Slider, View, views_of
from synthaug.latent.inputs import as_generator

_WIDEST = 2.0


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
    served to this machine alone, unless ``host`` says otherwise, and images go nowhere else.

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
    page = make_page(as_generator(gen, device))
    try:
        page.launch(server_name=host, server_port=port, inbrowser=browser, share=False, theme=_theme())
    except OSError as error:
        raise ConfigError(f"port: the page cannot be served at {host}, port {port or 'any'} ({error}).") from error


def make_page(gen: Generator) -> Any:
    """Return the page, a `gradio.Blocks` that `explore` serves.

    Raises:
        MissingExtraError: If Gradio is not installed.
    """
    gradio = _gradio()
    with gradio.Blocks(title=f"synthaug: {gen.family}", analytics_enabled=False) as page:
        channels, height, width = gen.image_shape
        gradio.Markdown(
            f"### {gen.family}, {len(gen.classes)} classes, {height}×{width} "
            f"{'grey' if channels == 1 else 'colour'}\n`{gen.digest}`"
        )
        with gradio.Row():
            seed = gradio.Number(0, label="Seed", precision=0)
            temperature = gradio.Slider(
                0.1, _WIDEST, min(gen.sampling.temperature, _WIDEST), step=0.05, label="Temperature"
            )
        for number, view in enumerate(views_of(gen)):
            with gradio.Tab(view.name) as tab:
                gradio.Markdown(view.about)
                with gradio.Row():
                    controls = [_control(gradio, control) for control in view.controls]
                picture = gradio.Image(
                    type="pil", format="png", interactive=False, show_label=False, buttons=["download", "fullscreen"]
                )  # the button to share would upload
                inputs = [seed, temperature, *controls]
                shown = _shown_on_errors(_drawn(gen, view), gradio)
                gradio.on(
                    [tab.select if number else page.load, *(control.change for control in inputs)],
                    shown,
                    inputs,
                    picture,
                    api_name=view.name.lower(),
                    trigger_mode="always_last",
                    show_progress="minimal",
                )
    return page


def _drawn(gen: Generator, view: View) -> Callable[..., Any]:
    """Return what makes the picture of a view from the values of all controls."""

    def draw(seed: float | None, temperature: float, *values: Any) -> Any:
        if seed is None:
            raise ConfigError("Seed: expected a whole number, but it is empty.")
        there = gen if temperature == gen.sampling.temperature else gen.with_sampling(temperature=temperature)
        whole = [
            int(value) if isinstance(control, Slider) and control.step == 1 else value
            for control, value in zip(view.controls, values, strict=True)
        ]
        return view.draw(there, int(seed), *whole)

    return draw


def _shown_on_errors(draw: Callable[..., Any], gradio: ModuleType) -> Callable[..., Any]:
    """Return the same function, whose errors the page shows."""

    def shown(*values: Any) -> Any:
        try:
            return draw(*values)
        except SynthaugError as error:
            raise gradio.Error(str(error), print_exception=False) from error

    return shown


def _control(gradio: ModuleType, control: Control) -> Any:
    if isinstance(control, Choice):
        value = list(control.value) if control.several else control.value
        return gradio.Dropdown(list(control.options), value=value, multiselect=control.several, label=control.label)
    if isinstance(control, Slider):
        return gradio.Slider(control.low, control.high, control.value, step=control.step, label=control.label)
    return gradio.Image(type="pil", image_mode=None, label=control.label, height=180)


def _theme() -> Any:
    """Return a theme whose fonts are the browser's own: Gradio's are fetched from elsewhere."""
    return _gradio().themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])


def _gradio() -> ModuleType:
    try:
        import gradio
    except ImportError as error:
        raise require_extra("gradio", "explore", error) from error
    module: ModuleType = gradio
    return module
