"""The process behind the time-tag panel: it follows a run's tags and correlates the latest.

`python -m labctl.gui.processes.taghost` answers requests as the helper does. Correlating takes a
compiler and time; neither belongs into the process that draws.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.errors import RequestError
from labctl.gui.processes.helper import serve
from labctl.run.tags import TagFollower

#: Tags kept of each channel; correlations are those of the latest.
KEPT = 2_000_000
#: Most bins of the histogram.
MOST_BINS = 4000
TIME, CHANNEL = "time (ps)", "channel"

Tags = NDArray[np.int64]


def background(counts: NDArray[np.int64]) -> float:
    """Pairs per bin by chance: the mean of the middle three fifths of all bins.

    From the histogram itself, not from the rates: the tags of a run have gaps between its points.
    A peak is narrower than a fifth of the delays shown, or it is no peak there.
    """
    middle = np.sort(counts)[len(counts) // 5 : max(1, len(counts) - len(counts) // 5)]
    return float(middle.mean()) if len(middle) else 0.0


class Tagger:
    """The latest tags of a run by channel, named "stream/number"."""

    def __init__(self) -> None:
        self._run = ""
        self._follower: TagFollower | None = None
        self._tags: dict[str, Tags] = {}
        self._seen: dict[str, int] = {}

    def look(
        self, run: str, start: str = "", stop: str = "", window: float = 2000.0,
        delay: float = 0.0, span: float = 50_000.0, bins: int = 200,
    ) -> dict[str, Any]:  # fmt: skip
        """Rates of all channels; and of two of them the histogram, coincidences and g2.

        Args:
            run: folder of the run.
            start, stop: channels; a delay is stop minus start.
            window: of the coincidences, in ps.
            delay: centre of the window, in ps.
            span: the histogram shows delays from minus to plus this, in ps.
            bins: of the histogram.
        """
        if run != self._run or self._follower is None:
            self._run, self._follower = run, TagFollower(Path(run))
            self._tags, self._seen = {}, {}
        for batch in self._follower.poll():
            self._take(batch.name, batch.columns)
        low, high = self._span()
        seconds = (high - low) * 1e-12
        channels = [
            {"name": name, "tags": self._seen[name], "rate": self._rate(name, low, high)}
            for name in sorted(self._tags)
        ]
        found: dict[str, Any] = {"channels": channels, "seconds": seconds}
        found["damage"] = self._follower.damage[-3:]
        if start in self._tags and stop in self._tags:
            found["pair"] = self._pair(start, stop, window, delay, span, bins)
        return found

    def _pair(
        self, start: str, stop: str, window: float, delay: float, span: float, bins: int
    ) -> dict[str, Any]:
        from labctl.analysis.timetags import correlation_histogram, count_coincidences

        if not (0 < window <= 2 * span <= 2e12 and 2 <= bins <= MOST_BINS):
            raise RequestError("the window must be shorter than what the histogram shows")
        a, b = self._tags[start], self._tags[stop]
        first, last = max(a[0], b[0]), min(a[-1], b[-1])  # while both were recorded
        if last <= first:
            return {}
        a, b = a[(a >= first) & (a <= last)], b[(b >= first) & (b <= last)]
        seconds = float(last - first) * 1e-12
        width = max(1, round(2 * span / bins))
        most = width * bins // 2
        counts, edges = correlation_histogram(a, b, width, most)
        if start == stop:  # each tag with itself says nothing
            counts = counts.copy()
            counts[np.searchsorted(edges, 0, side="right") - 1] -= len(a)
        per_bin = background(counts)
        hits = count_coincidences(a, b, round(window), round(delay))
        chance = per_bin * window / width
        g2 = hits / chance if chance else math.nan
        error = math.sqrt(max(hits, 1)) / chance if chance else math.nan
        return {
            "counts": counts.tolist(), "edges": edges.tolist(), "by_chance": per_bin,
            "coincidences": hits, "accidentals": chance, "g2": g2, "g2_error": error,
            "seconds": seconds, "rate": hits / seconds,
        }  # fmt: skip

    def _take(self, stream: str, columns: dict[str, NDArray[Any]]) -> None:
        """Sort new tags to their channels; only the latest are kept."""
        if TIME not in columns:
            return
        times = np.asarray(columns[TIME], dtype=np.int64)
        numbers = columns.get(CHANNEL, np.zeros(len(times), dtype=np.uint8))
        for number in np.unique(numbers).tolist():
            name = f"{stream}/{number}"
            new = times[numbers == number]
            known = self._tags.get(name)
            both = new if known is None else np.concatenate([known, new])
            if len(both) > 1 and (both[1:] < both[:-1]).any():
                both = np.sort(both)
            self._tags[name] = both[-KEPT:]
            self._seen[name] = self._seen.get(name, 0) + len(new)

    def _span(self) -> tuple[int, int]:
        there = [tags for tags in self._tags.values() if len(tags)]
        if not there:
            return 0, 0
        return min(int(t[0]) for t in there), max(int(t[-1]) for t in there)

    def _rate(self, name: str, low: int, high: int) -> float:
        """Tags per second of the latest that are kept."""
        tags = self._tags[name]
        begin = int(tags[0]) if len(tags) == KEPT else low
        return len(tags) / ((high - begin) * 1e-12) if high > begin else 0.0


if __name__ == "__main__":
    serve({"look": Tagger().look})
