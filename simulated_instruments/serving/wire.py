"""Wires: non-blocking byte streams of one event loop, each with a bounded output buffer."""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Callable
from typing import Protocol

#: Bytes read at a time.
CHUNK = 1 << 16


class Stream(Protocol):
    """What a wire reads and writes; all of it non-blocking."""

    def fileno(self) -> int: ...

    def read(self) -> bytes:
        """Return what has arrived, b"" at the end; raises BlockingIOError if nothing has."""

    def write(self, data: bytes | bytearray) -> int:
        """Write a part of `data`; raises BlockingIOError if nothing fits."""

    def close(self) -> None: ...


class SocketStream:
    """An accepted TCP connection."""

    def __init__(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = accepted
        self.fileno = accepted.fileno
        self.write = accepted.send
        self.close = accepted.close

    def read(self) -> bytes:
        return self._socket.recv(CHUNK)


class PtyStream:
    """The instrument's side of a pseudo-terminal (POSIX only).

    The client's side is held open here too, so that clients may come and go: like a serial cable,
    it does not tell whether anybody listens.
    """

    def __init__(self) -> None:
        import tty

        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)

    def fileno(self) -> int:
        return self._master

    def read(self) -> bytes:
        return os.read(self._master, CHUNK)

    def write(self, data: bytes | bytearray) -> int:
        return os.write(self._master, data)

    def close(self) -> None:
        os.close(self._master)
        os.close(self._slave)


class Wire:
    """One stream in the loop: calls back with what arrives, keeps what cannot be sent yet.

    Args:
        on_bytes: called with what arrived.
        on_end: called when the far end has finished sending (still `open`), and when the wire
            is closed, for whatever reason.
        limit: bytes that may wait for a slow reader; more of them end the connection, or are
            lost if `lossy`.
        lossy: a serial line without handshake: what nobody reads is lost.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        stream: Stream,
        on_bytes: Callable[[bytes], None],
        on_end: Callable[[], None],
        *,
        limit: int,
        lossy: bool = False,
    ) -> None:
        self._selector = selector
        self._stream = stream
        self._on_bytes = on_bytes
        self._on_end = on_end
        self._limit = limit
        self._lossy = lossy
        self._out = bytearray()
        self._listening = True
        self._mask = 0
        self.open = True
        self._watch()

    @property
    def waiting(self) -> int:
        """Bytes that the far end has not taken yet."""
        return len(self._out)

    def write(self, data: bytes) -> None:
        """Send now what fits and keep the rest; a reader that is too slow is cut off."""
        if not self.open or not data:
            return
        if len(self._out) > self._limit:  # one reply of any size is fine, a second on top is not
            if not self._lossy:
                self.close()
            return
        self._out += data
        self._flush()

    def listen(self, listening: bool) -> None:
        """Stop or go on reading; a client that is not read is held back by its own buffers."""
        if listening != self._listening:
            self._listening = listening
            self._watch()

    def close(self) -> None:
        """Close and report the end, once."""
        if self.open:
            self.open = False
            self._watch()
            self._stream.close()
            self._on_end()

    def ready(self, mask: int) -> None:
        """Handle an event of the loop."""
        if mask & selectors.EVENT_WRITE and self.open:
            self._flush()
        if mask & selectors.EVENT_READ:
            self._read()

    def take_in(self) -> None:
        """Read what has arrived without waiting for the loop (the first few megabytes of it)."""
        for _ in range(64):
            if not self._read():
                return

    def _read(self) -> bool:
        """Read once; whether anything came."""
        if not (self.open and self._listening):
            return False
        try:
            data = self._stream.read()
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            self.close()
            return False
        if data:
            self._on_bytes(data)
        else:
            self._listening = False
            self._watch()
            self._on_end()
        return bool(data)

    def _flush(self) -> None:
        try:
            while self._out:
                del self._out[: self._stream.write(self._out)]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.close()
            return
        self._watch()

    def _watch(self) -> None:
        """Ask the loop for the events that are wanted now."""
        mask = 0
        if self.open:
            mask = selectors.EVENT_READ if self._listening else 0
            mask |= selectors.EVENT_WRITE if self._out else 0
        if mask == self._mask:
            return
        if not self._mask:
            self._selector.register(self._stream, mask, self.ready)
        elif mask:
            self._selector.modify(self._stream, mask, self.ready)
        else:
            self._selector.unregister(self._stream)
        self._mask = mask
