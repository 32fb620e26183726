"""HTTPS with certificates on both sides for a key manager, as ETSI GS QKD 014 V1.1.1 asks.

Applications are known by the common name of their certificate.
"""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h11

from labctl.errors import RequestError
from labctl.keymanager import KeyManager

log = logging.getLogger(__name__)

_NAME = "commonName"  # of an application, in its certificate
_MOST_BODY = 1 << 16  # bytes
_MOST_IGNORED = 1 << 20  # bytes; a client listens for an answer only when it has sent everything
_IDLE = 30.0  # s until a silent client is forgotten
_MOST_CLIENTS = 64


def tls_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Return the server's side of TLS 1.2 or later, which demands a certificate of the client.

    Raises:
        RequestError: a file is missing or not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    for path in (certificate, key, authority):
        if not path.is_file():
            raise RequestError(f"{path}: there is no such file")
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise RequestError(
            f"{certificate}, {key}: are no certificate and its key in PEM form: {_line(error)}"
        ) from None
    try:
        context.load_verify_locations(authority)
    except (ssl.SSLError, OSError) as error:
        raise RequestError(f"{authority}: is no certificate in PEM form: {_line(error)}") from None
    return context


class KeyServer:
    """Offers a `KeyManager` on a socket.

    Args:
        manager: what answers.
        context: from `tls_context`.
        host: address to listen on.
        port: 0 chooses a free one.

    Raises:
        RequestError: the port is taken.
    """

    def __init__(
        self, manager: KeyManager, context: ssl.SSLContext, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._manager = manager
        self._context = context
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, port), family=family)
        except (OSError, OverflowError) as error:
            raise RequestError(f"{host}:{port}: cannot be listened on: {_line(error)}") from None
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
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
        with socket.socket(self._listener.family) as knock:  # accept() sees nothing of a close()
            knock.settimeout(1.0)
            knock.connect_ex(self.address)
        self._listener.close()

    def _client(self, plain: socket.socket) -> None:
        try:
            plain.settimeout(_IDLE)
            with self._context.wrap_socket(plain, server_side=True) as secure:
                self._talk(secure, _common_name(secure))
        except (OSError, h11.RemoteProtocolError) as error:  # also what TLS refuses
            log.info("a client was turned away: %s", _line(error))
        finally:
            plain.close()
            self._room.release()

    def _talk(self, secure: ssl.SSLSocket, caller: str) -> None:
        wire = h11.Connection(h11.SERVER, max_incomplete_event_size=16384)
        while True:
            try:
                request, body = _receive(secure, wire)
            except h11.RemoteProtocolError as error:
                if wire.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                    _send(secure, wire, error.error_status_hint, {"message": _line(error)})
                return
            if request is None:
                return
            method, target = request.method.decode("ascii"), request.target.decode("latin-1")
            if len(body) > _MOST_BODY:
                status, document = 413, {"message": f"the body is longer than {_MOST_BODY} bytes"}
            elif caller:
                status, document = self._manager.answer(caller, method, target, body)
            else:
                status, document = 401, {"message": "the certificate names no application (CN)"}
            log.info("SAE %s: %s %s: %d", caller, method, urlsplit(target).path, status)
            _send(secure, wire, status, document)
            if wire.our_state is h11.MUST_CLOSE or wire.their_state is h11.MUST_CLOSE:
                return
            wire.start_next_cycle()


def _receive(secure: ssl.SSLSocket, wire: h11.Connection) -> tuple[h11.Request | None, bytes]:
    request, body, length = None, b"", 0
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            if wire.they_are_waiting_for_100_continue:
                secure.sendall(wire.send(h11.InformationalResponse(status_code=100, headers=[])))
            wire.receive_data(secure.recv(65536))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            length += len(event.data)
            body += event.data[: max(0, _MOST_BODY + 1 - len(body))]
            if length > _MOST_IGNORED:
                raise h11.RemoteProtocolError("the body is far too long", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage):
            return request, body
        else:  # the client closed the connection
            return None, b""


def _send(
    secure: ssl.SSLSocket, wire: h11.Connection, status: int, document: dict[str, Any]
) -> None:
    body = json.dumps(document).encode()
    headers = [
        ("Content-Type", "application/json"), ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    ]  # fmt: skip
    head = wire.send(h11.Response(status_code=status, headers=headers))
    secure.sendall(head + wire.send(h11.Data(data=body)) + wire.send(h11.EndOfMessage()))


def _common_name(secure: ssl.SSLSocket) -> str:
    """The common name in the certificate that the client has shown."""
    shown: Any = secure.getpeercert() or {}
    names = [item[1] for part in shown.get("subject", ()) for item in part if item[0] == _NAME]
    return str(names[0]) if names else ""


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
