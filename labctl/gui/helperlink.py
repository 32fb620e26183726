"""Asking the helper process: one request at a time, with a limit in time, never blocking."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, QProcess, QTimer

#: How requests are called in messages.
SAID = {"procedures": "list procedures", "describe": "describe a procedure",
        "plan": "count points", "submit": "check a request", "edit": "check a request",
        "figures": "draw figures"}  # fmt: skip

HELPER = "labctl.gui.processes.helper"

#: Seconds after which a request that another one has replaced is given up.
PATIENCE = 5.0

Done = Callable[[Any], None]
Failed = Callable[[str], None]


@dataclass
class _Request:
    number: int
    what: str
    line: bytes
    done: Done
    failed: Failed
    key: str
    seconds: float
    at: str = ""  # what it was doing when it was last heard of


class HelperLink(QObject):
    """The window's end of a helper; it is started when first asked and again if it dies.

    Args:
        module: what runs in the process.
        parent: owner of this object.
    """

    def __init__(self, module: str = HELPER, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._module = module
        self._process: QProcess | None = None
        self._waiting: deque[_Request] = deque()
        self._asked: _Request | None = None
        self._numbers = 0
        self._buffer = b""
        self.culprit = ""  #: the module that a request which got no answer was importing
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._too_late)

    def ask(
        self,
        what: str,
        done: Done,
        failed: Failed,
        *,
        key: str = "",
        seconds: float = 60.0,
        **arguments: Any,
    ) -> None:
        """Ask, and call `done` with the answer or `failed` with one line.

        Args:
            what: an action of the helper.
            done: takes the answer.
            failed: takes one line that says why there is none.
            key: an older request with this key that is not answered yet is forgotten.
            seconds: after these the helper is ended, because a procedure must hang.
            arguments: of the action.
        """
        self._numbers += 1
        if key:
            self._waiting = deque(r for r in self._waiting if r.key != key)
            if self._asked is not None and self._asked.key == key:
                self._asked.done = self._asked.failed = lambda _: None
                if self._timer.remainingTime() < 1000 * (self._asked.seconds - PATIENCE):
                    self._too_late()  # nobody wants to know any more, and it seems to hang
        line = json.dumps({"id": self._numbers, "do": what, **arguments}).encode() + b"\n"
        self._waiting.append(_Request(self._numbers, what, line, done, failed, key, seconds))
        self._next()

    @property
    def busy(self) -> bool:
        return self._asked is not None or bool(self._waiting)

    def close(self) -> None:
        """End the helper; what waits is forgotten."""
        self._waiting.clear()
        self._asked = None
        self._timer.stop()
        if self._process is not None:
            process, self._process = self._process, None
            process.finished.disconnect()
            process.readyReadStandardOutput.disconnect()
            process.closeWriteChannel()
            if not process.waitForFinished(300):
                process.kill()
                process.waitForFinished(1000)

    def _next(self) -> None:
        if self._asked is not None or not self._waiting:
            return
        if self._process is None:
            self._start()
        assert self._process is not None
        self._asked = self._waiting.popleft()
        self._timer.start(int(self._asked.seconds * 1000))
        self._process.write(self._asked.line)

    def _start(self) -> None:
        self._buffer = b""
        self._process = QProcess(self)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.finished.connect(self._ended)
        self._process.errorOccurred.connect(lambda _: None)  # `finished` or the timer says more
        self._process.start(sys.executable, ["-m", self._module])

    def _read(self) -> None:
        if self._process is None:
            return
        self._buffer += self._process.readAllStandardOutput().data()
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            self._answer(line)

    def _answer(self, line: bytes) -> None:
        request = self._asked
        try:
            found = json.loads(line)
        except ValueError:
            return
        if request is not None and "at" in found:  # it goes on: give the next step its time
            request.at = str(found["at"])
            self._timer.start(int(request.seconds * 1000))
            return
        if request is not None and "stale" in found:  # it has old code: ask a new one the same
            self._asked = None
            self._waiting.appendleft(request)
            self._forget_process()
            self._next()
            return
        if request is None or found.get("id") != request.number:
            return
        self._asked = None
        self._timer.stop()
        if found["ok"]:
            request.done(found["value"])
        else:
            request.failed(str(found["error"]))
        self._next()

    def _ended(self) -> None:
        process, self._process = self._process, None
        data = bytes(process.readAllStandardError().data()) if process else b""
        said = data.decode(errors="replace")
        last = said.strip().splitlines()[-1:] or [""]
        self._give_up(f"{{who}} ended the process that was asked to {{what}}. {last[0]}".strip())

    def _too_late(self) -> None:
        self._forget_process()
        self._give_up("no answer to {what} in time: {who} seems to hang")

    def _forget_process(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.finished.disconnect()
            process.readyReadStandardOutput.disconnect()
            process.kill()
            process.deleteLater()

    def _give_up(self, why: str) -> None:
        request, self._asked = self._asked, None
        self._timer.stop()
        if request is not None:
            self.culprit = request.at
            why = why.replace("{who}", request.at or "the procedure")
            request.failed(why.replace("{what}", SAID.get(request.what, request.what)))
        self._next()
