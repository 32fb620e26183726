"""ZeroMQ's wire protocol over any transport, so that its instruments record and replay too.

ZMTP 3.0 and 3.1 (ZeroMQ RFC 23 and 37) with the NULL mechanism, for the socket types REQ and PAIR
of a client. There is no queue and no thread: what is asked is asked now.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from labctl.adapter import ByteAdapter, Framing
from labctl.errors import ConnectionLost, InstrumentError, TransportTimeout
from labctl.transport.framing import quoted, short

#: Framing of an adapter under a REQ or a PAIR socket; each end greets unasked.
REQUESTS = Framing(write=b"", read=b"", unasked=True)
STREAM = Framing(write=b"", read=b"", unasked=True, reconnect=0)

#: Signature, version 3.1, mechanism, "as-server" and filler: the 64 bytes that each side begins
#: with (RFC 37, greeting).
GREETING = b"\xff\0\0\0\0\0\0\0\1\x7f\3\1" + b"NULL".ljust(20, b"\0") + bytes(32)
MORE, LONG, COMMAND = 1, 2, 4  # flags of a frame
#: Longest frame that is accepted, in bytes.
LIMIT = 1 << 28
#: Types that answer each of ours.
PEERS = {"REQ": (b"REP", b"ROUTER"), "PAIR": (b"PAIR",)}

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Malformed(ValueError):
    """The peer does not speak ZMTP 3 as we do."""


class FrameReader:
    """Cuts a byte stream into frames; bytes may arrive in any portions."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def __len__(self) -> int:
        return len(self._buffer)

    def take(self, count: int) -> bytes | None:
        """The next `count` bytes as they are, or None while there are fewer."""
        if len(self._buffer) < count:
            return None
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def frame(self) -> tuple[int, bytes] | None:
        """Flags and body of the next frame, or None while it is incomplete."""
        if not self._buffer:
            return None
        flags = self._buffer[0]
        if flags & ~(MORE | LONG | COMMAND) or flags & (MORE | COMMAND) == MORE | COMMAND:
            raise Malformed(f"a frame begins with {flags:#04x}")
        start = 9 if flags & LONG else 2
        if len(self._buffer) < start:
            return None
        size = int.from_bytes(self._buffer[1:start], "big")
        if size > LIMIT:
            raise Malformed(f"a frame of {size} bytes")
        taken = self.take(start + size)
        return None if taken is None else (flags, taken[start:])


def encode_frame(body: bytes, flags: int = 0) -> bytes:
    """One frame on the wire."""
    if len(body) > 255:
        return bytes([flags | LONG]) + len(body).to_bytes(8, "big") + body
    return bytes([flags, len(body)]) + body


def encode_ready(socket_type: str) -> bytes:
    """The command that ends the handshake of the NULL mechanism."""
    value = socket_type.encode("ascii")
    body = b"\5READY\x0bSocket-Type" + len(value).to_bytes(4, "big") + value
    return encode_frame(body, COMMAND)


def decode_ready(body: bytes) -> dict[bytes, bytes]:
    """The properties (names in lower case) of a READY command."""
    if body.startswith(b"\5ERROR"):
        raise Malformed(f"it refuses: {short(body[7:])}")
    if not body.startswith(b"\5READY"):
        raise Malformed(f"{short(body)} instead of READY")
    properties, place = {}, 6
    while place < len(body):
        end = place + 1 + body[place]
        size = int.from_bytes(body[end : end + 4], "big")
        value = body[end + 4 : end + 4 + size]
        if len(value) < size or len(body) < end + 4:
            raise Malformed("READY is cut off")
        properties[body[place + 1 : end].lower()] = value
        place = end + 4 + size
    return properties


