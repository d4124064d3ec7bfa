"""A bank of variants of the training images, made beforehand: training then costs no forward pass of the generator."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synthaug.data import ImageDataset
from synthaug.errors import DataError, FormatError, LabelError
from synthaug.generators import Generator
from synthaug.latent.inputs import as_generator, dataset_of, require_encoder
from synthaug.latent.varying.vary import Variation, Varier, check_number
from synthaug.sampling import Plan, SampleBank
from synthaug.sampling.decoding import decoded_blocks
from synthaug.sampling.draw import NOTHING, ClassSampler
from synthaug.sampling.generating import write_output
from synthaug.sampling.job import Job
from synthaug.seeds import check_sample_seed

if TYPE_CHECKING:
    import pyarrow as pa


def variation_bank(
    gen: Generator | str | Path,
    data: Any,
    per_image: int = 4,
    strength: float = 0.5,
    seed: int = 0,
    out: str | Path = "variations",
    *,
    keep_residual: bool = True,
    split: str | None = None,
    overwrite: bool = False,
    device: str | None = None,
    progress: bool = True,
) -> SampleBank:
    """Make variants of all images of a dataset and write them as a bank.

    The bank appears whole or not at all, and the same call after a kill or an error goes on where it stopped. It goes
    wherever a bank goes; beside the usual columns its table has ``source``, the position of the varied image in
    ``data``, and ``variant``, its number. The variants are those that `synthaug.latent.vary` makes.

    Args:
        gen: A generator with an encoder, its folder, or a hub id.
        data: The training images: an `ImageDataset`, or anything that `ImageDataset.load` takes.
        per_image: Variants of each image.
        strength: From 0, the image itself, to 1, a new sample of its class.
        seed: Other seeds give other variants.
        out: Folder to write.
        keep_residual: Add the detail that the decoder loses, faded by the strength.
        split: Part of a dataset that is loaded; left out, its training part.
        overwrite: Replace what is there.
        device: Where a generator given by its folder or id runs; left out, the GPU if there is one.
        progress: Show a progress bar on stderr when that is a terminal.

    Returns:
        The opened bank. Its digest names dataset, generator, settings and seed.

    Raises:
        ConfigError: If the family has no encoder, or a setting is out of range.
        LabelError: If the dataset has a class that the generator does not know.
        DataError: If the images are not of the generator's shape.
        OutputExistsError: If ``out`` holds data, or an unfinished run with other settings waits beside it.

    Example:
        >>> bank = variation_bank("runs/x", data, per_image=4, strength=0.3, out="variations")  # doctest: +SKIP
        >>> bank.table.column_names[-2:]  # doctest: +SKIP
        ['source', 'variant']
    """
    variation = Variation(strength, keep_residual)
    check_number(per_image, "per_image")
    seed = check_sample_seed(seed)
    gen = as_generator(gen, device)
    require_encoder(gen, "varying images")
    images, labels = dataset_of(data, gen, split)
    job = _VariationJob.by(
        gen,
        _plan(labels, per_image, len(gen.classes)),
        seed=seed,
        format="bank",
        data=images,
        per_image=per_image,
        variation=variation,
    )
    varier = Varier(gen, variation, seed)

    def make(rows: slice) -> NDArray[np.uint8]:
        """Vary the images that some rows of the bank come from, of which the first and last may be cut."""
        first, last = rows.start // per_image, -(-rows.stop // per_image)
        chosen = np.arange(first, last)
        made = varier.variants(images.take(chosen), labels[chosen], per_image)
        return made.reshape(-1, *made.shape[2:])[rows.start - first * per_image : rows.stop - first * per_image]

    target = Path(out).expanduser().resolve()
    write_output(gen, job, target, overwrite=overwrite, progress=progress, decode=partial(decoded_blocks, make=make))
    return SampleBank.open(target)


def _plan(labels: NDArray[np.int64], per_image: int, classes: int) -> Plan:
    """Return the variants in the order of their images, numbered within their classes like all samples."""
    each = np.repeat(labels, per_image)
    indices = np.empty_like(each)
    for label in range(classes):
        mine = each == label
        indices[mine] = np.arange(mine.sum())
    return Plan(each, indices)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class _VariationJob(Job):
    """What the bank's writer knows, with what is particular to variants."""

    data: ImageDataset
    per_image: int
    variation: Variation

    def provenance(self) -> dict[str, Any]:
        """What made the variants, JSON-able."""
        return super().provenance() | {
            "variation": self.variation.to_dict()
            | {"per_image": self.per_image, "dataset": {"digest": self.data.digest, "images": len(self.data)}}
        }

    def table(self, rows: slice = slice(None)) -> pa.Table:
        """Return the provenance of some variants."""
        numbers = np.arange(len(self.plan), dtype=np.int64)[rows]
        table = super().table(rows)
        for name, column in (("source", numbers // self.per_image), ("variant", numbers % self.per_image)):
            table = table.append_column(name, [column])
        return table


class VariantSampler(ClassSampler):
    """Chooses variants of a given training image from a bank that `variation_bank` made.

    Args:
        bank: The bank, or its path.
        classes: Names of the classes as the training data orders them; checked against the bank's.

    Raises:
        FormatError: If the bank holds no variants.
    """

    def __init__(self, bank: SampleBank | str | os.PathLike[str], classes: Sequence[str] | None = None) -> None:
        super().__init__(bank, classes)
        if "source" not in self.bank.table.column_names:
            raise FormatError(
                f"expected a bank of variants, as variation_bank (synthaug vary --source) makes, but {self.bank} does "
                "not say which image each comes from."
            )
        self._by_source: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_by_source": None}

    def choose_variant(self, position: int, label: int, p: float, draw: float) -> int:
        """Return the row of a variant of an image with probability ``p``, else `NOTHING`.

        Args:
            position: Of the image in the dataset that was varied. One without variants never gets any.
            label: Its checked label.
            p: Probability of a variant.
            draw: A uniform random number in [0, 1); it decides both whether and which.

        Raises:
            LabelError: If the image's variants have another label, so that the bank is of another dataset.
        """
        rows = self._rows_of(position)
        if not len(rows):
            return NOTHING
        found = int(self.bank.labels[rows[0]])
        if found != label:
            raise LabelError(
                f"expected the dataset that the bank holds variants of, but image {position} is of class "
                f"{self.classes[label]!r} there and of class {self.classes[found]!r} in the bank."
            )
        return NOTHING if draw >= p else int(rows[min(int(draw / p * len(rows)), len(rows) - 1)])

    def check_dataset(self, number: int, digest: str | None = None) -> None:
        """Raise `DataError` unless a dataset of ``number`` images, and this digest if known, was the one varied."""
        described = self.bank.provenance.get("variation", {}).get("dataset", {})
        expected = described.get("images", number), described.get("digest", digest)
        if expected[0] != number or digest not in (None, expected[1]):
            raise DataError(
                f"expected the dataset of {expected[0]} images that the bank holds variants of, in the same order, "
                f"but got one of {number}{' other images' if expected[0] == number else ''}."
            )

    def _rows_of(self, position: int) -> NDArray[np.int64]:
        if self._by_source is None:
            sources = self.bank.table.column("source").to_numpy()
            order = np.argsort(sources, kind="stable")
            self._by_source = order, sources[order]
        order, ordered = self._by_source
        first, last = np.searchsorted(ordered, [position, position + 1])
        return order[first:last]
