"""TCP connections."""

from __future__ import annotations

import select
import socket

from labctl.errors import ConnectionLost

#: Seconds within which a connection must be made.
CONNECT_TIMEOUT = 5.0
#: Seconds within which the far end must take what is sent.
SEND_TIMEOUT = 30.0
CHUNK = 1 << 18


class TcpTransport:
    """A byte pipe over one TCP connection, without delayed small packets."""

    def __init__(self, host: str, port: int, *, connect_timeout: float = CONNECT_TIMEOUT) -> None:
        self._where = f"{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), connect_timeout)
        except OSError as error:
            raise ConnectionLost(
                f"no connection to {self._where} ({_reason(error)}); "
                "check that the instrument is on, its address, and that no other program holds it"
            ) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(SEND_TIMEOUT)
        self._closed = False

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self._lost(error) from error

    def receive(self, timeout: float) -> bytes:
        try:
            if not select.select((self._socket,), (), (), timeout)[0]:
                return b""
            data = self._socket.recv(CHUNK)
        except (OSError, ValueError) as error:  # ValueError: the socket was closed by us
            raise self._lost(error) from error
        if not data:
            raise ConnectionLost(f"{self._where} closed the connection")
        return data

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._socket.close()

    def _lost(self, error: Exception) -> ConnectionLost:
        why = "closed on our side" if self._closed else _reason(error)
        return ConnectionLost(f"the connection to {self._where} broke ({why})")


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
