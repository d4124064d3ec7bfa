"""What the explorer shows: views, each a picture that follows from a few settings, and the controls of these settings.

Nothing here knows what draws the controls.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from synthaug.errors import ConfigError
from synthaug.generators import Generator
from synthaug.grids import class_grid, row_grid
from synthaug.labels import class_index
from synthaug.latent.editing.edit import recentred, swap_class
from synthaug.latent.inputs import read_images
from synthaug.latent.interpolating.interpolate import interpolate_samples
from synthaug.latent.varying.vary import vary
from synthaug.spread import evenly_spread

MOST_CLASSES = 12
"""Rows of a picture that has a row for each class."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several options, or some of them where ``several`` is set."""

    label: str
    options: tuple[str, ...]
    value: str | tuple[str, ...]
    several: bool = False


@dataclasses.dataclass(frozen=True)
class Slider:
    """A number from ``low`` to ``high``, a whole one where ``step`` is one."""

    label: str
    low: float
    high: float
    value: float
    step: float = 1


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image of the user's; `None` until there is one."""

    label: str


Control = Choice | Slider | Picture


@dataclasses.dataclass(frozen=True)
class View:
    """A picture and what it follows from.

    Attributes:
        name: Short, for a tab.
        about: What is to be seen, in a sentence.
        controls: Of its settings, in the order in which ``draw`` takes their values.
        draw: Called with generator, seed and the values, an image where a `Picture` is; raises what the library raises.
    """

    name: str
    about: str
    controls: tuple[Control, ...]
    draw: Callable[..., Image.Image]


def views_of(gen: Generator) -> list[View]:
    """Return the views that a generator has: some need an encoder, others one model for all classes.

    Example:
        >>> from synthaug.generators import make_generator
        >>> gen = make_generator("gan", ["boot", "bag"], (1, 8, 8), options={"width": 4})
        >>> [view.name for view in views_of(gen)]
        ['Samples', 'Paths', 'Styles']
    """
    first, last = gen.classes[0], gen.classes[-1] if gen.conditioning == "shared" else gen.classes[0]
    one = Choice("Class", gen.classes, first)
    views = [
        View(
            "Samples",
            "Fresh samples, a row for each class.",
            (Choice("Classes", gen.classes, _some(gen), several=True), Slider("Samples of each", 1, 20, 8)),
            _samples,
        ),
        View(
            "Paths",
            "From one sample to another by way of the codes in between; where the classes differ, the label changes "
            "half-way.",
            (
                Choice("From class", gen.classes, first),
                Choice("To class", gen.classes, last),
                Slider("Paths", 1, 8, 4),
                Slider("Steps", 2, 16, 8),
                Choice("Way", ("auto", "linear", "spherical"), "auto"),
            ),
            _paths,
        ),
    ]
    if gen.conditioning == "shared":
        styles = "One style a column: the same code with the label of each class."
        views.append(View("Styles", styles, (one, Slider("Styles", 1, 12, 8)), _styles))
    if gen.has_encoder:
        given = (Picture("Image"), one)
        strengths = (Slider("Strength", 0, 1, 0.5, 0.05), Slider("Variants", 1, 12, 6))
        views.append(
            View("Variants", "An image of yours, and images of its class near it.", (*given, *strengths), _variants)
        )
        if gen.conditioning == "shared":
            views.append(
                View("Swap", "An image of yours with the label of each class, its style kept.", given, _swapped)
            )
    return views


def _some(gen: Generator) -> tuple[str, ...]:
    return tuple(gen.classes[label] for label in evenly_spread(len(gen.classes), MOST_CLASSES))


def _samples(gen: Generator, seed: int, classes: Sequence[str], number: int) -> Image.Image:
    if not classes:
        raise ConfigError("choose one class or more.")
    images = gen.sample(dict.fromkeys(classes, number), seed=seed)
    labels = np.repeat([class_index(name, gen.classes) for name in classes], number)
    return class_grid(images.permute(0, 2, 3, 1).numpy(), labels, gen.classes, columns=number, rows=len(classes))


def _paths(gen: Generator, seed: int, start: str, end: str, number: int, steps: int, way: str) -> Image.Image:
    to = None if end == start else end
    return interpolate_samples(gen, {start: number}, steps, way, to=to, seed=seed).picture()


def _styles(gen: Generator, seed: int, name: str, number: int) -> Image.Image:
    names = _some(gen)
    source = np.full(number, class_index(name, gen.classes))
    codes = np.tile(gen.draw_codes(source, np.arange(number), seed), (len(names), 1))
    targets = np.repeat([class_index(other, gen.classes) for other in names], number)
    images = gen.decode_codes(recentred(gen, codes, np.tile(source, len(names)), targets), targets)
    return row_grid(list(images.reshape(len(names), number, *images.shape[1:])), names)


def _variants(gen: Generator, seed: int, image: Image.Image, name: str, strength: float, number: int) -> Image.Image:
    given = read_images(image, gen)
    made = vary(gen, given, name, strength, number, seed)[0]
    return row_grid([np.concatenate([given, made])], [name], headings=["yours", *map(str, range(1, number + 1))])


def _swapped(gen: Generator, seed: int, image: Image.Image, name: str) -> Image.Image:
    given = read_images(image, gen)
    names = _some(gen)
    made = swap_class(gen, np.repeat(given, len(names), axis=0), list(names), name)
    return row_grid([given, *made[:, None]], ["yours", *names])
