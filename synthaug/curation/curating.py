"""`curate`: of the samples there are, those to keep."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synthaug.curation.picture import Gallery
from synthaug.curation.pipeline import DEFAULT_FILTERS, Curation, Filters
from synthaug.curation.reference import Reference
from synthaug.curation.tables import accepted_table, joined, rejected_table
from synthaug.errors import ConfigError, DataError, DataWarning, listed
from synthaug.grids import save_picture
from synthaug.labels import ClassKey, resolve_counts
from synthaug.sampling import SampleBank
from synthaug.sampling.contents import sample_contents
from synthaug.seeds import check_seed
from synthaug.storage import output_folder

if TYPE_CHECKING:
    from synthaug.data import ImageDataset

PICTURE = "rejected.png"


def curate(
    bank: SampleBank | str | Path,
    train: ImageDataset | Reference,
    filters: Filters | Curation = DEFAULT_FILTERS,
    *,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    per_class: int | None = None,
    counts: Mapping[ClassKey, int] | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    overwrite: bool = False,
    device: str = "auto",
) -> SampleBank:
    """Judge the samples of a bank and keep the good ones.

    The table of the new bank has ``score_<filter>`` for each filter and a ``weight`` for training; ``bank.rejected``
    has the same of all others, with the reason: the first filter that rejected. Filters after it did not judge.

    Args:
        bank: The samples, or the folder of their bank; it stays as it is.
        train: The training split, the only images that are looked at; classes are matched by name.
        filters: Names from `list_filters`, or filters with settings, in order.
        settings: Settings by name of the filter; under ``"reference"`` fields of `ReferenceConfig`.
        per_class: Samples of each class that selections (diversity, hardness) keep; left out, the share they have.
            Give ``per_class`` or ``counts``, and only with a selection.
        counts: The same by class name or label of the bank; classes left out keep none.
        out: Folder to write; left out, the bank stays in memory.
        seed: Of the classifiers that are trained, from 0 to 2³² − 1.
        overwrite: Replace what is in ``out``.
        device: ``"auto"`` (a GPU if there is one) or a torch device.

    Returns:
        The bank of accepted samples; its ``provenance["curation"]`` tells settings, thresholds and numbers.

    Raises:
        ConfigError: On an unknown filter or setting, or numbers without a selection.
        DataError: If no sample is accepted, the images are of another shape, or a class has no real image.
        LabelError: If the training split does not know a class of the bank.
        OutputExistsError: If ``out`` holds data and ``overwrite`` is false.

    Example:
        >>> kept = synthaug.curate("bank", train, ("confidence", "duplicate"), out="kept")  # doctest: +SKIP
        >>> kept.rejected.column("reason").value_counts()  # doctest: +SKIP
    """
    curation = Curation.make(filters, settings)
    seed = check_seed(seed)
    _check_numbers(curation, per_class, counts)
    target = None if out is None else Path(out).expanduser().resolve()
    if target is not None:
        output_folder(target, overwrite=overwrite, what="curate", contents=sample_contents())
    bank = bank if isinstance(bank, SampleBank) else SampleBank.open(bank)
    reference = train if isinstance(train, Reference) else Reference(train, seed, curation.reference, device)
    ours = reference.labels_of(np.asarray(bank.labels), bank.classes)
    candidates = reference.candidates(bank.images, ours)
    wanted = None
    asked = per_class if counts is None else counts
    if asked is not None:
        numbers = resolve_counts(asked, bank.classes)
        wanted = np.zeros(len(reference.classes), dtype=np.int64)
        for label in np.unique(bank.labels).tolist():
            wanted[reference.labels_of(np.array([label]), bank.classes)] = numbers[label]
    fitted = curation.fit(reference)
    judgement = fitted.choose(fitted.judge(candidates), wanted)
    numbers_by_class = judgement.counts(bank.classes, np.asarray(bank.labels))
    rows, others = np.flatnonzero(judgement.accepted), np.flatnonzero(~judgement.accepted)
    if not len(rows):
        first: dict[str, int] = next(iter(numbers_by_class["rejected"].values()), {})
        raise DataError(
            f"curate: none of {len(bank)} samples was accepted (of the first class, rejected by: "
            f"{', '.join(f'{name} {number}' for name, number in first.items())}). Make the filters less strict, use "
            "fewer, or train the generator longer."
        )
    _warn_of_lost_classes(bank, rows, numbers_by_class["rejected"], wanted=asked)
    table = bank.table
    report = fitted.describe() | numbers_by_class | {"bank": bank.digest}
    if (before := bank.provenance.get("curation")) is not None:
        report["before"] = before
    kept = SampleBank.from_arrays(
        bank.images[rows],
        bank.labels[rows],
        bank.classes,
        table=accepted_table(table.take(rows), judgement, rows),
        provenance=dict(bank.provenance) | {"curation": report},
        rejected=joined(bank.rejected, rejected_table(table.take(others), judgement, others)),
    )
    if target is None:
        return kept
    saved = kept.save(target, overwrite=overwrite)
    gallery = Gallery(judgement.names, bank.classes)
    gallery.add(bank.images, np.asarray(bank.labels), judgement.reasons)
    if (picture := gallery.picture()) is not None:
        save_picture(picture, target / PICTURE)
    return saved


def _warn_of_lost_classes(
    bank: SampleBank,
    kept: NDArray[np.intp],
    rejected: Mapping[str, Mapping[str, int]],
    wanted: Mapping[ClassKey, int] | int | None,
) -> None:
    """Say which classes of the bank have no sample left, though some were wanted."""
    asked = np.ones(len(bank.classes)) if wanted is None else resolve_counts(wanted, bank.classes)
    left = np.bincount(np.asarray(bank.labels)[kept], minlength=len(bank.classes))
    lost = [bank.classes[label] for label in np.flatnonzero((bank.counts > 0) & (left == 0) & (asked > 0))]
    if lost:
        reasons = ", ".join(f"{name} {number}" for name, number in rejected[lost[0]].items())
        warnings.warn(
            f"no sample is left of {listed([*map(repr, lost)])} (of "
            f"{lost[0]!r}, rejected by: {reasons}). Make the filters less strict, or train the generator longer.",
            DataWarning,
            stacklevel=3,
        )


def _check_numbers(curation: Curation, per_class: int | None, counts: Mapping[ClassKey, int] | None) -> None:
    if per_class is not None and counts is not None:
        raise ConfigError("give per_class or counts, not both.")
    if (per_class is not None or counts is not None) and not curation.selects:
        raise ConfigError(
            "per_class and counts: expected a filter that chooses among good samples (diversity, hardness), but got "
            f"{', '.join(one.name for one in curation.filters)}, which judge them one by one. Add one, or leave the "
            "number out."
        )
