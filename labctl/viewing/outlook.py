"""How long what waits in the queue will take, and when all of it will be finished."""

from __future__ import annotations

import contextlib
import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import LabError
from labctl.manager import Item
from labctl.run.reading import RunReader
from labctl.viewing import words
from labctl.viewing.estimate import Experience, Pace, total
from labctl.viewing.feed import LARGE, Feed
from labctl.viewing.planning import likeness

#: Seconds for a look at the run that goes on, and rows of it that are held.
LOOK, ROWS = 0.3, 1 << 10


@dataclass(frozen=True)
class Outlook:
    """What is to be expected of the items that wait, and of the one that runs."""

    waiting: int
    seconds: float  # in all, of those that wait and whose time is known
    unknown: int  # how many of those that wait take nobody knows how long
    end: float  # Unix time at which all is finished, if what is unknown takes no time
    rest_known: bool = True  # of the item that runs

    def sentence(self, now: float, *, worked_off: bool) -> str:
        """It in words, without how many wait; "" if none does."""
        if not self.waiting:
            return ""
        missing = f"{self.unknown} item{'s' * (self.unknown > 1)} unknown" if self.unknown else ""
        known = words.duration(self.seconds)
        if self.unknown == self.waiting:
            text = "time unknown, no earlier run tells"
        else:
            text = f"at least {known}, {missing}" if missing else f"{known} in all"
        if self.unknown == self.waiting and self.end - now < 1.0:
            return text
        sure = not self.unknown and self.rest_known
        end = f"finished {'about' if sure else 'not before'} {words.clock_time(self.end, now)}"
        return f"{text}; {end}" + ("" if worked_off else " if started now")


def takes(seconds: float) -> str:
    """What one item takes, in words."""
    return f"about {words.duration(seconds)}" if math.isfinite(seconds) else "time unknown"


def expected(items: Iterable[Item], experience: Experience) -> dict[int, float]:
    """By number, the seconds that items which wait or run will take; NaN if unknown."""
    return {
        item.number: _expected(item, experience)
        for item in items
        if item.waits or item.status == "running"
    }


def outlook(
    items: Sequence[Item], seconds: Mapping[int, float], now: float, rest: float = 0.0
) -> Outlook:
    """What is to be expected, as the queue will be worked off from `now` on.

    Args:
        items: of the queue.
        seconds: by number, what each of them will take.
        now: Unix time.
        rest: seconds that the item which runs still takes; NaN if unknown.
    """
    waiting = [item for item in items if item.waits]
    takes = {item.number: seconds.get(item.number, math.nan) for item in waiting}
    known = {number: found for number, found in takes.items() if math.isfinite(found)}
    clock = now + (rest if math.isfinite(rest) else 0.0)
    delayed = [(item.policy.not_before, place) for place, item in enumerate(waiting)]
    heapq.heapify(delayed)
    due: list[int] = []  # places; those that are delayed let others pass
    while delayed or due:
        clock = clock if due else max(clock, delayed[0][0])
        while delayed and delayed[0][0] <= clock:
            heapq.heappush(due, heapq.heappop(delayed)[1])
        clock += known.get(waiting[heapq.heappop(due)].number, 0.0)
    return Outlook(
        len(waiting), sum(known.values()), len(takes) - len(known), clock, math.isfinite(rest)
    )


def running(items: Iterable[Item]) -> Item | None:
    """The item that runs now."""
    return next((item for item in items if item.status == "running"), None)


def rest(items: Iterable[Item], seconds: Mapping[int, float], feed: Feed | None) -> float:
    """Seconds that the item which runs still takes: 0 if none does, NaN if unknown.

    Args:
        items: of the queue.
        seconds: by number, what each takes as a whole.
        feed: of its run, if somebody follows it; another one does no harm.
    """
    item = running(items)
    if item is None:
        return 0.0
    whole = seconds.get(item.number, math.nan)
    if feed is None or not item.run or feed.path.resolve() != Path(item.run).resolve():
        return whole
    left = feed.left()
    return left if math.isfinite(left) else max(0.0, whole - feed.elapsed())


def glance(items: Iterable[Item]) -> Feed | None:
    """A short look at the run of the item that runs, by whoever does not follow it."""
    item = running(items)
    if item is None or not item.run:
        return None
    feed = Feed(Path(item.run), most_rows=ROWS)
    with contextlib.suppress(LabError, OSError):
        if (feed.path / "run.jsonl").stat().st_size < LARGE:  # else there is no time to read it
            feed.poll(budget=LOOK)
            return feed
    return None


def basis(item: Item, experience: Experience) -> str:
    """What is said of how long an item takes: the run it is known from; "" if it is unknown."""
    pace = _pace(item, experience)
    if pace is None or not math.isfinite(_expected(item, experience)):
        return ""
    return likeness(pace, pace.unlike(item.parameters))


def _pace(item: Item, experience: Experience) -> Pace | None:
    planned = item.planned
    if planned is None:
        return None
    return experience.pace(planned.procedure, item.parameters, planned.mode)


def _expected(item: Item, experience: Experience) -> float:
    planned, pace = item.planned, _pace(item, experience)
    if planned is None:
        return math.nan
    points = planned.points
    if points is None and pace is not None and not pace.unlike(item.parameters):
        points = pace.rows or None  # the same once more
    if points is not None and item.run:
        points = max(0, points - _rows(item.run))
    return 0.0 if points == 0 else total(pace, points, planned.mode)[0]


def _rows(run: str) -> int:
    """How many rows a run that is to be resumed has already."""
    try:
        return RunReader(Path(run)).row_count
    except (LabError, OSError):
        return 0
