"""The demo: few real digits, a generator trained on them, and an honest answer whether its samples helped."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.classifiers.classifier import train_classifier
from synthaug.classifiers.policy import Policy
from synthaug.classifiers.settings import ClassifierResult
from synthaug.errors import ConfigError
from synthaug.evaluation.demo_page import DemoFacts, DemoResult, demo_page, demo_table, verdict
from synthaug.evaluation.environment import describe_environment
from synthaug.evaluation.statistics import paired_difference
from synthaug.generators import family_class
from synthaug.grids import class_grid, save_picture
from synthaug.storage import Contents, new_directory, write_json

if TYPE_CHECKING:
    from rich.console import Console

    from synthaug.data import ImageDataset
    from synthaug.sampling import SampleBank

CLASSIFIER: dict[str, Any] = {
    "model": "test_resnet",
    "input_size": 16,
    "augmentation": "affine",
    "batch_size": 64,
    "learning_rate": 3e-3,
}
"""Settings of both arms. They were chosen for the real-only arm, on parts held out from its training images."""

POLICY = Policy(replace_probability=0.5)
_CONTENTS = Contents(
    "demo",
    ("results.json",),
    ("report.html", "reals.png", "samples.png", "generator", "bank", "dataset"),
    {"results.json": ("settings", "accuracy", "gain", "verdict", "runs")},
)


def run_demo(
    out: str | Path,
    *,
    seeds: int = 5,
    per_class: int = 10,
    samples_per_class: int = 192,
    generator_steps: int = 400,
    steps: int = 200,
    family: str = "vae",
    overwrite: bool = False,
    console: Console | None = None,
    command: str | None = None,
) -> DemoResult:
    """Run the whole path on scikit-learn's 8×8 digits and print whether it made a classifier better.

    For each seed: draw ``per_class`` images a class to train on, all the others are test; train a generator on the
    training images; train a classifier without and with its samples (same subset, weights, steps and augmentation);
    read test once for each. The answer is the paired difference over the seeds, whatever its sign.

    Args:
        out: Folder to write: ``report.html``, ``results.json``, ``reals.png``, ``samples.png``, and of the first
            seed ``generator/``, ``bank/`` and ``dataset/`` (Parquet).
        seeds: Number of seeds, at least 1; with one there is no interval.
        per_class: Training images a class.
        samples_per_class: Synthetic images a class.
        generator_steps: Optimiser steps of each generator.
        steps: Optimiser steps of each classifier, the same with and without samples.
        family: Generator family.
        overwrite: Replace what is in ``out``.
        console: Where progress and the table are printed; standard output if left out.
        command: The command line to name in the report.

    Raises:
        ConfigError: If a number is below 1, or ``per_class`` leaves nothing to test on.
        OutputExistsError: If ``out`` holds data and ``overwrite`` is false.

    Example:
        >>> run_demo("demo").gain.mean  # doctest: +SKIP
    """
    from rich.console import Console

    from synthaug.devices import one_thread

    numbers = {"seeds": seeds, "per_class": per_class, "samples_per_class": samples_per_class}
    numbers |= {"generator_steps": generator_steps, "steps": steps}
    for name, number in numbers.items():
        if number < 1:
            raise ConfigError(f"{name}: expected 1 or more, but got {number}.")
    console = console or Console()
    target = Path(out).expanduser()
    command = command or shlex.join(["synthaug", "demo", "--out", target.name])
    start = time.perf_counter()
    with new_directory(target, overwrite=overwrite, what="demo", contents=_CONTENTS) as folder, one_thread():
        demo = _Demo(folder, numbers, family, console)
        for seed in range(seeds):
            demo.run_seed(seed)
        result = demo.finish(target, command, time.perf_counter() - start)
    console.print(demo_table(result))
    console.print(f"[bold]{result.verdict}[/bold]")
    console.print(f"{result.seconds:.0f} s. Report: {target / 'report.html'}", highlight=False)
    return result


class _Demo:
    """State of one demo while it runs."""

    def __init__(self, folder: Path, numbers: dict[str, int], family: str, console: Console) -> None:
        from synthaug.data import ImageDataset

        self.folder, self.numbers, self.family, self.console = folder, numbers, family, console
        self.data = ImageDataset.load("digits")
        self.runs: list[dict[str, Any]] = []

    def run_seed(self, seed: int) -> None:
        """Do everything for one seed; the first seed's generator, bank and dataset are kept."""
        train, test = self._splits(seed)
        first = seed == 0
        before = time.perf_counter()
        with self.console.status(f"seed {seed}: training a generator on {len(train)} images"):
            bank = self._samples(train, seed, keep=first)
        fitted = time.perf_counter()
        results: dict[str, ClassifierResult] = {}
        settings = CLASSIFIER | {"steps": self.numbers["steps"]}
        for name, samples in (("real only", None), ("real + samples", bank)):
            with self.console.status(f"seed {seed}: training a classifier, {name}"):
                results[name] = train_classifier(train, test, bank=samples, policy=POLICY, seed=seed, **settings)
        without, with_samples = (results[name].accuracy for name in results)
        self.console.print(
            f"seed {seed}: generator {fitted - before:.0f} s, classifiers {time.perf_counter() - fitted:.0f} s · "
            f"accuracy {100 * without:.1f} % without, {100 * with_samples:.1f} % with samples",
            highlight=False,
        )
        self.runs.append({name: result.to_dict() for name, result in results.items()})
        if first:
            columns = min(10, self.numbers["per_class"])
            real = class_grid(train.images, train.labels, train.classes, columns=columns)
            fake = class_grid(np.asarray(bank.images), bank.labels, bank.classes, columns=10)
            save_picture(real, self.folder / "reals.png")
            save_picture(fake, self.folder / "samples.png")
            self.pictures = real, fake

    def _splits(self, seed: int) -> tuple[ImageDataset, ImageDataset]:
        from synthaug.data.splits import few_shot_indices

        chosen = few_shot_indices(self.data.labels, len(self.data.classes), self.numbers["per_class"], seed)
        rest = np.setdiff1d(np.arange(len(self.data)), chosen)
        if not len(rest):
            raise ConfigError(
                f"per_class: expected to leave images to test on, but {self.numbers['per_class']} takes all."
            )
        return self.data.subset(chosen), self.data.subset(rest)

    def _samples(self, train: ImageDataset, seed: int, *, keep: bool) -> SampleBank:
        from synthaug.devices import resolve_device
        from synthaug.sampling import SampleBank, generate
        from synthaug.training import fit

        generator = fit(
            train,
            family=self.family,
            steps=self.numbers["generator_steps"],
            seed=seed,
            out=self.folder / "generator" if keep else None,
            progress=False,
            **family_class(self.family).small_image_settings,
        ).to(resolve_device())
        number = self.numbers["samples_per_class"]
        if keep:
            generate(
                generator, per_class=number, seed=seed, out=self.folder / "dataset", format="parquet", progress=False
            )
            bank: SampleBank = generate(
                generator, per_class=number, seed=seed, out=self.folder / "bank", progress=False
            )
            return bank
        labels = np.repeat(np.arange(len(generator.classes)), number)
        indices = np.tile(np.arange(number), len(generator.classes))
        return SampleBank.from_arrays(generator.sample_named(labels, indices, seed), labels, generator.classes)

    def finish(self, target: Path, command: str, seconds: float) -> DemoResult:
        """Compare the arms and write results and report."""
        names = list(self.runs[0])
        accuracy = {name: tuple(run[name]["test"]["accuracy"] for run in self.runs) for name in names}
        gain = paired_difference(accuracy["real + samples"], accuracy["real only"])
        result = DemoResult(accuracy, gain, verdict(gain), seconds, target)
        environment = describe_environment()
        write_json(
            self.folder / "results.json",
            {
                "command": command,
                **environment,
                "settings": self.numbers
                | {"family": self.family, "generator": {**family_class(self.family).small_image_settings}}
                | {"policy": POLICY.to_dict(), "classifier": CLASSIFIER},
                "accuracy": {name: list(values) for name, values in accuracy.items()},
                "gain": gain.to_dict(),
                "verdict": result.verdict,
                "seconds": seconds,
                "runs": self.runs,
            },
        )
        results = DemoFacts(self.numbers, self.family, CLASSIFIER, POLICY, self.runs[0][names[0]]["test"]["count"])
        demo_page(result, results, self.pictures, command, environment).save(self.folder / "report.html")
        return result
