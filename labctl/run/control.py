"""Control of a running run by a file: whoever may write to its folder may pause or abort it."""

from __future__ import annotations

import contextlib
import enum
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from labctl.clock import LOOK_EVERY, Clock, RealClock
from labctl.errors import Aborted, Interrupted, RequestError

FILE = "control.jsonl"
VERBS = ("pause", "resume", "abort", "stop")
_DONE = {"abort": "aborted", "stop": "stopped"}


def send(folder: Path, verb: str, reason: str = "") -> None:
    """Ask the run in `folder` to pause, resume, abort or stop at its next yield point."""
    if verb not in VERBS:
        raise RequestError(f"unknown control verb {verb!r}; known are {', '.join(VERBS)}")
    line = json.dumps({"do": verb, "reason": reason, "at": time.time()})
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")  # whoever wrote before may have left half a line


def asked(folder: Path) -> int:
    """How many bytes of requests to the run in `folder` there are so far."""
    return _size(folder / FILE)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class Press(enum.Enum):
    """What Ctrl-C does at this moment, and with it other signals that ask a process to end."""

    NOW = "raises KeyboardInterrupt: nothing is under way that must be ended in order"
    YIELD = "aborts at the next yield point; a second one raises KeyboardInterrupt"
    LATER = "nothing: the bench is being made safe, or the end is being recorded"


class Control:
    """The running side: looks for requests at yield points.

    `look` is a yield hook of the clock, which calls it at most every 50 ms of real time. The first
    `before` bytes of the file are left alone.
    """

    #: Set by the run as it goes on.
    press: Press = Press.NOW
    #: That of the bench, once it is open.
    clock: Clock

    def __init__(
        self, folder: Path, clock: Clock, on_pause: Callable[[bool, str], None], before: int = 0
    ) -> None:
        self._path = folder / FILE
        self.clock = clock
        self._on_pause = on_pause
        self._offset = before  # requests to an earlier stretch of this run are history
        self._paused = False
        self._reason = ""  # of the last request to pause or go on
        self._holding = False
        self._deaf = False
        self._abort: Aborted | None = None
        self._stopped = False

    def interrupt(self, reason: str) -> None:
        """Do what a signal asks for, as `press` says; called by signal handlers.

        Raises:
            KeyboardInterrupt: once at most before the run sets `press` anew.
        """
        self._abort = Interrupted(reason)
        if self.press is Press.YIELD:
            self.press = Press.NOW
        elif self.press is Press.NOW:
            self.press = Press.LATER  # one is enough: what it raises ends the run in order
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """Obey nothing from now on: the run is ending and makes the bench safe."""
        self.press = Press.LATER
        self._deaf = True

    @property
    def aborted(self) -> Aborted | None:
        """What ended the run or is about to; looks for requests, too."""
        self._read()
        return self._abort

    @property
    def stopped(self) -> bool:
        """Whether STOP was asked for, and with it confirmations of each instrument."""
        self._read()
        return self._stopped

    def look(self) -> None:
        """Obey what was asked since the last look; blocks while the run is paused.

        Raises:
            Aborted: somebody asked for it.
        """
        if self._deaf or self._holding:
            return
        self._read()
        if self._paused and self._abort is None:
            self._hold()
        if self._abort is not None:
            raise self._abort

    def _hold(self) -> None:
        """Stand still; on a real clock interlocks go on, a virtual clock stands still too."""
        self._on_pause(True, self._reason)
        self._holding = True  # the sleep below is a yield point itself
        try:
            while self._paused and self._abort is None:
                if isinstance(self.clock, RealClock):
                    self.clock.sleep(LOOK_EVERY)
                else:
                    time.sleep(LOOK_EVERY)
                self._read()
        finally:
            self._holding = False
        self._on_pause(False, "" if self._paused else self._reason)  # still paused: aborted

    def _read(self) -> None:
        size = _size(self._path)
        if size == self._offset:
            return
        if size < self._offset:
            self._offset = 0  # somebody emptied it, so all of it is new
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return  # a request that cannot be read must not stop an experiment
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        for line in data[:whole].splitlines():
            try:
                request: Any = json.loads(line)
                verb, reason = request["do"], " ".join(str(request.get("reason") or "").split())
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue  # nor must a line that nobody meant
            if verb in ("pause", "resume"):
                self._paused, self._reason = verb == "pause", reason
            elif verb in ("abort", "stop"):
                self._abort = Aborted(reason or f"{_DONE[verb]} by request")
                self._stopped |= verb == "stop"


@contextlib.contextmanager
def interruptible(control: Control) -> Iterator[None]:
    """Hand signals that ask this process to end to `control`; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        control.interrupt(f"interrupted by {'Ctrl-C' if name == 'SIGINT' else name}")

    before: dict[int, Any] = {}
    try:
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):  # the last is for Windows
            number = getattr(signal, name, None)
            # Those of whoever embeds Python are left alone, and what nohup and "&" ignore.
            if number is not None and signal.getsignal(number) not in (None, signal.SIG_IGN):
                before[number] = signal.signal(number, handle)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
