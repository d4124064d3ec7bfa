"""`compare`: train families for the same time on the same images, measure all, and say what the numbers say."""

from __future__ import annotations

import dataclasses
import functools
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, OutputExistsError
from synthaug.evaluation.comparison.claims import Finding, judge_all
from synthaug.evaluation.comparison.page import comparison_page, comparison_table
from synthaug.evaluation.comparison.runs import clear, failure, perform_all
from synthaug.evaluation.comparison.splits import train_and_held_out
from synthaug.evaluation.comparison.summary import FamilySummary, summarise
from synthaug.evaluation.comparison.task import (
    DATA,
    DATA_KEYS,
    GRID,
    REALS,
    Task,
    finished,
    settings_text,
    store_data,
    stored_digest,
)
from synthaug.evaluation.environment import describe_environment
from synthaug.evaluation.quality.distances import require_torchmetrics
from synthaug.generators import family_class, list_families
from synthaug.networks.features import DEFAULT_NETWORK
from synthaug.networks.pretrained import check_network
from synthaug.storage import Contents, output_folder, write_json

if TYPE_CHECKING:
    from rich.console import Console

JSON, PAGE = "compare.json", "compare.html"
_DATA = f"data/*/{DATA}"
_CONTENTS = Contents(
    "comparison", (JSON, _DATA, "data/.*.new"), proof={JSON: ("families", "findings"), _DATA: DATA_KEYS}
)
_WIDTH = 150  # of a table that goes to a file
_OWN = ("steps", "minutes", "seed")
"""Arguments of `fit` that a comparison sets itself."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a comparison measured.

    Attributes:
        families: By name, in the order asked for.
        reals: Real training images measured as if they were samples: what a perfect generator would reach.
        findings: What is usually said about the families, held against the numbers.
        about: Command, versions, machine, data and settings.
        out: The folder with ``compare.json``, ``compare.html`` and, under ``runs/``, all generators.
    """

    families: dict[str, FamilySummary]
    reals: FamilySummary | None
    findings: tuple[Finding, ...]
    about: dict[str, Any]
    out: Path

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values, all of every seed among them."""
        return {
            **self.about,
            "reals": None if self.reals is None else self.reals.to_dict(),
            "families": {name: family.to_dict() for name, family in self.families.items()},
            "findings": [finding.to_dict() for finding in self.findings],
        }


def compare(
    source: Any,
    families: Sequence[str] | None = None,
    *,
    minutes: float = 5.0,
    seeds: int = 3,
    out: str | Path,
    image_size: int | tuple[int, int] | None = None,
    channels: int | str = "auto",
    split: str | None = None,
    held_out: Any = None,
    samples: int = 2000,
    pairs: int = 128,
    network: str = DEFAULT_NETWORK,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    console: Console | None = None,
    command: str | None = None,
    **training: Any,
) -> Comparison:
    """Compare generator families: equal training time, the same real images, several seeds.

    Each (family, seed) is trained and measured in a process of its own, one after the other. The same call after a
    kill goes on with what is not done; runs that failed are tried again, and more families or seeds may be added.

    Args:
        source: Real images: anything that `ImageDataset.load` takes.
        families: Names of families; all if left out.
        minutes: Training time of each run.
        seeds: Runs of each family; their spread is its stability.
        out: Folder to write.
        image_size: As of `ImageDataset.load`.
        channels: As of `ImageDataset.load`.
        split: Part of the source to train on; the train part if left out.
        held_out: Part of the source, or another source, to measure against. Left out: the test part if there is one,
            else a fifth of the training images.
        samples: Samples, and held-out images, to measure on: at most as many as there are held-out images.
        pairs: Pairs of codes that latent smoothness is measured on; 0 leaves it out.
        network: Whose features distances are measured in; see `extract_features`.
        settings: Settings of the family and of its training by family: ``{"gan": {"learning_rate": 1e-4}}``.
        threads: Threads that each run computes with; torch's own choice if left out.
        overwrite: Replace the comparison in ``out``.
        console: Where the table is printed; standard output if left out. Progress goes to standard error.
        command: The command line to name on the page.
        **training: Fields of `TrainingConfig` for all families, such as ``batch_size``.

    Raises:
        ConfigError: On an unknown family or setting, or a value out of range.
        MissingExtraError: If torchmetrics is not installed.
        DataError: If the source cannot be read, or held-out images do not fit.
        OutputExistsError: If ``out`` holds a comparison of other data or settings, or other things.
        TrainingInterrupted: On Ctrl-C; what is finished is kept.

    Example:
        >>> result = synthaug.compare("digits", ("vae", "gan"), minutes=1, out="compare")  # doctest: +SKIP
        >>> result.families["vae"].metrics["frechet_distance"].mean  # doctest: +SKIP
    """
    from rich.console import Console

    names = tuple(families) if families is not None else tuple(list_families())
    options = _options(names, settings or {}, training)
    if seeds < 1:
        raise ConfigError(f"seeds: expected 1 or more, but got {seeds!r}.")
    require_torchmetrics()
    check_network(network)
    target = Path(out).expanduser()
    train, rest = train_and_held_out(source, image_size, channels=channels, split=split, held_out=held_out)
    reals = Task(REALS, 0, 1.0, "{}", train.digest, rest.digest, samples, network, 0)
    tasks = [
        reals.replace(family=name, seed=seed, minutes=minutes, settings=settings_text(options[name]), pairs=pairs)
        for seed in range(seeds)
        for name in names
    ]
    _open(target, train, rest, overwrite)
    say = functools.partial(Console(stderr=True).print, markup=False, highlight=False)
    perform_all([reals, *tasks], target, threads=threads, say=say)
    about: dict[str, Any] = {
        "command": command or _command(train.name, names, minutes, seeds, target),
        **describe_environment(),
        "threads": threads,
        "dataset": train.name,
        "image_shape": list(train.image_shape),
        "classes": len(train.classes),
        "train_images": len(train),
        "held_out_images": len(rest),
        "measured_on": min(samples, len(rest)),
        "minutes": float(minutes),
        "seeds": list(range(seeds)),
        "network": network,
        "settings": options,
    }
    result = _collect(target, names, tasks, reals, about)
    width = None if sys.stdout.isatty() else _WIDTH
    (console or Console(width=width)).print(
        comparison_table(result.families, result.reals, f"{train.name}, {minutes:g} min of training each")
    )
    return result


def _options(
    names: Sequence[str], settings: Mapping[str, Mapping[str, Any]], training: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the arguments of `fit` of each family, checked before anything is trained."""
    from synthaug.training.fitting import split_settings

    if not names or len(set(names)) != len(names):
        raise ConfigError(f"families: expected one or more different families, but got {', '.join(names) or 'none'}.")
    for name in (*names, *settings):
        family_class(name)
    options = {}
    for name in names:
        options[name] = {**training, **settings.get(name, {})}
        for own in _OWN:
            if own in options[name]:
                raise ConfigError(f"{own} is the same for all runs of a comparison, so it is no setting of {name}.")
        split_settings(name, options[name])
    return options


