"""What a file of time tags holds, whole or piece by piece, and how reading one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]

#: A marker: its time in ps, the number of the sync pulse before it (T3), and its code.
MARKER = np.dtype([("time", "<i8"), ("sync", "<i8"), ("marker", "u1")])


class TagFileError(ValueError):
    """A file cannot be read or written as time tags; one line that names file and place."""


@dataclass(frozen=True)
class Piece:
    """Some consecutive tags of a file; its arrays may change when the next piece is asked for.

    Attributes:
        channels: number of the input of each tag, as the file has it.
        times: in ps.
        sync: T2: times of sync events in ps; else: number of the sync pulse before each tag.
        dtimes: time since that pulse in units of the resolution; empty if the file has none.
        markers: see `MARKER`.
    """

    channels: NDArray[np.uint8]
    times: Times
    sync: Times = field(default_factory=lambda: np.empty(0, np.int64))
    dtimes: NDArray[np.uint16] = field(default_factory=lambda: np.empty(0, np.uint16))
    markers: NDArray[np.void] = field(default_factory=lambda: np.empty(0, MARKER))


@dataclass(frozen=True)
class About:
    """What a file says of itself.

    Attributes:
        format: in words.
        mode: "T2" (each tag has a time of its own) or "T3" (pulse number and time since it).
        resolution: unit of times (T2) or of dtimes (T3) in ps; NaN if the file does not say.
        sync_period: time between sync pulses in ps; 0 if there are none or the file does not say.
        header: every entry of the header by name, arrays as lists.
    """

    format: str
    mode: str
    resolution: float
    sync_period: float = 0.0
    header: Mapping[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """A file that is open for reading."""

    about: About
    warnings: list[str]  #: what is odd about the file, complete after the last piece
    tally: dict[str, int]  #: records of each kind that are no tags, complete after the last piece
    most: int  #: not more tags than this, from the size of the file alone

    def pieces(self) -> Iterator[Piece]: ...


class WhenAsked:
    """Times of a `TagFile`: an array, or what finds it when it is first asked for."""

    def __get__(self, tags: TagFile | None, owner: type | None = None) -> Times:
        if tags is None:  # a dataclass asks its class for a default: there is none
            raise AttributeError("times")
        found: Times | Callable[[], Times] = vars(tags)["times"]
        if callable(found):
            vars(tags)["times"] = found = found()
        return found

    def __set__(self, tags: TagFile, times: Times | Callable[[], Times]) -> None:
        vars(tags)["times"] = times


@dataclass(frozen=True)
class TagFile:
    """All tags of a file.

    Attributes:
        path: the file.
        channels: number of the input of each tag, as the file has it.
        resolution: unit of times (T2) or of dtimes (T3) in ps; NaN if the file does not say.
        sync: T2: times of sync events in ps; else: number of the sync pulse before each tag.
        dtimes: time since that pulse in units of the resolution; empty if the file has none.
        markers: structured, with fields `time` (ps), `sync` (number, T3) and `marker` (code).
        about: format, mode, sync period, header.
        times: in ps; T3: pulse number times sync period plus dtime times resolution, found when
            they are first asked for.
        tally: how many records are no tags, by kind.
        warnings: what is odd about the file, one line each.
    """

    path: Path
    channels: NDArray[np.uint8]
    resolution: float
    sync: Times
    dtimes: NDArray[np.uint16]
    markers: NDArray[np.void]
    about: About
    times: WhenAsked = WhenAsked()  # without a default
    tally: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.channels)

    def counts(self) -> dict[int, int]:
        """Return the number of tags of each channel that has any."""
        found = np.bincount(self.channels)
        return {int(n): int(found[n]) for n in np.flatnonzero(found)}

    def of(self, channel: int) -> Times:
        """Return the times of one channel in ps, for correlations.

        Raises:
            TagFileError: the channel has no tags, or they are not in order of time.
        """
        chosen = np.flatnonzero(self.channels == channel)
        if not chosen.size:
            there = ", ".join(map(str, self.counts())) or "no tags at all"
            raise TagFileError(f"{self.path}: channel {channel} has no tags; there are {there}")
        times = self.times[chosen]
        if at := first_disorder(times):
            raise TagFileError(
                f"{self.path}: channel {channel} is not in order of time: tag {chosen[at]} at "
                f"{times[at]} ps comes after {times[at - 1]} ps; sort it first"
            )
        return times


def first_disorder(times: Times) -> int:
    """Return the index of the first time that is earlier than the one before it, else 0."""
    late = times[1:] < times[:-1]
    return int(np.argmax(late)) + 1 if late.any() else 0


def whole(path: Path, source: Source) -> TagFile:
    """Read all pieces of a file into one `TagFile`."""
    paired = source.about.mode == "T3"  # each tag has the number of its pulse
    channels, times = Column(np.uint8, source.most), Column(np.int64, source.most)
    sync, dtimes = Column(np.int64, source.most if paired else 0), Column(np.uint16, source.most)
    markers = Column(MARKER, 0)
    for piece in source.pieces():
        channels.add(piece.channels)
        times.add(piece.times)
        sync.add(piece.sync)
        dtimes.add(piece.dtimes)
        markers.add(piece.markers)
    return TagFile(
        path, channels.all(), source.about.resolution, sync.all(), dtimes.all(), markers.all(),
        source.about, times.all(), dict(source.tally), tuple(source.warnings),
    )  # fmt: skip


class Column:
    """An array that grows; room for `expected` values is only taken as it is filled."""

    def __init__(self, kind: Any, expected: int) -> None:
        self._array: NDArray[Any] = np.empty(expected, kind)
        self._length = 0

    def add(self, values: NDArray[Any]) -> None:
        """Append values."""
        end = self._length + len(values)
        if end > len(self._array):
            grown = np.empty(max(end, 2 * self._length), self._array.dtype)
            grown[: self._length] = self._array[: self._length]
            self._array = grown
        self._array[self._length : end] = values
        self._length = end

    def all(self) -> NDArray[Any]:
        """Return what was appended."""
        return self._array[: self._length]
