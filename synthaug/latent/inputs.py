"""What all uses of the latent space take: a generator, images in any form, and their labels, given or found."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthaug.data import ImageDataset
from synthaug.data.decode import decode
from synthaug.errors import ConfigError, DataError, LabelError
from synthaug.generators import Generator
from synthaug.labels import ClassKey, class_index, match_labels
from synthaug.sampling import load_generator
from synthaug.spread import evenly_spread

MOST_CLASSES_TO_INFER = 32
"""Classes up to which `infer_labels` tries each; it costs a pass through encoder and decoder for every class."""

ImagesLike = Any
"""A file, a PIL image, an array or tensor of one or more uint8 images, a sequence of such, or an `ImageDataset`."""

LabelsLike = ClassKey | Sequence[ClassKey] | NDArray[np.integer] | None
"""One class (name or label) for all images, one for each, or ``None`` for what the images themselves tell."""


class LabelledImages(NamedTuple):
    """Images of a generator's shape with labels among its classes.

    Attributes:
        images: uint8, (N, H, W, C).
        labels: int64, (N,).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def as_generator(gen: Generator | str | Path, device: str | None = None) -> Generator:
    """Return the generator, loaded first if its folder or hub id was given."""
    return load_generator(gen, device) if isinstance(gen, (str, Path)) else gen


def require_shared(gen: Generator, use: str) -> None:
    """Check that all classes share one latent space.

    Raises:
        ConfigError: If there is one model a class.
    """
    if gen.conditioning != "shared":
        raise ConfigError(
            f"{use}: expected one model for all classes (conditioning='shared'), but this generator has one a class: "
            "their codes mean different things."
        )


def require_encoder(gen: Generator, use: str = "this") -> None:
    """Check that the generator finds codes for given images.

    Args:
        gen: The generator.
        use: What needs it, for the message.

    Raises:
        ConfigError: If its family has no encoder.
    """
    if not gen.has_encoder:
        raise ConfigError(
            f"expected a family with an encoder, such as vae, vaegan or autoencoder, but {gen.family!r} has none: it "
            f"makes images from codes, and finds no code for an image, which {use} needs."
        )


@contextlib.contextmanager
def in_evaluation(gen: Generator) -> Iterator[Generator]:
    """Run a block with the generator in evaluation mode, for those that call its networks themselves."""
    was_training = gen.training
    gen.eval()
    try:
        yield gen
    finally:
        gen.train(was_training)


def read_labelled(images: ImagesLike, labels: LabelsLike, gen: Generator) -> LabelledImages:
    """Read images and find their labels; see `read_images` and `resolve_labels`.

    Example:
        >>> images, labels = read_labelled(["a.png", "b.png"], "boot", gen)  # doctest: +SKIP
    """
    pixels = read_images(images, gen)
    return LabelledImages(pixels, resolve_labels(given_labels(labels, images, gen), gen, pixels))


def given_labels(labels: LabelsLike, images: ImagesLike, gen: Generator) -> LabelsLike:
    """Return the labels, or a dataset's own where none are given; `None` where there are none of either."""
    return dataset_labels(images, gen) if labels is None and isinstance(images, ImageDataset) else labels


