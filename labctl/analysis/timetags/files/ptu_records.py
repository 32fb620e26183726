"""The 32-bit records of PicoQuant's TTTR files, one decoder for all of their layouts.

HydraHarp and everything after it: bit 31 special, bits 30-25 channel, then the time (T2: 25 bits)
or dtime and number of the sync pulse (T3: 15 and 10 bits); special channel 63 is an overflow, 0 a
sync event (T2), 1 to 15 markers. PicoHarp 300: bits 31-28 channel, then the time (T2: 28 bits) or
dtime and pulse (T3: 12 and 16 bits); channel 15 is an overflow or a marker.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.timetags.files.model import Times


@dataclass(frozen=True)
class Layout:
    """How to read the records of one kind.

    Attributes:
        name: of the instrument.
        mode: "T2" or "T3".
        picoharp: whether this is the layout of the PicoHarp 300.
        wrap: time units or pulses per overflow.
        counted: whether an overflow record says how many overflows it stands for.
        zero: how many it stands for if it says 0.
    """

    name: str
    mode: str
    picoharp: bool
    wrap: int
    counted: bool = True
    zero: int = 1


#: By TTResultFormat_TTTRRecType.
LAYOUTS = {
    0x00010203: Layout("PicoHarp 300", "T2", True, 210698240, False),
    0x00010303: Layout("PicoHarp 300", "T3", True, 65536, False),
    0x00010204: Layout("HydraHarp (format 1)", "T2", False, 33552000, False),
    0x00010304: Layout("HydraHarp (format 1)", "T3", False, 1024, False),
    0x01010204: Layout("HydraHarp (format 2)", "T2", False, 33554432),
    0x01010304: Layout("HydraHarp (format 2)", "T3", False, 1024),
    0x00010205: Layout("TimeHarp 260 N", "T2", False, 33554432),
    0x00010305: Layout("TimeHarp 260 N", "T3", False, 1024),
    0x00010206: Layout("TimeHarp 260 P", "T2", False, 33554432),
    0x00010306: Layout("TimeHarp 260 P", "T3", False, 1024),
    # The vendor's own library adds nothing for a count of 0 here.
    0x00010207: Layout("MultiHarp or later", "T2", False, 33554432, zero=0),
    0x00010307: Layout("MultiHarp or later", "T3", False, 1024, zero=0),
}
#: Codes of special records, beside those of the markers.
SYNC = 0
#: From this many records on in a file, compiled code is worth loading; or using, if it is loaded.
_LOAD_FROM, _USE_FROM = 4_000_000, 200_000
#: Times of pulses that are found together.
_AT_ONCE = 1 << 14
_LATEST = (1 << 63) - (1 << 60)  #: ps, 93 days; what one record adds to the overflow still fits


def worth_compiling(records: int) -> bool:
    """Tell whether compiled code pays off for so many records."""
    return records >= (_USE_FROM if "numba" in sys.modules else _LOAD_FROM)


@dataclass(frozen=True)
class Clock:
    """How ticks, that is units (T2) or pulses (T3), become ps.

    Attributes:
        unit: ps per tick.
        resolution: ps per step of a dtime.
        limit: most ticks whose ps fit into an int64, together with what one record adds.
    """

    unit: Fraction
    resolution: float

    @property
    def limit(self) -> int:
        return min(int(_LATEST / self.unit), 1 << 62)

    @property
    def whole(self) -> int:
        """Whole ps per tick, 0 if that is no whole number."""
        return int(self.unit) if self.unit.denominator == 1 else 0

    def anchored(self, tick: int) -> tuple[int, int, float, int, float, float]:
        """Return a tick, its ps, ps per tick (whole ones and the rest each), ps per dtime step.

        Times follow to the ps, with float64 for fractions only, however late they are: whole +
        (ticks - tick) * unit + floor((ticks - tick) * part + rest + dtimes * resolution + 1/2).
        """
        exact = self.unit * tick
        whole, unit = math.floor(exact), math.floor(self.unit)
        return tick, whole, float(exact - whole), unit, float(self.unit - unit), self.resolution

    def ps(self, ticks: Times, anchor: int) -> Times:
        """Return times in ps of ticks; the closer to `anchor`, the better."""
        if self.whole:
            return ticks * self.whole
        first, whole, rest, unit, part, _ = self.anchored(anchor)
        later = ticks - first
        rounded: Times = np.floor(later * part + rest + 0.5).astype(np.int64)
        return rounded + later * unit + whole

    def paired(self, ticks: Times, dtimes: NDArray[np.uint16]) -> Times:
        """Return times in ps of pulse numbers and dtimes."""
        times = np.empty(len(ticks), np.int64)
        fill = _paired_ps
        if worth_compiling(len(ticks)):
            from labctl.analysis.timetags.files.record_kernels import paired_ps as fill
        for begin in range(0, len(ticks), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            fill(ticks[part], dtimes[part], self.anchored(int(ticks[begin])), times[part])
        return times


def _paired_ps(
    ticks: Times, dtimes: NDArray[np.uint16], anchor: tuple[Any, ...], times: Times
) -> None:
    """What the compiled loop of `record_kernels` does."""
    first, whole, rest, unit, part, resolution = anchor
    later = ticks - first
    times[:] = np.floor(later * part + rest + dtimes * resolution + 0.5)
    times += later * unit + whole


class Room:
    """Arrays for the tags that records hold: as many as there are records at most."""

    def __init__(self, records: int, mode: str) -> None:
        of_pulse, of_time = (records, 0) if mode == "T3" else (0, records)
        self.channels = np.empty(records, np.uint8)
        self.times = np.empty(of_time, np.int64)
        self.ticks = np.empty(of_pulse, np.int64)
        self.dtimes = np.empty(of_pulse, np.uint16)

    def first(
        self, tags: int
    ) -> tuple[NDArray[np.uint8], Times, NDArray[np.int64], NDArray[np.uint16]]:
        """Return channels, times, ticks and dtimes of the first tags."""
        return self.channels[:tags], self.times[:tags], self.ticks[:tags], self.dtimes[:tags]


@dataclass
class Specials:
    """What else some consecutive records hold, and how many tags there are among them."""

    tags: int
    codes: NDArray[np.uint8]  #: of markers, or 0 of sync events
    ticks: NDArray[np.int64]
    wrong: int = -1  #: index of the first record that means nothing; what follows is not read


@dataclass
class Decoder:
    """Turns records into tags; remembers the overflows from one call to the next."""

    layout: Layout
    clock: Clock
    compiled: bool = False
    ticks: int = 0  #: overflow so far; beyond the clock's limit if that is what is wrong
    overflows: int = 0
    overflow_records: int = 0
    zeros: int = 0  #: overflow records that said 0
    _special: Any = None

    def decode(self, words: NDArray[np.uint32], room: Room, at: int) -> Specials:
        """Decode consecutive records into `room`, from index `at` on."""
        found = (self._with_loop if self.compiled else self._with_numpy)(words, room, at)
        read = len(words) if found.wrong < 0 else found.wrong
        self.overflow_records += read - found.tags - len(found.codes)
        return found

    def _with_loop(self, words: NDArray[np.uint32], room: Room, at: int) -> Specials:
        from labctl.analysis.timetags.files.record_kernels import LOOPS

        layout, t3 = self.layout, self.layout.mode == "T3"
        if self._special is None or len(self._special[0]) < len(words):
            self._special = np.empty(len(words), np.int64), np.empty(len(words), np.uint8)
        ticks, codes = self._special
        base = self.ticks
        ps = 1 if t3 else self.clock.whole or 1
        tags, specials, self.ticks, overflows, zeros, wrong = LOOPS[layout.picoharp, layout.mode](
            words, base, self.clock.limit, layout.wrap, layout.counted, layout.zero,
            (room.ticks if t3 else room.times, room.channels, room.dtimes, ticks, codes), at, ps,
        )  # fmt: skip
        if not (t3 or self.clock.whole):
            chosen = slice(at, at + tags)
            room.times[chosen] = self.clock.ps(room.times[chosen], base)
        self.overflows += overflows
        self.zeros += zeros
        return Specials(tags, codes[:specials].copy(), ticks[:specials].copy(), wrong)

    def _with_numpy(self, words: NDArray[np.uint32], room: Room, at: int) -> Specials:
        layout, base = self.layout, self.ticks
        t3 = layout.mode == "T3"
        split = _picoharp_fields if layout.picoharp else _fields
        channel, ticks, dtime, special, code, overflow, bad = split(words, t3)
        count = overflow.astype(np.int64)
        if layout.counted:
            count *= ticks
            count[overflow & (ticks == 0)] = layout.zero
        total = np.cumsum(count)  # of one piece of a file: cannot leave int64
        bad |= total > (self.clock.limit - base) // layout.wrap
        wrong = int(np.argmax(bad)) if bad.any() else -1
        too_late = wrong >= 0 and bool(overflow[wrong])
        if wrong >= 0:
            head = slice(wrong)
            special, overflow, ticks, total = (x[head] for x in (special, overflow, ticks, total))
            channel, code, dtime = channel[head], code[head], dtime[head]
        if layout.counted:
            self.zeros += int(np.count_nonzero(overflow & (ticks == 0)))
        overflows = int(total[-1]) if total.size else 0
        every = base + total * layout.wrap + ticks
        self.overflows += overflows
        self.ticks = self.clock.limit + 1 if too_late else base + overflows * layout.wrap
        photon, other = np.flatnonzero(~special), np.flatnonzero(special & ~overflow)
        tags = len(photon)
        chosen = slice(at, at + tags)
        room.channels[chosen] = channel[photon]
        if t3:
            room.ticks[chosen], room.dtimes[chosen] = every[photon], dtime[photon]
        else:
            room.times[chosen] = self.clock.ps(every[photon], base)
        return Specials(tags, code[other].astype(np.uint8), every[other], wrong)


def _fields(words: NDArray[np.uint32], t3: bool) -> tuple[NDArray[Any], ...]:
    """Channel, ticks, dtime; is special, its code; is an overflow; means nothing."""
    channel = (words >> 25) & 63
    special = (words >> 31) == 1
    overflow = special & (channel == 63)
    bad = special & ~overflow & (channel > 15)
    if t3:
        bad |= special & (channel == 0)
    ticks = words & (0x3FF if t3 else 0x1FFFFFF)
    return channel, ticks, (words >> 10) & 0x7FFF, special, channel, overflow, bad


def _picoharp_fields(words: NDArray[np.uint32], t3: bool) -> tuple[NDArray[Any], ...]:
    """The same of a PicoHarp 300."""
    channel = words >> 28
    ticks = words & (0xFFFF if t3 else 0xFFFFFFF)
    dtime = (words >> 16) & 0xFFF
    special = channel == 15
    code = dtime if t3 else ticks & 15
    bad = (special & (code > 15)) | (~special & (channel > 4))
    if t3:
        bad |= channel == 0
    else:  # a marker's code stands in the last bits of its time
        ticks = np.where(special, ticks & 0xFFFFFF0, ticks)
    return channel, ticks, dtime, special, code, special & (code == 0), bad
