"""Thumbnails of the catalogue: shown if there, else made in the background when looked at."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtGui import QIcon, QPixmap

from labctl.gui.helperlink import HelperLink
from labctl.gui.processes.drawer import picture_of
from labctl.run.catalogue import RunSummary

#: Runs that wait for their picture at most; who scrolls on does not wait for those before.
MOST_WAITING = 30
#: Icons kept in memory.
MOST_KEPT = 2000
#: Seconds that one picture may take, and after which an idle drawing process is ended.
LONGEST, IDLE = 60.0, 20.0


class Thumbnails(QObject):
    """Small pictures by run; the process that draws what is missing lives while there is work."""

    drawn = Signal(str)  # name of a run's folder

    def __init__(self, runs_dir: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._place = runs_dir / ".figures"
        self._link = HelperLink("labctl.gui.processes.drawer", self)
        self._icons: dict[tuple[str, int, str], QIcon | None] = {}
        self._waiting: list[RunSummary] = []
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(int(IDLE * 1000))
        self._idle.timeout.connect(self._link.close)

    def icon(self, run: RunSummary) -> QIcon | None:
        """The picture of a run; if there is none, it is made and `drawn` says so."""
        key = _key(run)
        if key not in self._icons:
            if len(self._icons) > MOST_KEPT:
                self._icons.clear()
            self._icons[key] = self._load(run)
            if self._icons[key] is None and run.rows and run.status not in ("running", "paused"):
                self._waiting = [*self._waiting, run][-MOST_WAITING:]
                self._next()
        return self._icons[key]

    def close(self) -> None:
        """End the process that draws."""
        self._waiting = []
        self._idle.stop()
        self._link.close()

    def _load(self, run: RunSummary) -> QIcon | None:
        picture = picture_of(run.path, self._place)
        try:
            fresh = picture.stat().st_mtime >= (run.path / "run.jsonl").stat().st_mtime
        except OSError:
            return None
        return QIcon(QPixmap(str(picture))) if fresh else None

    def _next(self) -> None:
        if self._link.busy:
            return
        if not self._waiting:
            self._idle.start()
            return
        self._idle.stop()
        run = self._waiting.pop()  # what was looked at last
        self._link.ask(
            "thumbnail", lambda _: self._made(run), lambda _: self._go_on(), seconds=LONGEST,
            run=str(run.path), place=str(self._place),
        )  # fmt: skip

    def _made(self, run: RunSummary) -> None:
        self._icons[_key(run)] = self._load(run)
        self.drawn.emit(run.path.name)
        self._go_on()

    def _go_on(self) -> None:
        QTimer.singleShot(0, self._next)  # the link is free once it has told of the last one


def _key(run: RunSummary) -> tuple[str, int, str]:
    """What a picture depends on: a resumed run needs another one."""
    return run.path.name, run.rows, run.status
