"""HTTP/1.1 client over any transport, so that HTTP instruments record, replay and simulate too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import h11
import orjson

from labctl.adapter import ByteAdapter
from labctl.errors import ConnectionLost, InstrumentError, TransportTimeout

#: Methods that may be sent again when the server closed before it answered.
REPEATABLE = ("GET", "HEAD")


@dataclass(frozen=True)
class Response:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    source: str = field(default="", repr=False)  # "name: GET /path", for messages

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON; raises InstrumentError if it is not JSON."""
        try:
            return orjson.loads(self.body)
        except ValueError as error:
            raise InstrumentError(
                f"{self.source} answered {self.status} with a body that is not JSON: "
                f"{self.body[:60]!r}"
            ) from error


class HttpClient:
    """Requests to one instrument, one at a time, on a connection that is kept open.

    The bytes of a request depend on nothing but its arguments and the address: replay needs that.
    The adapter's framing should be `Framing(write=b"", read=b"")`.
    """

    def __init__(self, adapter: ByteAdapter) -> None:
        self.adapter = adapter
        self.host = adapter.address.partition("://")[2].rstrip("/") or "instrument"

    def get(self, path: str, *, timeout: float | None = None) -> Response:
        return self.request("GET", path, timeout=timeout)

    def post(
        self,
        path: str,
        body: bytes,
        content_type: str = "application/octet-stream",
        *,
        timeout: float | None = None,
    ) -> Response:
        return self.request("POST", path, body, content_type, timeout=timeout)

    def post_json(self, path: str, obj: Any, *, timeout: float | None = None) -> Response:
        return self.post(
            path, json.dumps(obj, allow_nan=False).encode(), "application/json", timeout=timeout
        )

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        content_type: str = "",
        *,
        timeout: float | None = None,
    ) -> Response:
        """Send one request and return the response, whatever its status."""
        asked = f"{self.adapter.name}: {method} {path}"
        fields = [("Host", self.host), ("Accept", "*/*")]
        if body or method == "POST":
            fields.append(("Content-Length", str(len(body))))
        if content_type:
            fields.append(("Content-Type", content_type))
        head = h11.Request(method=method, target=path, headers=fields)
        with self.adapter.transaction():
            try:
                return self._exchange(asked, head, body, timeout)
            except ConnectionLost:
                self.adapter.close()
                if method not in REPEATABLE:
                    raise
            return self._exchange(asked, head, body, timeout)

    def _exchange(
        self, asked: str, head: h11.Request, body: bytes, timeout: float | None
    ) -> Response:
        # One parser for each exchange: the adapter may open a new connection before it sends.
        parser = h11.Connection(h11.CLIENT)
        parts = [parser.send(head), parser.send(h11.Data(data=body)) if body else b""]
        parts.append(parser.send(h11.EndOfMessage()))
        try:
            self.adapter.write_bytes(b"".join(part for part in parts if part))
            return self._response(parser, asked, timeout)
        except h11.RemoteProtocolError as error:
            self.adapter.close()
            raise InstrumentError(
                f"{asked} got a malformed reply ({error}); check that it speaks HTTP"
            ) from error
        except TransportTimeout as error:
            self.adapter.close()
            patience = self.adapter.timeout if timeout is None else timeout
            raise TransportTimeout(
                f"{asked} got no complete answer in {patience:g} s; check the instrument, "
                "or allow a longer timeout"
            ) from error
        except BaseException:  # Ctrl-C, too: the response must not meet the next request
            self.adapter.close()
            raise

    def _response(self, parser: h11.Connection, asked: str, timeout: float | None) -> Response:
        status, headers, pieces = 0, {}, []
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                try:
                    parser.receive_data(self.adapter.receive(timeout))
                except ConnectionLost:
                    if not status:
                        raise
                    parser.receive_data(b"")  # a body may end with the connection
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {n.decode("latin-1"): v.decode("latin-1") for n, v in event.headers}
            elif isinstance(event, h11.Data):
                pieces.append(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
        if parser.our_state is h11.MUST_CLOSE or parser.their_state is h11.CLOSED:
            self.adapter.close()
        return Response(status, headers, b"".join(pieces), asked)