def read_images(images: ImagesLike, gen: Generator, *, resize: bool = True) -> NDArray[np.uint8]:
    """Read images and bring them to the generator's shape, as `ImageDataset.load` does.

    They are stretched without cropping, turned upright by their EXIF data, put on white where they are transparent,
    and made grey or RGB as the generator's are.

    Args:
        images: Paths of image files; PIL images; uint8 arrays (H, W), (H, W, C), (N, H, W) or (N, H, W, C); uint8
            tensors (C, H, W) or (N, C, H, W), as `Generator.sample` returns; a sequence of such; or an
            `ImageDataset`.
        gen: The generator that will take them.
        resize: Bring images of another size to the generator's; else they are refused.

    Returns:
        uint8 images (N, H, W, C).

    Raises:
        DataError: If there are none, or one cannot be read or has another size; the message names it.

    Example:
        >>> from synthaug.generators import make_generator
        >>> gen = make_generator("gan", ["a"], (3, 8, 8), options={"width": 4})
        >>> read_images(np.zeros((2, 16, 12), np.uint8), gen).shape
        (2, 8, 8, 3)
    """
    channels, height, width = gen.image_shape
    items: Iterable[Any]
    if isinstance(images, ImageDataset):
        if images.image_shape == gen.image_shape:
            return images.images
        items = images.images
    elif isinstance(images, (str, os.PathLike, bytes, Image.Image)):
        items = [images]
    elif isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.shape[1:] == (height, width, channels):
        items = []
        if len(images):
            return images
    else:
        items = [images] if _is_one(images) else images
    read = [_read(item, number, (height, width), channels, resize) for number, item in enumerate(items)]
    if not read:
        raise DataError("expected at least one image, but got none.")
    return np.stack(read)


