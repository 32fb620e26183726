"""TCP connections."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from labctl.errors import ConnectionLost

#: Seconds within which a connection must be made.
CONNECT_TIMEOUT = 5.0
#: Seconds within which the far end must take some of what is sent.
SEND_TIMEOUT = 30.0
CHUNK = 1 << 18


class TcpTransport:
    """A byte pipe over one TCP connection, without delay for small packets."""

    def __init__(self, host: str, port: int, *, connect_timeout: float = CONNECT_TIMEOUT) -> None:
        self._where = f"{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), connect_timeout)
        except OSError as error:
            raise ConnectionLost(
                f"no connection to {self._where} ({_reason(error)}); check that the instrument "
                "is on, its address, and that no other program holds it"
            ) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._closed = False
        self._readable = _waiter(self._socket)

    def send(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                try:
                    rest = rest[self._socket.send(rest) :]
                except BlockingIOError:
                    if not select.select((), (self._socket,), (), SEND_TIMEOUT)[1]:
                        raise TimeoutError from None
        except OSError as error:
            raise self._lost(error) from error

    def receive(self, timeout: float) -> bytes:
        if self._closed:
            raise self._lost(None)
        try:
            if not self._readable(max(timeout, 0.0)):
                return b""
        except OSError as error:
            raise self._lost(error) from error
        return self.arrived()

    def arrived(self) -> bytes:
        """Return what has arrived, without waiting."""
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._lost(error) from error
        if not data:
            raise ConnectionLost(f"{self._where} closed the connection")
        return data

    def close(self) -> None:
        self._closed = True
        self._socket.close()

    def _lost(self, error: Exception | None) -> ConnectionLost:
        why = "closed on our side" if self._closed or error is None else _reason(error)
        return ConnectionLost(f"the connection to {self._where} broke ({why})")


def _waiter(connection: socket.socket) -> Callable[[float], object]:
    """A function that waits until there is something to read, at most so many seconds."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return lambda timeout: poll.poll(timeout * 1000.0)
    wanted = (connection,)  # Windows has no poll
    return lambda timeout: select.select(wanted, (), (), timeout)[0]


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
