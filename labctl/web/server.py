"""The server of the page: GET and HEAD, below a secret path, and nothing that changes anything."""

from __future__ import annotations

import hmac
import json
import re

from labctl.httpserver import Answer, HttpServer, Request
from labctl.web.page import PAGE, POLICY
from labctl.web.state import View, safely

HOST = "127.0.0.1"
#: What the page may be called. A name of somebody else's that resolves to 127.0.0.1 (DNS
#: rebinding) would give his page the rights of this one.
_NAMES = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_FIGURE = re.compile(r"figure/([0-9]{1,2})\.png")
_HEADERS = (
    ("Content-Security-Policy", POLICY),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),  # it would carry the token
)


class WebServer(HttpServer):
    """Shows a `View` at `http://127.0.0.1:PORT/TOKEN/`.

    Args:
        view: what is shown.
        token: whoever knows it may look.
        port: 0 chooses a free one.

    Raises:
        RequestError: the port is taken.
    """

    def __init__(self, view: View, token: str, port: int = 0) -> None:
        super().__init__(HOST, port)
        self._view = view
        self._token = token
        self.port = self.listens_on[1]
        self.address = f"http://{HOST}:{self.port}/{token}/"

    def answer(self, request: Request) -> Answer:
        """Show what there is to those who know the token."""
        if not _NAMES.fullmatch(request.host):
            return self.refusal(421, f"this is not that host; ask for {HOST} or localhost")
        _, _, rest = request.target.partition("?")[0].partition("/")
        given, slash, place = rest.partition("/")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return self.refusal(403, "wrong or missing token: use the address labctl web prints")
        if request.method not in ("GET", "HEAD"):
            return self._text(405, "this page can only be looked at", ("Allow", "GET, HEAD"))
        if not slash:
            return self._text(301, "with a slash at the end", ("Location", f"/{self._token}/"))
        if place == "":
            return Answer(200, "text/html; charset=utf-8", PAGE, _HEADERS)
        if place == "state.json":
            state = json.dumps(safely(self._view)).encode()
            return Answer(200, "application/json", state, _HEADERS)
        if match := _FIGURE.fullmatch(place):
            picture = self._view.picture(int(match[1]))
            if picture is not None:
                return Answer(200, "image/png", picture.data, _HEADERS)
        return self.refusal(404, "nothing here")

    def refusal(self, status: int, why: str) -> Answer:
        """Return a line of text."""
        return self._text(status, why)

    @staticmethod
    def _text(status: int, line: str, *headers: tuple[str, str]) -> Answer:
        return Answer(status, "text/plain", f"{line}\n".encode(), (*_HEADERS, *headers))