def resolve_labels(labels: LabelsLike, gen: Generator, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the label of each image.

    Args:
        labels: One class name or label for all images, or one for each; ``None`` finds the labels by `infer_labels`.
        gen: The generator whose classes they are.
        images: uint8, (N, H, W, C).

    Raises:
        LabelError: If a class is unknown (the message names close ones), the numbers differ, or labels are left out
            and there are too many classes to try.
        ConfigError: If labels are left out and the family has no encoder.
    """
    if labels is None:
        return infer_labels(gen, images)
    if isinstance(labels, (str, int, np.integer)):
        return np.full(len(images), class_index(labels, gen.classes), dtype=np.int64)
    keys = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
    if len(keys) != len(images):
        raise LabelError(
            f"expected one class for all, or one for each of the {len(images)} images, but got {len(keys)} classes."
        )
    return np.array([class_index(key, gen.classes) for key in keys], dtype=np.int64)


def dataset_labels(data: ImageDataset, gen: Generator) -> NDArray[np.int64]:
    """Return a dataset's labels as the generator numbers them: classes are the same when their names are.

    Raises:
        LabelError: If a class that occurs in the dataset is unknown to the generator.
    """
    return match_labels(data.labels, data.classes, gen.classes)


def relabelled(data: ImageDataset, gen: Generator) -> ImageDataset:
    """Return a dataset whose classes are the generator's, in the generator's order.

    Raises:
        LabelError: If a class that occurs in the dataset is unknown to the generator.
    """
    if data.classes == gen.classes:
        return data
    return ImageDataset.from_arrays(data.images, dataset_labels(data, gen), gen.classes, data.name)


def infer_labels(gen: Generator, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Find the class under which each image is reconstructed with the smallest squared error.

    Costs one pass through encoder and decoder for every class. It is a guess, right more often where classes look
    apart; pass labels where they are known.

    Args:
        gen: A generator with an encoder.
        images: uint8, (N, H, W, C) of the generator's image shape.

    Returns:
        Labels, int64 (N,).

    Raises:
        ConfigError: If the family has no encoder.
        LabelError: If there are more than 32 classes.
    """
    classes = len(gen.classes)
    if classes == 1:
        return np.zeros(len(images), dtype=np.int64)
    if not gen.has_encoder:
        raise ConfigError(
            f"expected the images' labels: finding them needs an encoder, and the family {gen.family!r} has none. "
            "Pass labels (--label)."
        )
    if classes > MOST_CLASSES_TO_INFER:
        raise LabelError(
            f"expected the images' labels: finding them means trying each of the {classes} classes, which is done for "
            f"up to {MOST_CLASSES_TO_INFER}. Pass labels (--label), a class name or a number for each image."
        )
    errors = np.empty((len(images), classes))
    for label in range(classes):
        labels = np.full(len(images), label, dtype=np.int64)
        restored = gen.decode_codes(gen.encode_images(images, labels)[0], labels)
        errors[:, label] = np.square(restored.astype(np.float32) - images).mean(axis=(1, 2, 3))
    best: NDArray[np.int64] = errors.argmin(axis=1).astype(np.int64)
    return best


def choose_images(
    gen: Generator,
    files: Sequence[str | Path] = (),
    *,
    source: Any = None,
    split: str | None = None,
    indices: Sequence[int] | None = None,
    most: int | None = None,
) -> ImageDataset | list[str]:
    """Return what a command line names: image files, or some images of a dataset.

    Args:
        gen: The generator that will take them.
        files: Image files.
        source: A dataset instead, as `ImageDataset.load` takes it.
        split: Part of that dataset.
        indices: Positions in that dataset; all if left out.
        most: Images at most, evenly spaced over the dataset, when ``indices`` are left out.

    Returns:
        The dataset at the generator's shape, or the list of files: either goes into `read_labelled`.

    Raises:
        DataError: If not exactly one of the two is given, or a position is outside the dataset.
    """
    if bool(files) == (source is not None):
        raise DataError("expected image files or a dataset (--source), one of the two.")
    if source is None:
        if indices is not None or split is not None:
            raise DataError("--index and --split choose from a dataset; name it with --source.")
        return [str(file) for file in files]
    data = load_source(source, gen, split)
    if indices is not None:
        return at_positions(data, indices)
    if most is not None and most < 1:
        raise ConfigError(f"most: expected 1 or more images, but got {most}.")
    if most is not None and most < len(data):
        return data.subset(evenly_spread(len(data), most))
    return data


def at_positions(data: ImageDataset, indices: Sequence[int]) -> ImageDataset:
    """Return the images that ``--index`` names.

    Raises:
        DataError: If a position is outside the dataset.
    """
    try:
        return data.subset(list(indices))
    except IndexError as error:
        raise DataError(f"--index: {error}") from error


def load_source(source: Any, gen: Generator, split: str | None = None) -> ImageDataset:
    """Load a dataset at the shape of the generator's images."""
    return ImageDataset.load(source, gen.image_shape[1:], channels=gen.image_shape[0], split=split)


def dataset_of(data: Any, gen: Generator, split: str | None = None) -> tuple[ImageDataset, NDArray[np.int64]]:
    """Return a dataset, loaded at the generator's shape if it is none yet, and its labels as the generator has them.

    Raises:
        DataError: If its images are not of the generator's shape.
        LabelError: If the dataset has a class that the generator does not know.
    """
    images = data if isinstance(data, ImageDataset) else load_source(data, gen, split)
    if images.image_shape != gen.image_shape:
        raise DataError(
            f"expected images of the generator's shape {gen.image_shape}, but got {images.image_shape}. Load them "
            f"with image_size={gen.image_shape[1:]} and channels={gen.image_shape[0]}."
        )
    return images, dataset_labels(images, gen)


def _is_one(images: Any) -> bool:
    """Whether an array or tensor is one image: (N, H, W) with a last side of 1, 3 or 4 is taken for (H, W, C)."""
    shape = getattr(images, "shape", None)
    if shape is None:
        return False
    return len(shape) == 2 or (len(shape) == 3 and (shape[-1] in (1, 3, 4) or _is_channels_first(images)))


def _is_channels_first(images: Any) -> bool:
    return hasattr(images, "detach") and images.shape[0] in (1, 3, 4)


def _read(item: Any, number: int, size: tuple[int, int], channels: int, resize: bool) -> NDArray[np.uint8]:
    named = isinstance(item, (str, os.PathLike))
    item = Path(item).expanduser() if named else item
    try:
        if named and not item.exists():
            raise ValueError("there is no such file")
        if named and item.is_dir():
            raise ValueError("that is a folder; name image files, or a dataset with --source")
        pixels = decode(item, size if resize else None, channels)
        if pixels.shape[:2] != size:
            found = "×".join(map(str, pixels.shape[:2]))
            raise ValueError(f"expected {size[0]}×{size[1]} pixels (H×W), but got {found}; resize it first")
        return pixels
    except (ValueError, TypeError) as error:
        raise DataError(f"{item if named else f'image {number}'}: {error}.") from error
