"""Turns Ctrl-C and termination into a wish that the loop grants between two steps."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from synthaug.errors import TrainingInterrupted


@contextlib.contextmanager
def stop_wish() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether the user (SIGINT) or the system (SIGTERM) wants the run to stop.

    A second Ctrl-C interrupts at once. Signals that are ignored (as a shell's background jobs ignore Ctrl-C) stay so,
    and outside the main thread they are left alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    received: list[int] = []

    def wish(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    heeded = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, wish) for number in heeded}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def explained(words: str) -> Iterator[None]:
    """Say of an interruption what it means for the work around a training, in place of what training says of itself.

    Raises:
        TrainingInterrupted: In place of any interruption.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise TrainingInterrupted(words) from error
