"""The one bridge between pymeasure and the wire: framing, order, recovery and the lock.

An instrument without request numbers gives answers that can only be told apart by their order.
So the adapter keeps the order: one conversation at a time, whichever threads ask, and after a
lost, late or doubled answer it gets rid of stray bytes before it speaks again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import get_ident
from typing import Any

import numpy as np
from pymeasure.adapters import Adapter

from labctl.clock import Clock
from labctl.errors import ConnectionLost, InstrumentError, TransportTimeout
from labctl.transport import Transport

log = logging.getLogger(__name__)

#: Silence that ends a reply without terminator, and a train of stray bytes, in seconds.
QUIET = 0.02
#: Seconds before the first, second, ... attempt to open a lost connection again.
BACK_OFF = (0.0, 0.25, 1.0, 4.0)
#: A reply may trickle in for at most this many timeouts in total.
MOST_TIMEOUTS = 20


@dataclass(frozen=True)
class Framing:
    """How messages are delimited on the wire."""

    write: bytes = b"\n"  # ends what we send
    read: bytes = b"\n"  # ends a line of the reply
    prompt: bytes = b""  # follows every reply; then every command has a reply
    banner: bytes = b""  # ends the greeting that is sent when the connection opens
    timeout: float = 5.0  # silence that means no answer will come, in s
    encoding: str = "utf-8"
    unasked: bool = False  # the instrument also sends unasked: nothing counts as a stray byte


class ByteAdapter(Adapter):  # type: ignore[misc]  # pymeasure is not annotated
    """Turns commands into bytes and bytes into replies, over any transport.

    Args:
        open_transport: opens a new connection; called again when a connection is lost.
        clock: the bench's time.
        name: the instrument's name, which starts every message.
        framing: how messages are delimited.
        address: where the instrument is, for messages and for HTTP's Host header.
        reconnect: how often in a row to try to open a lost connection; 0 forbids it.
    """

    def __init__(
        self,
        open_transport: Callable[[], Transport],
        clock: Clock,
        *,
        name: str,
        framing: Framing = Framing(),
        address: str = "",
        reconnect: int = 3,
    ) -> None:
        super().__init__()
        self.clock = clock
        self.name = name
        self.framing = framing
        self.address = address
        self.timeout = framing.timeout
        self.lock = threading.RLock()
        #: How often a lost connection was opened again.
        self.reconnects = 0
        #: How many stray bytes (late, doubled or abandoned answers) were thrown away.
        self.discarded = 0
        self._attempts = reconnect
        self._open_transport = open_transport
        self._end = framing.read + framing.prompt
        self._turn = threading.Condition(self.lock)
        self._talker = 0  # the thread whose query is not answered yet; 0: nobody
        self._owed = ""  # the query whose answer is outstanding
        self._broken = False  # the connection must be opened again before anything is said
        self._buffer = bytearray()
        self.connection: Transport
        with self.lock:
            self._open()

    # ---------------------------------------------------------------- connection

    def _open(self) -> None:
        try:
            self.connection = self._open_transport()
        except ConnectionLost as error:
            raise ConnectionLost(f"{self.name}: {error}") from error
        self._receive = self.connection.receive
        self._send = self.connection.send
        self._arrived = getattr(self.connection, "arrived", None) or (lambda: self._receive(0.0))
        self._buffer.clear()
        self._owed = ""
        self._broken = False
        if self.framing.banner:
            greeting = self._until(self.framing.banner, self.timeout, "its greeting")
            del self._buffer[:greeting]

    def reconnect(self) -> None:
        """Close the connection and open it anew, with growing pauses between the attempts."""
        with self.lock:
            self.close()
            for attempt in range(self._attempts):
                self.clock.wait(BACK_OFF[min(attempt, len(BACK_OFF) - 1)])
                try:
                    self._open()
                except (ConnectionLost, TransportTimeout) as error:
                    self._broken = True
                    last = error
                else:
                    self.reconnects += 1
                    log.warning("%s: connected again (attempt %d)", self.name, attempt + 1)
                    return
            if not self._attempts:
                raise ConnectionLost(f"{self.name}: the connection is lost; open the bench again")
            raise ConnectionLost(f"{last} (tried {self._attempts} times)") from last

    def close(self) -> None:
        """Release the connection; the next command would open it again."""
        connection = getattr(self, "connection", None)
        if connection is not None:
            self._broken = True
            connection.close()

    # ---------------------------------------------------------------- turns

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep other threads out during several exchanges that belong together."""
        with self.lock:
            self._await_turn()
            yield

    def _await_turn(self) -> None:
        """Let another thread read the answer to its query, but not for ever."""
        me = get_ident()
        if self._talker not in (0, me):
            self._turn.wait_for(lambda: self._talker in (0, me), self.timeout)
            if self._talker not in (0, me):
                self._talker = 0  # it gave up on its answer, which then counts as stray

    def _hush(self) -> None:
        """End the conversation of this thread."""
        if self._talker:
            self._talker = 0
            self._turn.notify_all()

    # ---------------------------------------------------------------- speaking

    def _speak(self, data: bytes, query: str) -> None:
        """Send one message in a clean state of the line; `query` is "" if no reply will come."""
        if self._talker and self._talker != get_ident():
            self._await_turn()
        if self._broken:
            self.reconnect()
        elif self._owed or self._buffer:
            self._resynchronise()
        elif not self.framing.unasked:
            try:
                stray = self._arrived()
            except ConnectionLost:
                self.reconnect()  # nothing was said yet, so nothing can be done twice
            else:
                if stray:
                    self._buffer += stray
                    self._resynchronise()
        try:
            self._send(data)
        except ConnectionLost as error:
            self._broken = True
            if not query:
                raise ConnectionLost(
                    f"{self.name}: {error} while sending {_short(data)}; "
                    "check the state of the instrument before going on"
                ) from error
            self.reconnect()
            self._send(data)  # the query had not got through
        self._owed = query

    def _resynchronise(self) -> None:
        """Throw away what belongs to earlier queries, waiting for an answer that is overdue."""
        if self.framing.unasked:
            self._owed = ""
            return
        overdue = self._owed
        try:
            while chunk := self._receive(0.0):
                self._buffer += chunk
            if overdue and not self._complete():
                while not self._complete():
                    chunk = self._receive(self.timeout)
                    if not chunk:
                        break
                    self._buffer += chunk
            if overdue or not self._is_end():
                while chunk := self._receive(QUIET if overdue else 0.0):
                    self._buffer += chunk
        except ConnectionLost:
            self._broken = True
        stray, done = bytes(self._buffer), self._complete()
        self._buffer.clear()
        self._owed = ""
        self._hush()
        if stray.strip(self._end):
            self.discarded += len(stray)
            log.warning(
                "%s: discarded %d stray bytes %s%s",
                self.name,
                len(stray),
                _short(stray),
                f", the late answer to {_quoted(overdue)}" if overdue else "",
            )
        if self._broken or (overdue and not done and self._attempts):
            self.reconnect()  # the answer may still be under way: it must not find us

    def _complete(self) -> bool:
        """Whether the buffer ends where a reply ends."""
        if self._buffer.startswith(b"#"):
            size = self._block_size()
            return size is not None and len(self._buffer) >= size
        return bool(self._end) and self._buffer.endswith(self._end)

    def _is_end(self) -> bool:
        return not self._buffer.strip(self._end)

    # ---------------------------------------------------------------- listening

    def _lost(self, error: ConnectionLost, awaited: str) -> ConnectionLost:
        self._broken = True
        self._owed = ""
        self._buffer.clear()
        self._hush()
        return ConnectionLost(f"{self.name}: {error} during {awaited}")

    def _more(self, timeout: float, awaited: str = "") -> None:
        """Add what arrives to the buffer; raises TransportTimeout if nothing does."""
        awaited = awaited or (f"the answer to {_quoted(self._owed)}" if self._owed else "an answer")
        try:
            chunk = self._receive(timeout)
        except ConnectionLost as error:
            raise self._lost(error, awaited) from error
        if not chunk:
            raise self._timed_out(timeout, awaited)
        self._buffer += chunk

    def _timed_out(self, timeout: float, awaited: str) -> TransportTimeout:
        self._hush()
        got = f" (got {_short(self._buffer)})" if self._buffer else ""
        self._owed = self._owed or "?"
        return TransportTimeout(
            f"{self.name}: {awaited} did not come within {timeout:g} s{got}; "
            "check the instrument, or allow a longer timeout"
        )

    def _until(self, end: bytes, timeout: float, awaited: str = "") -> int:
        """Receive until `end` has come; the length of everything up to and including it."""
        start, give_up = 0, 0.0
        while (found := self._buffer.find(end, start)) < 0:
            start = max(0, len(self._buffer) - len(end) + 1)
            now = self.clock.now()
            give_up = give_up or now + MOST_TIMEOUTS * timeout
            if now > give_up:
                raise self._timed_out(now - give_up + MOST_TIMEOUTS * timeout, awaited or "an end")
            self._more(timeout, awaited)
        return found + len(end)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _line(self, timeout: float) -> str:
        """One reply without its end."""
        end = self._end
        try:
            if end:
                prompt = self.framing.prompt
                while prompt and not self._buffer:
                    self._more(timeout)
                if prompt and self._buffer == prompt:  # a reply without any text
                    self._buffer.clear()
                    return self._heard(b"")
                raw = self._take(self._until(end, timeout))[: -len(end)]
            else:
                raw = self._everything(timeout)
        except TransportTimeout:
            raise
        return self._heard(raw)

    def _heard(self, raw: bytes) -> str:
        asked, self._owed = self._owed, ""
        self._hush()
        try:
            return raw.decode(self.framing.encoding)
        except UnicodeDecodeError as error:
            raise InstrumentError(
                f"{self.name}: the answer to {_quoted(asked)} is not {self.framing.encoding} "
                f"text: {_short(raw)}; check line settings and cable, then ask again"
            ) from error

    def _everything(self, timeout: float) -> bytes:
        """What has come when the instrument falls silent (or says that it is done)."""
        if not self._buffer:
            self._more(timeout)
        while not self._complete():
            before = len(self._buffer)
            pause = timeout if self._end else QUIET
            try:
                chunk = self._receive(pause)
            except ConnectionLost as error:
                raise self._lost(error, "an answer") from error
            self._buffer += chunk
            if len(self._buffer) == before:
                break
        return self._take(len(self._buffer))

    # ---------------------------------------------------------------- public

    def query(self, command: str, timeout: float | None = None) -> str:
        """Send a command and return the reply without its end; one transaction."""
        framing = self.framing
        with self.lock:
            self._speak(command.encode(framing.encoding) + framing.write, command)
            return self._line(self.timeout if timeout is None else timeout)

    def read_block(self, timeout: float | None = None) -> bytes:
        """Read an IEEE 488.2 block (definite "#3123..." or indefinite "#0...") and its end."""
        patience = self.timeout if timeout is None else timeout
        with self.lock:
            asked = self._owed
            while (size := self._block_size(asked)) is None:
                self._more(patience)
            if size == 0:  # indefinite: the end is the end of the message
                data = self._take(self._until(self._end, patience))[2 : -len(self._end)]
            else:
                while len(self._buffer) < size:
                    self._more(patience)
                start = 2 + int(self._buffer[1:2])
                data = self._take(size)[start : size - len(self._end)]
            self._owed = ""
            self._hush()
            return data

    def _block_size(self, asked: str = "") -> int | None:
        """Length of the block in the buffer with header and end; 0: indefinite; None: not yet."""
        head = bytes(self._buffer[:11])
        if len(head) < 2:
            return None
        digits = head[1:2]
        if head[:1] == b"#" and digits == b"0":
            return 0
        if head[:1] != b"#" or not digits.isdigit():
            raise InstrumentError(
                f"{self.name}: the answer to {_quoted(asked)} is no data block: {_short(head)}"
            )
        count = head[2 : 2 + int(digits)]
        if len(count) < int(digits):
            return None
        if not count.isdigit():
            raise InstrumentError(
                f"{self.name}: the answer to {_quoted(asked)} has a bad block header: "
                f"{_short(head)}"
            )
        return 2 + int(digits) + int(count) + len(self._end)

    def flush_read_buffer(self) -> None:
        """Discard what has arrived."""
        with self.lock:
            self._resynchronise()

    def receive(self, timeout: float | None = None) -> bytes:
        """Whatever has come or comes next, at least one byte; for codecs such as HTTP."""
        with self.lock:
            if not self._buffer:
                self._more(self.timeout if timeout is None else timeout)
            return self._take(len(self._buffer))

    def _write(self, command: str, **kwargs: Any) -> None:
        with self.lock:
            asks = "?" in command or self.framing.prompt
            data = command.encode(self.framing.encoding) + self.framing.write
            self._speak(data, command if asks else "")
            if asks:
                self._talker = get_ident()

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        with self.lock:
            asks = self._end and b"?" in content[:256]
            self._speak(content, content[:256].decode("latin-1") if asks else "")
            if asks:
                self._talker = get_ident()

    def _read(self, timeout: float | None = None, **kwargs: Any) -> str:
        with self.lock:
            self._await_turn()
            return self._line(self.timeout if timeout is None else timeout)

    def _read_bytes(
        self, count: int, break_on_termchar: bool = False, timeout: float | None = None, **kw: Any
    ) -> bytes:
        patience = self.timeout if timeout is None else timeout
        with self.lock:
            self._await_turn()
            if break_on_termchar and self._end:
                end = self._until(self._end, patience)
                data = self._take(end if count < 0 else min(end, count))
            elif count < 0:
                data = self._everything(patience)
            else:
                while len(self._buffer) < count:
                    self._more(patience)
                data = self._take(count)
            self._owed = ""
            if data.endswith(self._end) or self._is_end():
                self._hush()
            return data

    def read_binary_values(
        self,
        header_bytes: int = 0,
        termination_bytes: int | None = None,
        dtype: Any = np.float32,
        sep: str = "",
        **kwargs: Any,
    ) -> Any:
        """Read a whole reply as pymeasure does; an IEEE block is recognised by its header."""
        return super().read_binary_values(header_bytes, termination_bytes, dtype, sep, **kwargs)

    def __repr__(self) -> str:
        return f"<ByteAdapter {self.name} {self.address}>".replace(" >", ">")


def _short(data: bytes | bytearray, most: int = 60) -> str:
    """Bytes for a message: printable, one line, abbreviated."""
    shown = repr(bytes(data[:most]))[1:]
    return shown if len(data) <= most else f"{shown}... ({len(data)} bytes)"


def _quoted(command: str, most: int = 60) -> str:
    shown = command if len(command) <= most else f"{command[:most]}... ({len(command)} characters)"
    return repr(shown)
