"""The one bridge between pymeasure and the wire: framing, order, recovery and the lock.

Most instruments number neither questions nor answers, so only the order says which belongs to
which. The adapter keeps it: one conversation at a time, whichever threads ask, and after a lost,
late or doubled answer it gets rid of stray bytes before it speaks again.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import get_ident
from typing import Any

from pymeasure.adapters import Adapter

from labctl.clock import Clock
from labctl.errors import ConnectionLost, InstrumentError, TransportTimeout
from labctl.transport import Transport
from labctl.transport.framing import Framing, quoted, short, unfinished_block

__all__ = ["ByteAdapter", "Framing"]

log = logging.getLogger(__name__)

#: Framing of most SCPI instruments.
LINES = Framing()
#: Silence that ends a reply without terminator, or a train of stray bytes, in seconds.
QUIET = 0.02
#: Seconds to wait before the first, second, ... attempt to open a lost connection again.
BACK_OFF = (0.0, 0.25, 1.0, 4.0)
#: A reply may trickle in for at most this many timeouts in total.
MOST_TIMEOUTS = 20

_IN_QUOTES = re.compile(r"\"[^\"]*\"|'[^']*'")
_TEXT = re.compile(rb"[\t -\"$-~]{0,256}")  # up to the first control character, or a data block


class ByteAdapter(Adapter):  # type: ignore[misc]  # pymeasure is not annotated
    """Turns commands into bytes and bytes into replies, over any transport.

    A timeout counts from the last byte received. A query is a command with a question mark (with
    a prompt, every command); its answer must be read before the next command, otherwise it is
    thrown away.

    Args:
        open_transport: opens a new connection; called again when a connection is lost.
        clock: the bench's time.
        name: the instrument's name, which starts every message.
        framing: how messages are delimited.
        address: where the instrument is, for messages and for HTTP's Host header.
    """

    def __init__(
        self,
        open_transport: Callable[[], Transport],
        clock: Clock,
        *,
        name: str,
        framing: Framing = LINES,
        address: str = "",
    ) -> None:
        super().__init__()
        self.clock = clock
        self.name = name
        self.address = address
        self.framing = framing
        #: How often a lost connection was opened again.
        self.reconnects = 0
        #: How many stray bytes (late, doubled or abandoned answers) were thrown away.
        self.discarded = 0
        self.lock = threading.RLock()
        self._transaction = _Transaction(self)
        self._turn = threading.Condition(self.lock)
        self._talker = 0  # the thread whose query is not answered yet; 0: nobody
        self._owed = ""  # the query whose answer is outstanding
        self._broken = True  # the connection must be opened before anything is said
        self._buffer = bytearray()
        self._open_transport = open_transport
        self.connection: Transport
        with self.lock:
            self._open()

    @property
    def framing(self) -> Framing:
        """How messages are delimited; may be changed between conversations."""
        return self._framing

    @framing.setter
    def framing(self, framing: Framing) -> None:
        self._framing = framing
        self._end = framing.read + framing.prompt
        #: Silence in s that means that no answer will come.
        self.timeout = framing.timeout

    # ---- connection

    def _open(self) -> None:
        try:
            self.connection = self._open_transport()
        except ConnectionLost as error:
            raise ConnectionLost(f"{self.name}: {error}") from error
        self._send = self.connection.send
        self._receive = self.connection.receive
        self._arrived = getattr(self.connection, "arrived", None) or (lambda: self._receive(0.0))
        self._buffer.clear()
        self._owed = ""
        self._broken = False
        if self._framing.banner:
            try:
                self._take(self._until(self._framing.banner, self.timeout, "the greeting"))
            except (ConnectionLost, TransportTimeout):
                self.close()
                raise

    def reconnect(self) -> None:
        """Close the connection and open it anew, with growing pauses between the attempts.

        Raises:
            ConnectionLost: no attempt succeeded, or the framing forbids reconnecting.
        """
        with self.lock:
            self.close()
            most = self._framing.reconnect
            failure: Exception | None = None
            for attempt in range(most):
                self.clock.wait(BACK_OFF[min(attempt, len(BACK_OFF) - 1)])
                try:
                    self._open()
                except (ConnectionLost, TransportTimeout) as error:
                    failure = error
                else:
                    self.reconnects += 1
                    log.warning("%s: connected again (attempt %d)", self.name, attempt + 1)
                    return
            if failure is None:
                raise ConnectionLost(f"{self.name}: the connection is lost; open the bench again")
            raise ConnectionLost(f"{failure} (tried {most} times)") from failure

    def close(self) -> None:
        """Release the connection; the next command would open it again."""
        connection = getattr(self, "connection", None)
        if connection is not None:
            self._broken = True
            connection.close()

    # ---- turns

    def transaction(self) -> AbstractContextManager[None]:
        """Keep other threads out during several exchanges that belong together; re-entrant."""
        return self._transaction

    def _await_turn(self) -> None:
        """Let another thread read the answer to its query first, but not for ever."""
        me = get_ident()
        if self._talker not in (0, me) and not self._turn.wait_for(
            lambda: self._talker in (0, me), self.timeout
        ):
            self._talker = 0  # it gave up on its answer, which now counts as stray

    def _hush(self) -> None:
        """The conversation is over: let others speak."""
        if self._talker:
            self._talker = 0
            self._turn.notify_all()

    # ---- speaking

    def query(self, command: str, timeout: float | None = None) -> str:
        """Send a command and return its reply without the end; one transaction."""
        framing = self._framing
        with self.lock:
            self._speak(command.encode(framing.encoding) + framing.write, command)
            return self._line(self.timeout if timeout is None else timeout)

    def _speak(self, data: bytes, query: str) -> None:
        """Send one message on a clean line; `query` is "" if no reply will come."""
        if self._talker and self._talker != get_ident():
            self._await_turn()
        self._clear_line()
        try:
            self._send(data)
        except ConnectionLost as error:
            self._broken = True
            if not query:
                raise ConnectionLost(
                    f"{self.name}: {error} while sending {short(data)}, which may or may not "
                    "have been executed; check the instrument before going on"
                ) from error
            self.reconnect()
            self._send_again(data, query)
        self._owed = query

    def _send_again(self, data: bytes, query: str) -> None:
        """Repeat a query that did not get through as a whole, hence was not executed."""
        try:
            self._send(data)
        except ConnectionLost as error:
            self._broken = True
            raise ConnectionLost(
                f"{self.name}: {error} while sending {quoted(query)} again; "
                "check cable and instrument"
            ) from error

    def settle(self) -> None:
        """Deal now with what earlier exchanges left, such as late bytes or a lost connection."""
        with self.lock:
            self._clear_line()

    def _clear_line(self) -> None:
        """Make sure that what comes next is the answer to what is sent next."""
        if self._broken:
            self.reconnect()
        elif self._framing.unasked:
            self._owed = ""
        elif self._owed or self._buffer:
            self._discard()
        else:
            try:
                self._buffer += self._arrived()
            except ConnectionLost:
                self.reconnect()  # nothing was said yet, so nothing can happen twice
            if self._buffer:
                self._discard()

    def _discard(self) -> None:
        """Throw away what belongs to earlier queries, waiting for an answer that is overdue."""
        overdue, stray, done = self._owed, b"", True
        clear = getattr(self.connection, "clear", None)
        try:
            if clear is not None:
                clear()  # a message based bus can take back a question
            else:
                stray = self._stray(overdue)
                done = not overdue or self._ends(stray)
        except ConnectionLost:
            self._broken = True
        self._buffer.clear()
        self._owed = ""
        self._hush()
        if stray.strip(self._end):
            self.discarded += len(stray)
            source = quoted(overdue) if overdue else "a complete answer"
            log.warning(
                "%s: discarded %d stray bytes %s after %s",
                *(self.name, len(stray), short(stray), source),
            )
        if self._broken or (not done and self._framing.reconnect):
            self.reconnect()  # the answer may still be under way: it must not find us

    def _stray(self, overdue: str) -> bytes:
        """Collect what has come and, once it is complete, what comes until the line is quiet."""
        stray, now = self._buffer, self.clock.now
        enough = now() + self.timeout  # of what an instrument says that never stops
        while now() <= enough and (chunk := self._arrived()):
            stray += chunk
        while overdue and not self._ends(stray):
            chunk = self._receive(self.timeout)
            if not chunk or now() > enough + self.timeout:
                return bytes(stray)
            stray += chunk
        if stray.strip(self._end):
            while now() <= enough + self.timeout and (chunk := self._receive(QUIET)):
                stray += chunk
        return bytes(stray)

    def _ends(self, data: bytes | bytearray) -> bool:
        """Whether `data` ends where a reply ends."""
        return bool(self._end) and data.endswith(self._end) and not unfinished_block(data)

    # ---- listening

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
        self._hush()
        try:
            return raw.decode(self._framing.encoding)
        except UnicodeDecodeError as error:
            raise InstrumentError(
                f"{self.name}: the answer to {quoted(asked)} is not {self._framing.encoding} "
                f"text: {short(raw)}; check line settings and cable, then ask again"
            ) from error

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
        self._hush()
        return ConnectionLost(f"{message}; check the instrument, then run again")

    def _too_late(self, timeout: float, awaited: str = "") -> TransportTimeout:
        got = f" (only {short(self._buffer)})" if self._buffer else ""
        message = f"{self.name}: {awaited or self._awaited()} did not come in {timeout:g} s{got}"
        self._owed = self._owed or "?"
        self._hush()
        return TransportTimeout(f"{message}; check the instrument, or allow a longer timeout")

    def _awaited(self) -> str:
        return f"the answer to {quoted(self._owed)}" if self._owed else "an answer"

    # ---- blocks and codecs

    def read_block(self, timeout: float | None = None) -> bytes:
        """Read an IEEE 488.2 block ("#3123..." or, indefinite, "#0...") and the end behind it."""
        patience = self.timeout if timeout is None else timeout
        with self.lock:
            self._await_turn()
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
            self._hush()
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
        with self.lock:
            if not self._buffer:
                self._more(self.timeout if timeout is None else timeout)
            self._owed = ""
            return self._take(len(self._buffer))

    def flush_read_buffer(self) -> None:
        """Discard what has arrived."""
        with self.lock:
            self._discard()

    def _asks(self, command: str) -> bool:
        """Whether an answer will come."""
        if self._framing.prompt:
            return True
        return "?" in command and "?" in _IN_QUOTES.sub("", command)

    # ---- what pymeasure calls

    def _write(self, command: str, **kwargs: Any) -> None:
        with self.lock:
            asks = self._asks(command)
            data = command.encode(self._framing.encoding) + self._framing.write
            self._speak(data, command if asks else "")
            if asks:
                self._talker = get_ident()

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        with self.lock:
            text = _TEXT.match(content)
            command = text[0].decode("ascii") if text else ""
            asks = self._end and self._asks(command)
            self._speak(content, command or "bytes" if asks else "")
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
                self._at_least(count, patience)
                data = self._take(count)
            self._owed = ""
            if not self._buffer.strip(self._end) and (self._buffer or data.endswith(self._end)):
                self._hush()  # in parts: the conversation lasts until the end was read
            return data

    def __repr__(self) -> str:
        return f"<ByteAdapter {self.name}{' at ' if self.address else ''}{self.address}>"


class _Transaction(AbstractContextManager[None]):
    """The lock of an adapter, taken between conversations."""

    def __init__(self, adapter: ByteAdapter) -> None:
        self._adapter = adapter

    def __enter__(self) -> None:
        self._adapter.lock.acquire()
        try:
            self._adapter._await_turn()
        except BaseException:  # Ctrl-C while waiting
            self._adapter.lock.release()
            raise

    def __exit__(self, *failure: object) -> None:
        self._adapter.lock.release()
