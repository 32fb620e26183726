"""Follows what goes on: which run is active, which one is looked at, and how each ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QObject, QTimer, Signal

from labctl.errors import LabError
from labctl.gui.helperlink import HelperLink
from labctl.viewing.feed import Feed
from labctl.viewing.session import Session

#: Milliseconds between two looks at the journals, and at the folder of runs.
FRAME, LOOK = 50, 400


class Conductor(QObject):
    """Keeps two feeds: of the run that is active (or was last), and of the one looked at."""

    active_changed = Signal()  # another run is active now
    view_changed = Signal()  # another run is looked at
    frame = Signal()  # look at the feeds again
    slow = Signal()  # look at everything else again
    ended = Signal(object)  # feed of a run that was seen running and is over
    trouble = Signal(str)  # what cannot be read, once
    panels = Signal(list)
    figures = Signal(list, str)

    def __init__(self, session: Session, helper: HelperLink) -> None:
        super().__init__(helper)
        self.session, self.helper = session, helper
        self.active: Feed | None = None
        self.view: Feed | None = None
        self.pinned = False  # the user looks at another run than the active one
        self._known: set[Path] = set()  # runs that were seen
        self.going: set[Path] = set()  # runs that went on at the last look
        self._expected: set[Path] = set()  # those whose end is news
        self._began = False
        self._dry: Path | None = None  # where a dry run will appear
        self._disk = (0.0, 0)
        self._trouble = ""
        self._fast, self._slow = QTimer(self), QTimer(self)
        self._fast.timeout.connect(self.tick)
        self._slow.timeout.connect(self.look)

    def begin(self) -> None:
        """Look around now and from now on."""
        self.look()
        self._fast.start(FRAME)
        self._slow.start(LOOK)

    def end(self) -> None:
        self._fast.stop()
        self._slow.stop()

    @property
    def disk_left(self) -> int:
        """Bytes free, looked at every few seconds."""
        if time.monotonic() - self._disk[0] > 5.0:
            self._disk = (time.monotonic(), self.session.disk_left())
        return self._disk[1]

    def tick(self) -> None:
        """Read what the runs added."""
        self._guarded(self._tick)

    def look(self) -> None:
        """Look for another run, and at the queue."""
        self._guarded(self._look)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Do `step`; what can no longer be read, such as a folder that was deleted, is one line."""
        try:
            step()
        except (LabError, OSError) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self.trouble.emit(self._trouble)

    def _tick(self) -> None:
        for feed in {id(f): f for f in (self.active, self.view) if f is not None}.values():
            before = feed.complete, feed.status
            feed.poll()
            if before == (feed.complete, feed.status):
                continue
            if before[0]:  # it had died, and was resumed, or somebody recorded how it ended
                self._expected.add(feed.path)
            if feed.complete:
                self._over(feed)
        self.frame.emit()

    def _look(self) -> None:
        self.session.ended()  # a process that ended is no zombie any more
        if problem := self.session.start_problem():
            self.trouble.emit(problem)
        self._look_for_dry_run()
        newest = self.session.newest()
        fresh = [path for path in newest if path not in self._known]
        if self._known or self._began:
            self._expected.update(fresh)
        self._known.update(fresh)
        self._began = True
        going = self.session.going()
        running = next(iter(going), None)
        self._expected.update(going)
        active = self.active
        if running is not None:
            if active is None or active.path != running or active.complete:
                self._activate(running)
        elif newest and (active is None or (active.complete and newest[0] in fresh)):
            self._activate(newest[0])
        for path in fresh:  # over before anybody looked
            if path in self._expected and path != running:
                self._look_for_end(path)
        for path in self.going.difference(going):  # also beside the active run, or before it
            self._look_for_end(path)
        self.going = set(going)
        self.slow.emit()

    def show_run(self, path: Path) -> None:
        """Look at a run of the user's choice."""
        self.pinned = self.active is None or path.resolve() != self.active.path.resolve()
        self._view(Feed(path) if self.pinned or self.active is None else self.active)

    def show_active(self) -> None:
        """Look at the active run again."""
        self.pinned = False
        if self.active is not None:
            self._view(self.active)

    def expect_dry_run(self, runs_dir: Path) -> None:
        """Look at the run that will appear in this folder."""
        self._dry = runs_dir

    def draw_figures(self, feed: Feed) -> None:
        """Ask for the procedure's own figures of a run."""
        place = self.session.runs_dir / ".figures" / feed.path.name
        known = sorted(place.glob("*.png"))
        written = (feed.path / "run.jsonl").stat().st_mtime
        if known and min(path.stat().st_mtime for path in known) > written:
            self.figures.emit([str(path) for path in known], "")
            return
        self.figures.emit([], "drawing the figures…")
        self.helper.ask(
            "figures", lambda paths: self._drawn(feed, paths, ""),
            lambda error: self._drawn(feed, [], f"no figures: {error}"), key="figures",
            seconds=120.0, run=str(feed.path), place=str(place),
        )  # fmt: skip

    # Inside

    def _look_for_end(self, path: Path) -> None:
        """Tell how a run ended that nobody follows any more."""
        if path in self._expected:
            followed = (feed for feed in (self.active, self.view) if feed and feed.path == path)
            feed = next(followed, None) or Feed(path)
            feed.poll(1.0)
            self._over(feed)

    def _activate(self, path: Path) -> None:
        self.active = Feed(path)
        self.active.poll(0.2)
        self.active_changed.emit()
        if self.view is not None and self.view.path == path:
            self.pinned = False  # it is resumed while it is looked at
        if not self.pinned:
            self._view(self.active)
        elif self.active.complete:
            self._over(self.active)

    def _view(self, feed: Feed) -> None:
        self.view = feed
        if not feed.start:
            feed.poll(0.2)
        self.view_changed.emit()
        self.helper.ask(
            "panels", self.panels.emit, lambda _: self.panels.emit([]), key="panels",
            run=str(feed.path),
        )  # fmt: skip
        if feed.complete:
            self._over(feed)

    def _over(self, feed: Feed) -> None:
        if feed is self.view:
            self._results(feed)
        if feed.path in self._expected and feed.complete:
            self._expected.discard(feed.path)
            self.ended.emit(feed)

    def _results(self, feed: Feed) -> None:
        self.view_changed.emit()
        if feed.status == "finished":
            try:
                self.draw_figures(feed)
            except (OSError, LabError) as error:
                self.figures.emit([], f"no figures: {error}")

    def _drawn(self, feed: Feed, paths: list[str], note: str) -> None:
        if self.view is feed:
            self.figures.emit(paths, note)

    def _look_for_dry_run(self) -> None:
        if self._dry is not None:
            for path in self._dry.glob("[0-9]*-*"):
                self._dry = None
                self.show_run(path)
                break