class _Socket:
    """A connection that greets its peer whenever it had to be opened anew."""

    kind: str

    def __init__(self, adapter: ByteAdapter) -> None:
        self.adapter = adapter
        self._reader = FrameReader()
        self._greeted: object = None  # the transport on which the handshake was made

    def connect(self, timeout: float | None = None) -> None:
        """Greet the peer, if that was not done on this connection."""
        with self.adapter.transaction():
            self._guarded("a greeting", lambda: self._greet(timeout), timeout)

    def _greet(self, timeout: float | None) -> None:
        self.adapter.settle()
        if self._greeted is self.adapter.connection:
            return
        self._reader = FrameReader()
        self.adapter.write_bytes(GREETING)
        greeting = self._until(lambda: self._reader.take(64), timeout)
        if greeting[:1] != b"\xff" or greeting[9:10] != b"\x7f" or greeting[10] < 3:
            raise Malformed(f"greeting {short(greeting)}")
        if greeting[12:32].rstrip(b"\0") != b"NULL":
            raise Malformed(f"mechanism {short(greeting[12:32].rstrip(bytes(1)))} is not NULL")
        self.adapter.write_bytes(encode_ready(self.kind))
        flags, body = self._until(self._reader.frame, timeout)
        peer = decode_ready(body).get(b"socket-type", b"") if flags & COMMAND else b""
        if peer not in PEERS[self.kind]:
            raise Malformed(f"a socket {short(peer)} cannot answer {self.kind}")
        self._greeted = self.adapter.connection

    def _body(self, timeout: float | None) -> tuple[int, bytes]:
        """Flags and body of the next frame that is no command."""
        while True:
            flags, body = self._until(self._reader.frame, timeout)
            if not flags & COMMAND:
                return flags, body
            self._obey(body)

    def _obey(self, command: bytes) -> None:
        if command.startswith(b"\4PING"):  # RFC 37: time to live (2 bytes), context
            self.adapter.write_bytes(encode_frame(b"\4PONG" + command[7:23], COMMAND))

    def _until(self, parse: Callable[[], Result | None], timeout: float | None) -> Result:
        while (result := parse()) is None:
            self._reader.feed(self.adapter.receive(timeout))
        return result

    def _drop(self) -> None:
        """Close the connection: what may still come on it must not meet the next request."""
        self._reader = FrameReader()
        self._greeted = None
        self.adapter.close()

    def _guarded(self, asked: str, action: Callable[[], Result], timeout: float | None) -> Result:
        """Do it; whatever goes wrong ends the connection, and says what was asked."""
        try:
            return action()
        except Malformed as error:
            self._drop()
            raise InstrumentError(
                f"{self.adapter.name}: {asked} got a malformed reply ({error}); check that "
                f"{self.adapter.address or 'the instrument'} speaks ZeroMQ"
            ) from error
        except TransportTimeout as error:
            self._drop()
            patience = self.adapter.timeout if timeout is None else timeout
            raise TransportTimeout(
                f"{self.adapter.name}: {asked} got no complete answer in {patience:g} s; "
                "check the instrument and its address, or allow a longer timeout"
            ) from error
        except BaseException:  # Ctrl-C, too
            self._drop()
            raise


class RequestSocket(_Socket):
    """A REQ socket: one request, one reply. The adapter's framing should be `REQUESTS`."""

    kind = "REQ"

    def request(self, text: str, timeout: float | None = None, *, repeatable: bool = False) -> str:
        """Send one text and return the text that answers it.

        Args:
            text: the request.
            timeout: seconds of silence after which no answer is expected any more.
            repeatable: it may be sent again if the connection broke before the answer came.
        """
        with self.adapter.transaction():
            try:
                return self._guarded(quoted(text), lambda: self._exchange(text, timeout), timeout)
            except ConnectionLost:
                if not repeatable:
                    raise
            return self._guarded(quoted(text), lambda: self._exchange(text, timeout), timeout)

    def _exchange(self, text: str, timeout: float | None) -> str:
        self._clear()
        self._greet(timeout)
        self.adapter.write_bytes(encode_frame(b"", MORE) + encode_frame(text.encode("utf-8")))
        parts: list[bytes] = []
        flags = MORE
        while flags & MORE:
            flags, body = self._body(timeout)
            parts.append(body)
        if len(parts) != 2 or parts[0]:
            raise Malformed(f"{len(parts)} frames instead of an empty one and the answer")
        try:
            return parts[1].decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed(f"no UTF-8 text: {short(parts[1])}") from None

    def _clear(self) -> None:
        """Make sure that what comes next is the answer to what is sent next."""
        if self._greeted is not self.adapter.connection:
            return
        stray = 0
        try:
            self._reader.feed(self.adapter.arrived())
            while (found := self._reader.frame()) is not None:
                if found[0] & COMMAND:
                    self._obey(found[1])
                else:
                    stray += len(found[1])
        except (ConnectionLost, Malformed):
            self._drop()
        if stray or self._reader:
            log.warning("%s: discarded a stray message (%d bytes)", self.adapter.name, stray)
            self._drop()


class PairSocket(_Socket):
    """A PAIR socket that listens. The adapter's framing should be `STREAM`."""

    kind = "PAIR"

    def receive(self, timeout: float | None = None) -> bytes:
        """The next message, which must have one frame.

        Raises:
            TransportTimeout: none came within `timeout` seconds; the connection is closed.
        """
        with self.adapter.transaction():
            flags, body = self._guarded("waiting", lambda: self._body(timeout), timeout)
        if flags & MORE:
            raise InstrumentError(f"{self.adapter.name}: sent a message of several frames")
        return body
