"""Clicks of a phonon-pair run from its time tags, as analysis and figures want them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.errors import RequestError
from labctl.procedure import RunData
from procedures.phonon_clicks import A, B, Gates, gated

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Bins (ns) of the histograms of counts against time.
BIN = 2.0


@dataclass(frozen=True)
class PulseClicks:
    """Clicks of both detectors in one pulse: trials, ascending, and times (ns) in the gate."""

    a: Ints
    b: Ints
    time_a: Floats
    time_b: Floats

    def within(self, gate: float) -> PulseClicks:
        """Those in the first `gate` ns."""
        inside = self.time_a < gate, self.time_b < gate
        return PulseClicks(
            self.a[inside[0]], self.b[inside[1]], self.time_a[inside[0]], self.time_b[inside[1]]
        )


@dataclass(frozen=True)
class Recorded:
    """Everything about one choice of tones (and one delay)."""

    trials: int
    first: PulseClicks
    second: PulseClicks
    histogram: Ints  # clicks of both detectors by time after the trigger, in bins of `BIN`
    begin: float  # ns, of the histogram


def recorded(
    data: RunData, tones: str, gates: Callable[[float], Gates], delay: float | None = None
) -> Recorded:
    """Read the clicks of all rows with these tones, row by row.

    Raises:
        RequestError: there are none.
    """
    chosen = np.asarray(data["tones"]) == tones
    if delay is not None:
        chosen &= data["delay (ns)"] == delay
    where = f" and a delay of {delay:g} ns" if delay is not None else ""
    if not chosen.any():
        raise RequestError(f"this run has no trials with {tones!r}{where}; resume it first")
    # While a tagger drops tags there are trials, but no clicks: rates and g2 would be wrong.
    rows = np.flatnonzero(chosen & (data["lost"] == 0))
    if not rows.size:
        raise RequestError(
            f"the tagger lost tags in all trials with {tones!r}{where}; measure again at a lower "
            "rate"
        )
    found: dict[str, list[np.ndarray]] = {f"{d}{p}": [] for d in "ab" for p in (1, 2)}
    found |= {f"time {name}": [] for name in list(found)}
    trials, histogram, begin = 0, np.zeros(0, dtype=np.int64), 0.0
    # A trial whose trigger was missed is none; those that were seen are numbered one after another.
    for row in rows.tolist():
        seen = gates(float(data["delay (ns)"][row]))
        begin = seen.first[0] - 40.0
        edges = np.arange(begin, seen.second[1] + 40.0, BIN)
        if not histogram.size:
            histogram = np.zeros(edges.size - 1, dtype=np.int64)
        for tags in data.tag_batches(tones, row):
            # most clicks are dark ones between the pulses
            near = (tags["time (ps)"] < 1e3 * edges[-1]) & (tags["trial"] < data["trials"][row])
            near &= tags["attempt"] == data["attempt"][row]
            tags = {name: values[near] for name, values in tags.items()}
            histogram += np.histogram(tags["time (ps)"] * 1e-3, edges)[0][: histogram.size]
            for pulse, gate in ((1, seen.first), (2, seen.second)):
                for detector, letter in ((A, "a"), (B, "b")):
                    trial, time = gated(tags, detector, gate)
                    found[f"{letter}{pulse}"].append(trial + trials)
                    found[f"time {letter}{pulse}"].append(time * 1e-3 - gate[0])
        trials += int(data["trials"][row])
    whole = {name: np.concatenate(parts) for name, parts in found.items()}
    pulses = [
        PulseClicks(whole[f"a{p}"], whole[f"b{p}"], whole[f"time a{p}"], whole[f"time b{p}"])
        for p in (1, 2)
    ]
    return Recorded(trials, pulses[0], pulses[1], histogram, begin)
