"""Reading PicoQuant PTU files, T2 and T3, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.timetags.files.model import (
    MARKER,
    About,
    Column,
    Piece,
    TagFile,
    TagFileError,
    Times,
)
from labctl.analysis.timetags.files.ptu_header import read_header
from labctl.analysis.timetags.files.ptu_records import (
    LAYOUTS,
    SYNC,
    Clock,
    Decoder,
    Room,
    Specials,
    worth_compiling,
)
from labctl.analysis.timetags.files.records import read_records

_PER_PIECE = 1 << 19  # records; compiled code leaves them in the cache of the processor
_PER_PIECE_NUMPY = 1 << 15  # and so does numpy with all its temporary arrays
_PS = 10**12


class PtuSource:
    """A PTU file.

    Args:
        path: the file.
        partial: at a record that means nothing, end with a warning and not with an error.

    Raises:
        TagFileError: this is no PTU file of time tags, or its header is broken.
    """

    def __init__(self, path: Path, *, partial: bool = False) -> None:
        self.path = path
        self.partial = partial
        self.warnings: list[str] = []
        self.tally: dict[str, int] = {}
        size = path.stat().st_size
        with path.open("rb") as file:
            try:
                header, self._offset = read_header(file, size)
            except ValueError as error:
                raise TagFileError(f"{path}: {error}") from None
        kind = header.get("TTResultFormat_TTTRRecType")
        layout = LAYOUTS.get(kind if type(kind) is int else -1)
        if layout is None:
            known = ", ".join(f"0x{known:08X}" for known in LAYOUTS)
            said = f"0x{kind:08X}" if type(kind) is int and kind >= 0 else repr(kind)
            raise TagFileError(f"{path}: records of type {said}; those that can be read: {known}")
        self._layout = layout
        if (bits := header.get("TTResultFormat_BitsPerRecord", 32)) != 32:
            raise TagFileError(f"{path}: records of {bits!r} bits; only those of 32 can be read")
        unit = self._seconds(header, "MeasDesc_GlobalResolution")
        t3 = self._layout.mode == "T3"
        self.about = About(
            f"PicoQuant PTU, {self._layout.name}", self._layout.mode,
            float(self._seconds(header, "MeasDesc_Resolution") if t3 else unit),
            float(unit) if t3 else 0.0, header,
        )  # fmt: skip
        self._clock = Clock(unit, self.about.resolution)
        self.most = self._count(header, size)
        mode = header.get("Measurement_Mode")
        if mode not in (None, int(self._layout.mode[1])):
            self.warnings.append(
                f"the header says measurement mode {mode}, the records are {self._layout.mode}"
            )

    def pieces(self) -> Iterator[Piece]:
        """Yield the tags in order of the file.

        Raises:
            TagFileError: a record means nothing; what comes before it was yielded.
        """
        room = Room(min(self.most, _PER_PIECE), self.about.mode)
        for found, sync, markers in self._decode(room, in_place=False):
            channels, times, ticks, dtimes = room.first(found.tags)
            if self.about.mode == "T3":
                sync, times = ticks, self._clock.paired(ticks, dtimes)
            yield Piece(channels, times, sync, dtimes, markers)

    def whole(self) -> TagFile:
        """Read all tags, decoded into their final place.

        Raises:
            TagFileError: a record means nothing.
        """
        room = Room(self.most, self.about.mode)
        sync, markers = Column(np.int64, 0), Column(MARKER, 0)
        tags = 0
        for found, its_sync, its_markers in self._decode(room, in_place=True):
            tags += found.tags
            sync.add(its_sync)
            markers.add(its_markers)
        channels, times, ticks, dtimes = room.first(tags)
        t3 = self.about.mode == "T3"
        return TagFile(
            self.path, channels, self.about.resolution, ticks if t3 else sync.all(), dtimes,
            markers.all(), self.about, partial(self._clock.paired, ticks, dtimes) if t3 else times,
            self.tally, tuple(self.warnings),
        )  # fmt: skip

    def _decode(
        self, room: Room, *, in_place: bool
    ) -> Iterator[tuple[Specials, Times, NDArray[np.void]]]:
        """Decode into `room`: one piece behind the other, or each from its start.

        Yield what else was found, with the times of sync events (T2) and the markers.
        """
        layout, clock = self._layout, self._clock
        decoder = Decoder(layout, clock, worth_compiling(self.most))
        at_once = _PER_PIECE if decoder.compiled else _PER_PIECE_NUMPY
        tags = 0
        for done, words in read_records(
            self.path, self._offset, "<u4", self.most, at_once, self.warnings
        ):
            base, at = decoder.ticks, tags if in_place else 0
            found = decoder.decode(words.astype(np.uint32, copy=False), room, at)
            tags += found.tags
            yield found, *self._events(found, base)
            if found.wrong >= 0:
                word = int(words[found.wrong])
                self._stop_at(done + found.wrong, word, tags, decoder.ticks > clock.limit)
                break
        self.tally |= {
            "overflow records": decoder.overflow_records, "overflows": decoder.overflows,
        }  # fmt: skip
        if decoder.zeros:
            each = "one" if layout.zero else "none"
            self.warnings.append(
                f"{decoder.zeros} overflow records say 0 overflows; counted as {each} each"
            )

    def _events(self, found: Specials, base: int) -> tuple[Times, NDArray[np.void]]:
        """Times of sync events, and markers."""
        times = self._clock.ps(found.ticks, base)
        is_sync = found.codes == SYNC
        markers = np.zeros(len(found.codes) - int(is_sync.sum()), MARKER)
        markers["time"] = times[~is_sync]
        markers["marker"] = found.codes[~is_sync]
        if self.about.mode == "T3":
            markers["sync"] = found.ticks[~is_sync]
        return times[is_sync], markers

    def _seconds(self, header: dict[str, Any], name: str) -> Fraction:
        """A time of the header in ps."""
        value = header.get(name)
        most = 1e-3 if self._layout.mode == "T2" else 1.0
        if not isinstance(value, float | int) or not 1e-15 <= value <= most:  # refuses NaN, too
            raise TagFileError(
                f"{self.path}: {name} is {value!r} and must be a time of 1e-15 to {most:g} s"
            )
        exact = Fraction(value) * _PS
        nearest = Fraction(round(exact * 1000), 1000)  # 1e-12 s is no number in binary
        return nearest if abs(nearest - exact) <= exact * Fraction(1, 10**14) else exact

    def _count(self, header: dict[str, Any], size: int) -> int:
        """How many records to read: what the header says, if they are there."""
        there, rest = divmod(size - self._offset, 4)
        said = header.get("TTResult_NumberOfRecords", 0)
        if type(said) is int and 0 < said < there:
            self.warnings.append(
                f"{size - self._offset - 4 * said} bytes behind the {said} records that the header "
                "announces are left alone"
            )
            return said
        if type(said) is int and said > there:
            self.warnings.append(
                f"is truncated: the header announces {said} records, the file has {there}, and "
                "those are read"
            )
        if rest:
            at = size - rest
            self.warnings.append(f"ends in the middle of record {there}, at byte {at}")
        return there

    def _stop_at(self, record: int, word: int, tags: int, too_late: bool) -> None:
        why = "which means nothing in a file of"
        if too_late:
            why = "an overflow beyond the 93 days that can be read, of"
        what = (
            f"record {record} (byte {self._offset + 4 * record}) is 0x{word:08x}, {why} "
            f"{self.about.format} {self.about.mode}"
        )
        if not self.partial:
            raise TagFileError(
                f"{self.path}: {what}; the {tags} tags before it can be read with partial "
                "(--partial)"
            )
        self.warnings.append(f"{what}; only the {tags} tags before it are read")
