"""The queue of runs: persisted in a journal, worked off one run at a time, watched by anyone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import Interrupted, LabError, RequestError, RunLocked
from labctl.filelock import FileLock, is_locked
from labctl.journal import Journal, append_shared

if TYPE_CHECKING:
    from labctl.run.request import Request
    from labctl.run.stretch import Event, Outcome

FILE = "queue.jsonl"
WORK = "work the queue off"

log = logging.getLogger(__name__)


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
        self._named: set[str] = set()  # damaged places that were named already

    # Looking

    def items(self) -> list[Item]:
        """All items: those that ran, then those that wait, in the order they will run."""
        items = self._recorded()
        if not is_locked(self._lock_path(WORK)):
            items = [_left_behind(item) for item in items]
        return items

    def _recorded(self) -> list[Item]:
        """The items as the journal has them."""
        items: dict[int, Item] = {}
        order: list[int] = []
        for entry in self._entries():
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
        if Path(request.bench).is_file():  # whoever works the queue off may be elsewhere
            request = replace(request, bench=str(Path(request.bench).resolve()))
        with self._changing():
            number = 1 + max((int(entry["item"]) for entry in self._entries()), default=0)
            self._append({"entry": "add", "item": number, "request": asdict(request)})
        return number

    def move(self, number: int, place: int) -> None:
        """Put a waiting item at `place` (1 is next)."""
        if place < 1:
            raise RequestError(f"place {place} must be 1 or more")
        with self._changing():
            if (item := self._find(number)).status != "waiting":
                raise RequestError(f"queue item {number} does not wait any more: {item.status}")
            self._append({"entry": "move", "item": number, "place": place})

    def remove(self, number: int) -> None:
        """Take an item out that does not run."""
        with self._changing():
            if self._find(number).status == "running":
                raise RequestError(f"queue item {number} runs now; abort its run instead")
            self._append({"entry": "remove", "item": number})

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        """Tell `listener` every event of the runs that this manager executes."""
        self._listeners.append(listener)

    # Running

    def run_next(self) -> Outcome | None:
        """Run the next waiting item in the calling thread; None when nothing waits.

        Raises:
            RunLocked: another process works this queue off.
        """
        with self._working():
            return self._run_next()

    def work_off(self, *, stop_on_failure: bool = False) -> list[Outcome]:
        """Run everything that waits, also what is added meanwhile; one process at a time.

        Raises:
            RunLocked: another process works this queue off.
        """
        outcomes = []
        with self._working():
            while (outcome := self._run_next()) is not None:
                outcomes.append(outcome)
                if outcome.status != "finished" and stop_on_failure:
                    break
                if isinstance(outcome.error, Interrupted):
                    break  # Ctrl-C means the person wants the queue to stop, not one run
        return outcomes

    def _run_next(self) -> Outcome | None:
        from labctl.run import runner
        from labctl.run.request import Request
        from labctl.run.stretch import Outcome

        with self._changing():
            if not (waiting := self.waiting()):
                return None
            item = waiting[0]
            self._status(item.number, "running")
        try:
            outcome = runner.start(
                Request(**item.request), self.runs_dir, lambda e: self._tell(item.number, e)
            )
        except Exception as error:  # one bad item must not keep the others from running
            text = str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
            outcome = Outcome(self._current or self.runs_dir, "failed", text, error)
        except BaseException:
            self._status(item.number, "interrupted", self._run(), "the queue was stopped")
            raise
        else:
            self._current = outcome.path
        try:
            self._status(item.number, outcome.status, self._run(), outcome.reason)
        finally:
            self._current = None
        return outcome

    def _run(self) -> str:
        return str(self._current or "")

    def abort(self, reason: str) -> None:
        """Abort the run that this manager executes; from any thread."""
        from labctl.run.control import send

        if self._current is None:
            raise RequestError("nothing runs in this queue")
        send(self._current, "abort", reason)

    # Inside

    def _tell(self, number: int, event: Event) -> None:
        if event.kind == "opening":
            self._current = event.value.folder.path
            self._status(number, "running", self._run())
        for listener in self._listeners:
            listener(event)

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

    def _find(self, number: int) -> Item:
        for item in self.items():
            if item.number == number:
                return item
        raise RequestError(f"the queue has no item {number}; see labctl queue list")

    def _status(self, number: int, status: str, run: str = "", reason: str = "") -> None:
        self._append(
            {"entry": "status", "item": number, "status": status, "run": run, "reason": reason}
        )

    def _append(self, entry: dict[str, Any]) -> None:
        self.runs_dir.mkdir(parents=True, exist_ok=True)
        append_shared(self._path, entry)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Be the only one who runs items."""
        with self._alone(WORK, patience=0.5):  # somebody may just be looking whether it is free
            for item in self._recorded():
                if item.status == "running":  # nobody runs it: its process was killed
                    item = _left_behind(item)
                    self._status(item.number, item.status, item.run, item.reason)
            yield

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


def _left_behind(item: Item) -> Item:
    """What became of an item whose process died: its run says it, or it can be resumed."""
    if item.status != "running":
        return item
    from labctl.run.folder import RunFolder

    status, reason = "interrupted", "its process died"
    if item.run:
        with suppress(LabError, OSError):
            run = RunFolder.open(item.run)
            if stop := run.stop_entry:
                status, reason = run.status, str(stop.get("reason", ""))
    return replace(item, status=status, reason=reason)


def _moved(order: list[int], items: dict[int, Item], number: int, place: int) -> list[int]:
    """`order` with `number` at the given place among those that wait."""
    rest = [n for n in order if n != number]
    waiting = [n for n in rest if items[n].status == "waiting"]
    if place > len(waiting):
        return [*rest, number]
    at = rest.index(waiting[place - 1])
    return [*rest[:at], number, *rest[at:]]
