"""A dry run: once on the simulated bench, outside of the queue, kept by nobody."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

from qtpy.QtCore import QObject, QProcess, Signal

from labctl.errors import LabError
from labctl.run.control import send
from labctl.run.reading import RunReader
from labctl.viewing.planning import Wish
from labctl.viewing.session import COMMAND

#: Milliseconds that a dry run has to end by itself when the window closes.
PATIENCE = 1000


class DryRun(QObject):
    """At most one at a time. Unlike a run of the queue it ends with the window."""

    ended = Signal(str)  # why it did not finish, or ""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._place: Path | None = None
        self._process: QProcess | None = None

    @property
    def going(self) -> bool:
        return self._process is not None

    @property
    def run(self) -> Path | None:
        """The folder of the last dry run."""
        place = self._place
        return next(iter(place.glob("[0-9]*-*")), None) if place is not None else None

    def start(self, wish: Wish) -> Path:
        """Begin the first run of a wish; the folder of runs in which it will appear."""
        self._forget()
        self._place = Path(tempfile.mkdtemp(prefix="labctl-dry-"))
        process = self._process = QProcess(self)
        process.finished.connect(self._finished)
        process.start(sys.executable, [*COMMAND[1:], *_words(wish), "--runs", str(self._place)])
        return self._place

    def stop(self) -> None:
        """Ask it to end."""
        if self._process is not None:
            try:
                if self.run is None:
                    raise LabError("nothing can be asked to stop yet")
                send(self.run, "abort", "stopped in the window")
            except (LabError, OSError):
                self._process.kill()

    def close(self) -> None:
        """End it and remove what it left."""
        if (process := self._process) is not None:
            process.finished.disconnect()
            self.stop()
            if not process.waitForFinished(PATIENCE):
                process.kill()
                process.waitForFinished(PATIENCE)
            self._process = None
        self._forget()

    def _forget(self) -> None:
        if self._place is not None:
            shutil.rmtree(self._place, ignore_errors=True)
            self._place = None

    def _finished(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.deleteLater()
        said = bytes(process.readAllStandardError().data()) if process is not None else b""
        last = said.decode(errors="replace").strip().splitlines()[-1:] or ["ended without a word"]
        problem = f"did not begin: {last[0]}"
        if self.run is not None:
            with contextlib.suppress(LabError, OSError):
                run = RunReader(self.run)
                reason = str((run.stop_entry or {}).get("reason") or "")
                problem = "" if run.status == "finished" else f"{run.status}: {reason}"
        self.ended.emit(problem)


def _words(wish: Wish) -> list[str]:
    """The command line of the first run of a wish."""
    words = ["run", wish.procedure, "--bench", wish.bench, "--mode", "sim", "--seed",
             str(wish.seed), "--title", "dry run"]  # fmt: skip
    for name, value in wish.sets()[0].items():
        text = ", ".join(map(repr, value)) if isinstance(value, list) else str(value)
        words += ["--set", f"{name}={text}"]
    for name, value in wish.world.items():
        words += ["--world", f"{name}={value}"]
    return words
