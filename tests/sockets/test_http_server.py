"""The server under the key manager and the page: what slow, broken and hostile clients get."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from labctl import httpserver
from labctl.errors import RequestError
from labctl.httpserver import Answer, HttpServer, Request

BOUND = 60.0  # s
GET = b"GET /there HTTP/1.1\r\nHost: x\r\n\r\n"


class Echo(HttpServer):
    """Says what it was asked; breaks when asked to."""

    def answer(self, request: Request) -> Answer:
        if request.target == "/break":
            raise ZeroDivisionError
        said = f"{request.method} {request.target} {request.host} {len(request.body)}"
        return Answer(200, "text/plain", said.encode())

    def refusal(self, status: int, why: str) -> Answer:
        return Answer(status, "text/plain", why.encode())


@contextlib.contextmanager
def served(patience: float = BOUND, host: str = "127.0.0.1") -> Iterator[HttpServer]:
    server = Echo(host, 0)
    server.patience = patience
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(BOUND)
        assert not thread.is_alive()


def connected(server: HttpServer) -> socket.socket:
    return socket.create_connection(server.listens_on, BOUND)


def everything(client: socket.socket) -> bytes:
    """What comes until the server hangs up."""
    parts = []
    with contextlib.suppress(ConnectionError):  # it hangs up while something is still on the way
        while part := client.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_several_requests_on_one_connection():
    with served() as server:
        connection = http.client.HTTPConnection(*server.listens_on, timeout=BOUND)
        for method, body in (("GET", b""), ("POST", b"x" * 65536), ("HEAD", b"")):
            connection.request(method, "/a?b=c", body or None)
            response = connection.getresponse()
            host, port = server.listens_on
            said = f"{method} /a?b=c {host}:{port} {len(body)}".encode()
            assert response.read() == (b"" if method == "HEAD" else said)
            assert int(response.getheader("Content-Length")) == len(said)
            assert response.getheader("Cache-Control") == "no-store"
            assert response.getheader("X-Content-Type-Options") == "nosniff"
        connection.close()


def test_a_client_that_waits_for_the_word_to_go_on():
    with served() as server, connected(server) as client:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        client.sendall(head)
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"abc")
        client.shutdown(socket.SHUT_WR)
        assert everything(client).endswith(b"POST / x 3")


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nX-0: ", GET + b"GET / HT"])
def test_who_dribbles_is_forgotten_however_often_a_byte_comes(first):
    """A connection costs a thread, so it must end although it is never silent for long."""
    with served(patience=0.3) as server, connected(server) as client:
        client.sendall(first)
        begin = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < begin + BOUND:
                client.sendall(b"a")
                client.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    if client.recv(65536) == b"":
                        break
        assert time.monotonic() < begin + BOUND


def test_who_never_takes_the_answer_is_forgotten(monkeypatch):
    monkeypatch.setattr(
        Echo, "answer", lambda self, request: Answer(200, "text/plain", bytes(1 << 24))
    )
    with served(patience=1.5) as server, connected(server) as client:
        client.sendall(GET)
        assert client.recv(10)
        free = server._room
        end = time.monotonic() + BOUND
        while free._value < httpserver._MOST_CLIENTS:  # the client takes no more
            assert time.monotonic() < end
            time.sleep(0.02)


def test_more_clients_than_there_is_room_for():
    with served() as server, contextlib.ExitStack() as open_ones:
        crowd = [
            open_ones.enter_context(connected(server)) for _ in range(httpserver._MOST_CLIENTS)
        ]
        for client in crowd:
            client.sendall(GET)
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        with connected(server) as one_more:
            assert everything(one_more) == b""
        crowd[0].close()
        end = time.monotonic() + BOUND
        answer = b""
        while not answer and time.monotonic() < end:  # until the server has seen that one leave
            with connected(server) as next_one, contextlib.suppress(ConnectionError):
                next_one.sendall(GET)
                answer = next_one.recv(100)
        assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"GET /" + b"a" * 30000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
     (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5000 + b"\r\n", 431),
     (b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
     (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n" + b"x" * 65537, 413),
     (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      + (b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n") * 17, 413),
     (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
     (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
     (b"GET /break HTTP/1.1\r\nHost: x\r\n\r\n", 500), (b"\x00\x01\x02\r\n\r\n", 400)],
)  # fmt: skip
def test_what_is_refused(sent, status):
    with served() as server:
        with connected(server) as client:
            with contextlib.suppress(OSError):  # it may have been refused and closed already
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
            assert everything(client).startswith(b"HTTP/1.1 %d " % status)
        with connected(server) as client:  # others are served
            client.sendall(GET)
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")


def test_listening_everywhere_ends_as_well():
    with served(host="0.0.0.0") as server:
        assert server.listens_on[0] == "0.0.0.0"


def test_a_port_that_is_taken_or_none():
    with served() as server:
        for host, port in (server.listens_on, ("127.0.0.1", 70000), ("256.0.0.1", 0)):
            with pytest.raises(RequestError, match=r"cannot be listened on \(.+\); choose") as said:
                Echo(host, port)
            assert "\n" not in str(said.value)
