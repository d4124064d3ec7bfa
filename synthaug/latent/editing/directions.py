"""Attribute directions: found from two groups of images, kept as a small JSON file that names its generator."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug import storage
from synthaug.errors import ConfigError, DataError, FormatError, did_you_mean
from synthaug.generators import Generator
from synthaug.latent.inputs import ImagesLike, LabelsLike, as_generator, read_labelled, require_encoder

METHODS = ("mean", "logistic")

_FORMAT = "synthaug-direction"
_VERSION = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Direction:
    """A direction in the latent space of one generator.

    Attributes:
        name: What it stands for.
        vector: float32 (latent_size,); its length is the distance between images without and with the attribute.
        generator: Digest of the generator whose codes it moves; see `digest_of`.
        method: How it was found.
        images: Numbers of images with and without the attribute that it was found from.
        accuracy: Balanced share of these images that lie on their own side of the plane halfway: near 0.5 the
            latent space does not know the attribute.
    """

    name: str
    vector: NDArray[np.float32]
    generator: str
    method: str = "mean"
    images: tuple[int, int] = (0, 0)
    accuracy: float = 0.0

    @staticmethod
    def digest_of(gen: Generator) -> str:
        """Return the digest of a generator, whatever the sampling settings that only draw codes.

        Such as the temperature. A family marks its own in its file with ``metadata={"draws_only": True}``, such as the
        prior; all others, such as the steps of diffusion, may decide which code an image has.
        """
        standard = gen.sampling_class()
        drawing = {
            field.name: getattr(standard, field.name)
            for field in dataclasses.fields(standard)
            if field.metadata.get("draws_only")
        }
        copy = gen.with_sampling()
        copy.sampling = gen.sampling.replace(**drawing)  # what a family refuses to draw with is not drawn with here
        return copy.digest

    def require(self, gen: Generator, digest: str | None = None) -> None:
        """Check that the direction belongs to a generator, whose `digest_of` may be known already.

        Raises:
            ConfigError: If it was found with another one, or under other sampling settings that move codes.
        """
        expected = digest or self.digest_of(gen)
        if self.generator != expected or self.vector.shape != (gen.latent_size,):
            raise ConfigError(
                f"direction {self.name!r} belongs to generator {self.generator[:12]}…, but this is {expected[:12]}…: "
                "codes of another generator, or of one that encodes with other settings (steps, guidance), mean other "
                "things. Find the direction again with this one."
            )

    def summary(self) -> str:
        """Return, in a line, how well the latent space knows the attribute."""
        return f"{self.accuracy:.0%} of them (balanced) lie on their side of the middle; by chance it would be 50%"

    def save(self, path: str | Path) -> None:
        """Write it as JSON, atomically."""
        values = {"format": _FORMAT, "version": _VERSION, **dataclasses.asdict(self), "vector": self.vector.tolist()}
        storage.write_json(Path(path), values)

    @classmethod
    def load(cls, path: str | Path) -> Direction:
        """Read what `save` wrote.

        Raises:
            FormatError: If the file is missing or is no direction.
        """
        values = storage.read_json(Path(path))
        if not isinstance(values, dict) or values.get("format") != _FORMAT or values.get("version") != _VERSION:
            raise FormatError(f"expected {path} to be a direction (version {_VERSION}) that synthaug has written.")
        try:
            fields: dict[str, Any] = {field.name: values[field.name] for field in dataclasses.fields(cls)}
            fields["vector"] = np.asarray(fields["vector"], dtype=np.float32)
            fields["images"] = tuple(fields["images"])
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{path} is damaged: {error!r}.") from error
        if fields["vector"].ndim != 1 or not np.isfinite(fields["vector"]).all():
            raise FormatError(f"{path} is damaged: expected a vector of finite numbers.")
        return cls(**fields)


def attribute_direction(
    gen: Generator | str | Path,
    with_images: ImagesLike,
    without_images: ImagesLike,
    with_labels: LabelsLike = None,
    without_labels: LabelsLike = None,
    *,
    name: str = "attribute",
    method: str = "mean",
) -> Direction:
    """Find the direction that leads from images without an attribute to images with it.

    Images are compared with those of their own class, wherever a class is in both groups: a class that is more frequent
    in one group does not become part of the attribute.

    Args:
        gen: A generator (or its folder) with an encoder.
        with_images: Images that have the attribute, in any form that `synthaug.latent.inputs.read_images` reads.
        without_images: Images that do not.
        with_labels: Classes of the first; found by the generator if left out.
        without_labels: Classes of the others.
        name: What the attribute is called.
        method: ``"mean"``: the difference of the mean codes; ``"logistic"``: the normal of the plane that separates
            the groups best (logistic regression), which leaves out what merely goes along with the attribute.

    Returns:
        The direction, as long as the distance between the groups' means along it.

    Raises:
        ConfigError: If the family has no encoder, or there is no such method.
        DataError: If the groups' codes have the same mean.

    Example:
        >>> smile = attribute_direction(gen, smiling, serious, "face", "face", name="smile")  # doctest: +SKIP
    """
    gen = as_generator(gen)
    require_encoder(gen, "an attribute direction")
    if method not in METHODS:
        raise ConfigError(f"method: expected 'mean' or 'logistic', but got {method!r}.{did_you_mean(method, METHODS)}")
    if gen.conditioning != "shared" and len(gen.classes) > 1:
        raise ConfigError(
            "expected one model for all classes (conditioning='shared'), but this generator has one a class, each "
            "with codes of its own: take that of one class, gen.member(label), instead."
        )
    first, second = read_labelled(with_images, with_labels, gen), read_labelled(without_images, without_labels, gen)
    codes = np.concatenate([gen.encode_images(*group)[0] for group in (first, second)]).astype(np.float64)
    labels = np.concatenate([first.labels, second.labels])
    has = np.arange(len(labels)) < len(first.labels)
    centred, has, weights = _within_classes(codes, labels, has)
    difference = np.average(centred[has], axis=0, weights=weights[has]) - np.average(
        centred[~has], axis=0, weights=weights[~has]
    )
    if not np.any(difference):
        raise DataError("expected two groups of images that differ, but their codes have the same mean.")
    vector = difference
    if method == "logistic":
        from sklearn.linear_model import LogisticRegression

        spread = centred.std(axis=0) + 1e-12
        model = LogisticRegression(class_weight="balanced", max_iter=1000)
        normal = model.fit(centred / spread, has, sample_weight=weights).coef_[0] / spread
        vector = normal * (normal @ difference) / (normal @ normal)
    middle = 0.5 * sum(np.average(centred[group], axis=0, weights=weights[group]) for group in (has, ~has))
    side = (centred - middle) @ vector > 0
    return Direction(
        name,
        vector.astype(np.float32),
        Direction.digest_of(gen),
        method,
        (len(first.labels), len(second.labels)),
        float(0.5 * (side[has].mean() + (~side[~has]).mean())),
    )


def _within_classes(
    codes: NDArray[np.float64], labels: NDArray[np.int64], has: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Return codes around the middle between their class's groups, which have the attribute, and their weights.

    Each class counts as much as the precision of its difference allows, n m / (n + m) for groups of n and m images
    (Cochran 1954). Classes that are in one group only say nothing; if all are, codes are compared as they are.
    """
    kept = np.zeros(len(labels), dtype=bool)
    centred, weights = codes.copy(), np.ones(len(labels))
    for label in np.unique(labels):
        groups = [(labels == label) & group for group in (has, ~has)]
        numbers = [int(group.sum()) for group in groups]
        if min(numbers) == 0:
            continue
        kept |= groups[0] | groups[1]
        centred[groups[0] | groups[1]] -= 0.5 * (codes[groups[0]].mean(axis=0) + codes[groups[1]].mean(axis=0))
        for group, number in zip(groups, numbers, strict=True):
            weights[group] = numbers[0] * numbers[1] / sum(numbers) / number
    if not kept.any():
        return codes, has, weights
    return centred[kept], has[kept], weights[kept]
