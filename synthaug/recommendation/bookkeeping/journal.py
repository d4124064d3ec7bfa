"""What was measured, one JSON file each, so that the same call after a kill goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthaug.recommendation.bookkeeping.clock import Clock, Costs
from synthaug.storage import canonical_json, digest, read_json, write_json

Task = dict[str, Any]

FORMAT = 3
"""Part of every trial's name; a change of what a trial does raises it."""


class Journal:
    """Does work once.

    Args:
        folder: Holds a file for each finished piece of work.
        clock: Is charged with the time of what is taken over from an earlier call.
        costs: Notes what each kind of work takes.
    """

    def __init__(self, folder: Path, clock: Clock, costs: Costs) -> None:
        self.folder, self.costs, self._clock = folder, costs, clock
        self._known: dict[str, dict[str, Any]] = {}
        self.records: list[dict[str, Any]] = []

    def key(self, kind: str, task: Task) -> str:
        """Return the name of a piece of work: a digest of all that decides its result."""
        return f"{kind}-{digest(canonical_json({'format': FORMAT, 'kind': kind, **task}))[:20]}"

    def done(self, kind: str, task: Task) -> bool:
        """Say whether a piece of work is finished."""
        key = self.key(kind, task)
        return key in self._known or (self.folder / f"{key}.json").exists()

    def now(self) -> float:
        """Tell the time."""
        return self._clock.now()

    def recorded(self, kind: str) -> list[dict[str, Any]]:
        """Take over what earlier calls did of a kind: its time is charged, and its records are returned."""
        found = []
        for path in sorted(self.folder.glob(f"{kind}-*.json")):
            record = read_json(path)
            if path.stem == self.key(kind, record["task"]) and path.stem not in self._known:
                self._take_over(path.stem, record)
                found.append(record)
        return found

    def _take_over(self, key: str, record: dict[str, Any]) -> None:
        self._clock.charge(record["result"]["seconds"])
        self.records.append(record)
        self._known[key] = record["result"]

    def forget(self, kind: str, task: Task) -> None:
        """Have a piece of work done anew, because what it made is gone."""
        key = self.key(kind, task)
        self._known.pop(key, None)
        (self.folder / f"{key}.json").unlink(missing_ok=True)

    def decided(self, what: str, number: float) -> float:
        """Return a number that follows from the time that is left, as it was when this was decided first.

        A call that goes on has another moment's time left, and would otherwise try other things than the call before.
        """
        return float(self.once("decision", {"what": what}, lambda: {"number": number}, "decision")["number"])

    def once(self, kind: str, task: Task, work: Callable[[], dict[str, Any]], cost: str) -> dict[str, Any]:
        """Return the result of ``work``, which is done only if it has not been done before; ``seconds`` is added.

        Args:
            kind: Of the work.
            task: All that decides its result.
            work: Does it.
            cost: Name under which its time is noted.
        """
        key = self.key(kind, task)
        if key in self._known:
            return self._known[key]
        path = self.folder / f"{key}.json"
        if path.exists():
            self._take_over(key, read_json(path))
        else:
            start = self._clock.now()
            result = work()
            result["seconds"] = self._clock.now() - start
            record = {"kind": kind, "task": task, "result": result}
            write_json(path, record)
            self.records.append(record)
            self._known[key] = result
        self.costs.note(cost, self._known[key]["seconds"])
        return self._known[key]
