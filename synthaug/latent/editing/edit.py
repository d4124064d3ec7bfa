"""Editing: move images along attribute directions, or give them another class and keep their style.

An attribute is a direction in the latent space, the difference between the mean codes of images with and without it
(Larsen et al. 2016, "Autoencoding beyond pixels using a learned similarity metric"). In a class-conditional generator
the label says what an image shows and the code how it shows it, so the same code with another label is the same style
in another class (Kingma et al. 2014, "Semi-supervised learning with deep generative models").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug.generators import Generator
from synthaug.labels import ClassKey
from synthaug.latent.class_codes import class_means
from synthaug.latent.editing.directions import Direction
from synthaug.latent.inputs import (
    ImagesLike,
    LabelsLike,
    as_generator,
    read_labelled,
    require_encoder,
    require_shared,
    resolve_labels,
)

AMOUNTS = (-2.0, -1.0, 0.0, 1.0, 2.0)


def edit(
    gen: Generator | str | Path,
    images: ImagesLike,
    amounts: Mapping[Direction, float] | Sequence[tuple[Direction, float]],
    labels: LabelsLike = None,
    *,
    keep_residual: bool = False,
) -> NDArray[np.uint8]:
    """Move images along several directions at once, like so many sliders.

    Args:
        gen: A generator (or its folder) with an encoder.
        images: Images, in any form that `synthaug.latent.inputs.read_images` reads.
        amounts: How far along each direction; 1 is the distance between images without and with the attribute.
        labels: Their classes; found by the generator if left out.
        keep_residual: Whether what reconstruction alone changes is undone, so that no amount leaves the image as it
            is: fine detail is kept, and may show where the edit moved things away from it.

    Returns:
        uint8 images (N, H, W, C).

    Raises:
        ConfigError: If the family has no encoder, or a direction belongs to another generator.

    Example:
        >>> edited = edit(gen, "a.png", {heel: 1.5, dark: -1.0}, "boot")  # doctest: +SKIP
    """
    pairs = list(amounts.items()) if isinstance(amounts, Mapping) else list(amounts)
    return _moved(gen, images, [pairs], labels, keep_residual)[:, 0]


def apply(
    gen: Generator | str | Path,
    images: ImagesLike,
    direction: Direction,
    amounts: Sequence[float] = AMOUNTS,
    labels: LabelsLike = None,
    *,
    with_others: Sequence[tuple[Direction, float]] = (),
    keep_residual: bool = False,
) -> NDArray[np.uint8]:
    """Move images along one direction by several amounts; see `edit`.

    Args:
        gen: A generator (or its folder) with an encoder.
        images: Images, in any form that `synthaug.latent.inputs.read_images` reads.
        direction: Where to.
        amounts: How far, each of them.
        labels: Their classes; found by the generator if left out.
        with_others: Directions and amounts that all of them have in common.
        keep_residual: As in `edit`.

    Returns:
        uint8 images (N, number of amounts, H, W, C).

    Raises:
        ConfigError: If the family has no encoder, or a direction belongs to another generator.
    """
    moves = [[(direction, amount), *with_others] for amount in amounts]
    return _moved(gen, images, moves, labels, keep_residual)


def swap_class(
    gen: Generator | str | Path,
    images: ImagesLike,
    to: ClassKey | Sequence[ClassKey] | NDArray[np.integer],
    labels: LabelsLike = None,
    *,
    recentre: bool = True,
) -> NDArray[np.uint8]:
    """Give images another class and keep their style: the same code, decoded with another label.

    Args:
        gen: A generator (or its folder) with an encoder, one model for all classes (``conditioning="shared"``). Codes
            that are maps hold the layout of an image, not its style alone: swapping the label then changes little.
        images: Images, in any form that `synthaug.latent.inputs.read_images` reads.
        to: The class they get, one for all or one for each.
        labels: The classes they have; found by the generator if left out.
        recentre: Whether codes are moved by the difference of the two classes' mean codes first. Codes of different
            classes lie around different centres, and a code that is usual in one may be rare in the other. A privately
            trained generator does not know the centres and moves nothing.

    Returns:
        uint8 images (N, H, W, C).

    Raises:
        ConfigError: If the family has no encoder, or there is one model a class.
        LabelError: If a class is unknown.

    Example:
        >>> sneakers = swap_class(gen, "a.png", to="sneaker", labels="boot")  # doctest: +SKIP
    """
    gen = as_generator(gen)
    require_encoder(gen, "class swap")
    require_shared(gen, "class swap")
    pixels, sources = read_labelled(images, labels, gen)
    targets = resolve_labels(to, gen, pixels)
    codes, _ = gen.encode_images(pixels, sources)
    return gen.decode_codes(recentred(gen, codes, sources, targets) if recentre else codes, targets)


def recentred(
    gen: Generator, codes: NDArray[np.float32], sources: NDArray[np.int64], targets: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Move codes (N, latent_size) by the difference between the mean codes of two classes, those of each row.

    Where the classes' codes lie is known of the prior that was fitted to them, whichever one samples are drawn from. A
    privately trained generator has none, and leaves codes where they are.
    """
    if "prior" in gen.sampling_class.field_names():
        if gen.privacy is not None:
            return codes
        gen = gen.with_sampling(prior="mixture")
    means = class_means(gen, {*sources.tolist(), *targets.tolist()})
    shifts = [means[target] - means[source] for source, target in zip(sources.tolist(), targets.tolist(), strict=True)]
    return codes + np.stack(shifts)


def _moved(
    gen: Generator | str | Path,
    images: ImagesLike,
    moves: Sequence[Sequence[tuple[Direction, float]]],
    labels: LabelsLike,
    keep_residual: bool,
) -> NDArray[np.uint8]:
    """Return each image after each move, (N, number of moves, H, W, C)."""
    gen = as_generator(gen)
    require_encoder(gen, "editing")
    digest = Direction.digest_of(gen)
    for direction in {direction: None for move in moves for direction, _ in move}:
        direction.require(gen, digest)
    pixels, numbers = read_labelled(images, labels, gen)
    codes, _ = gen.encode_images(pixels, numbers)
    zero = np.zeros(gen.latent_size, dtype=np.float32)
    edited = []
    for move in moves:
        shift = sum((np.float32(amount) * direction.vector for direction, amount in move), zero)
        edited.append(gen.decode_codes(codes + shift, numbers))
    result = np.stack(edited, axis=1)
    if keep_residual:
        residual = pixels.astype(np.int16) - gen.decode_codes(codes, numbers)
        result = np.clip(result + residual[:, None], 0, 255).astype(np.uint8)
    return result
