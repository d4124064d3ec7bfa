"""Which samples are to be made: an ordered list of names (label, index)."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import ConfigError, DataWarning, LabelError, did_you_mean
from synthaug.labels import ClassKey, resolve_counts
from synthaug.storage import digest

if TYPE_CHECKING:
    from synthaug.data import ImageDataset
    from synthaug.generators import Generator


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """The names of the samples to make, in the order of the output: by class, then by index.

    Attributes:
        labels: Class of each sample, int64 (N,).
        indices: Number of each sample within its class, int64 (N,).
    """

    labels: NDArray[np.int64]
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the names and their order."""
        return digest(self.labels.tobytes(), self.indices.tobytes())

    def part(self, number: int, parts: int) -> Plan:
        """Return part ``number`` (from 1) of ``parts`` contiguous ones; in order they concatenate to this plan.

        Raises:
            ConfigError: If the number is not from 1 to ``parts``, or that part would be empty.
        """
        if parts < 1 or not 1 <= number <= parts:
            raise ConfigError(f"shard: expected K/N with K from 1 to N, but got {number}/{parts}.")
        rows = slice(len(self) * (number - 1) // parts, len(self) * number // parts)
        if rows.start == rows.stop:
            raise ConfigError(
                f"shard: {len(self)} samples in {parts} shards leave shard {number} empty; take fewer shards."
            )
        return Plan(self.labels[rows], self.indices[rows])


def plan_samples(
    classes: Sequence[str],
    per_class: int | None = None,
    counts: Mapping[ClassKey, int] | None = None,
    balance: ImageDataset | None = None,
) -> Plan:
    """Resolve one of three ways of saying how many samples each class gets.

    Args:
        classes: The generator's classes.
        per_class: The same number for every class.
        counts: Numbers by class name or label; classes left out get none.
        balance: A dataset with the same class names; every class is topped up to its largest class.

    Raises:
        ConfigError: If not exactly one of the three is given, or nothing is left to make.
        LabelError: If a class is unknown, a number is no count, or the dataset's classes differ.

    Example:
        >>> plan_samples(["boot", "sneaker"], counts={"sneaker": 2}).labels.tolist()
        [1, 1]
    """
    given = [
        name
        for name, value in (("per_class", per_class), ("counts", counts), ("balance", balance))
        if value is not None
    ]
    wanted = per_class if counts is None else counts
    if len(given) == 1 and wanted is not None:
        numbers = resolve_counts(wanted, classes)
    elif len(given) == 1 and balance is not None:
        numbers = missing_counts(balance, classes)
    else:
        raise ConfigError(
            f"expected exactly one of per_class, counts and balance, but got {' and '.join(given) or 'none'}."
        )
    if not numbers.sum():
        reason = "every class is already as large as the largest" if balance is not None else "all counts are 0"
        raise ConfigError(f"nothing to generate: {reason}.")
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), numbers)
    starts = np.cumsum(numbers) - numbers
    return Plan(labels, np.arange(len(labels), dtype=np.int64) - np.repeat(starts, numbers))


def warn_of_unseen(plan: Plan, gen: Generator) -> None:
    """Warn if samples are asked of classes of which the generator saw no image."""
    unseen: list[str] = gen.provenance.get("unseen_classes") or []
    asked = [name for name in unseen if gen.classes.index(name) in plan.labels]
    if asked:
        warnings.warn(
            f"{asked[0]!r}{f' and {len(asked) - 1} more' if len(asked) > 1 else ''} of the classes had no training "
            "image, so their samples can't be meaningful. Leave them out: name what each class should get with counts.",
            DataWarning,
            stacklevel=3,
        )


def missing_counts(data: ImageDataset, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return how many samples each of ``classes`` lacks to be as large as the dataset's largest class.

    A class without a real image gets none, with a warning: a generator of these images does not know it.

    Raises:
        LabelError: If the dataset's class names are not those of ``classes`` (the order may differ).
    """
    strange = [name for name in data.classes if name not in classes]
    lacking = [name for name in classes if name not in data.classes]
    if strange:
        raise LabelError(
            f"balance: expected a dataset with the generator's classes, but it has {strange[0]!r}, "
            f"which the generator does not know.{did_you_mean(strange[0], classes)}"
        )
    if lacking:
        raise LabelError(
            f"balance: expected a dataset with the generator's classes, but it lacks {lacking[0]!r}"
            f"{f' and {len(lacking) - 1} more' if len(lacking) > 1 else ''}. "
            "Name what each class should get with counts instead."
        )
    have = {name: int(number) for name, number in zip(data.classes, data.class_counts, strict=True)}
    most = max(have.values())
    unseen = [name for name in classes if not have[name]]
    if unseen:
        warnings.warn(
            f"balance: {unseen[0]!r}{f' and {len(unseen) - 1} more' if len(unseen) > 1 else ''} of the classes have no "
            "real image, so they get no samples. Name what each class should get with counts instead.",
            DataWarning,
            stacklevel=3,
        )
    return np.array([most - have[name] if have[name] else 0 for name in classes], dtype=np.int64)
