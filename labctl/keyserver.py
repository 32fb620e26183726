"""Key delivery to applications after ETSI GS QKD 014 V1.1.1: HTTPS, certificates on both sides.

A master application asks for keys to share with a slave application, whose own request then gets
the same keys by their numbers, once. Applications are known by the common name of their
certificate; each is attached to a node, and keys are those of the link between two nodes.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import h11

from labctl.errors import LabError, RequestError
from labctl.keystore import Key, KeyStore, NotEnoughKeys, UnknownKey

log = logging.getLogger(__name__)

_PATH = re.compile(r"/api/v1/keys/([^/]+)/(status|enc_keys|dec_keys)")
_METHODS = {"status": ("GET",), "enc_keys": ("GET", "POST"), "dec_keys": ("GET", "POST")}
_NAME = "commonName"  # of an application, in its certificate
_MOST_BODY = 1 << 16  # bytes
_IDLE = 30.0  # s until a silent client is forgotten
_MOST_CLIENTS = 64
_MOST_KEYS_STORED = 1_000_000  # what a status has to name; there is no limit


@dataclass(frozen=True)
class Limits:
    """Sizes in bits, as the standard counts them."""

    key_size: int = 256
    min_key_size: int = 64
    max_key_size: int = 8192
    max_key_per_request: int = 128

    def __post_init__(self) -> None:
        sizes = (self.min_key_size, self.key_size, self.max_key_size)
        if any(size % 8 or size <= 0 for size in sizes) or list(sizes) != sorted(sizes):
            raise RequestError(
                f"key size {self.key_size}: must be a multiple of 8 from {self.min_key_size} to "
                f"{self.max_key_size} bits"
            )


class Refused(Exception):
    """A request that gets an error: its HTTP status, the message, and details."""

    def __init__(self, status: int, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.document: dict[str, Any] = {"message": message}
        if details:
            self.document["details"] = [{name: value} for name, value in details.items()]


@dataclass
class KeyManager:
    """The KME: answers requests of authenticated applications; knows nothing of sockets.

    Args:
        store: the keys.
        applications: node of each application (SAE); one that is not named is at the node that has
            its name.
        node: answer only applications at this node; "" answers those at all nodes.
        limits: sizes.
        simulated: whether keys of simulated benches may be handed out.
    """

    store: KeyStore
    applications: Mapping[str, str] = field(default_factory=dict)
    node: str = ""
    limits: Limits = Limits()
    simulated: bool = False

    def answer(
        self, caller: str, method: str, target: str, body: bytes
    ) -> tuple[int, dict[str, Any]]:
        """Return HTTP status and document for a request of the application `caller`."""
        try:
            return 200, self._answer(caller, method, target, body)
        except Refused as refusal:
            return refusal.status, refusal.document
        except NotEnoughKeys as error:
            return 503, {"message": str(error)}
        except UnknownKey as error:
            return 400, {"message": str(error), "details": [{"key_ID": i} for i in error.ids]}
        except LabError as error:
            log.error("%s", error)
            return 503, {"message": "the key store does not work; its operator has been told why"}

    def _answer(self, caller: str, method: str, target: str, body: bytes) -> dict[str, Any]:
        url = urlsplit(target)
        found = _PATH.fullmatch(url.path)
        if not found:
            raise Refused(404, "there is nothing here; paths are /api/v1/keys/SAE_ID/METHOD")
        other, what = unquote(found[1]), found[2]
        if method not in _METHODS[what]:
            raise Refused(405, f"{what} takes {' or '.join(_METHODS[what])}, not {method}")
        here = self.applications.get(caller, caller)
        if self.node and here != self.node:
            raise Refused(401, f"SAE {caller!r} is not attached to this KME")
        there = self.applications.get(other, other)
        if here == there or not self.store.linked((here, there)):
            raise Refused(400, f"no key is shared between SAE {caller!r} and SAE {other!r}")
        query = _query(url.query)
        if what == "status":
            return self._status(caller, other, here, there)
        if what == "enc_keys":
            request = query if method == "GET" else _json(body)
            return _container(self._enc_keys(caller, other, (here, there), request))
        ids = _key_ids({"key_IDs": [{"key_ID": i} for i in query.get("key_ID", "").split(",")]}
                       if method == "GET" else _json(body))  # fmt: skip
        return _container(self.store.fetch(ids, master=other, slave=caller))

    def _status(self, master: str, slave: str, here: str, there: str) -> dict[str, Any]:
        limits = self.limits
        left = self.store.available((here, there), simulated=self.simulated)
        return {
            "source_KME_ID": here,
            "target_KME_ID": there,
            "master_SAE_ID": master,
            "slave_SAE_ID": slave,
            "key_size": limits.key_size,
            "stored_key_count": 8 * left // limits.key_size,
            "max_key_count": _MOST_KEYS_STORED,
            "max_key_per_request": limits.max_key_per_request,
            "max_key_size": limits.max_key_size,
            "min_key_size": limits.min_key_size,
            "max_SAE_ID_count": 0,
        }

    def _enc_keys(
        self, master: str, slave: str, nodes: tuple[str, str], request: Mapping[str, Any]
    ) -> list[Key]:
        limits = self.limits
        number = _whole(request, "number", 1)
        size = _whole(request, "size", limits.key_size)
        if not 1 <= number <= limits.max_key_per_request:
            raise Refused(400, f"number must be from 1 to {limits.max_key_per_request}",
                          number=number)  # fmt: skip
        if not limits.min_key_size <= size <= limits.max_key_size:
            raise Refused(
                400, f"size must be from {limits.min_key_size} to {limits.max_key_size} bits",
                size=size,
            )  # fmt: skip
        if size % 8:
            raise Refused(400, "size shall be a multiple of 8", size=size)
        if request.get("additional_slave_SAE_IDs"):
            raise Refused(400, "additional_slave_SAE_IDs are not supported (max_SAE_ID_count is 0)")
        if request.get("extension_mandatory"):
            raise Refused(400, "not all extension_mandatory parameters are supported")
        return self.store.give(
            nodes, number, size // 8, master=master, slave=slave, simulated=self.simulated
        )


def _container(keys: Sequence[Key]) -> dict[str, Any]:
    return {
        "keys": [{"key_ID": k.id, "key": base64.b64encode(k.bits).decode("ascii")} for k in keys]
    }


def _query(text: str) -> dict[str, str]:
    try:
        values = parse_qs(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=9)
    except ValueError:
        raise Refused(400, "the query cannot be read") from None
    return {name: value[-1] for name, value in values.items()}


def _json(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is no JSON") from None
    if not isinstance(document, dict):
        raise Refused(400, "the body must be a JSON object")
    return document


def _whole(request: Mapping[str, Any], name: str, default: int) -> int:
    value = request.get(name, default)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):  # in a query
        value = int(value)
    if type(value) is not int:
        raise Refused(400, f"{name} must be a whole number")
    return value


def _key_ids(request: Mapping[str, Any]) -> list[str]:
    listed = request.get("key_IDs")
    if not isinstance(listed, list) or not listed:
        raise Refused(400, "key_IDs must be a list of objects with a key_ID")
    ids = [item.get("key_ID") if isinstance(item, dict) else None for item in listed]
    if not all(isinstance(name, str) and 0 < len(name) <= 64 for name in ids):
        raise Refused(400, "each of key_IDs must be an object with a key_ID")
    return [str(name) for name in ids]


# -- the wire


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
            self._listener = socket.create_server((host, port))
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
            if caller:
                status, document = self._manager.answer(caller, method, target, body)
            else:
                status, document = 401, {"message": "the certificate names no application (CN)"}
            log.info("SAE %s: %s %s: %d", caller, method, urlsplit(target).path, status)
            _send(secure, wire, status, document)
            if wire.our_state is h11.MUST_CLOSE or wire.their_state is h11.MUST_CLOSE:
                return
            wire.start_next_cycle()


def _receive(secure: ssl.SSLSocket, wire: h11.Connection) -> tuple[h11.Request | None, bytes]:
    request, body = None, b""
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            if wire.they_are_waiting_for_100_continue:
                secure.sendall(wire.send(h11.InformationalResponse(status_code=100, headers=[])))
            wire.receive_data(secure.recv(65536))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _MOST_BODY:
                raise h11.RemoteProtocolError("the body is too long", error_status_hint=413)
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
