"""HTTP client and server, against the standard (RFC 9112), the standard library and each other."""

import http.client
import http.server
import json
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.adapter import ByteAdapter, Framing
from labctl.clock import RealClock, VirtualClock
from labctl.errors import ConnectionLost, InstrumentError, TransportTimeout
from labctl.http import HttpClient
from labctl.transport.link import Link
from labctl.transport.replaying import Transcript
from labctl.transport.tcp import TcpTransport
from labctl.transport.wirelog import WireLog, recording
from simulated_instruments.faults import plan, wrap
from simulated_instruments.protocol.http import BODY_LIMIT, HttpEndpoint
from simulated_instruments.world import World

HTTP = Framing(write=b"", read=b"", timeout=2.0)


def echo(method, path, headers, body, now):
    """A handler: tells what it was asked."""
    if path == "/missing":
        return 0.0, 404, {"Content-Type": "text/plain"}, b"no such page"
    if path == "/text":
        return 0.0, 200, {"Content-Type": "text/plain"}, b"not json"
    if path == "/slow":
        return 10.0, 200, {}, b"{}"
    told = {"method": method, "path": path, "length": len(body), "now": now}
    reply = {"Content-Type": "application/json"}
    return 0.25, 200, reply, json.dumps({**told, "type": headers.get("content-type")}).encode()


def endpoint(handler=echo):
    return HttpEndpoint(World(), handler)


def client(make=None, address="http://ws.example", clock=None):
    clock = clock or VirtualClock()
    make = make or (lambda: Link(endpoint(), clock))
    return HttpClient(ByteAdapter(make, clock, name="shaper", framing=HTTP, address=address))


class Canned:
    """A server that answers each request with prepared bytes; None hangs up instead."""

    def __init__(self, *answers, hang_up_after=False):
        self.answers = list(answers)
        self.hang_up_after = hang_up_after
        self.closed = False
        self.heard = []

    def feed(self, data, now):
        if not data:
            return []
        self.heard.append(data)
        answer = self.answers.pop(0)
        self.closed = answer is None or self.hang_up_after
        return [] if answer is None else [(now, answer)]


def canned(*servers):
    clock, left = VirtualClock(), list(servers)
    return client(lambda: Link(left.pop(0), clock), clock=clock)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


# ---- client


def test_bytes_of_a_request_are_exactly_these():
    server = Canned(OK, OK)
    c = canned(server)
    assert c.get("/waveshaper/devinfo").json() == {}
    c.post_json("/waveshaper/loadprofile", {"type": "blockall", "port": 1})
    assert server.heard == [
        b"GET /waveshaper/devinfo HTTP/1.1\r\nHost: ws.example\r\nAccept: */*\r\n\r\n",
        (
            b"POST /waveshaper/loadprofile HTTP/1.1\r\nHost: ws.example\r\nAccept: */*\r\n"
            b"Content-Length: 31\r\nContent-Type: application/json\r\n\r\n"
            b'{"type": "blockall", "port": 1}'
        ),
    ]


def test_status_and_headers_are_handed_over():
    answer = client().get("/missing")
    assert (answer.status, answer.text) == (404, "no such page")
    assert answer.headers["content-type"] == "text/plain"


def test_body_that_is_no_json_is_named():
    with pytest.raises(
        InstrumentError, match=r"^shaper: GET /text answered 200 with a body .* b'not json'$"
    ):
        client().get("/text").json()


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\nlong\r\n6;x=y\r\n reply\r\n0\r\nTrailer: 1\r\n\r\n"
)
UNTIL_CLOSE = b"HTTP/1.0 200 OK\r\n\r\nlong reply"
INFORMED = (
    b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nlong reply"
)


