"""`generate_curated`: draws samples until enough of them are good, within a budget, and says when it cannot."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synthaug.curation.curating import PICTURE
from synthaug.curation.drawing import Drawing, matched_labels
from synthaug.curation.pipeline import DEFAULT_FILTERS, Curation, Filters
from synthaug.curation.reference import Reference
from synthaug.curation.tables import accepted_table, rejected_table
from synthaug.errors import ConfigError, DataWarning, GenerationInterrupted
from synthaug.grids import save_picture
from synthaug.labels import ClassKey
from synthaug.sampling import Plan, SampleBank, load_generator, plan_samples
from synthaug.sampling.contents import sample_contents
from synthaug.sampling.decoding import decoded_blocks
from synthaug.sampling.generating import write_output
from synthaug.sampling.job import Job
from synthaug.sampling.partial import refuse_unfinished
from synthaug.sampling.plan import warn_of_unseen
from synthaug.sampling.progress import sample_progress
from synthaug.sampling.writers import writer_class
from synthaug.seeds import check_sample_seed, folded
from synthaug.storage import output_folder

if TYPE_CHECKING:
    import pyarrow as pa

    from synthaug.data import ImageDataset
    from synthaug.generators import Generator


class BudgetError(ConfigError):
    """The budget was spent and a class has nothing, or too little where that is not allowed; nothing was written."""


class BudgetWarning(UserWarning):
    """The budget was spent before all classes had as many samples as were asked for."""


def generate_curated(
    gen: Generator | str | Path,
    train: ImageDataset | Reference,
    per_class: int | None = None,
    *,
    counts: Mapping[ClassKey, int] | None = None,
    balance: ImageDataset | None = None,
    filters: Filters | Curation = DEFAULT_FILTERS,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    budget: float = 4.0,
    strict: bool = False,
    seed: int = 0,
    out: str | Path,
    format: str = "bank",
    shard_size: int | None = None,
    overwrite: bool = False,
    device: str | None = None,
    progress: bool = True,
) -> SampleBank | Path:
    """Draw samples, keep the good ones, and go on until there are enough or the budget is spent.

    Samples 0, 1, 2, … of each class are judged in this order, and the first good ones are kept. The output is that of
    `synthaug.generate`, with gaps in the indices; a bank also has the columns and the table of rejected candidates
    that `curate` leaves, and ``rejected.png``. It appears whole or not at all.

    Args:
        gen: A generator, its folder, or a hub id.
        train: The training split of the generator, the only images that are looked at; classes are matched by name.
        per_class: This many samples of every class. Give exactly one of ``per_class``, ``counts``, ``balance``.
        counts: Numbers by class name or label.
        balance: A dataset; each class is topped up to the size of the largest.
        filters: Names from `list_filters`, or filters with settings, in order.
        settings: Settings by name of the filter; under ``"reference"`` fields of `ReferenceConfig`.
        budget: Candidates drawn for each sample that is wanted, at most; 1 or more.
        strict: Raise when a class has fewer than asked for, rather than warn and write what there is.
        seed: In the name of every sample, and of the classifiers that are trained.
        out: Folder to write.
        format: ``"bank"``, ``"parquet"``, ``"imagefolder"`` or ``"webdataset"``.
        shard_size: Samples a file, a multiple of 64.
        overwrite: Replace what is there.
        device: Where a generator given by its folder or id runs, and the filters' networks.
        progress: Show a progress bar on stderr when that is a terminal.

    Returns:
        The opened `SampleBank` for format ``"bank"``, else the folder. ``provenance["curation"]`` tells settings,
        thresholds, numbers by class and reason, and under ``"missing"`` what the budget did not suffice for.

    Raises:
        BudgetError: If a class that is wanted got no sample at all, or, with ``strict``, too few.
        ConfigError: If the request is contradictory, empty or out of range.
        LabelError: If a class is unknown.
        DataError: If the images are of another shape, or a wanted class has no real image.
        OutputExistsError: If ``out`` holds data, or an unfinished run with other settings waits beside it.
        GenerationInterrupted: On Ctrl-C; nothing is written.

    Warns:
        BudgetWarning: If a class has fewer samples than asked for.
        DataWarning: If the generator was trained on other images than ``train``: filters that learn from held-out
            images make what is measured on these look better than it is.

    Example:
        >>> bank = generate_curated(gen, train, per_class=500, budget=4, out="bank")  # doctest: +SKIP
        >>> bank.provenance["curation"]["missing"]  # doctest: +SKIP
        {}
    """
    target = Path(out).expanduser().resolve()
    writer_class(format)
    seed = check_sample_seed(seed)
    curation = Curation.make(filters, settings)
    if not budget >= 1:
        raise ConfigError(f"budget: expected 1 candidate or more for each sample wanted, but got {budget!r}.")
    output_folder(target, overwrite=overwrite, what="generate", contents=sample_contents())
    gen = load_generator(gen, device) if isinstance(gen, (str, Path)) else gen
    plan = plan_samples(gen.classes, per_class, counts, balance)
    warn_of_unseen(plan, gen)
    wanted = np.bincount(plan.labels, minlength=len(gen.classes))
    job = Job.by(gen, plan, seed=seed, format=format, shard_size=shard_size)
    if not overwrite:
        known = {key: value for key, value in job.manifest().items() if key not in ("count", "plan")}
        refuse_unfinished(target, known, further="curation")
    if not isinstance(train, Reference):
        _check_trained_on(gen, train)
        train = Reference(train, folded(seed), curation.reference, device or "auto")
    matched_labels(gen, train, wanted)  # before the filters' classifiers are trained
    with _explain_interrupt():
        drawing = Drawing(gen, job, curation.fit(train), wanted, budget)
        with sample_progress(int(wanted.sum()), progress) as advance:
            drawing.run(advance)
    missing = drawing.missing()
    _complain(missing, wanted, drawing, budget, strict)
    made = _curated_job(job, drawing, budget, missing)
    from_memory = partial(decoded_blocks, make=_from_memory(drawing.images))
    write_output(gen, made, target, overwrite=overwrite, progress=False, decode=from_memory)
    if format != "bank":
        return target
    if (picture := drawing.gallery.picture()) is not None:
        save_picture(picture, target / PICTURE)
    return SampleBank.open(target)


def _check_trained_on(gen: Generator, train: ImageDataset) -> None:
    if (others := gen.other_training_images(train.digest)) is not None:
        warnings.warn(
            f"the generator was trained on other images ({others}) than those that samples are "
            f"judged by ({train.name}), or on the same in another order. If these hold images that a classifier is "
            "tested on later, the test is no longer honest: name the generator's own training images.",
            DataWarning,
            stacklevel=3,
        )


def _from_memory(images: NDArray[np.uint8]) -> Callable[[slice], NDArray[np.uint8]]:
    return lambda rows: images[rows]


def _curated_job(job: Job, drawing: Drawing, budget: float, missing: dict[str, int]) -> CuratedJob:
    report = drawing.describe() | {"budget": float(budget), "missing": missing}
    rows, others = drawing.rows, drawing.others
    plan = Plan(drawing.labels[rows], drawing.indices[rows])
    values = {field.name: getattr(job, field.name) for field in dataclasses.fields(job)}
    names = dataclasses.replace(job, plan=Plan(drawing.labels[others], drawing.indices[others])).table()
    return CuratedJob(
        **values | {"plan": plan},
        drawing=drawing,
        report=report,
        rejects=rejected_table(names, drawing.judgement, others),
    )


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class CuratedJob(Job):
    """What the bank's writer knows, with what is particular to curated samples."""

    drawing: Drawing
    report: dict[str, Any]
    rejects: pa.Table

    def provenance(self) -> dict[str, Any]:
        """What made the samples, JSON-able."""
        return super().provenance() | {"curation": self.report}

    def rejected(self) -> pa.Table:
        """Return the candidates that were rejected."""
        return self.rejects

    def table(self, rows: slice = slice(None)) -> pa.Table:
        """Return provenance, scores and weights of some samples."""
        return accepted_table(super().table(rows), self.drawing.judgement, self.drawing.rows[rows])


