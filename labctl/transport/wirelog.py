r"""Record every byte between labctl and the instruments; `replaying` answers from it.

A transcript is a journal (`wire.jsonl`). Times are seconds of the bench's clock. Entries:

- `{"entry":"stretch","n":0}`: what follows, up to the next such entry, belongs to this stretch;
- `{"entry":"wire","t":1.5,"i":"laser","d":">","s":"WAV?\n"}`: bytes sent (`>`) or received (`<`),
  as text `s`, base64 `b`, or `p`, a list of numbered pieces; `"by":"interlock"` says that it was
  not the procedure who spoke;
- the same with `d` = `open`, `close`, `timeout` (nothing came), `refused` and `lost` (it could
  not be opened, or broke; `s` is the message);
- `{"entry":"pieces","n":7,"k":[4096,812],"z":...}`: the pieces 7 and 8, of these lengths,
  compressed together. Large messages are cut where their content says so, hence a message that
  differs from an earlier one in few places costs few new pieces.
"""

from __future__ import annotations

import contextlib
import zlib
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from labctl.clock import Clock
from labctl.errors import ConnectionLost, StorageError
from labctl.journal import Journal, storage_error
from labctl.jsonline import encode
from labctl.transport import Transport

#: Longer messages are stored in pieces.
WHOLE = 1024
#: Shortest and longest piece; about one place in 2^PIECE_BITS is a cut.
SHORTEST, LONGEST, PIECE_BITS = 512, 8192, 9
#: Bytes of different pieces that a log remembers before it starts afresh.
MEMORY = 64 << 20
#: Bytes that wait for `flush` at most.
BUFFER = 1 << 20
LEVEL = 1  # of zlib
_PRINTABLE = bytes(range(32, 127)) + b"\t\n\r"
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads neighbouring values
_CUT = np.uint64(1 << (64 - PIECE_BITS))


class WireLog:
    """Writer of a transcript; several transports share it.

    Args:
        path: the file; it is created or continued.
        stretch: number of the stretch of the run that begins now.
    """

    def __init__(self, path: Path, stretch: int = 0) -> None:
        self.path = path
        #: Who speaks: "run", or "interlock" for what a replay leaves out.
        self.speaker = "run"
        Journal(path).close()  # mends a tail that a crash tore
        self._file = path.open("ab", buffering=0)
        self._end = self._file.tell()  # of what was flushed
        self._lines: list[bytes] = [encode({"entry": "stretch", "n": stretch})]
        self._waiting = 0
        self._pieces: dict[bytes, int] = {}
        self._next = 0
        self._remembered = 0

    def note(self, t: float, instrument: str, what: str, data: bytes = b"", why: str = "") -> None:
        """Add one entry; it reaches the file with the next `flush`."""
        entry: dict[str, Any] = {"entry": "wire", "t": t, "i": instrument, "d": what}
        if self.speaker != "run":
            entry["by"] = self.speaker
        if len(data) > WHOLE:
            entry["p"] = self._cut(data)
        elif not data.translate(None, _PRINTABLE):
            if text := why or data.decode("ascii"):
                entry["s"] = text
        else:
            entry["b"] = b64encode(data).decode("ascii")
        self._add(encode(entry))

    def flush(self) -> None:
        """Hand everything to the operating system.

        Raises:
            StorageError: the disk is full or broken; what is missing comes with the next flush.
        """
        if self._lines:
            data = b"".join(self._lines)
            try:
                # The file knows best what of it an earlier attempt wrote before it failed.
                while (written := self._file.tell() - self._end) < len(data):
                    self._file.write(data[written:])
            except OSError as error:
                raise storage_error(self.path, error) from error
            self._lines, self._waiting, self._end = [], 0, self._end + len(data)

    def close(self) -> None:
        """Write what is left and close the file; may be called twice."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()

    def _add(self, line: bytes) -> None:
        self._lines.append(line)
        self._waiting += len(line)
        if self._waiting > BUFFER:
            self._waiting = 0
            with contextlib.suppress(StorageError):  # the next row finds out; until then the
                self.flush()  # instruments must be heard, for example to be made safe

    def _cut(self, data: bytes) -> list[int]:
        """Numbers of the pieces that make up `data`; new ones are stored."""
        if self._remembered > MEMORY:
            self._pieces.clear()
            self._remembered = 0
        known, start = self._pieces, 0
        numbers: list[int] = []
        new: list[bytes] = []
        for end in cuts(data):
            piece = data[start:end]
            start = end
            number = known.get(piece)
            if number is None:
                number = known[piece] = self._next + len(new)
                new.append(piece)
            numbers.append(number)
        if new:
            joined = b"".join(new)
            packed = b64encode(zlib.compress(joined, LEVEL)).decode("ascii")
            lengths = [len(piece) for piece in new]
            self._add(encode({"entry": "pieces", "n": self._next, "k": lengths, "z": packed}))
            self._next += len(new)
            self._remembered += len(joined)
        return numbers


def cuts(data: bytes) -> list[int]:
    """Ends of the pieces of `data` (8 bytes or more).

    Whether a place is a cut depends on the eight bytes before it alone, so the same text is cut
    in the same way wherever it stands.
    """
    words = np.ndarray((len(data) - 7,), dtype="<u8", buffer=data, strides=(1,))
    places = np.flatnonzero(words * _MIX < _CUT) + 8
    ends: list[int] = []
    start = 0
    for end in [*places.tolist(), len(data)]:
        if end - start < SHORTEST and end != len(data):
            continue
        while end - start > LONGEST:
            start += LONGEST
            ends.append(start)
        if end > start:
            ends.append(end)
            start = end
    return ends


class RecordingTransport:
    """A transport that notes in a log what passes through it."""

    def __init__(self, inner: Transport, clock: Clock, log: WireLog, instrument: str) -> None:
        self._inner = inner
        self._now = clock.now
        self._note = log.note
        self._instrument = instrument
        self._arrived = getattr(inner, "arrived", None) or (lambda: inner.receive(0.0))
        if clear := getattr(inner, "clear", None):
            self.clear = clear
        self._closed = False
        self._note(self._now(), instrument, "open")

    def send(self, data: bytes) -> None:
        t = self._now()
        try:
            self._inner.send(data)
        except ConnectionLost as error:
            self._lost(error)
            raise
        self._note(t, self._instrument, ">", data)

    def receive(self, timeout: float) -> bytes:
        try:
            data = self._inner.receive(timeout)
        except ConnectionLost as error:
            self._lost(error)
            raise
        if data:
            self._note(self._now(), self._instrument, "<", data)
        elif timeout > 0.0:
            self._note(self._now(), self._instrument, "timeout")
        return data

    def arrived(self) -> bytes:
        try:
            data: bytes = self._arrived()
        except ConnectionLost as error:
            self._lost(error)
            raise
        if data:
            self._note(self._now(), self._instrument, "<", data)
        return data

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._note(self._now(), self._instrument, "close")
        self._inner.close()

    def _lost(self, error: ConnectionLost) -> None:
        self._note(self._now(), self._instrument, "lost", why=str(error))


def recording(
    opened: Callable[[], Transport], clock: Clock, log: WireLog, instrument: str
) -> Callable[[], Transport]:
    """A function that opens as `opened` does and records; refused attempts are noted too."""

    def opened_recording() -> Transport:
        try:
            inner = opened()
        except ConnectionLost as error:
            log.note(clock.now(), instrument, "refused", why=str(error))
            raise
        return RecordingTransport(inner, clock, log, instrument)

    return opened_recording
