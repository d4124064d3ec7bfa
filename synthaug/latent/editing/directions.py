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
_FOLDS = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Direction:
    """A direction in the latent space of one generator.

    Attributes:
        name: What it stands for.
        vector: float32 (latent_size,); its length is the distance between images without and with the attribute.
        generator: Digest of the generator whose codes it moves; see `digest_of`.
        method: How it was found.
        images: Numbers of images with and without the attribute that it was found from.
        accuracy: Balanced share of these images that lie on their own side of the plane halfway, each judged by a plane
            found without it: near 0.5 the latent space does not know the attribute. `None` where a group has one image
            only, which can not be left out.
    """

    name: str
    vector: NDArray[np.float32]
    generator: str
    method: str = "mean"
    images: tuple[int, int] = (0, 0)
    accuracy: float | None = None

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
        if self.accuracy is None:
            return "too few of them to tell how well the latent space knows the attribute"
        return (
            f"{self.accuracy:.0%} of them (balanced) lie on their side of the middle between the others; by chance it "
            "would be about 50%"
        )

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write it as JSON, atomically.

        Raises:
            OutputExistsError: If there is a file and ``overwrite`` is false.
        """
        storage.refuse_existing(path, overwrite, "direction")
        values = {"format": _FORMAT, "version": _VERSION, **dataclasses.asdict(self), "vector": self.vector.tolist()}
        storage.write_json(Path(path).expanduser(), values)

    @classmethod
    def load(cls, path: str | Path) -> Direction:
        """Read what `save` wrote.

        Raises:
            FormatError: If the file is missing or is no direction.
        """
        values = storage.read_json(Path(path).expanduser())
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
    vector = _Halves(codes, labels, has, method).vector
    if not np.any(vector):
        raise DataError("expected two groups of images that differ, but their codes have the same mean.")
    return Direction(
        name,
        vector.astype(np.float32),
        Direction.digest_of(gen),
        method,
        (len(first.labels), len(second.labels)),
        _accuracy(codes, labels, has, method),
    )


def _accuracy(
    codes: NDArray[np.float64], labels: NDArray[np.int64], has: NDArray[np.bool_], method: str
) -> float | None:
    """Return the balanced share of codes on their own side of the plane that the other folds' codes give.

    On its own codes a plane would be right about noise, too, where there are not many more images than dimensions.
    """
    folds = _folds(labels, has)
    right = np.full(len(codes), np.nan)
    for fold in range(_FOLDS):
        judged, kept = folds == fold, folds != fold
        halves = _Halves(codes[kept], labels[kept], has[kept], method)
        known = judged & halves.knows(labels)
        right[known] = halves.of(codes[known], labels[known]) == has[known]
    groups = [right[group & ~np.isnan(right)] for group in (has, ~has)]
    return None if min(map(len, groups)) == 0 else float(0.5 * sum(group.mean() for group in groups))


def _folds(labels: NDArray[np.int64], has: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the fold of each image, (N,), stratified; −1 for the only one of its class in its group.

    Groups of one size lose as many images to a fold: a smaller one would have its mean further from any new code.
    """
    random = np.random.Generator(np.random.Philox(key=0))
    folds = np.full(len(labels), -1, dtype=np.int64)
    for place, label in enumerate(np.unique(labels)):
        for group in (has, ~has):
            rows = np.flatnonzero((labels == label) & group)
            if len(rows) >= 2:
                folds[random.permutation(rows)] = (np.arange(len(rows)) + place) % _FOLDS
    return folds


class _Halves:
    """The two sides of the plane halfway between codes that have an attribute and those that do not.

    Codes are looked at around the middle between their class's groups. Each class counts as much as the precision of
    its difference allows, n m / (n + m) for groups of n and m images (Cochran 1954). Classes that are in one group only
    say nothing; if all are, codes are compared as they are.

    Args:
        codes: (N, D).
        labels: Their classes, (N,).
        has: Which have the attribute, (N,).
        method: See `attribute_direction`.

    Attributes:
        vector: From the groups' mean without the attribute to that with it, (D,).
    """

    def __init__(
        self, codes: NDArray[np.float64], labels: NDArray[np.int64], has: NDArray[np.bool_], method: str
    ) -> None:
        weights = np.ones(len(labels))
        self._centres: dict[int, NDArray[np.float64]] = {}
        for label in np.unique(labels).tolist():
            groups = [(labels == label) & group for group in (has, ~has)]
            numbers = [int(group.sum()) for group in groups]
            if min(numbers) == 0:
                continue
            self._centres[label] = 0.5 * (codes[groups[0]].mean(axis=0) + codes[groups[1]].mean(axis=0))
            for group, number in zip(groups, numbers, strict=True):
                weights[group] = numbers[0] * numbers[1] / sum(numbers) / number
        kept = self.knows(labels)
        centred, has, weights = self._centred(codes[kept], labels[kept]), has[kept], weights[kept]
        means = [np.average(centred[group], axis=0, weights=weights[group]) for group in (has, ~has)]
        self.vector: NDArray[np.float64] = means[0] - means[1]
        self._middle = 0.5 * (means[0] + means[1])
        if method == "logistic" and np.any(self.vector):
            from sklearn.linear_model import LogisticRegression

            spread = centred.std(axis=0) + 1e-12
            model = LogisticRegression(class_weight="balanced", max_iter=1000)
            normal = model.fit(centred / spread, has, sample_weight=weights).coef_[0] / spread
            self.vector = normal * (normal @ self.vector) / (normal @ normal)

    def knows(self, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for which of the labels (N,) codes can be compared."""
        return np.isin(labels, list(self._centres)) if self._centres else np.ones(len(labels), dtype=bool)

    def of(self, codes: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which codes (N, D) of known classes lie on the side of those that have the attribute, (N,)."""
        side: NDArray[np.bool_] = (self._centred(codes, labels) - self._middle) @ self.vector > 0
        return side

    def _centred(self, codes: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        if not self._centres:
            return codes
        centred = codes.copy()
        for label, centre in self._centres.items():
            centred[labels == label] -= centre
        return centred
