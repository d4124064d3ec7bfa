"""The progress bar of sampling: done, samples/s and time left, on stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def sample_progress(total: int, show: bool = True) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes how many more samples are done; silent unless stderr is a terminal.

    Args:
        total: Samples in all.
        show: False for no bar at all.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not show or not console.is_terminal:
        yield lambda number: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("generate"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("generate", total=total, rate="")

        def advance(number: int) -> None:
            bar.advance(task, number)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:,.0f} samples/s" if speed else "")

        yield advance
