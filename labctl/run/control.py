"""Control of a running run by a file: whoever may write to its folder may pause or abort it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from labctl.clock import LOOK_EVERY, Clock, RealClock
from labctl.errors import Aborted, RequestError

FILE = "control.jsonl"
VERBS = ("pause", "resume", "abort", "stop")


def send(folder: Path, verb: str, reason: str = "") -> None:
    """Ask the run in `folder` to pause, resume, abort or stop at its next yield point."""
    if verb not in VERBS:
        raise RequestError(f"unknown control verb {verb!r}; known are {', '.join(VERBS)}")
    line = json.dumps({"do": verb, "reason": reason, "at": time.time()}) + "\n"
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(line)


class Control:
    """The running side: looks for requests at yield points.

    `look` is a yield hook of the clock, which calls it at most every 50 ms of real time.
    """

    def __init__(self, folder: Path, clock: Clock, on_pause: Callable[[bool, str], None]) -> None:
        self._path = folder / FILE
        self._clock = clock
        self._on_pause = on_pause
        self._offset = self._size()  # requests to an earlier stretch of this run are history
        self._paused = False
        self._abort: str | None = None
        self._deaf = False

    def request_abort(self, reason: str) -> None:
        """Abort at the next yield point; may be called from a signal handler or another thread."""
        self._abort = reason

    @property
    def abort_requested(self) -> bool:
        self._read()
        return self._abort is not None

    def ignore(self) -> None:
        """Obey nothing from now on: the run is ending and makes the bench safe."""
        self._deaf = True

    def look(self) -> None:
        """Obey what was asked since the last look; blocks while the run is paused.

        Raises:
            Aborted: somebody asked for it.
        """
        if self._deaf:
            return
        self._read()
        if self._paused and self._abort is None:
            self._hold()
        if self._abort is not None:
            raise Aborted(self._abort)

    def _hold(self) -> None:
        """Stand still; on a real clock interlocks go on, a virtual clock stands still too."""
        self._on_pause(True, "paused")
        self._deaf = True  # the sleep below is a yield point itself
        try:
            while self._paused and self._abort is None:
                if isinstance(self._clock, RealClock):
                    self._clock.sleep(LOOK_EVERY)
                else:
                    time.sleep(LOOK_EVERY)
                self._read()
        finally:
            self._deaf = False
        self._on_pause(False, "resumed")

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _read(self) -> None:
        if self._size() <= self._offset:
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        for line in data[:whole].splitlines():
            try:
                request: Any = json.loads(line)
                verb, reason = request["do"], str(request.get("reason") or "")
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # a line that nobody meant must not stop an experiment
            if verb == "pause":
                self._paused = True
            elif verb == "resume":
                self._paused = False
            elif verb in ("abort", "stop"):
                self._abort = reason or "aborted by request"


@contextlib.contextmanager
def interruptible(control: Control) -> Iterator[None]:
    """First Ctrl-C or SIGTERM: abort at the next yield point. A second Ctrl-C: at once.

    Once the run is ending (`control.ignore`), both are held back until the bench is safe.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    presses = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal presses
        presses += 1
        name = signal.Signals(number).name
        control.request_abort(f"interrupted by {'Ctrl-C' if name == 'SIGINT' else name}")
        if presses > 1 and not control._deaf:
            raise KeyboardInterrupt

    signals = [signal.SIGINT, signal.SIGTERM]
    if os.name == "nt":
        signals.append(signal.SIGBREAK)  # type: ignore[attr-defined,unused-ignore]
    before = {number: signal.signal(number, handle) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
