"""Reading ID Quantique ID900 and ID1000 time-tag files: `.bin` and `.txt`, one channel each.

They have no header: little-endian uint64 in ps per tag, or pairs of time and number of the
reference pulse; as text one tag per line, `time` or `time;number`. The number of the channel stands
in the file's name (`timestamps_C2.bin`). Times with pulse numbers may count from that pulse; how
far apart pulses are is not in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.timetags.files.model import About, Piece, TagFileError
from labctl.analysis.timetags.files.records import read_records

_PER_PIECE = 1 << 18  # tags
_LOOK = 4096  # numbers looked at to find out whether there are pulse numbers
_LINES = 1 << 16
_MOST_CHANNELS = 64


class Id900Source:
    """A `.bin` file.

    Args:
        path: the file.
        with_index: whether each time is followed by the number of a reference pulse; None finds
            out: times alone do not go up and down in turns.
        reference_period: ps between reference pulses; times are then those since the first one.
    """

    def __init__(
        self, path: Path, *, with_index: bool | None = None, reference_period: float = 0.0
    ) -> None:
        self.path = path
        self._reference = Reference(reference_period)
        self.warnings: list[str] = []
        self.tally: dict[str, int] = {}
        self._channel = channel_in(path)
        size = path.stat().st_size
        if size < 8:
            raise TagFileError(f"{path}: {size} bytes hold no ID900 time tag (8 bytes each)")
        with path.open("rb") as file:
            head = np.frombuffer(file.read(8 * _LOOK)[: size // 8 * 8], "<u8")
        if with_index is None:
            with_index = size % 16 == 0 and _has_pairs(head)
        self._width = 2 if with_index else 1
        self.most, rest = divmod(size, 8 * self._width)
        if rest:
            self.warnings.append(f"ends in the middle of tag {self.most}, at byte {size - rest}")
        self.about = About(
            "ID900 binary" + (" with reference index" if with_index else ""),
            "T3" if with_index else "T2", 1.0, float(reference_period) if with_index else 0.0,
        )  # fmt: skip

    def pieces(self) -> Iterator[Piece]:
        """Yield the tags in order of the file."""
        kind = np.dtype(("<u8", (self._width,)))
        for done, numbers in read_records(
            self.path, 0, kind, self.most, _PER_PIECE, self.warnings, "tag"
        ):
            _refuse_late(self.path, numbers, done)
            yield self._reference.piece(numbers, self._channel)
        self.warnings += self._reference.warnings


class Id900TextSource:
    """A `.txt` file; arguments as for `Id900Source`."""

    def __init__(self, path: Path, *, reference_period: float = 0.0) -> None:
        self.path = path
        self._reference = Reference(reference_period)
        self.warnings: list[str] = []
        self.tally: dict[str, int] = {}
        self._channel = channel_in(path)
        with path.open("rb") as file:
            first = file.readline(200)
        numbers = re.fullmatch(rb"\s*\d{1,19}(\s*[;,\t ]\s*\d{1,19})?\s*", first)
        if not numbers:
            raise TagFileError(
                f"{path}: line 1 is {first[:40]!r}, not a time in ps, so these are no ID900 tags"
            )
        self._width = 2 if numbers[1] else 1
        self.most = path.stat().st_size // 2 + 1  # a digit and a line end each
        self.about = About(
            "ID900 text", "T3" if numbers[1] else "T2", 1.0,
            float(reference_period) if numbers[1] else 0.0,
        )  # fmt: skip

    def pieces(self) -> Iterator[Piece]:
        """Yield the tags in order of the file."""
        done = 0
        with self.path.open("rb") as file:
            while lines := file.readlines(_LINES * 16):
                numbers = self._numbers(lines, done)
                done += len(lines)
                _refuse_late(self.path, numbers, done - len(lines))
                yield self._reference.piece(numbers, self._channel)
        self.warnings += self._reference.warnings

    def _numbers(self, lines: list[bytes], done: int) -> NDArray[np.uint64]:
        rows = []
        for at, line in enumerate(lines, done + 1):
            words = re.split(rb"[;,\t ]+", line.strip())
            good = all(word.isdigit() and len(word) < 20 for word in words)
            if line.strip() and not (good and len(words) == self._width):
                if not line.endswith(b"\n"):
                    self.warnings.append(f"ends in the middle of line {at}")
                    break
                raise TagFileError(
                    f"{self.path}: line {at} is {line[:40]!r}, not {self._width} whole number(s)"
                )
            if line.strip():
                rows.append([int(word) for word in words])
        return np.array(rows, np.uint64).reshape(-1, self._width)


class Reference:
    """Turns the numbers of a file into tags, and notices times that count from their pulses."""

    def __init__(self, period: float) -> None:
        if not 0 <= period < 1e15:
            raise TagFileError(f"reference period {period!r}: must be a time in ps")
        self._period = period
        self._last = 0
        self._relative = False

    @property
    def warnings(self) -> list[str]:
        """What must be said at the end of the file."""
        if not self._relative or self._period:
            return []
        how = "give how far apart those are (reference_period, --reference)"
        return [f"times count from reference pulses; {how} for times that follow one another"]

    def piece(self, numbers: NDArray[np.uint64], channel: int) -> Piece:
        """Return tags of lines of times, or of times and pulse numbers."""
        columns = numbers.astype(np.int64)
        times = np.ascontiguousarray(columns[:, 0])
        channels = np.full(len(times), channel, np.uint8)
        if columns.shape[1] == 1:
            return Piece(channels, times)
        pulses = np.ascontiguousarray(columns[:, 1])
        if times.size:
            self._relative |= bool((np.diff(times, prepend=self._last) < 0).any())
            self._last = int(times[-1])
        if self._period and times.size:
            first = int(pulses.min())  # differences fit a float64 to the ps
            start = round(Fraction(self._period) * first)
            times += start + np.rint((pulses - first) * self._period).astype(np.int64)
        return Piece(channels, times, pulses)


def channel_in(path: Path) -> int:
    """Return the channel that a file name like `timestamps_C2.bin` gives, 1 without one."""
    found = re.search(r"(?:^|[_\-. ])(?:C|CH|CHANNEL)[_-]?(\d{1,2})(?=$|[_\-. ])", path.name, re.I)
    channel = int(found[1]) if found else 1
    return channel if channel < _MOST_CHANNELS else 1


def _has_pairs(numbers: NDArray[np.uint64]) -> bool:
    """Tell pairs of time and pulse number from times: those rise, whereas pairs go up and down."""
    if len(numbers) < 4 or (numbers[1:] >= numbers[:-1]).all():
        return False
    times, index = numbers[0 : len(numbers) // 2 * 2 : 2], numbers[1::2]
    rising = bool((index[1:] >= index[:-1]).all())
    return rising and (len(index) >= 8 or bool((times[1:] >= times[:-1]).all()))


def _refuse_late(path: Path, numbers: NDArray[np.uint64], done: int) -> None:
    late = numbers >> np.uint64(63)
    if late.any():
        row, column = np.argwhere(late)[0]
        raise TagFileError(
            f"{path}: tag {done + row} holds {int(numbers[row, column])}, more than the 106 days "
            "that fit; the file is damaged there or no ID900 file"
        )