def _open(out: Path, train: ImageDataset, rest: ImageDataset, overwrite: bool) -> None:
    """Make the folder with its data, or check that the comparison there is of the same data."""
    parts = {out / "data" / "train": train, out / "data" / "held_out": rest}
    if not _CONTENTS.marked(out):
        output_folder(out, overwrite=overwrite, what="compare", contents=_CONTENTS, in_place=True)
    elif overwrite:
        clear(out)
    for folder, data in parts.items():
        before = stored_digest(folder)
        if before is not None and before != data.digest:
            raise OutputExistsError(
                f"compare: {out} holds a comparison on other images. Choose another folder, or replace it with "
                "overwrite=True (--overwrite)."
            )
        if before is None:
            store_data(data, folder)


def _collect(out: Path, names: Sequence[str], tasks: Sequence[Task], reals: Task, about: dict[str, Any]) -> Comparison:
    """Bring the finished runs together and write JSON and page."""

    def of(name: str, runs: Sequence[Task]) -> FamilySummary:
        results = {task.seed: result for task in runs if (result := finished(task, out)) is not None}
        failures = {task.seed: reason for task in runs if (reason := failure(task, out)) is not None}
        return summarise(name, results, failures)

    families = {name: of(name, [task for task in tasks if task.family == name]) for name in names}
    reference = of(REALS, [reals])
    everything = [run for family in (*families.values(), reference) for run in family.runs]
    about = about | {
        "seconds": sum(run["seconds"] for run in everything),
        "warning": next((run["fidelity"]["warning"] for run in everything), None),  # of samples, where there are some
        "reals_measured_on": next((run["fidelity"]["samples"] for run in reference.runs), None),
        "reals_failure": next(iter(reference.failures.values()), None),
    }
    result = Comparison(families, reference if reference.runs else None, tuple(judge_all(families)), about, out)
    write_json(out / JSON, result.to_dict())
    pictures = [(reals.folder(out) / GRID, "real, held out")]
    for name in names:
        done = [task for task in tasks if task.family == name and finished(task, out) is not None]
        pictures += [(task.folder(out) / GRID, f"{name}, seed {task.seed}, not selected") for task in done[:1]]
    shown = [(path, caption) for path, caption in pictures if path.is_file()]
    comparison_page(about, families, result.reals, result.findings, shown).save(out / PAGE)
    return result


def _command(source: str, names: Sequence[str], minutes: float, seeds: int, out: Path) -> str:
    words = ["synthaug", "compare", source, "--families", ",".join(names), "--minutes", f"{minutes:g}"]
    return shlex.join([*words, "--seeds", str(seeds), "--out", out.name])
