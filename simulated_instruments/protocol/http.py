"""HTTP/1.1 server side without I/O: bytes in, requests to a handler, replies with due times out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import h11

from simulated_instruments.world import World

#: Largest request body that is accepted, in bytes; larger ones are refused with status 413.
BODY_LIMIT = 16 * 1024 * 1024

Headers: TypeAlias = Mapping[str, str]
#: (seconds until the reply leaves, status, headers, body); the content length is added.
Reply: TypeAlias = tuple[float, int, Headers, bytes]
#: handler(method, path with query, headers with lower-case names, body, now) -> Reply
Handler: TypeAlias = Callable[[str, str, dict[str, str], bytes, float], Reply]


class HttpEndpoint:
    """One connection to a simulated HTTP server; `closed` says that the server hung up."""

    def __init__(self, world: World, handler: Handler) -> None:
        self.world = world
        self.closed = False
        self._handler = handler
        self._connection = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._busy_until = 0.0

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        """Take bytes of requests; pipelined requests are answered one after the other."""
        self.world.advance(now)
        replies: list[tuple[float, bytes]] = []
        if self.closed or not data:
            return replies
        self._connection.receive_data(data)
        try:
            while not self.closed and self._step(now, replies):
                pass
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint or 400, str(error), now, replies)
        return replies

    def _step(self, now: float, replies: list[tuple[float, bytes]]) -> bool:
        """Handle one event of the parser; False when it needs more bytes."""
        event = self._connection.next_event()
        if event is h11.NEED_DATA:
            if self._connection.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                replies.append((self._due(now, 0.0), self._connection.send(go_on) or b""))
            return False
        if isinstance(event, h11.Request):
            self._request, self._body, self._size = event, [], 0
            for name, value in event.headers:
                if name == b"content-length" and int(value) > BODY_LIMIT:
                    self._refuse(413, f"the body exceeds {BODY_LIMIT} bytes", now, replies)
        elif isinstance(event, h11.Data):
            self._body.append(event.data)
            self._size += len(event.data)
            if self._size > BODY_LIMIT:
                self._refuse(413, f"the body exceeds {BODY_LIMIT} bytes", now, replies)
        elif isinstance(event, h11.EndOfMessage):
            self._answer(now, replies)
        else:  # PAUSED or ConnectionClosed: nothing more can come on this connection
            self.closed = True
        return not self.closed

    def _answer(self, now: float, replies: list[tuple[float, bytes]]) -> None:
        request = self._request
        assert request is not None  # the parser always sends Request before EndOfMessage
        delay, status, headers, body = self._handler(
            request.method.decode("ascii"),
            request.target.decode("ascii"),
            {n.decode("ascii"): v.decode("latin-1") for n, v in request.headers},
            b"".join(self._body),
            now,
        )
        replies.append((self._due(now, delay), self._format(status, headers, body)))
        if self._connection.our_state is h11.MUST_CLOSE:
            self.closed = True
        else:
            self._connection.start_next_cycle()

    def _refuse(
        self, status: int, why: str, now: float, replies: list[tuple[float, bytes]]
    ) -> None:
        """Answer with an error and hang up: what follows on this connection has no meaning."""
        if self._connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = {"Content-Type": "text/plain", "Connection": "close"}
            page = self._format(status, headers, f"{why}\n".encode())
            replies.append((self._due(now, 0.0), page))
        self.closed = True

    def _format(self, status: int, headers: Headers, body: bytes) -> bytes:
        fields = [*headers.items(), ("Content-Length", str(len(body)))]
        send = self._connection.send
        head = send(h11.Response(status_code=status, headers=fields, reason=_reason(status)))
        sent = send(h11.Data(data=body)) if body else b""
        return (head or b"") + (sent or b"") + (send(h11.EndOfMessage()) or b"")

    def _due(self, now: float, delay: float) -> float:
        """When this reply leaves: the server works on one request at a time."""
        self._busy_until = max(now, self._busy_until) + max(delay, 0.0)
        return self._busy_until


def _reason(status: int) -> bytes:
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b""
