"""What the page shows, as plain numbers and words."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from typing import Any

from labctl.errors import LabError
from labctl.filelock import is_locked
from labctl.manager import Item
from labctl.manager.delays import describe
from labctl.run import safety
from labctl.units import measured
from labctl.viewing.estimate import Experience
from labctl.viewing.feed import Feed
from labctl.viewing.outlook import expected, outlook, rest, takes
from labctl.viewing.session import Session
from labctl.viewing.words import clock_time, duration, size
from labctl.web.pictures import Picture, Pictures

#: Rows of a run that are held; the page draws from the folder.
MOST_ROWS = 1 << 10
#: Runs beside the one that is shown, items of the queue and results that are listed.
MOST_LISTED = 12


class View:
    """One folder of runs as the page sees it; asked from several threads."""

    def __init__(self, runs_dir: Path) -> None:
        self._session = Session(runs_dir)
        self._feed: Feed | None = None
        self._read = 0  # size of its journal when it was read last
        self._pictures = Pictures()
        self._experience = Experience(runs_dir, patient=False)
        self._items: list[Item] = []
        self._times: dict[int, float] = {}  # by item of the queue, the seconds it takes
        self._lock = threading.Lock()

    def document(self) -> dict[str, Any]:
        """The state now."""
        with self._lock:
            newest = self._session.newest()
            running = [path for path in newest if is_locked(path / "writer.lock")]
            shown = next(iter(running or newest), None)
            feed = self._follow(shown)
            items = self._session.items()
            waiting = [item for item in items if item.waits]
            times = self._takes(items)
            return {
                "now": clock_time(time.time()),
                "run": self._run(feed) if feed is not None else None,
                "queue": [_item(i, times[i.number]) for i in waiting[:MOST_LISTED]],
                "waiting": len(waiting),
                "outlook": self._outlook(items, feed),
                "others": [path.name for path in running if path != shown][:MOST_LISTED],
                "disk": size(self._session.disk_left()),
            }

    def picture(self, place: int) -> Picture | None:
        """A figure of the run that is shown."""
        with self._lock:
            feed = self._feed
            pictures = self._latest(feed) if feed is not None else ()
            return pictures[place] if 0 <= place < len(pictures) else None

    def _follow(self, path: Path | None) -> Feed | None:
        if path is None:
            self._feed = None
        elif self._feed is None or self._feed.path != path:
            self._feed = Feed(path, most_rows=MOST_ROWS)
        elif self._feed.complete and _size(path) != self._read:
            self._feed = Feed(path, most_rows=MOST_ROWS)  # it was resumed
        if self._feed is not None and path is not None and not self._feed.complete:
            self._read = _size(path)
            self._feed.poll(budget=0.5)
        return self._feed

    def _takes(self, items: list[Item]) -> dict[int, float]:
        """What the items of the queue take; asked anew when something happened to them."""
        if items != self._items:
            self._experience.renew()
            self._items, self._times = items, expected(items, self._experience)
        return self._times

    def _outlook(self, items: list[Item], feed: Feed | None) -> str:
        now = time.time()
        found = outlook(items, self._times, now, rest(items, self._times, feed))
        return found.sentence(now, worked_off=self._session.manager.worked_off())

    def _latest(self, feed: Feed) -> tuple[Picture, ...]:
        return self._pictures.latest(feed.path, (feed.table.seen, feed.status, bool(feed.results)))

    def _run(self, feed: Feed) -> dict[str, Any]:
        left, status, done, points = feed.left(), feed.status, feed.table.seen, feed.points
        if points and status in ("running", "paused") and done >= points:
            status = "analysing"
        pictures = self._latest(feed) if feed.start else ()
        return {
            "name": feed.path.name,
            "title": f"{feed.number} {feed.procedure}",
            "remark": str(feed.start.get("title") or ""),
            "mode": {"sim": "simulated", "real": "REAL"}.get(feed.mode, feed.mode),
            "status": status,
            "reason": feed.reason,
            "stalled": feed.stalled(),
            "points": f"{done:,} of {points:,}" if points else f"{done:,}",
            "part": min(1.0, done / points) if points else None,
            "elapsed": duration(feed.elapsed()),
            "left": duration(left) if status == "running" and math.isfinite(left) else "",
            "until": clock_time(time.time() + left)
            if status == "running" and math.isfinite(left) else "",
            "age": duration(feed.age()) if status == "running" else "",
            "results": [_result(n, r) for n, r in feed.results.items()][:MOST_LISTED],
            "safety": [
                {"instrument": e["instrument"], "state": e["state"], "detail": e["detail"]}
                for e in safety.read(feed.path) if "instrument" in e
            ],
            "figures": [{"title": p.title, "version": p.version} for p in pictures],
            "trouble": self._pictures.trouble,
        }  # fmt: skip


def _size(run: Path) -> int:
    try:
        return (run / "run.jsonl").stat().st_size
    except OSError:
        return 0


def _item(item: Item, seconds: float) -> str:
    request = item.request
    words = (f"{item.number} {request['procedure']}", request.get("bench"), request.get("title"),
             describe(item), takes(seconds))  # fmt: skip
    return " · ".join(str(word) for word in words if word)


def _result(name: str, result: Any) -> dict[str, str]:
    return {"name": name, "value": measured(result)}


def safely(view: View) -> dict[str, Any]:
    """The state, or in one line why there is none."""
    try:
        return view.document()
    except (LabError, OSError, KeyError, TypeError, ValueError) as error:
        return {"error": " ".join(f"{type(error).__name__}: {error}".split())}
