"""Clicks in the trials of a phonon-pair measurement: which count, and whether they are steady."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    """Counts of a row while its tags come: clicks in both pulses, and trials with two."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("A1", "B1", "A1 B1", "A2", "B2", "A2 B2"), 0)
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
            a, b = (gated(tags, detector, gate)[0] for detector in (A, B))
            self.counts[f"A{pulse}"] += a.size
            self.counts[f"B{pulse}"] += b.size
            both = np.intersect1d(a, b, assume_unique=True).size
            self.counts[f"A{pulse} B{pulse}"] += both
        self.parts.append((sum(self.counts.values()) - before, trials))


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
