"""The queue as everybody sees it: look at it, add to it, change it, from any process."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import RequestError, RunLocked
from labctl.filelock import FileLock, is_locked
from labctl.journal import Journal, append_shared
from labctl.manager.items import Item, Planned, Policy, left_behind, policy_members, read

if TYPE_CHECKING:
    from labctl.run.request import Checked, Request

FILE = "queue.jsonl"
WORK = "work the queue off"
#: Seconds in which points of what is queued at a time are counted.
COUNTING = 5.0

log = logging.getLogger(__name__)


class Queue:
    """The journal `queue.jsonl` in the folder of runs; every process that opens it sees the same.

    Nothing enters it that could not run as it is.
    """

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self._path = runs_dir / FILE
        self._named: set[str] = set()  # damaged places that were named already

    # Looking

    def items(self) -> list[Item]:
        """All items: those that ran, then those that wait, in the order they will run."""
        items = read(self._entries())
        return items if self.worked_off() else [left_behind(item) for item in items]

    def waiting(self) -> list[Item]:
        return [item for item in self.items() if item.waits]

    def worked_off(self) -> bool:
        """Whether a process works this queue off now."""
        return is_locked(self._lock_path(WORK))

    def find(self, number: int) -> Item:
        """The item with this number.

        Raises:
            RequestError: there is none.
        """
        for item in self.items():
            if item.number == number:
                return item
        raise RequestError(f"the queue has no item {number}; see labctl queue list")

    # Changing

    def submit(self, request: Request, policy: Policy | None = None) -> int:
        """Check a request and queue it; returns its number.

        Raises:
            RequestError: it could not run as it is; the queue is unchanged.
        """
        return self.submit_all([request], policy)[0]

    def submit_all(self, requests: list[Request], policy: Policy | None = None) -> list[int]:
        """Check all requests, then queue them; none is queued if one is wrong."""
        rehearsed: set[Any] = set()
        runnable = [_runnable(request, rehearsed) for request in requests]
        end = time.monotonic() + COUNTING
        wanted = [
            (request, policy or Policy(), _planned(request["parameters"], checked, end))
            for request, checked in runnable
        ]
        with self._changing():
            return self._add(*wanted)

    def submit_resume(self, path: Path, policy: Policy | None = None) -> int:
        """Queue the rest of an unfinished run, as the next item; returns its number.

        Raises:
            RequestError: it is no run, finished, or goes on now; the queue is unchanged.
        """
        from labctl.run.folder import RunFolder

        run = RunFolder.open(path)
        status, start = run.status, run.start
        if status in ("finished", "running", "paused"):
            raise RequestError(f"{path}: is {status}; nothing to resume")
        if start.get("points") is None:
            raise RequestError(
                f"{path}: a plain pymeasure procedure cannot be resumed; run it again"
            )
        request = {
            "procedure": start["procedure"], "parameters": start["parameters"],
            "bench": (start["bench"] or {}).get("path", ""), "mode": start["mode"] or None,
            "world": start["world"], "seed": start["seed"], "title": start["title"],
        }  # fmt: skip
        with self._changing():
            if any(i.run and Path(i.run) == path.resolve() and i.waits for i in self.items()):
                raise RequestError(f"{path}: waits in the queue already")
            planned = Planned(start["procedure"], start["mode"], points=start["points"])
            (number,) = self._add((request, policy or Policy(), planned), run=str(path.resolve()))
            self._append({"entry": "move", "item": number, "place": 1})
        return number

    def edit(
        self, number: int, request: Request | None = None, policy: Policy | None = None
    ) -> None:
        """Change what a waiting item runs, or when.

        Raises:
            RequestError: it does not wait, or could not run like that; it is unchanged.
        """
        changed: tuple[dict[str, Any], Planned] | None = None
        if request is not None:
            members, checked = _runnable(request, set())
            end = time.monotonic() + COUNTING
            changed = members, _planned(members["parameters"], checked, end)
        with self._changing():
            item = self._waiting_item(number)
            if item.run and changed is not None:
                raise RequestError(f"queue item {number} resumes {item.run}; add a new one instead")
            wanted, planned = changed or (item.request, item.planned)
            self._append(
                {
                    "entry": "edit", "item": number, "request": wanted,
                    **_planned_members(planned), **policy_members(policy or item.policy),
                }
            )  # fmt: skip

    def duplicate(self, number: int) -> int:
        """Queue the same again, right behind an item that waits, else at the end."""
        with self._changing():
            item = self.find(number)
            waiting = [other.number for other in self.waiting()]
            policy = replace(item.policy, not_before=0.0)
            (copy,) = self._add((item.request, policy, item.planned))
            if number in waiting:
                self._append({"entry": "move", "item": copy, "place": waiting.index(number) + 2})
        return copy

    def move(self, number: int, place: int) -> None:
        """Put a waiting item at `place` (1 is next)."""
        if place < 1:
            raise RequestError(f"place {place} must be 1 or more")
        with self._changing():
            self._waiting_item(number)
            self._append({"entry": "move", "item": number, "place": place})

    def move_behind(self, number: int, other: int) -> None:
        """Put a waiting item right behind another one, or to the front once that has begun.

        Whoever looks at a list that is a moment old means its neighbours, not its places.
        """
        with self._changing():
            self._waiting_item(number)
            order = [item.number for item in self.waiting() if item.number != number]
            place = order.index(other) + 2 if other in order else 1
            self._append({"entry": "move", "item": number, "place": place})

    def remove(self, *numbers: int) -> None:
        """Take items out that do not run; none if one of them does."""
        with self._changing():
            known = {item.number: item for item in self.items()}
            for number in numbers:
                if (known[number] if number in known else self.find(number)).status == "running":
                    raise RequestError(f"queue item {number} runs now; abort its run instead")
            self._append(*({"entry": "remove", "item": number} for number in numbers))

    def restore(self, removed: Sequence[tuple[Item, int]]) -> list[int]:
        """Queue again what was removed while it waited, each at its place; their new numbers."""
        with self._changing():
            numbers: list[int] = []
            for item, place in removed:
                resumed = {"run": item.run} if item.run else {}
                first = numbers[-1] + 1 if numbers else 0
                numbers += self._add(
                    (item.request, item.policy, item.planned), first=first, **resumed
                )
                self._append({"entry": "move", "item": numbers[-1], "place": place})
        return numbers

    def halt(self) -> None:
        """Let the run that goes on now finish, and then begin no other."""
        if not self.worked_off():
            raise RequestError(f"{self.runs_dir}: nobody works this queue off")
        self._append({"entry": "halt", "item": 0})

    # Inside

    def _waiting_item(self, number: int) -> Item:
        if not (item := self.find(number)).waits:
            raise RequestError(
                f"queue item {number} does not wait any more: {item.status}; queue it anew"
            )
        return item

    def _add(
        self,
        *wanted: tuple[dict[str, Any], Policy, Planned | None],
        first: int = 0,
        **members: Any,
    ) -> list[int]:
        """Append requests; returns their numbers, which begin at `first` if it is known."""
        first = first or 1 + max((int(entry["item"]) for entry in self._entries()), default=0)
        self._append(
            *({"entry": "add", "item": first + i, "request": request, **members,
               **_planned_members(planned), **policy_members(policy)}
              for i, (request, policy, planned) in enumerate(wanted))
        )  # fmt: skip
        return list(range(first, first + len(wanted)))

    def _entries(self) -> list[dict[str, Any]]:
        """The intact entries of the queue; what is damaged is named once."""
        if not self._path.exists():
            return []
        entries, damage = Journal.read_all(self._path)
        for place in map(str, damage):
            if place not in self._named:
                self._named.add(place)
                log.warning("%s; queue what is missing again", place)
        return entries

    def _append(self, *entries: dict[str, Any]) -> None:
        self.runs_dir.mkdir(parents=True, exist_ok=True)
        append_shared(self._path, *entries)

    def _changing(self) -> AbstractContextManager[None]:
        """Be the only one who looks at the queue and changes it."""
        return self._alone("change the queue", patience=10.0)

    @contextmanager
    def _alone(self, purpose: str, patience: float) -> Iterator[None]:
        """Be the only process that does `purpose`."""
        self.runs_dir.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock_path(purpose))
        if not lock.acquire(patience=patience):
            raise RunLocked(
                f"{self.runs_dir}: {lock.holder()} is about to {purpose}; one at a time"
            )
        try:
            lock.sign()
            yield
        finally:
            lock.release()

    def _lock_path(self, purpose: str) -> Path:
        return self.runs_dir / f".{purpose.replace(' ', '-')}.lock"


def _runnable(request: Request, rehearsed: set[Any]) -> tuple[dict[str, Any], Checked]:
    """The members of the request, if it can run wherever the queue is worked off."""
    from labctl.run.request import check

    checked = check(request, rehearsed)
    if Path(request.bench).is_file():  # whoever works the queue off may be elsewhere
        request = replace(request, bench=str(Path(request.bench).resolve()))
    return asdict(request), checked


def _planned(given: Mapping[str, Any], checked: Checked, end: float) -> Planned:
    """What will be done with the given parameters; points are counted until `end` (monotonic)."""
    from labctl.run.loading import command_name
    from labctl.run.request import describe_parameters

    procedure = checked.procedure
    values = describe_parameters(procedure)["parameters"]
    values = {n: v for n, v in values.items() if n not in given or given[n] != v}
    points = _points(procedure) if time.monotonic() < end else None
    return Planned(command_name(type(procedure)), checked.mode or "real", values, points)


def _points(procedure: Any) -> int | None:
    """How many points a procedure will have; None for a plain one, or one that cannot say.

    It may well say it when its turn comes: by then there is what it looks for.
    """
    from labctl.procedure import LabProcedure

    if not isinstance(procedure, LabProcedure):
        return None
    try:
        return procedure.count_points()
    except (Exception, SystemExit):
        return None


def _planned_members(planned: Planned | None) -> dict[str, Any]:
    return {"planned": asdict(planned)} if planned else {}