def _complain(
    missing: dict[str, int], wanted: NDArray[np.int64], drawing: Drawing, budget: float, strict: bool
) -> None:
    """Raise or warn where the budget did not suffice."""
    if not missing:
        return
    by_name = dict(zip(drawing.classes, wanted.tolist(), strict=True))
    shown = [f"{name!r} has {by_name[name] - number} of {by_name[name]}" for name, number in [*missing.items()][:10]]
    more = f" and {len(missing) - 10} classes more" if len(missing) > 10 else ""
    text = f"budget of {budget:g} candidates a sample spent: {', '.join(shown)}{more} ({drawing.main_reason()})"
    advice = (
        "Raise budget (--budget), make that filter less strict (--set), leave it out, or train the generator longer."
    )
    if strict or any(number == by_name[name] for name, number in missing.items()):
        raise BudgetError(f"{text}. Nothing was written. {advice}")
    warnings.warn(f"{text}. What there is gets written. {advice}", BudgetWarning, stacklevel=3)


@contextlib.contextmanager
def _explain_interrupt() -> Iterator[None]:
    try:
        yield
    except GenerationInterrupted:
        raise
    except KeyboardInterrupt as error:
        raise GenerationInterrupted(
            "Interrupted while candidates were judged; nothing was written. The same command begins anew."
        ) from error
