"""From one image or sample to another by way of the codes in between.

Linear interpolation takes the straight line. Where codes lie on a shell around the origin, as Gaussian noise in many
dimensions does, its middle is a place where no code ever is, and spherical interpolation (Shoemake 1985; for latent
spaces White 2016, "Sampling generative networks") keeps to the shell.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthaug.errors import ConfigError, DataError
from synthaug.generators import Generator
from synthaug.grids import row_grid
from synthaug.labels import ClassKey, class_index, resolve_counts
from synthaug.latent.inputs import ImagesLike, LabelsLike, as_generator, read_labelled, require_encoder, require_shared

Mode = Literal["linear", "spherical", "auto"]

_PROBES = 128
_RARE = 0.02
_NEARLY_PARALLEL = 1e-4


@dataclasses.dataclass(frozen=True)
class Interpolation:
    """Paths of images from a start to an end, P paths of T steps.

    Attributes:
        images: uint8, (P, T, H, W, C).
        codes: float32, (P, T, latent_size).
        labels: int64, (P, T).
        mode: ``"linear"`` or ``"spherical"``, whichever it was.
        classes: Names of the classes.
        given: The images (P, 2, H, W, C) that the paths were asked to lead between, or ``None`` between samples.
    """

    images: NDArray[np.uint8]
    codes: NDArray[np.float32]
    labels: NDArray[np.int64]
    mode: Literal["linear", "spherical"]
    classes: tuple[str, ...]
    given: NDArray[np.uint8] | None = None

    def picture(self) -> Image.Image:
        """Draw a row for each path, between the given images if there are any."""
        steps = self.images.shape[1]
        headings = [f"{position:.2f}" for position in np.linspace(0, 1, steps)]
        captions = [_caption(self.classes[first], self.classes[last]) for first, last in self.labels[:, [0, -1]]]
        if self.given is None:
            return row_grid(list(self.images), captions, headings=headings)
        rows = [np.concatenate([ends[:1], path, ends[1:]]) for ends, path in zip(self.given, self.images, strict=True)]
        return row_grid(rows, captions, headings=["start", *headings, "end"])

    def frames(self, scale: int | None = None) -> list[Image.Image]:
        """Draw all paths side by side at each step, there and back, for `synthaug.grids.save_animation`."""
        number = len(self.images)
        columns = max(1, round(number**0.5))
        steps = self.images.shape[1]
        order = [*range(steps), *range(steps - 2, 0, -1)]
        starts = range(0, number, columns)
        return [row_grid([self.images[start : start + columns, t] for start in starts], scale=scale) for t in order]


def interpolate(
    gen: Generator | str | Path,
    start: ImagesLike,
    end: ImagesLike,
    steps: int = 8,
    mode: Mode | str = "auto",
    *,
    labels: LabelsLike = None,
    end_labels: LabelsLike = None,
) -> Interpolation:
    """Interpolate between images, by way of the means of their posteriors.

    Args:
        gen: A generator with an encoder, or its folder.
        start: Images where paths start; see `synthaug.latent.inputs.read_images`.
        end: As many images where they end.
        steps: Images on a path, both ends counted.
        mode: ``"linear"``, ``"spherical"``, or ``"auto"``, which asks `lies_on_shell`.
        labels: Class of all starts, or of each; found from the images if left out.
        end_labels: The same for the ends. Left out, they are found too if ``labels`` was left out, else the class
            stays. Where start and end differ, the label changes half-way.

    Raises:
        ConfigError: If the family has no encoder, or a setting is out of range.
        DataError: If an image cannot be read, or the numbers of starts and ends differ.
        LabelError: If a class is unknown.

    Example:
        >>> paths = interpolate("runs/x", "a.png", "b.png", labels="boot")  # doctest: +SKIP
        >>> paths.picture().save("a-to-b.png")  # doctest: +SKIP
    """
    gen = as_generator(gen)
    require_encoder(gen, "interpolating between images (between samples it is possible)")
    first, first_labels = read_labelled(start, labels, gen)
    last, last_labels = read_labelled(end, labels if end_labels is None else end_labels, gen)
    if len(first) != len(last):
        raise DataError(f"expected as many ends as starts, but got {len(last)} and {len(first)}.")
    paths = interpolate_codes(
        gen,
        gen.encode_images(first, first_labels)[0],
        gen.encode_images(last, last_labels)[0],
        first_labels,
        last_labels,
        steps,
        mode,
    )
    return dataclasses.replace(paths, given=np.stack([first, last], axis=1))


def interpolate_samples(
    gen: Generator | str | Path,
    what: Mapping[ClassKey, int],
    steps: int = 8,
    mode: Mode | str = "auto",
    *,
    to: ClassKey | None = None,
    seed: int = 0,
) -> Interpolation:
    """Interpolate between samples; any family can.

    Args:
        gen: A generator, or its folder.
        what: Numbers of paths by class. Path i of a class leads from its sample 2i to its sample 2i + 1.
        steps: Images on a path, both ends counted.
        mode: ``"linear"``, ``"spherical"``, or ``"auto"``, which asks `lies_on_shell`.
        to: Let paths end in this class instead, the label changing half-way.
        seed: In the names of the samples.

    Raises:
        ConfigError: If a setting is out of range, or no path was asked for.
        LabelError: If a class is unknown.

    Example:
        >>> from synthaug.generators import make_generator
        >>> gen = make_generator("gan", ["boot", "bag"], (1, 8, 8), options={"width": 4})
        >>> interpolate_samples(gen, {"boot": 2}, steps=5).images.shape
        (2, 5, 8, 8, 1)
    """
    gen = as_generator(gen)
    counts = resolve_counts(what, gen.classes)
    labels = np.repeat(np.arange(len(counts)), counts)
    if not len(labels):
        raise ConfigError("expected one path or more, but got none: name classes and numbers, such as {'boot': 4}.")
    first = 2 * np.concatenate([np.arange(count) for count in counts])
    last_labels = labels if to is None else np.full_like(labels, class_index(to, gen.classes))
    start, end = gen.draw_codes(labels, first, seed), gen.draw_codes(last_labels, first + 1, seed)
    return interpolate_codes(gen, start, end, labels, last_labels, steps, mode)


def interpolate_codes(
    gen: Generator,
    start: NDArray[np.floating],
    end: NDArray[np.floating],
    labels: NDArray[np.integer],
    end_labels: NDArray[np.integer],
    steps: int = 8,
    mode: Mode | str = "auto",
) -> Interpolation:
    """Interpolate between codes (P, latent_size) with labels (P,); see `interpolate`."""
    if steps < 2:
        raise ConfigError(f"steps: expected 2 or more, both ends counted, but got {steps}.")
    chosen = resolve_mode(gen, mode)
    if not np.array_equal(labels, end_labels):
        require_shared(gen, "a path from one class to another")
    positions = np.linspace(0, 1, steps)
    codes = between(start[:, None], end[:, None], positions[None, :, None], chosen)
    on_the_way = np.where(positions < 0.5, np.asarray(labels)[:, None], np.asarray(end_labels)[:, None])
    images = gen.decode_codes(codes.reshape(-1, codes.shape[-1]), on_the_way.ravel())
    return Interpolation(images.reshape(len(start), steps, *images.shape[1:]), codes, on_the_way, chosen, gen.classes)


def between(
    start: NDArray[np.floating],
    end: NDArray[np.floating],
    position: NDArray[np.floating] | float,
    mode: Literal["linear", "spherical"],
) -> NDArray[np.float32]:
    """Return the codes at positions from 0 (start) to 1 (end); the arrays (…, D) and (…, 1) are broadcast.

    ``"spherical"`` turns the direction at an even pace, and changes the length linearly.

    Example:
        >>> between(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 0.5, "spherical").round(3).tolist()
        [0.7070000171661377, 0.7070000171661377]
    """
    start, end, position = (np.asarray(array, dtype=np.float64) for array in (start, end, position))
    straight = (1 - position) * start + position * end
    if mode == "linear":
        return straight.astype(np.float32)
    lengths = [np.linalg.norm(code, axis=-1, keepdims=True) for code in (start, end)]
    units = [code / np.maximum(length, 1e-12) for code, length in zip((start, end), lengths, strict=True)]
    angle = np.arccos(np.clip((units[0] * units[1]).sum(-1, keepdims=True), -1, 1))
    sine = np.sin(angle)
    # Directions that agree need no turning, and between opposite ones there is no shortest turn.
    turns = sine > _NEARLY_PARALLEL
    safe = np.where(turns, sine, 1)
    direction = (np.sin((1 - position) * angle) * units[0] + np.sin(position * angle) * units[1]) / safe
    length = (1 - position) * lengths[0] + position * lengths[1]
    return np.where(turns, length * direction, straight).astype(np.float32)


def resolve_mode(gen: Generator, mode: Mode | str) -> Literal["linear", "spherical"]:
    """Return the kind of path that ``"auto"`` stands for; another one as it is.

    Raises:
        ConfigError: If there is no such kind.
    """
    if mode not in ("linear", "spherical", "auto"):
        raise ConfigError(f"mode: expected 'linear', 'spherical' or 'auto', but got {mode!r}.")
    shell = lies_on_shell(gen) if mode == "auto" else mode == "spherical"
    return "spherical" if shell else "linear"


def lies_on_shell(gen: Generator) -> bool:
    """Whether codes lie on a shell around the origin, so that the middle of a straight line between two is off it.

    It asks the codes themselves, whatever the family: spherical interpolation is called for if the middles of pairs of
    samples are typically shorter than all but the rarest samples.

    Example:
        >>> from synthaug.generators import make_generator
        >>> gen = make_generator("gan", ["boot", "bag"], (1, 8, 8), options={"width": 4, "latent_dim": 64})
        >>> lies_on_shell(gen)  # Gaussian noise in 64 dimensions
        True
    """
    number = max(1, _PROBES // len(gen.classes))
    labels = np.repeat(np.arange(min(len(gen.classes), _PROBES)), 2 * number)
    indices = np.tile(np.arange(2 * number), len(labels) // (2 * number))
    codes = gen.draw_codes(labels, indices, seed=0)
    middles = (codes[0::2] + codes[1::2]) / 2
    shortest = np.quantile(np.linalg.norm(codes, axis=1), _RARE)
    return bool(np.median(np.linalg.norm(middles, axis=1)) < shortest)


def _caption(first: str, last: str) -> str:
    return first if first == last else f"{first[:10]} to {last[:10]}"


def pairs_of(images: Sequence[int]) -> tuple[list[int], list[int]]:
    """Split positions into starts and ends: the first two are a pair, the next two another.

    Raises:
        ConfigError: If their number is odd, or there are none.

    Example:
        >>> pairs_of([4, 8, 15, 16])
        ([4, 15], [8, 16])
    """
    if not images or len(images) % 2:
        raise ConfigError(f"expected pairs of positions, a start and an end each, but got {len(images)} of them.")
    return list(images[0::2]), list(images[1::2])
