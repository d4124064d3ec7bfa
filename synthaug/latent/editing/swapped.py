"""A bank of real images of other classes, their class changed and their style kept: common classes lend variation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synthaug.data import ImageDataset
from synthaug.errors import DataError
from synthaug.generators import Generator
from synthaug.labels import ClassKey
from synthaug.latent.editing.edit import swap_class
from synthaug.latent.inputs import as_generator, dataset_of, require_encoder, require_shared
from synthaug.sampling import SampleBank, plan_samples
from synthaug.sampling.decoding import decoded_blocks
from synthaug.sampling.generating import write_output
from synthaug.sampling.job import Job
from synthaug.sampling.plan import warn_of_unseen
from synthaug.seeds import check_sample_seed, folded

if TYPE_CHECKING:
    import pyarrow as pa


def swapped_bank(
    gen: Generator | str | Path,
    data: Any,
    per_class: int | None = None,
    *,
    counts: Mapping[ClassKey, int] | None = None,
    balance: ImageDataset | None = None,
    seed: int = 0,
    out: str | Path = "swapped",
    split: str | None = None,
    overwrite: bool = False,
    device: str | None = None,
    progress: bool = True,
) -> SampleBank:
    """Give training images of other classes each class in turn, and write them as a bank.

    A class's images come from all others at random, so from common ones most often, and none twice while there are
    enough. The bank appears whole or not at all, and the same call after a kill or an error goes on where it stopped.
    It goes wherever a bank goes; beside the usual columns its table has ``source``, the position of the image in
    ``data``.

    Args:
        gen: A generator with an encoder and one model for all classes, its folder, or a hub id.
        data: The training images: an `ImageDataset`, or anything that `ImageDataset.load` takes.
        per_class: This many for every class. Give exactly one of ``per_class``, ``counts``, ``balance``.
        counts: Numbers by class name or label.
        balance: A dataset; each class is topped up to the size of the largest.
        seed: Other seeds choose other images.
        out: Folder to write.
        split: Part of a dataset that is loaded; left out, its training part.
        overwrite: Replace what is there.
        device: Where a generator given by its folder or id runs; left out, the GPU if there is one.
        progress: Show a progress bar on stderr when that is a terminal.

    Returns:
        The opened bank. Its digest names dataset, generator, numbers and seed.

    Raises:
        ConfigError: If the family has no encoder, there is one model a class, or the numbers are contradictory.
        LabelError: If the dataset has a class that the generator does not know.
        DataError: If the images are not of the generator's shape, or none is of another class.
        OutputExistsError: If ``out`` holds data, or an unfinished run with other settings waits beside it.

    Example:
        >>> bank = swapped_bank("runs/x", data, counts={"boot": 300}, out="swapped")  # doctest: +SKIP
        >>> bank.table.column_names[-1]  # doctest: +SKIP
        'source'
    """
    seed = check_sample_seed(seed)
    gen = as_generator(gen, device)
    require_encoder(gen, "class swap")
    require_shared(gen, "class swap")
    images, labels = dataset_of(data, gen, split)
    plan = plan_samples(gen.classes, per_class, counts, balance)
    warn_of_unseen(plan, gen)
    sources = _sources(labels, np.bincount(plan.labels, minlength=len(gen.classes)), gen.classes, seed)
    job = _SwapJob.by(gen, plan, seed=seed, format="bank", data=images, sources=sources)

    def make(rows: slice) -> NDArray[np.uint8]:
        chosen = sources[rows]
        return swap_class(gen, images.take(chosen), to=plan.labels[rows], labels=labels[chosen])

    target = Path(out).expanduser().resolve()
    write_output(gen, job, target, overwrite=overwrite, progress=progress, decode=partial(decoded_blocks, make=make))
    return SampleBank.open(target)


def _sources(
    labels: NDArray[np.int64], numbers: NDArray[np.int64], classes: tuple[str, ...], seed: int
) -> NDArray[np.int64]:
    """Choose the images that each class is given to, class by class, (sum of the numbers,)."""
    random = np.random.default_rng(folded(seed))
    chosen = []
    for label in np.flatnonzero(numbers).tolist():
        others = np.flatnonzero(labels != label)
        if not len(others):
            raise DataError(f"expected images of other classes than {classes[label]!r}, but got none.")
        chosen.append(random.choice(others, numbers[label], replace=bool(numbers[label] > len(others))))
    return np.concatenate(chosen)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class _SwapJob(Job):
    """What the bank's writer knows, with what is particular to swapped images."""

    data: ImageDataset
    sources: NDArray[np.int64]

    def provenance(self) -> dict[str, Any]:
        """What made the images, JSON-able."""
        return super().provenance() | {"swap": {"dataset": {"digest": self.data.digest, "images": len(self.data)}}}

    def table(self, rows: slice = slice(None)) -> pa.Table:
        """Return the provenance of some images."""
        return super().table(rows).append_column("source", [self.sources[rows]])
