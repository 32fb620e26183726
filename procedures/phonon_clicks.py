"""Clicks in the trials of a phonon-pair measurement: which count, and whether they are steady."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.timetags import g2_of_counts
from labctl.procedure import Result, RunData

Ints = NDArray[np.int64]

A, B = 1, 2  # inputs of the tagger

#: Clicks per trial are steady within this part, or so many standard deviations.
STEADY, STEADY_SIGMAS = 0.1, 6.0

#: Columns that `measure` fills.
ROW = (
    "tones", "delay (ns)", "attempt", "trials", "missed", "lost", "temperature (mK)",
    "A1", "B1", "A1 B1", "A2", "B2", "A2 B2",
)  # fmt: skip


#: Pairs from which a g2 is shown while a run goes on; its error is then two thirds.
FEWEST_PAIRS = 3
#: g2 of the preparation pulse, of all rows so far.
G2_PRE = ("g2 pre", "g2 pre error")


def gate_columns(name: str) -> tuple[str, ...]:
    """Columns of the beginning of the read-out pulse: its clicks, and g2 of all rows so far."""
    return (*(f"{who} {name}" for who in ("A2", "B2", "A2 B2")), f"g2 {name}", f"g2 {name} error")


@dataclass(frozen=True)
class Gates:
    """When (ns after the trigger, at the detectors) photons of the pulses arrive."""

    first: tuple[float, float]
    second: tuple[float, float]  # the whole pulse; measurements use its beginning


#: What every measurement tells about trials that were spoilt.
SPOILT = (
    Result("missed_triggers", "", "triggers that did not reach the tagger; not in any count"),
    Result("lost_tags", "", "tags that the tagger lost, with trials that are not analysed"),
)


def spoilt(data: RunData) -> dict[str, Any]:
    """Results of these names."""
    return {
        "missed_triggers": int(data["missed"].sum()), "lost_tags": int(data["lost"].sum()),
    }  # fmt: skip


class Clicks:
    """Counts of a row while its tags come: clicks in both pulses, and trials with two.

    Args:
        beginnings: lengths (ns) by name; clicks in so much of the second pulse are counted as well.
    """

    def __init__(self, beginnings: Mapping[str, float] | None = None) -> None:
        self.counts = dict.fromkeys(("A1", "B1", "A1 B1", "A2", "B2", "A2 B2"), 0)
        self.beginnings = beginnings or {}
        self.begun = {column: 0 for name in self.beginnings for column in gate_columns(name)[:3]}
        self.parts: list[tuple[int, int]] = []  # clicks and trials of each commit

    def unsteady(self, usual: float | None) -> float | None:
        """Clicks per trial of a commit that differ from the `usual` ones; None if none do.

        Without usual ones the median of the commits takes their place.
        """
        rates = [clicks / trials for clicks, trials in self.parts]
        expected = float(np.median(rates)) if usual is None else usual
        for rate, (_, trials) in zip(rates, self.parts, strict=True):
            scatter = STEADY_SIGMAS * math.sqrt(expected / trials)
            if abs(rate - expected) > max(scatter, STEADY * expected):
                return rate
        return None

    def add(self, tags: Mapping[str, Ints], gates: Gates, trials: int) -> None:
        before = sum(self.counts.values())
        for pulse, gate in ((1, gates.first), (2, gates.second)):
            (a, time_a), (b, time_b) = (gated(tags, detector, gate) for detector in (A, B))
            self.counts[f"A{pulse}"] += a.size
            self.counts[f"B{pulse}"] += b.size
            both = np.intersect1d(a, b, assume_unique=True).size
            self.counts[f"A{pulse} B{pulse}"] += both
            for name, length in self.beginnings.items() if pulse == 2 else ():
                end = 1e3 * (gate[0] + length)
                early_a, early_b = a[time_a < end], b[time_b < end]
                pairs = np.intersect1d(early_a, early_b, assume_unique=True).size
                for column, count in zip(
                    gate_columns(name)[:3], (early_a.size, early_b.size, pairs), strict=True
                ):
                    self.begun[column] += count
        self.parts.append((sum(self.counts.values()) - before, trials))


class SoFar:
    """Sums over the rows so far, by tones and delay, for what is shown while a run goes on.

    Rows in which tags were lost do not count: they have trials without a chance to click. Nor do
    rows without these columns, which an older version recorded before the run was resumed.
    """

    def __init__(self, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
        self._columns = ("trials", *columns)
        self._sums: dict[tuple[str, float], dict[str, int]] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Mapping[str, Any]) -> dict[str, int]:
        """Take one more row; returns the sums of those that are like it."""
        sums = self.of(row["tones"], row["delay (ns)"])
        if not row["lost"] and all(name in row for name in self._columns):
            for name in self._columns:
                sums[name] += int(row[name])
        return sums

    def of(self, tones: str, delay: float) -> dict[str, int]:
        """Sums of the rows with these tones and this delay."""
        return self._sums.setdefault((tones, delay), dict.fromkeys(self._columns, 0))


def g2_so_far(sums: Mapping[str, int], beginnings: Iterable[str]) -> dict[str, float]:
    """g2 of the preparation pulse and of beginnings of the read-out pulse, with standard errors.

    NaN before `FEWEST_PAIRS`, since nothing is known before.
    """
    found: dict[str, float] = {}
    columns = [("A1", "B1", "A1 B1", *G2_PRE), *map(gate_columns, beginnings)]
    for first, second, both, value, error in columns:
        found[value], found[error] = (
            g2_of_counts(sums[both], sums[first], sums[second], sums["trials"])
            if sums["trials"] and sums[both] >= FEWEST_PAIRS
            else (math.nan, math.nan)
        )
    return found


def gated(tags: Mapping[str, Any], detector: int, gate: tuple[float, float]) -> tuple[Ints, Ints]:
    """Trial and time (ps) of the first click of a detector in each trial that lies in `gate` (ns).

    Clicks whose trigger was missed, or came before the recording, are in no gate.
    """
    low, high = 1e3 * gate[0], 1e3 * gate[1]
    time, trial = tags["time (ps)"], tags["trial"]
    inside = (tags["detector"] == detector) & (time >= low) & (time < high) & (trial >= 0)
    trial, time = trial[inside], time[inside]
    first = np.concatenate(([True], trial[1:] != trial[:-1]))[: trial.size]
    return trial[first], time[first]
