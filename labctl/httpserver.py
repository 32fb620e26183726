"""A small HTTP/1.1 server for a few clients, which may be slow, broken or hostile.

Each has a thread, the length of what it may say, and the time in which it must have said it.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import h11

from labctl.errors import RequestError, one_line

log = logging.getLogger(__name__)

_MOST_CLIENTS = 64
_MOST_HEAD, _MOST_BODY = 16384, 1 << 16  # bytes
_MOST_IGNORED = 1 << 20  # bytes; a client listens for an answer only when it has sent everything
_AT_ONCE = 1 << 12  # bytes; what comes at once may exceed the most by so many
_HEARD_OUT = 2.0  # s for a client to finish what was refused
_LOOK = 1.0  # s; on Windows no Ctrl-C interrupts accept()
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # nobody can connect to these everywhere


@dataclass(frozen=True)
class Request:
    """What a client asks."""

    method: str
    target: str
    host: str = ""  #: what it believes to speak to: name and port
    body: bytes = b""
    certificate: Mapping[str, Any] = field(default_factory=dict)  #: that TLS has verified


@dataclass(frozen=True)
class Answer:
    """What it gets."""

    status: int
    kind: str  #: media type
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class HttpServer(ABC):
    """Listens on a socket and lets `answer` answer.

    Args:
        host: address to listen on.
        port: 0 chooses a free one.
        context: for TLS.

    Raises:
        RequestError: the port is taken.
    """

    #: s in which a request must be there, from the answer before on, and its answer be taken.
    patience = 30.0

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, port), family=family)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise RequestError(
                f"{host}:{port}: cannot be listened on ({why}); choose another --port"
            ) from None
        self._listener.settimeout(_LOOK)
        self.listens_on: tuple[str, int] = self._listener.getsockname()[:2]
        self._room = threading.BoundedSemaphore(_MOST_CLIENTS)
        self._closed = False

    @abstractmethod
    def answer(self, request: Request) -> Answer:
        """Return the answer to a request; called from several threads."""

    @abstractmethod
    def refusal(self, status: int, why: str) -> Answer:
        """Return the answer to what is no request, or too long a one."""

    def serve(self) -> None:
        """Answer clients until `close` is called from another thread, or Ctrl-C."""
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except (TimeoutError, ConnectionError):  # nobody, or somebody who left at once
                continue
            except OSError:
                if self._closed:
                    return
                raise
            if not self._room.acquire(blocking=False):
                client.close()
                continue
            threading.Thread(target=self._client, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._closed = True
        host, port = self.listens_on
        with socket.socket(self._listener.family) as knock:  # accept() sees nothing of a close()
            knock.settimeout(1.0)
            knock.connect_ex((_EVERYWHERE.get(host, host), port))
        self._listener.close()

    def _client(self, client: socket.socket) -> None:
        try:
            client.settimeout(self.patience)
            if self._context is None:
                self._talk(client, {})
            else:
                with self._context.wrap_socket(client, server_side=True) as secure:
                    self._talk(secure, secure.getpeercert() or {})
        except (OSError, h11.ProtocolError) as error:  # also what TLS refuses
            log.info("a client was turned away: %s", one_line(error))
        finally:
            client.close()
            self._room.release()

    def _talk(self, client: socket.socket, certificate: Mapping[str, Any]) -> None:
        wire = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD)
        while True:
            try:
                event, body = _receive(client, wire, time.monotonic() + self.patience)
            except h11.RemoteProtocolError as error:
                if wire.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                    said = self.refusal(error.error_status_hint, one_line(error))
                    _send(client, wire, said, self.patience)
                    _hear_out(client)
                return
            if event is None:
                return
            request = Request(
                event.method.decode("ascii"), event.target.decode("latin-1"),
                dict(event.headers).get(b"host", b"").decode("latin-1"), body, certificate,
            )  # fmt: skip
            answer = self._answer(request)
            _send(client, wire, answer, self.patience, request.method == "HEAD")
            if wire.our_state is not h11.DONE or wire.their_state is not h11.DONE:
                return
            wire.start_next_cycle()

    def _answer(self, request: Request) -> Answer:
        if len(request.body) > _MOST_BODY:
            return self.refusal(413, f"the body is longer than {_MOST_BODY} bytes")
        try:
            return self.answer(request)
        except Exception:  # a fault of ours must not end the connection without an answer
            log.exception("a request failed")
            return self.refusal(500, "internal error")


def _receive(
    client: socket.socket, wire: h11.Connection, deadline: float
) -> tuple[h11.Request | None, bytes]:
    """The next request and its body, of which one byte too many is kept; None at the end."""
    request, body, length = None, bytearray(), 0
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            if wire.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                _send_bytes(client, wire.send(go_on) or b"", deadline)
            _hurry(client, deadline)
            wire.receive_data(client.recv(_AT_ONCE))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            length += len(event.data)
            body += event.data[: _MOST_BODY + 1 - len(body)]
            if length > _MOST_IGNORED:
                raise h11.RemoteProtocolError("the body is far too long", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage):
            return request, bytes(body)
        else:  # the client closed the connection
            return None, b""


def _send(
    client: socket.socket,
    wire: h11.Connection,
    answer: Answer,
    patience: float,
    head: bool = False,
) -> None:
    headers = [
        ("Content-Type", answer.kind), ("Content-Length", str(len(answer.body))),
        ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), *answer.headers,
    ]  # fmt: skip
    parts = [wire.send(h11.Response(status_code=answer.status, headers=headers))]
    if not head:
        parts.append(wire.send(h11.Data(data=answer.body)))
    parts.append(wire.send(h11.EndOfMessage()))
    data = b"".join(part for part in parts if part)
    _send_bytes(client, data, time.monotonic() + patience)  # to put a long one together takes long


def _send_bytes(client: socket.socket, data: bytes, deadline: float) -> None:
    left = memoryview(data)
    while left:
        _hurry(client, deadline)
        left = left[client.send(left) :]


def _hear_out(client: socket.socket) -> None:
    """Take what is still on its way; to close before it is here would lose the answer as well."""
    deadline, left = time.monotonic() + _HEARD_OUT, _MOST_IGNORED
    client.shutdown(socket.SHUT_WR)
    while left > 0:
        _hurry(client, deadline)
        part = client.recv(_AT_ONCE)
        if not part:
            return
        left -= len(part)


def _hurry(client: socket.socket, deadline: float) -> None:
    """Let the next call take what is left of the time."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("too slow")
    client.settimeout(left)
