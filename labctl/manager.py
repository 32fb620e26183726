"""The queue of runs: persisted in a journal, worked off one run at a time, watched by anyone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import LabError, RequestError, RunLocked
from labctl.filelock import FileLock
from labctl.journal import Journal, append_shared

if TYPE_CHECKING:
    from labctl.run.request import Request
    from labctl.run.stretch import Event, Outcome

FILE = "queue.jsonl"


@dataclass(frozen=True)
class Item:
    """One queued request and what became of it."""

    number: int
    request: dict[str, Any]
    status: str = "waiting"  # waiting, running, finished, failed, aborted, interrupted
    run: str = ""  # run folder, once there is one
    reason: str = ""


class Manager:
    """Submits, orders and runs requests. Command line and window are two views of it.

    The journal `queue.jsonl` in the folder of runs is the queue: every process that opens it sees
    the same one. Only one process at a time works it off.
    """

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self._path = runs_dir / FILE
        self._listeners: list[Callable[[Event], None]] = []
        self._current: Path | None = None

    # Looking

    def items(self) -> list[Item]:
        """All items: those that ran, then those that wait, in the order they will run."""
        entries = list(Journal.read(self._path)) if self._path.exists() else []
        items: dict[int, Item] = {}
        order: list[int] = []
        for entry in entries:
            kind, number = entry["entry"], int(entry["item"])
            if kind == "add":
                items[number] = Item(number, entry["request"])
                order.append(number)
            elif number not in items:
                continue
            elif kind == "remove":
                del items[number]
                order.remove(number)
            elif kind == "move":
                order = _moved(order, items, number, entry["place"])
            elif kind == "status":
                items[number] = replace(
                    items[number], status=entry["status"], run=entry.get("run", ""),
                    reason=entry.get("reason", ""),
                )  # fmt: skip
        ran = [items[n] for n in order if items[n].status != "waiting"]
        return ran + [items[n] for n in order if items[n].status == "waiting"]

    def waiting(self) -> list[Item]:
        return [item for item in self.items() if item.status == "waiting"]

    # Changing

    def submit(self, request: Request) -> int:
        """Check a request and queue it; returns its number.

        Raises:
            RequestError: it could not run as it is; the queue is unchanged.
        """
        from labctl.run.request import check

        check(request)
        with self._alone("change the queue", patience=10.0):
            number = 1 + max((item.number for item in self._all_ever()), default=0)
            self._append({"entry": "add", "item": number, "request": asdict(request)})
        return number

    def move(self, number: int, place: int) -> None:
        """Put a waiting item at `place` (1 is next)."""
        self._require_waiting(number)
        if place < 1:
            raise RequestError(f"place {place} must be 1 or more")
        self._append({"entry": "move", "item": number, "place": place})

    def remove(self, number: int) -> None:
        """Take an item out that does not run."""
        item = self._find(number)
        if item.status == "running":
            raise RequestError(f"queue item {number} runs now; abort its run instead")
        self._append({"entry": "remove", "item": number})

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        """Tell `listener` every event of the runs that this manager executes."""
        self._listeners.append(listener)

    # Running

    def run_next(self) -> Outcome | None:
        """Run the next waiting item in the calling thread; None when nothing waits."""
        from labctl.run import runner
        from labctl.run.request import Request
        from labctl.run.stretch import Outcome

        waiting = self.waiting()
        if not waiting:
            return None
        item = waiting[0]
        request = Request(**item.request)
        self._status(item.number, "running")
        try:
            outcome = runner.start(
                request, self.runs_dir, lambda event: self._tell(item.number, event)
            )
        except LabError as error:
            self._status(item.number, "failed", reason=str(error))
            return Outcome(self.runs_dir, "failed", str(error), error)
        except BaseException:
            self._status(item.number, "interrupted", reason="the queue's process was stopped")
            raise
        finally:
            self._current = None
        self._status(item.number, outcome.status, str(outcome.path), outcome.reason)
        return outcome

    def work_off(self, *, stop_on_failure: bool = False) -> list[Outcome]:
        """Run everything that waits, also what is added meanwhile; one process at a time.

        Raises:
            RunLocked: another process works this queue off.
        """
        outcomes = []
        with self._alone("work the queue off", patience=0.0):
            self._tidy()
            while (outcome := self.run_next()) is not None:
                outcomes.append(outcome)
                if outcome.status != "finished" and stop_on_failure:
                    break
                if outcome.status == "aborted" and "interrupted by" in outcome.reason:
                    break  # Ctrl-C means the person wants the queue to stop, not one run
        return outcomes

    def abort(self, reason: str) -> None:
        """Abort the run that this manager executes; from any thread."""
        from labctl.run.control import send

        if self._current is None:
            raise RequestError("nothing runs in this queue")
        send(self._current, "abort", reason)

    # Inside

    def _tell(self, number: int, event: Event) -> None:
        if event.kind == "start":
            self._current = event.value.folder.path
            self._status(number, "running", str(self._current))
        for listener in self._listeners:
            listener(event)

    def _tidy(self) -> None:
        """What a killed process left as running was interrupted; its run can be resumed."""
        for item in self.items():
            if item.status == "running":
                self._status(item.number, "interrupted", item.run, "its process died")

    def _all_ever(self) -> list[Item]:
        entries = Journal.read(self._path) if self._path.exists() else ()
        return [Item(e["item"], e["request"]) for e in entries if e.get("entry") == "add"]

    def _find(self, number: int) -> Item:
        for item in self.items():
            if item.number == number:
                return item
        raise RequestError(f"the queue has no item {number}; see labctl queue list")

    def _require_waiting(self, number: int) -> None:
        if (item := self._find(number)).status != "waiting":
            raise RequestError(f"queue item {number} does not wait any more: {item.status}")

    def _status(self, number: int, status: str, run: str = "", reason: str = "") -> None:
        self._append(
            {"entry": "status", "item": number, "status": status, "run": run, "reason": reason}
        )

    def _append(self, entry: dict[str, Any]) -> None:
        self.runs_dir.mkdir(parents=True, exist_ok=True)
        append_shared(self._path, entry)

    @contextmanager
    def _alone(self, purpose: str, patience: float) -> Iterator[None]:
        """Be the only process that does `purpose`."""
        self.runs_dir.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.runs_dir / f".{purpose.replace(' ', '-')}.lock")
        if not lock.acquire(patience=patience):
            raise RunLocked(
                f"{self.runs_dir}: {lock.holder()} is about to {purpose}; one at a time"
            )
        try:
            lock.sign()
            yield
        finally:
            lock.release()


def _moved(order: list[int], items: dict[int, Item], number: int, place: int) -> list[int]:
    """`order` with `number` at the given place among those that wait."""
    rest = [n for n in order if n != number]
    waiting = [n for n in rest if items[n].status == "waiting"]
    if place > len(waiting):
        return [*rest, number]
    at = rest.index(waiting[place - 1])
    return [*rest[:at], number, *rest[at:]]
