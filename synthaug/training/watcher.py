"""What people see of a training run: a progress bar, ``metrics.jsonl``, sample grids and collapse warnings."""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from synthaug.data import ImageDataset
from synthaug.generators import Generator
from synthaug.storage import new_file
from synthaug.training.preview import draw_samples

METRICS, SAMPLES = "metrics.jsonl", "samples"
_SECONDS_BETWEEN_LINES = 30.0
_FIRST_COLLAPSE_CHECK = 200  # before, samples are alike because nothing is learned yet


class ModeCollapseWarning(UserWarning):
    """The samples of a class are nearly identical."""


class Watcher:
    """Reports a run of ``total`` steps, by itself or member after member.

    Args:
        folder: Where ``metrics.jsonl`` and ``samples/`` go; nothing is written without one.
        total: Steps of the whole run.
        batch_size: Images a step.
        shown: Whether to show progress on standard error: a bar on a terminal, now and then a line elsewhere.
    """

    def __init__(self, folder: Path | None, total: int, batch_size: int, shown: bool) -> None:
        self.folder = folder
        self.member: str | None = None
        self.offset = 0
        self._batch_size = batch_size
        self._total = total
        self._console = Console(stderr=True) if shown else None
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.0f} images/s"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=self._console,
            disable=self._console is None or not self._console.is_terminal,
        )
        self._task = self._progress.add_task("training", total=total, rate=0.0, losses="")
        self._rate_from = (time.monotonic(), 0)
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, offset: int, step: int, member: str | None = None) -> None:
        """Say that a model starts (or goes on) at ``step``, with ``offset`` steps of other models before it.

        Lines that an interrupted run wrote past its last checkpoint are removed: these steps are done again.
        """
        self.offset, self.member = offset, member
        self._rate_from = (time.monotonic(), step)
        self._progress.update(self._task, completed=offset + step)
        path = self.folder and self.folder / METRICS
        if path and path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if self._is_before(line, step)]
            if len(kept) != len(lines):
                with new_file(path) as temporary:
                    temporary.write_text("".join(kept), encoding="utf-8")

    def _is_before(self, line: str, step: int) -> bool:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # the line in which the run was killed
            return False
        return bool(row.get("class") != self.member or row["step"] <= step)

    def log(self, step: int, losses: dict[str, float]) -> None:
        """Report the mean losses up to ``step`` (a number of steps done)."""
        now = time.monotonic()
        since, first = self._rate_from
        rate = (step - first) * self._batch_size / max(now - since, 1e-9)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
        self._progress.update(self._task, completed=self.offset + step, rate=rate, losses=shown)
        if self._console and not self._console.is_terminal and now - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = now
            print(f"training {self.offset + step}/{self._total}  {rate:.0f} images/s  {shown}", file=sys.stderr)
        if self.folder:
            row: dict[str, object] = {
                "step": step,
                "images": step * self._batch_size,
                "images_per_second": round(rate, 1),
            }
            if self.member is not None:
                row["class"] = self.member
            with (self.folder / METRICS).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row | losses) + "\n")

    def preview(self, step: int, generator: Generator, data: ImageDataset, label: int | None = None) -> None:
        """Draw a sample grid and warn of classes that have collapsed."""
        if not self.folder:
            return
        place = self.folder / SAMPLES if label is None else self.folder / SAMPLES / f"class_{label:05d}"
        collapsed = draw_samples(generator, data, place / f"{step:06d}.png")
        if collapsed and step >= _FIRST_COLLAPSE_CHECK:
            warnings.warn(
                f"mode collapse at step {step}: the samples of {', '.join(collapsed[:5])}"
                f"{f' and {len(collapsed) - 5} more classes' if len(collapsed) > 5 else ''} are nearly identical "
                "although their real images are not. Look at the grids in samples/; a lower learning rate, more "
                "augmentation or another family may help.",
                ModeCollapseWarning,
                stacklevel=2,
            )
