"""What a form asks for, and what that would cost, before anything is queued. No Qt here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labctl.viewing import words
from labctl.viewing.estimate import Pace, total
from labctl.viewing.sweeps import combinations

#: Runs of a sweep whose points are counted one by one; beyond, the mean stands for the rest.
COUNTED = 300


@dataclass(frozen=True)
class Wish:
    """What the form says: values, and lists of values where a parameter is swept."""

    procedure: str
    bench: str
    mode: str
    values: Mapping[str, Any]
    swept: Mapping[str, list[Any]] = field(default_factory=dict)
    together: bool = False
    title: str = ""
    seed: int = 0
    world: Mapping[str, str] = field(default_factory=dict)

    def sets(self) -> list[dict[str, Any]]:
        """The parameters of each run.

        Raises:
            ValueError: too many runs, or lists that do not go together.
        """
        sweeps = combinations(self.swept, together=self.together)
        return [{**self.values, **one} for one in sweeps]

    def requests(self) -> list[dict[str, Any]]:
        """The members of a `labctl.run.request.Request` for each run."""
        found = []
        for parameters in self.sets():
            title = self.title
            if self.swept:
                said = ", ".join(f"{name}={words.number(parameters[name])}" for name in self.swept)
                title = f"{title}: {said}" if title else said
            found.append(
                {"procedure": self.procedure, "parameters": parameters, "bench": self.bench,
                 "mode": self.mode or None, "world": dict(self.world), "seed": self.seed,
                 "title": title}
            )  # fmt: skip
        return found


def preview(
    points: Sequence[int | None],
    runs: int,
    pace: Pace | None,
    mode: str,
    free: int,
    begin: float,
    now: float,
    others: Sequence[str] = (),
) -> str:
    """Points, time and disk of what would be queued, in a few lines.

    Args:
        points: of each run that was counted.
        runs: how many runs there are in all.
        pace: of an earlier run, if there is one.
        mode: of the bench.
        free: bytes on the disk.
        begin: Unix time before which nothing begins; 0 for at once.
        now: Unix time.
        others: parameters that were others in the earlier run.
    """
    said = f"begins {words.clock_time(begin, now)}; " if begin > now else ""
    counted = [n for n in points if n is not None]
    if not counted:
        return said + (f"{runs} runs" if runs > 1 else "how many points there will be is not known")
    exact = len(points) == runs
    count = sum(counted) if exact else round(sum(counted) / len(counted) * runs)
    text = f"{'' if exact else 'about '}{count} point{'' if count == 1 else 's'}"
    if runs > 1:
        text = f"{runs} runs, {text}"
    text = said + text
    seconds, size = total(pace, count, mode)
    if pace is None or math.isnan(seconds):
        return f"{text}; a dry run says how long they take"
    end = words.clock_time(max(now, begin) + seconds, now)
    text += f", about {words.duration(seconds)} (until {end})"
    bench = pace.bench_seconds * count
    if mode != "real" and bench > 60.0 and bench > 2.0 * seconds:
        text += f", on hardware {words.duration(bench)}"
    text += f", {words.size(size)} of {words.size(free)} free"
    text += f"; {likeness(pace, others)}"
    return text + ("; NOT ENOUGH DISK" if size > free else "")


def likeness(pace: Pace, others: Sequence[str]) -> str:
    """From which run a pace is known, and which parameters were others there."""
    text = f"as fast as {f'run {pace.run}' if pace.run else 'the dry run'}"
    if others:
        more = f" and {len(others) - 2} more" if len(others) > 2 else ""
        text += f", which had another {', '.join(others[:2])}{more}"
    return text