@pytest.mark.parametrize("raw", [CHUNKED, UNTIL_CLOSE, INFORMED])
@given(lengths=st.lists(st.integers(1, 40), max_size=30))
def test_every_kind_of_body_in_any_pieces(raw, lengths):
    class Pieces(Canned):
        def feed(self, data, now):
            replies = super().feed(data, now)
            if not replies:
                return []
            rest, cut = replies[0][1], []
            for length in lengths:
                cut.append((now, rest[:length]))
                rest = rest[length:]
            return [(t, piece) for t, piece in [*cut, (now, rest)] if piece]

    first = Pieces(raw, OK, hang_up_after=raw is UNTIL_CLOSE)
    c = canned(first, Canned(OK))
    assert c.get("/a").body == b"long reply"
    assert c.get("/b").body == b"{}"


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_malformed_replies_are_one_line_and_the_next_request_is_right(raw):
    c = canned(Canned(raw), Canned(OK))
    with pytest.raises(InstrumentError, match=r"^shaper: GET /a got a malformed reply \(.*HTTP$"):
        c.get("/a")
    assert c.get("/b").status == 200


def test_body_cut_short_is_malformed():
    c = canned(
        Canned(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", hang_up_after=True), Canned(OK)
    )
    with pytest.raises(InstrumentError, match="malformed"):
        c.get("/a")
    assert c.get("/b").status == 200


def test_timeout_is_one_line_and_the_late_answer_never_arrives():
    c = client()
    with pytest.raises(TransportTimeout, match=r"^shaper: GET /slow got no complete answer in 2 s"):
        c.get("/slow")
    assert c.adapter.clock.now() == 2.0
    assert c.get("/b").json() == {
        "method": "GET", "path": "/b", "length": 0, "now": 2.0, "type": None,
    }  # fmt: skip
    c.adapter.clock.sleep(20.0)
    assert c.get("/c").json()["path"] == "/c"
    assert c.get("/slow", timeout=30.0).json() == {}


def test_connection_is_kept_open():
    c = client()
    for _ in range(5):
        c.get("/a")
    assert c.adapter.reconnects == 0


def test_server_that_closes_after_each_answer():
    close = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    c = canned(*(Canned(close, hang_up_after=True) for _ in range(3)))
    assert [c.post("/a", b"x").status for _ in range(3)] == [200] * 3
    assert c.adapter.reconnects == 2


def test_connection_that_the_server_is_about_to_close_is_not_used_again():
    close = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    first, second = Canned(close, OK), Canned(OK)
    c = canned(first, second)
    assert [c.post("/a", b"x").status for _ in range(2)] == [200, 200]
    assert (len(first.heard), len(second.heard)) == (1, 1)


def test_idle_connection_that_the_server_closed_is_opened_again_even_for_post():
    first, second = Canned(OK), Canned(OK)
    c = canned(first, second)
    c.get("/a")
    first.closed = True
    assert c.post("/b", b"x").status == 200
    assert len(second.heard) == 1


def test_get_is_repeated_once_when_the_server_hangs_up_and_post_is_not():
    c = canned(Canned(None), Canned(OK), Canned(OK))
    assert c.get("/a").status == 200
    c = canned(Canned(None), Canned(OK))
    with pytest.raises(ConnectionLost, match=r"^shaper: "):
        c.post("/a", b"x")
    c = canned(Canned(None), Canned(None), Canned(OK))
    with pytest.raises(ConnectionLost):
        c.get("/a")


@pytest.mark.parametrize("fault", ["drop", "garble", "late", "double", "truncate", "disconnect"])
def test_faults_never_shift_an_answer(fault):
    clock, faults = VirtualClock(), plan({fault: 3, "late_by": 5.0})
    c = client(lambda: Link(wrap(endpoint(), faults), clock), clock=clock)
    failed, errors = [], []
    for n in range(8):
        try:
            assert c.post(f"/{n}", b"x").json()["path"] == f"/{n}"
        except (InstrumentError, TransportTimeout, ConnectionLost) as error:
            failed.append(n)
            errors.append(str(error))
    assert failed == ([] if fault == "double" else [2])
    assert not any("\n" in text for text in errors)


def test_record_and_replay(tmp_path):
    log, clock = WireLog(tmp_path / "wire.jsonl"), VirtualClock()
    c = client(recording(lambda: Link(endpoint(), clock), clock, log, "shaper"), clock=clock)
    said = [c.post("/a", b"x" * 20_000).json(), c.get("/missing").text, clock.now()]
    log.close()
    clock = VirtualClock()
    transcript = Transcript(tmp_path / "wire.jsonl")
    c = client(lambda: transcript.transport("shaper", clock), clock=clock)
    assert [c.post("/a", b"x" * 20_000).json(), c.get("/missing").text, clock.now()] == said


def test_against_the_servers_of_the_standard_library():
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    port = server.server_port
    c = client(
        lambda: TcpTransport("127.0.0.1", port), f"http://127.0.0.1:{port}", clock=RealClock()
    )
    body = bytes(range(256)) * 600
    assert [c.post("/", body).body == body for _ in range(3)] == [True] * 3
    assert c.adapter.reconnects == 0
    c.adapter.close()
    server.shutdown()
    server.server_close()


# ---- server


def test_replies_are_due_after_the_delay_of_the_handler():
    [(due, raw)] = endpoint().feed(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", 3.0)
    assert due == 3.25
    assert raw.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ")


@given(st.lists(st.integers(1, 60), max_size=40))
def test_pipelined_requests_in_any_pieces(lengths):
    requests = b"".join(
        b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (n, n, b"x" * n)
        for n in range(4)
    )
    server, replies, rest = endpoint(), [], requests
    for length in [*lengths, len(requests)]:
        replies += server.feed(rest[:length], 1.0)
        rest = rest[length:]
    bodies = [json.loads(raw.split(b"\r\n\r\n")[1]) for _, raw in replies]
    assert [(b["path"], b["length"]) for b in bodies] == [(f"/{n}", n) for n in range(4)]
    assert [due for due, _ in replies] == [1.25, 1.5, 1.75, 2.0]


def test_headers_reach_the_handler_and_may_be_missing():
    server = endpoint()
    [(_, raw)] = server.feed(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", 0.0)
    assert b'"type": null' in raw


def test_expect_100_continue():
    server = endpoint()
    head = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    [(due, raw)] = server.feed(head, 1.0)
    assert (due, raw) == (1.0, b"HTTP/1.1 100 Continue\r\n\r\n")
    assert server.feed(b"", 1.1) == []
    [(_, raw)] = server.feed(b"abc", 1.2)
    assert b'"length": 3' in raw


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /x HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200_000, b"431"),
        (
            b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (BODY_LIMIT + 1),
            b"413",
        ),
    ],
)
def test_bad_requests_are_refused_and_the_connection_closes(request_, status):
    server = endpoint()
    [(_, raw)] = server.feed(request_, 0.0)
    assert raw.startswith(b"HTTP/1.1 " + status)
    assert b"\r\nConnection: close\r\n" in raw
    assert server.closed
    assert server.feed(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", 0.0) == []


def test_chunked_bodies_are_limited_too():
    server = endpoint()
    replies = server.feed(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 0.0)
    piece = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    for _ in range(17):
        replies += server.feed(piece, 0.0)
    assert [raw.split(b" ")[1] for _, raw in replies] == [b"413"]


@pytest.mark.parametrize(
    "request_",
    [b"GET /x HTTP/1.0\r\n\r\n", b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"],
)
def test_client_that_asks_to_close(request_):
    server = endpoint()
    [(_, raw)] = server.feed(request_, 0.0)
    assert raw.startswith(b"HTTP/1.1 200")
    assert server.closed


@given(st.binary(max_size=300))
def test_no_bytes_break_the_server(data):
    server = endpoint()
    server.feed(data, 0.0)
    server.feed(b"\r\n\r\n", 0.0)
    assert server.closed in (True, False)


def test_standard_librarys_client_understands_the_server():
    """http.client on a socket pair whose other end is the endpoint."""
    ours, theirs = socket.socketpair()
    server = endpoint()

    def serve():
        while data := theirs.recv(1 << 16):
            for _, reply in server.feed(data, 0.0):
                theirs.sendall(reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    connection = http.client.HTTPConnection("shaper.example")
    connection.sock = ours
    for n in range(3):
        connection.request("POST", f"/{n}", body=b"y" * 146_000)
        answer = connection.getresponse()
        assert json.loads(answer.read())["length"] == 146_000
    connection.close()
    thread.join(5.0)
    theirs.close()
