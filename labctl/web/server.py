"""The server of the page: GET and HEAD, below a secret path, and nothing that changes anything."""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import re
import socket
import threading
from typing import TypeAlias
from urllib.parse import urlsplit

import h11

from labctl.errors import RequestError
from labctl.web.page import PAGE, POLICY
from labctl.web.state import View, safely

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
_IDLE = 30.0  # s until a silent client is forgotten
_MOST_CLIENTS = 32
_MOST_HEAD, _MOST_BODY = 16384, 65536  # bytes
_FIGURE = re.compile(r"figure/([0-9]{1,2})\.png")

Answer: TypeAlias = tuple[int, str, bytes]


class WebServer:
    """Shows a `View` at `http://127.0.0.1:PORT/TOKEN/`.

    Args:
        view: what is shown.
        token: whoever knows it may look.
        port: 0 chooses a free one.

    Raises:
        RequestError: the port is taken.
    """

    def __init__(self, view: View, token: str, port: int = 0) -> None:
        self._view = view
        self._token = token.encode()
        try:
            self._listener = socket.create_server((HOST, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise RequestError(
                f"{HOST}:{port}: cannot be listened on ({why}); choose another --port"
            ) from None
        self.port: int = self._listener.getsockname()[1]
        self.address = f"http://{HOST}:{self.port}/{token}/"
        self._room = threading.BoundedSemaphore(_MOST_CLIENTS)
        self._closed = False

    def serve(self) -> None:
        """Answer clients until `close` is called from another thread, or Ctrl-C."""
        while not self._closed:
            try:
                client, _ = self._listener.accept()
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
        with socket.socket() as knock:  # accept() sees nothing of a close()
            knock.settimeout(1.0)
            knock.connect_ex((HOST, self.port))
        self._listener.close()

    def answer(self, method: str, target: str) -> Answer:
        """Status, type and body for a request."""
        _, _, rest = urlsplit(target).path.partition("/")
        given, slash, place = rest.partition("/")
        if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._token):
            return 403, "text/plain", b"wrong or missing token: use the address labctl web prints\n"
        if method not in ("GET", "HEAD"):
            return 405, "text/plain", b"this page can only be looked at\n"
        if not slash:
            return 301, "text/plain", b"with a slash at the end\n"
        if place == "":
            return 200, "text/html; charset=utf-8", PAGE
        if place == "state.json":
            return 200, "application/json", json.dumps(safely(self._view)).encode()
        if match := _FIGURE.fullmatch(place):
            picture = self._view.picture(int(match[1]))
            if picture is not None:
                return 200, "image/png", picture.data
        return 404, "text/plain", b"nothing here\n"

    def _client(self, client: socket.socket) -> None:
        try:
            client.settimeout(_IDLE)
            self._talk(client)
        except (OSError, h11.ProtocolError) as error:
            log.info("a client went away: %s", " ".join(str(error).split()))
        finally:
            client.close()
            self._room.release()

    def _talk(self, client: socket.socket) -> None:
        wire = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD)
        while True:
            try:
                request = _receive(client, wire)
            except h11.RemoteProtocolError as error:
                if wire.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                    _send(client, wire, (error.error_status_hint, "text/plain", b"bad request\n"))
                return
            if request is None:
                return
            method, target = request.method.decode("ascii"), request.target.decode("latin-1")
            try:
                answer = self.answer(method, target)
            except Exception:  # a fault of ours must not end the connection without an answer
                log.exception("a request failed")
                answer = 500, "text/plain", b"internal error\n"
            _send(client, wire, answer, head=method == "HEAD", base=f"/{self._token.decode()}/")
            if wire.our_state is h11.MUST_CLOSE or wire.their_state is h11.MUST_CLOSE:
                return
            with contextlib.suppress(h11.LocalProtocolError):
                wire.start_next_cycle()


def _receive(client: socket.socket, wire: h11.Connection) -> h11.Request | None:
    """The next request, its body thrown away; None at the end of the connection."""
    request, size = None, 0
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(client.recv(65536))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            size += len(event.data)
            if size > _MOST_BODY:
                raise h11.RemoteProtocolError("the body is too long", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage):
            return request
        else:  # the client closed the connection
            return None


def _send(
    client: socket.socket, wire: h11.Connection, answer: Answer, head: bool = False, base: str = ""
) -> None:
    status, kind, body = answer
    headers = [
        ("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"),
        ("Content-Security-Policy", POLICY), ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),  # it would carry the token
    ]  # fmt: skip
    if status == 405:
        headers.append(("Allow", "GET, HEAD"))
    if status == 301:
        headers.append(("Location", base))
    data = wire.send(h11.Response(status_code=status, headers=headers))
    if not head:
        data += wire.send(h11.Data(data=body))
    client.sendall(data + wire.send(h11.EndOfMessage()))
