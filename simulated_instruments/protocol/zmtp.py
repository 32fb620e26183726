"""ZeroMQ's server side without I/O: sockets of type REP and PAIR that were bound.

ZMTP 3 with the NULL mechanism, as ZeroMQ RFC 23 (3.0) and RFC 37 (3.1) describe it. Whoever
connects gets a connection of its own; one that never speaks harms nobody.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import ClassVar, TypeAlias

from simulated_instruments.world import World

#: Bytes of one frame beyond which a peer is cut off.
FRAME_LIMIT = 1 << 24
_SIGNATURE = struct.pack(">BQB", 0xFF, 1, 0x7F)
_HELLO = _SIGNATURE + struct.pack("BB20sB31x", 3, 1, b"NULL", 0)

Replies: TypeAlias = list[tuple[float, bytes]]
#: answer(request, now) -> (seconds until the reply leaves, reply)
Answer: TypeAlias = Callable[[bytes, float], tuple[float, bytes]]
#: source(now) -> messages that are to be sent by now
Source: TypeAlias = Callable[[float], Iterable[bytes]]


def frame(payload: bytes, *, more: bool = False, command: bool = False) -> bytes:
    """Write one frame: flags, length in one or eight bytes, payload."""
    flags = more | command << 2
    if len(payload) < 256:
        return struct.pack("BB", flags, len(payload)) + payload
    return struct.pack(">BQ", flags | 2, len(payload)) + payload


class Peer:
    """What one peer has said so far: its greeting, its READY, then messages.

    Args:
        kind: type of our socket.
        accepted: types of sockets that may connect to it.
    """

    def __init__(self, kind: bytes, accepted: tuple[bytes, ...]) -> None:
        self.broken = False
        #: Whether the handshake is over.
        self.ready = False
        self._kind = kind
        self._accepted = accepted
        self._data = bytearray()
        self._greeted = False
        self._parts: list[bytes] = []

    def read(self, data: bytes) -> tuple[bytes, list[list[bytes]]]:
        """Take bytes; return what the protocol answers at once, and the messages in them."""
        self._data += data
        out, messages = b"", []
        try:
            if not self._greeted and self._greeting():
                kind = struct.pack(">I", len(self._kind)) + self._kind
                out += frame(b"\x05READY\x0bSocket-Type" + kind, command=True)
            while self._greeted and (found := self._frame()) is not None:
                flags, payload = found
                if flags & 4:
                    out += self._command(payload)
                elif not self.ready:
                    raise ValueError("a message before READY")
                else:
                    self._parts.append(payload)
                    if not flags & 1:
                        messages.append(self._parts)
                        self._parts = []
        except ValueError:
            self.broken = True
        return out, messages

    def _greeting(self) -> bool:
        data = self._data
        signature = bytes(data[:1] + data[9:10])
        if signature != b"\xff\x7f"[: len(signature)]:
            raise ValueError("no ZMTP signature")
        if len(data) > 10 and data[10] < 3:
            raise ValueError("an older ZMTP")
        if len(data) < 64:
            return False
        if bytes(data[12:32]).rstrip(b"\0") != b"NULL":
            raise ValueError("another mechanism")
        del data[:64]
        self._greeted = True
        return True

    def _frame(self) -> tuple[int, bytes] | None:
        data = self._data
        if not data:
            return None
        flags = data[0]
        if flags > 7:
            raise ValueError("reserved flags")
        head = 9 if flags & 2 else 2
        if len(data) < head:
            return None
        end = head + int.from_bytes(data[1:head], "big")
        if end - head > FRAME_LIMIT:
            raise ValueError("too long a frame")
        if len(data) < end:
            return None
        payload = bytes(data[head:end])
        del data[:end]
        return flags, payload

    def _command(self, payload: bytes) -> bytes:
        name = payload[1 : 1 + payload[0]] if payload else b""
        rest = payload[1 + len(name) :]
        if name == b"READY" and not self.ready:
            if self._property(rest, b"socket-type") not in self._accepted:
                raise ValueError("sockets that do not match")
            self.ready = True
        elif name == b"PING" and len(rest) >= 2:
            return frame(b"\x04PONG" + rest[2:18], command=True)
        elif name == b"ERROR" or not self.ready:
            raise ValueError("refused")
        return b""

    @staticmethod
    def _property(rest: bytes, wanted: bytes) -> bytes:
        while rest:
            split = 1 + rest[0]
            if len(rest) < split + 4:
                raise ValueError("a property is cut off")
            (size,) = struct.unpack_from(">I", rest, split)
            name, value = rest[1:split], rest[split + 4 : split + 4 + size]
            if len(value) < size:
                raise ValueError("a property is cut off")
            if name.lower() == wanted:
                return value
            rest = rest[split + 4 + size :]
        return b""


class _ZmtpEndpoint:
    """One connection; `closed` says that we hung up on it."""

    KIND: ClassVar[bytes]
    ACCEPTED: ClassVar[tuple[bytes, ...]]

    def __init__(self, world: World) -> None:
        self.world = world
        self.closed = False
        self._peer = Peer(self.KIND, self.ACCEPTED)
        self._hello = [_HELLO]

    def _take(self, data: bytes, now: float) -> tuple[Replies, list[list[bytes]]]:
        """What the protocol itself says, and the messages that came."""
        self.world.advance(now)
        replies: Replies = [(now, hello) for hello in self._hello]
        self._hello = []
        if self.closed:
            return [], []
        out, messages = self._peer.read(data)
        if out:
            replies.append((now, out))
        self.closed = self._peer.broken
        return replies, messages


class RepEndpoint(_ZmtpEndpoint):
    """A connection to a REP socket: every request is answered, one after the other."""

    KIND, ACCEPTED = b"REP", (b"REQ", b"DEALER")

    def __init__(self, world: World, answer: Answer) -> None:
        super().__init__(world)
        self._answer = answer
        self._busy_until = 0.0

    def feed(self, data: bytes, now: float) -> Replies:
        replies, messages = self._take(data, now)
        for parts in messages:
            if b"" not in parts[:-1]:
                continue  # no delimiter between addresses and request: REP drops it
            body = parts.index(b"") + 1
            delay, answer = self._answer(b"".join(parts[body:]), now)
            self._busy_until = max(now, self._busy_until) + max(delay, 0.0)
            envelope = b"".join(frame(part, more=True) for part in parts[:body])
            replies.append((self._busy_until, envelope + frame(answer)))
        return replies


class PairEndpoint(_ZmtpEndpoint):
    """A connection to a PAIR socket that only speaks: it sends what its source has by now."""

    KIND, ACCEPTED = b"PAIR", (b"PAIR",)

    def __init__(
        self, world: World, source: Source, gone: Callable[[], None] | None = None
    ) -> None:
        super().__init__(world)
        self._source = source
        self._gone = gone

    def feed(self, data: bytes, now: float) -> Replies:
        replies, _ = self._take(data, now)
        if self._peer.ready and not self.closed:
            replies += [(now, frame(message)) for message in self._source(now)]
        return replies

    def close(self) -> None:
        """The peer is gone."""
        if self._gone is not None:
            self._gone()
