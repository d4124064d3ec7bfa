"""Edits as a picture: a row for each image, the given one first, its edited versions behind it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthaug.errors import ConfigError
from synthaug.generators import Generator
from synthaug.grids import row_grid
from synthaug.labels import ClassKey, class_index
from synthaug.latent.editing.directions import Direction
from synthaug.latent.editing.edit import apply, swap_class
from synthaug.latent.editing.style import transfer_style
from synthaug.latent.inputs import ImagesLike, LabelsLike, read_images


@dataclasses.dataclass(frozen=True)
class EditSheet:
    """Images and their edited versions.

    Attributes:
        rows: uint8 (N, given + versions, H, W, C).
        headings: One a column.
        given: Columns in front that show what was given.
    """

    rows: NDArray[np.uint8]
    headings: tuple[str, ...]
    given: int = 1

    def edited(self) -> NDArray[np.uint8]:
        """Return the edited images, all versions of the first before those of the second, (N · versions, H, W, C)."""
        return self.rows[:, self.given :].reshape(-1, *self.rows.shape[2:])

    def names(self) -> list[str]:
        """Return a file name for each of `edited`: the image's number, and the version's where there are several."""
        versions = self.headings[self.given :]
        if len(versions) == 1:
            return [f"{number:05d}.png" for number in range(len(self.rows))]
        return [
            f"{number:05d}_{version + 1}.png" for number in range(len(self.rows)) for version in range(len(versions))
        ]

    def picture(self, most: int = 32) -> Image.Image:
        """Draw the first rows."""
        return row_grid(list(self.rows[:most]), headings=self.headings)


def along(
    gen: Generator,
    images: ImagesLike,
    moves: Sequence[tuple[str, float | None]],
    amounts: Sequence[float],
    labels: LabelsLike = None,
    *,
    keep_residual: bool = False,
) -> EditSheet:
    """Move images along directions.

    Args:
        gen: A generator with an encoder.
        images: Images, in any form that `synthaug.latent.inputs.read_images` reads.
        moves: Files of directions with amounts; the one without an amount, if there is one, takes all ``amounts``.
        amounts: See there.
        labels: Classes of the images.
        keep_residual: As in `synthaug.latent.edit`.

    Raises:
        ConfigError: If several directions have no amount.
    """
    loaded = [(Direction.load(file), amount) for file, amount in moves]
    fixed = [(direction, amount) for direction, amount in loaded if amount is not None]
    swept = [direction for direction, amount in loaded if amount is None]
    if len(swept) > 1:
        raise ConfigError(
            f"expected one direction at most without an amount, but {' and '.join(one.name for one in swept)} have "
            f"none. Fix the others: --direction {moves[0][0]}=1.5."
        )
    if swept:
        headings = [f"{amount:+g}" for amount in amounts]
    else:
        (swept, amounts, fixed) = ([fixed[-1][0]], [fixed[-1][1]], fixed[:-1])
        headings = ["edited"]
    edited = apply(gen, images, swept[0], amounts, labels, with_others=fixed, keep_residual=keep_residual)
    return _sheet(gen, images, edited, headings)


def swapped(
    gen: Generator, images: ImagesLike, to: ClassKey, labels: LabelsLike = None, *, recentre: bool = True
) -> EditSheet:
    """Give images another class; see `synthaug.latent.swap_class`."""
    edited = swap_class(gen, images, to, labels, recentre=recentre)
    return _sheet(gen, images, edited[:, None], [gen.classes[class_index(to, gen.classes)]])


def with_style(
    gen: Generator,
    content: ImagesLike,
    style: ImagesLike,
    content_labels: LabelsLike = None,
    style_labels: LabelsLike = None,
    *,
    strength: float = 1.0,
) -> EditSheet:
    """Show images in other images' style; see `synthaug.latent.transfer_style`."""
    edited = transfer_style(gen, content, style, content_labels, style_labels, strength=strength)
    styles = np.resize(read_images(style, gen), edited.shape)
    rows = np.stack([read_images(content, gen), styles, edited], axis=1)
    return EditSheet(rows, ("content", "style", "edited"), given=2)


def _sheet(gen: Generator, images: Any, edited: NDArray[np.uint8], headings: Sequence[str]) -> EditSheet:
    given = read_images(images, gen)[:, None]
    return EditSheet(np.concatenate([given, edited], axis=1), ("given", *headings))
