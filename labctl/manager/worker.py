"""The manager: a queue, and the one process that works it off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import Interrupted, LabError, RequestError
from labctl.manager.items import Item, ended, left_behind, read
from labctl.manager.queue import WORK, Queue
from labctl.run import stopping

if TYPE_CHECKING:
    from labctl.run.outcome import Event, Outcome

#: Seconds between two looks at the queue while all that waits is delayed.
LOOK_EVERY = 0.5


class Manager(Queue):
    """Submits, orders and runs requests. Command line and window are two views of it.

    Only one process at a time works a queue off.
    """

    def __init__(self, runs_dir: Path) -> None:
        super().__init__(runs_dir)
        self._listeners: list[Callable[[Event], None]] = []
        self._current: Path | None = None
        #: Whether `work_off` ended because of `leave_if`.
        self.left = False

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        """Tell `listener` every event of the runs that this manager executes."""
        self._listeners.append(listener)

    def run_next(self) -> Outcome | None:
        """Run the next due item in the calling thread; None when none is due.

        Raises:
            RunLocked: another process works this queue off.
        """
        with self._working():
            ran = self._run_next(stopping.asked(self.runs_dir))
            return ran[1] if ran else None

    def work_off(
        self, *, stop_on_failure: bool = False, leave_if: Callable[[], bool] = lambda: False
    ) -> list[Outcome]:
        """Run everything that waits, also what is added meanwhile; one process at a time.

        Items that are delayed let others pass, and are waited for at the end.

        Args:
            stop_on_failure: leave the rest if a run does not finish.
            leave_if: is asked after the first run, before each other; leaves the rest if true.

        Raises:
            RunLocked: another process works this queue off.
        """
        outcomes: list[Outcome] = []
        asked = stopping.asked(self.runs_dir)
        halts = self._halts()  # before anybody can see that the queue is being worked off
        with self._working():
            while (self._halts(), stopping.asked(self.runs_dir)) == (halts, asked):
                if outcomes and self.waiting() and leave_if():
                    self.left = True
                    break
                ran = self._run_next(asked)
                if ran is None:
                    if not self.waiting():
                        break
                    time.sleep(LOOK_EVERY)  # for those that are delayed, or added meanwhile
                    continue
                item, outcome = ran
                outcomes.append(outcome)
                if outcome.status != "finished" and stop_on_failure:
                    break
                if outcome.status == "failed" and item.policy.on_failure == "stop":
                    break
                if isinstance(outcome.error, Interrupted) or outcome.stopped:
                    break  # the person wants everything to stop, not one run
        return outcomes

    def abort(self, reason: str) -> None:
        """Abort the run that this manager executes; from any thread."""
        from labctl.run.control import send

        if self._current is None:
            raise RequestError("nothing runs in this queue")
        send(self._current, "abort", reason)

    # Inside

    def _run_next(self, asked: int) -> tuple[Item, Outcome] | None:
        """Run the next item, unless somebody asks for STOP before it has opened its bench."""
        from labctl.run.outcome import Outcome

        with self._changing():
            now = time.time()
            due = [item for item in self.waiting() if item.policy.not_before <= now]
            if not due:
                return None
            item = due[0]
            self._status(item, "running", item.run)
        self._current = Path(item.run) if item.run else None
        try:
            outcome = self._execute(item, asked)
        except Exception as error:  # one bad item must not keep the others from running
            text = str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
            outcome = Outcome(self._current or self.runs_dir, "failed", text, error)
        except BaseException:
            status = "interrupted" if self._run() else "waiting"  # there was no run yet
            self._status(item, status, self._run(), "the queue was stopped")
            raise
        else:
            self._current = outcome.path
        try:
            self._note_end(item, outcome)
        finally:
            self._current = None
        return item, outcome

    def _execute(self, item: Item, asked: int) -> Outcome:
        from labctl.run import runner
        from labctl.run.request import Request

        def listener(event: Event) -> None:
            self._tell(item, event)

        if item.run:
            return runner.resume(
                Path(item.run), listener, record=item.request.get("record", True),
                fsync=item.request.get("fsync"), asked=asked,
            )  # fmt: skip
        return runner.start(Request(**item.request), self.runs_dir, listener, asked=asked)

    def _note_end(self, item: Item, outcome: Outcome) -> None:
        """Record how an item ended."""
        item = ended(item, outcome.status, self._run(), outcome.reason)
        self._status(item, item.status, item.run, item.reason)

    def _run(self) -> str:
        return str(self._current or "")

    def _tell(self, item: Item, event: Event) -> None:
        if event.kind == "opening":
            self._current = event.value.folder.path
            self._status(item, "running", self._run())
        for listener in self._listeners:
            listener(event)

    def _status(self, item: Item, status: str, run: str = "", reason: str = "") -> None:
        failures = {"failures": item.failures} if item.failures else {}
        self._append(
            {"entry": "status", "item": item.number, "status": status, "run": run,
             "reason": reason, **failures}
        )  # fmt: skip

    def _halts(self) -> int:
        return sum(entry["entry"] == "halt" for entry in self._entries())

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Be the only one who runs items."""
        with self._alone(WORK, patience=0.5):  # somebody may just be looking whether it is free
            for item in read(self._entries()):
                if item.status == "running":  # nobody runs it: its process was killed
                    item = left_behind(item)
                    self._status(item, item.status, item.run, item.reason)
            yield
