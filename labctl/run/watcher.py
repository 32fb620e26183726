"""The watcher: a process of its own that makes a bench safe when its run cannot.

It reads signs of life from a pipe. Its end without a goodbye means that the run died; none for
long, or no yield point for long, that it hangs; a `stop` line in the run's control file means STOP
ALL SAFE now. What it does then:

1. Instruments that take several connections (TCP) are made safe at once, beside the run.
2. A run that was asked to stop has `GRACE` seconds to end in order, which makes the bench safe as
   well. One that does not, or hangs, is killed: two processes cannot share a serial port, and a
   run that wakes up later could switch on again what is safe now.
3. All that the run itself has not confirmed is made safe, again where it was before.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.benchfile import BenchFile
    from labctl.run.safing import Rescuer

#: Seconds between two looks.
LOOK_EVERY = 0.05
#: Seconds after which what may be needed is imported: short runs pay nothing for it.
PREPARE_AFTER = 1.0
#: Seconds that a run has to end by itself after STOP.
GRACE = 1.0
#: Seconds without a sign of life after which a process counts as frozen.
FROZEN_AFTER = 30.0
#: Seconds without a yield point after which a run hangs, unless LABCTL_HANG_AFTER says otherwise.
HANG_AFTER = 600.0
#: Seconds that a killed process may take to vanish.
VANISH = 2.0


class Watcher:
    """Watches one run over `stream`, from the greeting of its run on."""

    def __init__(self, hello: dict[str, Any], stream: Any) -> None:
        self.run = Path(hello["run"])
        self.kinds: dict[str, str] = hello["kinds"]
        self.parent = int(hello["parent"])
        self.offset = int(hello["offset"])
        self.stream = stream
        self.goodbye = ""  # "safe" or "unsafe"
        self.gone = threading.Event()  # the run is over: a goodbye, or it died
        self.beat = self.yielded = time.monotonic()
        self._safe: set[str] = set()
        self._late = False  # the run is over, so what was said while it went on no longer counts
        self._lock = threading.Lock()
        self._lean = contextlib.ExitStack()  # as long as this process lives
        after = os.environ.get("LABCTL_HANG_AFTER", "")
        try:
            self.hang_after = float(after or HANG_AFTER)
        except ValueError:
            self.hang_after = HANG_AFTER

    def watch(self) -> None:
        """Look until the run is over, and do what is needed."""
        threading.Thread(target=self._listen, daemon=True).start()
        began = last = time.monotonic()
        prepared = False
        while True:
            ended = self.gone.wait(LOOK_EVERY)
            now = time.monotonic()
            if now - last > 1.0:  # this machine slept: silence proves nothing
                self.beat = self.yielded = now
            last = now
            if (reason := self._asked_to_stop()) is not None:
                self._stop(reason)
                return
            if ended:
                if self.goodbye != "safe":
                    self._died()
                return
            if why := self._hangs(now):
                self._hung(why)
                return
            if not prepared and now - began > PREPARE_AFTER:
                prepared = True
                threading.Thread(target=self._prepare, daemon=True).start()

    def _listen(self) -> None:
        """Take in what the run says; in a thread, because a pipe cannot be polled everywhere."""
        with contextlib.suppress(OSError):
            for line in self.stream:
                word = line.strip().decode()
                if word in ("safe", "unsafe"):
                    self.goodbye = word
                    break
                self.beat = time.monotonic()
                if word == "yield":
                    self.yielded = self.beat
        self.gone.set()

    def _hangs(self, now: float) -> str:
        if sys.platform != "win32" and os.getppid() != self.parent:
            self.gone.set()  # it died, although somebody else holds its end of the pipe
            return ""
        never = self.hang_after <= 0
        if not never and now - self.beat > (limit := min(FROZEN_AFTER, self.hang_after)):
            return f"its process showed no sign of life for {limit:g} s"
        if not never and now - self.yielded > self.hang_after:
            return f"it came to no yield point for {self.hang_after:g} s"
        return ""

    def _asked_to_stop(self) -> str | None:
        """The reason given with a `stop` line that came since the last look."""
        from labctl.run.control import FILE

        path = self.run / FILE
        with contextlib.suppress(OSError):
            if path.stat().st_size <= self.offset:
                return None
            with path.open("rb") as file:
                file.seek(self.offset)
                data = file.read()
            whole = data.rfind(b"\n") + 1
            self.offset += whole
            for line in data[:whole].splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    request = json.loads(line)
                    if request["do"] == "stop":
                        return " ".join(str(request.get("reason") or "").split())
        return None

    def _prepare(self) -> None:
        self._ready()[2].prepare()

    def _ready(self) -> tuple[BenchFile, str, Rescuer]:
        """The run's bench and mode, and who makes it safe."""
        from labctl import benchfile
        from labctl.run.reading import RunReader
        from labctl.run.safing import Rescuer, quickly

        self._lean.enter_context(quickly())
        start = RunReader(self.run).start
        file = benchfile.parse(start["bench"]["text"], Path(start["bench"]["path"]))
        return file, start["mode"], Rescuer(file, start["mode"], self._real())

    def _real(self) -> list[str]:
        return [name for name, kind in self.kinds.items() if kind == "real"]

    # What is done

    def _stop(self, reason: str) -> None:
        from labctl.run import safety

        asked = time.monotonic()
        safety.begin(self.run, reason or "STOP", self.kinds)
        file, _, rescuer = self._ready()
        early = [n for n in self._real() if takes_several(file.instruments[n].address)]
        threading.Thread(target=self._make_safe_early, args=(rescuer, early), daemon=True).start()
        left = asked + GRACE - time.monotonic()
        if self.gone.wait(max(0.0, left)) and self.goodbye == "safe":
            self._vouch()
            return
        why = f"stopped: {reason}" if reason else "stopped by request"
        if not self.gone.is_set():
            self._kill()
            why += f"; did not end within {GRACE:g} s and was killed"
        self._all_safe(why, rescuer, stopped=True)

    def _hung(self, why: str) -> None:
        from labctl.run import safety

        safety.begin(self.run, f"the run hangs: {why}", self.kinds)
        self._kill()
        self._all_safe(f"hung ({why}) and was killed", self._ready()[2], stopped=True)

    def _died(self) -> None:
        from labctl.run import safety

        said = "the run could not make it safe" if self.goodbye else "the run's process died"
        safety.begin(self.run, said, self.kinds)
        self._all_safe(said, self._ready()[2], stopped=False)

    def _make_safe_early(self, rescuer: Rescuer, names: list[str]) -> None:
        """Make safe beside the run; what fails may only be busy, and is tried again later."""
        from labctl.run import safety

        def report(name: str, state: str, detail: str) -> None:
            with self._lock:
                if state == safety.SAFE and name not in self._safe and not self._late:
                    self._safe.add(name)
                    safety.confirm(self.run, name, state, detail)

        rescuer.make_safe(names, report)

    def _vouch(self) -> None:
        """Confirm what the run itself has made safe."""
        from labctl.run import safety

        with self._lock:
            for name, kind in self.kinds.items():
                if name not in self._safe:
                    self._safe.add(name)
                    detail = "by the run itself" if kind == "real" else safety.SIMULATED
                    safety.confirm(self.run, name, safety.SAFE, detail)
        safety.end(self.run, "the run ended in order")

    def _all_safe(self, why: str, rescuer: Rescuer, *, stopped: bool) -> None:
        """Make everything safe now that the run is over, and record it."""
        from labctl.filelock import FileLock
        from labctl.run import safety, safing

        with self._lock:
            self._late = True
        lock = FileLock(self.run / "writer.lock")  # nobody may resume the run meanwhile
        with contextlib.suppress(OSError):
            if lock.acquire():
                lock.sign()
        try:
            unsafe = safing.rescue(self.run, self.kinds, rescuer)
        finally:
            lock.release()
        try:
            if not self.goodbye:  # otherwise the run itself records how it ended
                safing.record(self.run, why, unsafe, stopped=stopped)
        finally:
            safety.end(self.run, why)

    def _kill(self) -> None:
        """End the run; its pid is still its own, because it is this process's parent."""
        if sys.platform == "win32" or os.getppid() == self.parent:
            with contextlib.suppress(OSError):
                os.kill(self.parent, getattr(signal, "SIGKILL", signal.SIGTERM))
        self.gone.wait(VANISH)


def takes_several(address: str) -> bool:
    """Whether another connection can be opened beside the run's: not to a serial port or USB."""
    scheme, _, rest = address.partition("://")
    return scheme in ("tcp", "http") or (scheme == "visa" and rest.upper().startswith("TCPIP"))


def main(hello: dict[str, Any]) -> None:
    """Watch the run that sent `hello`; whatever fails here is said to who waits for answers."""
    watcher = Watcher(hello, sys.stdin.buffer)
    try:
        watcher.watch()
    except Exception as error:
        from labctl.run import safety

        said = {line.get("instrument") for line in safety.read(watcher.run)}
        for name in watcher.kinds.keys() - said:
            detail = f"the watcher failed: {type(error).__name__}: {error}"
            safety.confirm(watcher.run, name, safety.FAILED, detail)
        safety.end(watcher.run, "the watcher failed")
    os._exit(0)  # threads may still wait for instruments that do not answer
