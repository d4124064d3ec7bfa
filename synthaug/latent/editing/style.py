"""Style transfer: what one image shows, in the way another one looks.

Where codes are vectors, the label is the content and the code the style: the style image's code, decoded as the
content image's class. Where codes are maps, content is where things are and style the statistics of each channel: the
content's map gets the style's mean and standard deviation, channel by channel (Huang & Belongie 2017, "Arbitrary style
transfer in real-time with adaptive instance normalization").
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import ConfigError, DataError
from synthaug.generators import Generator
from synthaug.generators.per_class import PerClassGenerator
from synthaug.latent.editing.edit import recentred
from synthaug.latent.inputs import ImagesLike, LabelsLike, as_generator, read_labelled, require_encoder, require_shared

_LEAST_SPREAD = 1e-5


def transfer_style(
    gen: Generator | str | Path,
    content: ImagesLike,
    style: ImagesLike,
    content_labels: LabelsLike = None,
    style_labels: LabelsLike = None,
    *,
    strength: float = 1.0,
) -> NDArray[np.uint8]:
    """Show the content of some images in the style of others.

    Args:
        gen: A generator (or its folder) with an encoder, one model for all classes (``conditioning="shared"``).
        content: Images that say what is shown, in any form that `synthaug.latent.inputs.read_images` reads.
        style: Images that say how it looks: one for all, or one for each.
        content_labels: Classes of the first; found by the generator if left out.
        style_labels: Classes of the others.
        strength: From 0, the content's own style, to 1, all of the other's.

    Returns:
        uint8 images (N, H, W, C).

    Raises:
        ConfigError: If the generator has no encoder or one model a class, the strength is out of range, or codes are
            vectors and an image is to lend its style to one of its own class: there, the code is all of the image.
        DataError: If the numbers of images do not match.

    Example:
        >>> boots_like_b = transfer_style(gen, "a.png", "b.png", "boot", "sneaker")  # doctest: +SKIP
    """
    gen = as_generator(gen)
    require_encoder(gen, "style transfer")
    require_shared(gen, "style transfer")
    if not 0 <= strength <= 1:
        raise ConfigError(f"strength: expected a number from 0 to 1, but got {strength}.")
    shown, looks = read_labelled(content, content_labels, gen), read_labelled(style, style_labels, gen)
    number = len(shown.images)
    if len(looks.images) not in (1, number):
        raise DataError(f"expected one style image for all, or {number} for {number}, but got {len(looks.images)}.")
    labels = np.resize(looks.labels, number)
    codes, _ = gen.encode_images(*shown)
    styles = np.resize(gen.encode_images(*looks)[0], codes.shape)
    shape = map_shape(gen)
    if shape is None:
        alike = np.flatnonzero(labels == shown.labels)
        if alike.size:
            raise ConfigError(
                f"expected content and style of different classes, but image {alike[0]} and its style are both "
                f"{gen.classes[labels[alike[0]]]!r}: this generator's codes are vectors, which hold all of an image "
                "but its class. Train with code='map' for style transfer within a class."
            )
        wanted = recentred(gen, styles, labels, shown.labels)
    else:
        wanted = _with_statistics(codes.reshape(number, *shape), styles.reshape(number, *shape)).reshape(number, -1)
    return gen.decode_codes((1 - strength) * codes + strength * wanted, shown.labels)


def map_shape(gen: Generator) -> tuple[int, int, int] | None:
    """Return (channels, height, width) of a generator's codes, or None where they are vectors."""
    model = gen.member(0) if isinstance(gen, PerClassGenerator) else gen
    shape: tuple[int, int, int] | None = getattr(model, "code_shape", None)
    return shape


def _with_statistics(content: NDArray[np.float32], style: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return maps (N, C, H, W) whose channels have the means and standard deviations of others' channels."""
    places = (2, 3)
    normal = (content - content.mean(places, keepdims=True)) / (content.std(places, keepdims=True) + _LEAST_SPREAD)
    result: NDArray[np.float32] = normal * style.std(places, keepdims=True) + style.mean(places, keepdims=True)
    return result
