"""HTTPS with certificates on both sides for a key manager, as ETSI GS QKD 014 V1.1.1 asks.

Applications are known by the common name of their certificate.
"""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labctl.errors import RequestError, one_line
from labctl.httpserver import Answer, HttpServer, Request
from labctl.keys.manager import KeyManager

log = logging.getLogger(__name__)

_NAME = "commonName"  # of an application, in its certificate


def tls_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Return the server's side of TLS 1.2 or later, which demands a certificate of the client.

    Raises:
        RequestError: a file is missing or not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_RENEGOTIATION  # costs a server more than a client
    for path in (certificate, key, authority):
        if not path.is_file():
            raise RequestError(f"{path}: there is no such file")
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise RequestError(
            f"{certificate}, {key}: are no certificate and its key in PEM form: {one_line(error)}"
        ) from None
    try:
        context.load_verify_locations(authority)
    except (ssl.SSLError, OSError) as error:
        raise RequestError(
            f"{authority}: is no certificate in PEM form: {one_line(error)}"
        ) from None
    return context


class KeyServer(HttpServer):
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
        super().__init__(host, port, context)
        self._manager = manager

    def answer(self, request: Request) -> Answer:
        """Answer an application that has shown its certificate; log who asked what."""
        caller = _common_name(request.certificate)
        if not caller:
            return self.refusal(401, "the certificate names no application (CN)")
        status, document = self._manager.answer(
            caller, request.method, request.target, request.body
        )
        log.info(
            "SAE %s: %s %s: %d", caller, request.method, request.target.partition("?")[0], status
        )
        return _json(status, document)

    def refusal(self, status: int, why: str) -> Answer:
        """Return an error as the standard has it."""
        return _json(status, {"message": why})


def _json(status: int, document: Mapping[str, Any]) -> Answer:
    return Answer(status, "application/json", json.dumps(document).encode())


def _common_name(certificate: Mapping[str, Any]) -> str:
    """The common name in a certificate, if it is fit for a log."""
    subject = certificate.get("subject", ())
    names = [str(item[1]) for part in subject for item in part if item[0] == _NAME]
    return names[0] if names and names[0].isprintable() else ""
