"""Starts the runs of a comparison, one after the other, each in a process of its own; none is done twice."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from synthaug.errors import OutputExistsError, TrainingInterrupted
from synthaug.evaluation.comparison.task import DATA_FOLDER, FAILURE, RUN_FOLDER, TASK, Task, finished
from synthaug.storage import read_json, write_json

Say = Callable[[str], None]
_SECONDS_TO_END = 20


def perform_all(tasks: Sequence[Task], out: Path, *, threads: int | None, say: Say) -> None:
    """Do the runs that are not done; a run that fails leaves its reason, and the others go on.

    Raises:
        OutputExistsError: If a run with other settings is in ``out``.
        TrainingInterrupted: On Ctrl-C; the same call goes on.
    """
    for task in tasks:
        _refuse_other(task, out)
    waiting = [task for task in tasks if finished(task, out) is None]
    if len(waiting) < len(tasks):
        say(f"{len(tasks) - len(waiting)} of {len(tasks)} runs were done before")
    for number, task in enumerate(waiting, start=1):
        folder = task.folder(out)
        write_json(folder / TASK, task.to_dict())
        say(f"{number}/{len(waiting)} {task.name}")
        start = time.perf_counter()
        try:
            code = launch(out, task, threads)
            if code == -signal.SIGINT or code == 128 + signal.SIGINT:
                raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise TrainingInterrupted(
                f"the comparison was interrupted in {task.name}; {len(tasks) - len(waiting) + number - 1} of "
                f"{len(tasks)} runs are done. The same command goes on from there."
            ) from error
        if code and finished(task, out) is None and not (folder / FAILURE).is_file():
            write_json(folder / FAILURE, {"reason": _explain(code)})
        reason = failure(task, out)
        say(f"  failed: {reason}" if reason else f"  done in {time.perf_counter() - start:.0f} s")


def failure(task: Task, out: Path) -> str | None:
    """Return why a run failed, or None if it did not."""
    path = task.folder(out) / FAILURE
    return None if not path.is_file() or finished(task, out) is not None else str(read_json(path)["reason"])


def launch(out: Path, task: Task, threads: int | None) -> int:
    """Do one run in a process of its own and return its exit code."""
    environment = dict(os.environ)
    if threads is not None:
        environment |= {"SYNTHAUG_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "synthaug.evaluation.comparison.worker", str(out.resolve()), task.name]
    process = subprocess.Popen(command, env=environment)
    try:
        return process.wait()
    except BaseException:
        process.terminate()  # the terminal's Ctrl-C reaches it by itself; a signal to this process alone does not
        try:
            process.wait(_SECONDS_TO_END)
        finally:
            process.kill()
        raise


def _explain(code: int) -> str:
    if code == -signal.SIGKILL:
        return "its process was killed, as systems do when memory runs out"
    if code < 0:
        return f"its process died of signal {signal.Signals(-code).name}"
    return f"its process ended with code {code} and said nothing"


def _refuse_other(task: Task, out: Path) -> None:
    """Refuse to mix runs of different tasks in one folder."""
    path = task.folder(out) / TASK
    if not path.is_file():
        return
    before, now = read_json(path), task.to_dict()
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        raise OutputExistsError(
            f"{out} holds {task.name} with another {changed[0]}: expected {before.get(changed[0])!r}, but got "
            f"{now[changed[0]]!r}. Choose another folder, or replace it with overwrite=True (--overwrite)."
        )


def clear(out: Path) -> None:
    """Delete the runs and data of an earlier comparison, and nothing else."""
    for contents, folders in (
        (RUN_FOLDER, (*out.glob("runs/*"), *out.glob("runs/*/*"))),
        (DATA_FOLDER, out.glob("data/*")),
    ):
        for folder in folders:
            if contents.marked(folder):
                shutil.rmtree(folder)
    for name in ("compare.json", "compare.html"):
        (out / name).unlink(missing_ok=True)
    for folder in sorted((*out.glob("runs/*"), out / "runs", out / "data"), reverse=True):
        with contextlib.suppress(OSError):  # what is not empty is the user's
            folder.rmdir()
