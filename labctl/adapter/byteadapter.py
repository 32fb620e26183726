"""The one bridge between pymeasure and the wire: questions out, the right answers back.

Most instruments number neither questions nor answers, so only the order says which belongs to
which. The adapter keeps it: one conversation at a time, whichever threads ask, and after a lost,
late or doubled answer it gets rid of stray bytes before it speaks again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from pymeasure.adapters import Adapter

from labctl.adapter.connection import PortOpener
from labctl.adapter.reception import QUIET, Reception
from labctl.clock import Clock
from labctl.errors import ConnectionLost
from labctl.transport import Transport
from labctl.transport.framing import Framing, quoted, short

log = logging.getLogger(__name__)

#: Framing of most SCPI instruments.
LINES = Framing()

_IN_QUOTES = re.compile(r"\"[^\"]*\"|'[^']*'")
_TEXT = re.compile(rb"[\t -\"$-~]{0,256}")  # up to the first control character, or a data block


class ByteAdapter(Reception, Adapter):  # type: ignore[misc]  # pymeasure is not annotated
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
        open_port: gives openers of further connections, by name and usual address; without it
            the usual addresses are opened.
    """

    def __init__(
        self,
        open_transport: Callable[[], Transport],
        clock: Clock,
        *,
        name: str,
        framing: Framing = LINES,
        address: str = "",
        open_port: PortOpener | None = None,
    ) -> None:
        Adapter.__init__(self)
        Reception.__init__(self, open_transport, clock, name, framing, address, open_port)
        self._ports: dict[str, ByteAdapter] = {}
        #: How many stray bytes (late, doubled or abandoned answers) were thrown away.
        self.discarded = 0
        with self._turns.lock:
            self._open()

    def transaction(self) -> AbstractContextManager[None]:
        """Keep other threads out during several exchanges that belong together; re-entrant."""
        return self._turns.transaction(self.timeout)

    def port(self, port: str, usual: str, framing: Framing) -> ByteAdapter:
        """A further connection to the same instrument, opened now.

        Args:
            port: its name, which is the simulator's name of the port.
            usual: its address where the bench file names no other.
            framing: how messages are delimited there.
        """
        if (old := self._ports.pop(port, None)) is not None:
            old.close()
        name = f"{self.name}.{port}"
        opened = ByteAdapter(
            self._open_port(port, usual), self.clock, name=name, framing=framing, address=usual
        )
        self._ports[port] = opened
        return opened

    def close_ports(self) -> None:
        """Release the further connections."""
        while self._ports:
            self._ports.popitem()[1].close()

    # ---- speaking

    def query(self, command: str, timeout: float | None = None) -> str:
        """Send a command and return its reply without the end; one transaction."""
        framing = self._framing
        with self._turns.lock:
            self._speak(command.encode(framing.encoding) + framing.write, command)
            return self._line(self.timeout if timeout is None else timeout)

    def _speak(self, data: bytes, query: str) -> None:
        """Send one message on a clean line; `query` is "" if no reply will come."""
        self._turns.wait(self.timeout)
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
        with self._turns.lock:
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
        self._turns.end()
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

    def flush_read_buffer(self) -> None:
        """Discard what has arrived."""
        with self._turns.lock:
            self._discard()

    def _asks(self, command: str) -> bool:
        """Whether an answer will come."""
        if self._framing.prompt:
            return True
        return "?" in command and "?" in _IN_QUOTES.sub("", command)

    # ---- what pymeasure calls

    def _write(self, command: str, **kwargs: Any) -> None:
        with self._turns.lock:
            asks = self._asks(command)
            data = command.encode(self._framing.encoding) + self._framing.write
            self._speak(data, command if asks else "")
            if asks:
                self._turns.begin()

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        with self._turns.lock:
            text = _TEXT.match(content)
            command = text[0].decode("ascii") if text else ""
            asks = self._end and self._asks(command)
            self._speak(content, command or "bytes" if asks else "")
            if asks:
                self._turns.begin()

    def _read(self, timeout: float | None = None, **kwargs: Any) -> str:
        with self._turns.lock:
            self._turns.wait(self.timeout)
            return self._line(self.timeout if timeout is None else timeout)

    def _read_bytes(
        self, count: int, break_on_termchar: bool = False, timeout: float | None = None, **kw: Any
    ) -> bytes:
        patience = self.timeout if timeout is None else timeout
        with self._turns.lock:
            self._turns.wait(self.timeout)
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
                self._turns.end()  # in parts: the conversation lasts until the end was read
            return data

    def __repr__(self) -> str:
        return f"<ByteAdapter {self.name}{' at ' if self.address else ''}{self.address}>"
