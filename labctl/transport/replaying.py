"""Answer from a transcript, byte for byte, as the instruments did when it was recorded."""

from __future__ import annotations

import zlib
from base64 import b64decode
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from labctl.clock import Clock, VirtualClock
from labctl.errors import ConnectionLost, FileUnusable, ReplayMismatch
from labctl.journal import Journal
from labctl.transport.framing import short

#: What an entry holds: bytes, numbers of pieces, or text (a message, or ASCII bytes).
Said: TypeAlias = bytes | list[int] | str
Entry: TypeAlias = tuple[float, str, Said]  # time (s), direction, what was said


class Transcript:
    """A recorded stretch, from which transports answer.

    Args:
        path: the transcript.
        stretch: which stretch of the run.

    Raises:
        StorageError: the file cannot be read, or what it says of this stretch is damaged.
    """

    def __init__(self, path: Path, stretch: int = 0) -> None:
        self.path = path
        self._entries: dict[str, deque[Entry]] = {}
        self._pieces: dict[int, bytes] = {}
        inside = False
        entries, damage = Journal.read_all(path)
        for place in damage:
            if not place.torn:  # what a killed run had not finished writing is not missed
                raise FileUnusable(f"{place}; use replay --mode sim")
        for entry in entries:
            kind = entry["entry"]
            if kind == "stretch":
                inside = entry["n"] == stretch
                if inside:
                    self._entries.clear()  # begun again after it broke off before its first row
            elif inside and kind == "pieces":
                self._unpack(entry)
            elif inside and kind == "wire" and entry.get("by", "run") == "run":
                self._entries.setdefault(entry["i"], deque()).append(_parse(entry))

    def transport(self, instrument: str, clock: Clock) -> ReplayTransport:
        """Open a connection that answers as `instrument` did after the same connection opened."""
        entries = self._entries.get(instrument)
        if entries is None:
            raise ReplayMismatch(f"{instrument}: the transcript {self.path} does not know it")
        return ReplayTransport(entries, self.bytes_of, clock, instrument)

    def bytes_of(self, said: Said) -> bytes:
        """The bytes of an entry."""
        if isinstance(said, bytes):
            return said
        if isinstance(said, str):
            return said.encode("ascii")
        try:
            return b"".join([self._pieces[number] for number in said])
        except KeyError as error:
            raise FileUnusable(
                f"{self.path}: piece {error} is damaged or missing, so this run cannot be "
                "replayed from its bytes; use replay --mode sim"
            ) from None

    def _unpack(self, entry: dict[str, Any]) -> None:
        joined, start = zlib.decompress(b64decode(entry["z"])), 0
        for number, length in enumerate(entry["k"], entry["n"]):
            self._pieces[number] = joined[start : start + length]
            start += length


def _parse(entry: dict[str, Any]) -> Entry:
    said: Said
    if "p" in entry:
        said = entry["p"]
    elif "b" in entry:
        said = b64decode(entry["b"])
    else:
        said = entry.get("s", "")
    return entry["t"], entry["d"], said


class ReplayTransport:
    """Answers from a transcript, if it is sent exactly what was sent when it was recorded.

    Every exchange moves a virtual clock to the recorded time.
    """

    def __init__(
        self,
        entries: deque[Entry],
        bytes_of: Callable[[Said], bytes],
        clock: Clock,
        instrument: str,
    ) -> None:
        self._entries = entries
        self._bytes_of = bytes_of
        self._clock = clock
        self._instrument = instrument
        self._said = b""  # what is left of an entry of which a part was sent
        self._closed = False
        while entries and entries[0][1] == "close":
            entries.popleft()
        if not entries or entries[0][1] not in ("open", "refused"):
            raise self._mismatch("opens a connection")
        t, what, why = entries.popleft()
        self._move_to(t)
        if what == "refused":
            raise ConnectionLost(str(why))

    def send(self, data: bytes) -> None:
        while data:
            expected = self._said or self._recorded(data)
            length = min(len(data), len(expected))
            if data[:length] != expected[:length]:
                raise self._differs(expected, data)
            self._said = expected[length:]
            data = data[length:]

    def _recorded(self, data: bytes) -> bytes:
        """What was sent where `data` is sent now."""
        t, _, said = self._take(f"sends {short(data)}", ">")
        self._move_to(t)
        return self._bytes_of(said)

    def receive(self, timeout: float) -> bytes:
        if timeout <= 0.0:
            following = self._entries[0] if self._entries else None
            if following is None or following[0] > self._clock.now():
                return b""
            return self.arrived()
        if self._said:
            raise self._mismatch("waits for an answer")
        t, what, said = self._take("waits for an answer", "<", "timeout")
        self._move_to(t)
        return self._bytes_of(said) if what == "<" else b""

    def arrived(self) -> bytes:
        """What was received before the next bytes were sent."""
        if self._entries and self._entries[0][1] in ("<", "lost"):
            t, _, said = self._take("", "<")
            self._move_to(t)
            return self._bytes_of(said)
        return b""

    def close(self) -> None:
        self._closed = True

    def _take(self, doing: str, *wanted: str) -> Entry:
        """The next entry, which must be one of `wanted`."""
        if self._closed:
            raise ConnectionLost(f"{self._instrument}: the connection is closed")
        if self._entries and self._entries[0][1] == "lost":
            t, _, why = self._entries.popleft()
            self._move_to(t)
            raise ConnectionLost(str(why))
        if not self._entries or self._entries[0][1] not in wanted:
            raise self._mismatch(doing)
        return self._entries.popleft()

    def _move_to(self, t: float) -> None:
        if isinstance(self._clock, VirtualClock):
            self._clock.move_to(t)

    def _mismatch(self, doing: str) -> ReplayMismatch:
        now = f"{self._clock.now():.6f} s"
        if self._said:
            recorded = f"the rest of a message was sent: {short(self._said)}"
        elif not self._entries:
            recorded = "nothing more was recorded"
        else:
            t, what, said = self._entries[0]
            verb = {">": "was sent", "<": "was received"}.get(what, what)
            shown = f" {short(self._bytes_of(said))}" if what in "<>" else ""
            recorded = f"the recording goes on at {t:.6f} s with: {verb}{shown}"
        return ReplayMismatch(
            f"{self._instrument}: at {now} the driver {doing}, but {recorded}; "
            "driver, procedure or settings differ from those of the recording"
        )

    def _differs(self, expected: bytes, data: bytes) -> ReplayMismatch:
        pairs = enumerate(zip(expected, data, strict=False))
        place = next((i for i, (one, two) in pairs if one != two), 0)
        start = max(0, place - 20)
        return ReplayMismatch(
            f"{self._instrument}: at {self._clock.now():.6f} s the driver sent "
            f"{short(data[start:])} where {short(expected[start:])} was recorded "
            f"(byte {place} of the message); driver, procedure or settings differ from those of "
            "the recording"
        )
