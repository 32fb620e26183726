"""Replies out of a byte stream: lines, prompts, data blocks, and what ends in silence."""

from __future__ import annotations

from typing import Any

from labctl.adapter.connection import Connection
from labctl.errors import ConnectionLost, InstrumentError, TransportTimeout
from labctl.transport.framing import quoted, short, unfinished_block

#: Silence that ends a reply without terminator, or a train of stray bytes, in seconds.
QUIET = 0.02
#: A reply may trickle in for at most this many timeouts in total.
MOST_TIMEOUTS = 20
#: Addresses of serial lines, on which no instrument greets.
SERIAL = ("serial://", "visa://asrl")


class Reception(Connection):
    """Holds what has arrived until a whole reply is there; a timeout counts from the last byte."""

    def __init__(self, *connection: Any) -> None:
        super().__init__(*connection)
        self._buffer = bytearray()
        self._owed = ""  # the query whose answer is outstanding

    def _open(self) -> None:
        super()._open()
        self._buffer.clear()
        self._owed = ""
        if not self._framing.banner:
            return
        try:
            if self.address.lower().startswith(SERIAL):  # nobody notices that we came
                self._receive(0.0)  # what was meant for whoever was here before
            else:
                self._take(self._until(self._framing.banner, self.timeout, "the greeting"))
        except (ConnectionLost, TransportTimeout):
            self.close()
            raise

    def read_block(self, timeout: float | None = None) -> bytes:
        """Read an IEEE 488.2 block ("#3123..." or, indefinite, "#0...") and the end behind it."""
        patience = self.timeout if timeout is None else timeout
        with self._turns.lock:
            self._turns.wait(self.timeout)
            asked = self._awaited()
            self._at_least(2, patience)
            if self._buffer.startswith(b"#0"):
                data = self._everything(patience)[2:].removesuffix(self._end)
            else:
                start = self._block_start(asked, patience)
                size = int(self._buffer[2:start])
                self._at_least(start + size + len(self._end), patience)
                data = self._take(start + size)[start:]
                end = self._take(len(self._end))
                if end != self._end:
                    raise InstrumentError(
                        f"{self.name}: {asked} has {short(end)} behind its block of {size} bytes; "
                        "ask again"
                    )
            self._owed = ""
            self._turns.end()
            return data

    def _block_start(self, asked: str, patience: float) -> int:
        """Length of the header of the block in the buffer."""
        head = bytes(self._buffer[:2])
        if head[:1] == b"#" and head[1:].isdigit():
            start = 2 + int(head[1:])
            self._at_least(start, patience)
            if self._buffer[2:start].isdigit():
                return start
        raise InstrumentError(
            f"{self.name}: {asked} is no data block: {short(self._buffer)}; "
            "check the data format that the instrument is set to"
        )

    def receive(self, timeout: float | None = None) -> bytes:
        """What has come or comes next, at least one byte; for codecs such as HTTP."""
        with self._turns.lock:
            if not self._buffer:
                self._more(self.timeout if timeout is None else timeout)
            self._owed = ""
            return self._take(len(self._buffer))

    def arrived(self) -> bytes:
        """What has come already, for codecs; b"" if nothing has, or the connection is lost."""
        with self._turns.lock:
            if self._broken:
                return b""
            try:
                self._buffer += self._arrived()
            except ConnectionLost as error:
                raise self._lost(error) from error
            return self._take(len(self._buffer))

    def _line(self, timeout: float) -> str:
        """One reply without its end."""
        end = self._end
        if end:
            prompt = self._framing.prompt
            while prompt and not self._buffer:
                self._more(timeout)
            if prompt and self._buffer == prompt:  # a reply without text or line
                raw = self._take(len(prompt))[:0]
            else:
                raw = self._take(self._until(end, timeout))[: -len(end)]
        else:
            raw = self._everything(timeout)
        asked, self._owed = self._owed, ""
        self._turns.end()
        try:
            return raw.decode(self._framing.encoding)
        except UnicodeDecodeError as error:
            raise InstrumentError(
                f"{self.name}: the answer to {quoted(asked)} is not {self._framing.encoding} "
                f"text: {short(raw)}; check line settings and cable, then ask again"
            ) from error

    def _ends(self, data: bytes | bytearray) -> bool:
        """Whether `data` ends where a reply ends."""
        return bool(self._end) and data.endswith(self._end) and not unfinished_block(data)

    def _until(self, end: bytes, timeout: float, awaited: str = "") -> int:
        """Receive until `end` has come; the length of all up to and including it."""
        start, give_up = 0, 0.0
        while (found := self._buffer.find(end, start)) < 0:
            start = max(0, len(self._buffer) - len(end) + 1)
            give_up = self._in_time(give_up, timeout, awaited)
            self._more(timeout, awaited)
        return found + len(end)

    def _at_least(self, count: int, timeout: float) -> None:
        give_up = 0.0
        while len(self._buffer) < count:
            give_up = self._in_time(give_up, timeout)
            self._more(timeout)

    def _in_time(self, give_up: float, timeout: float, awaited: str = "") -> float:
        """When to give up on a reply that trickles in; raises TransportTimeout after that."""
        now = self.clock.now()
        give_up = give_up or now + MOST_TIMEOUTS * timeout
        if now > give_up:
            raise self._too_late(MOST_TIMEOUTS * timeout, awaited)
        return give_up

    def _everything(self, timeout: float) -> bytes:
        """A whole reply, whatever is in it: up to the end of the block, the line, or silence."""
        if not self._buffer:
            self._more(timeout)
        give_up = 0.0
        while not self._ends(self._buffer):
            give_up = self._in_time(give_up, timeout)
            try:
                chunk = self._receive(timeout if self._end else QUIET)
            except ConnectionLost as error:
                raise self._lost(error) from error
            if not chunk:
                if self._end:
                    raise self._too_late(timeout)
                break
            self._buffer += chunk
        return self._take(len(self._buffer))

    def _more(self, timeout: float, awaited: str = "") -> None:
        """Add what arrives to the buffer; raises TransportTimeout if nothing does."""
        try:
            chunk = self._receive(timeout)
        except ConnectionLost as error:
            raise self._lost(error, awaited) from error
        if not chunk:
            raise self._too_late(timeout, awaited)
        self._buffer += chunk

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _lost(self, error: ConnectionLost, awaited: str = "") -> ConnectionLost:
        message = f"{self.name}: {error} instead of {awaited or self._awaited()}"
        self._broken = True
        self._turns.end()
        return ConnectionLost(f"{message}; check the instrument, then run again")

    def _too_late(self, timeout: float, awaited: str = "") -> TransportTimeout:
        got = f" (only {short(self._buffer)})" if self._buffer else ""
        message = f"{self.name}: {awaited or self._awaited()} did not come in {timeout:g} s{got}"
        self._owed = self._owed or "?"
        self._turns.end()
        return TransportTimeout(
            f"{message}; check the instrument and its address, or allow a longer timeout"
        )

    def _awaited(self) -> str:
        return f"the answer to {quoted(self._owed)}" if self._owed else "an answer"
