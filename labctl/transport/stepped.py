"""Virtual time over sockets: the server of the simulators owns the clock, this side asks for steps.

Every question on the time port first names the bytes sent since the last one, connection by
connection and in order. The server hands exactly those to its simulators before it moves time, so
a run over sockets sees what the same run sees in-process, bit for bit. The time port speaks one
JSON object per line; `simulated_instruments.serving.timeport` describes it.
"""

from __future__ import annotations

import json
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

from labctl.clock import VirtualClock
from labctl.errors import ClockError, ConnectionLost, TransportError, TransportTimeout

#: Real seconds to wait for the server; simulating a long step may take it a while.
PATIENCE = 120.0

Connection = tuple[int, int]  # TCP port of this end, TCP port of the server's end


class SteppedClock(VirtualClock):
    """The clock of a `labctl serve --pace 0` in another process; moves when somebody sleeps.

    Args:
        address: of the time port, "stepped://HOST:PORT" or "tcp://HOST:PORT".

    Raises:
        ConnectionLost: nobody listens at the time port.
        ClockError: the server's time moves by itself.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._host, port = _host_and_port(address)
        try:
            self._socket = socket.create_connection((self._host, port), timeout=PATIENCE)
        except OSError as error:
            raise ConnectionLost(
                f"time port {address} cannot be reached ({error}); "
                "start labctl serve BENCH --pace 0 and use the address it prints for 'clock'"
            ) from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self._socket.makefile("rb")
        self._lock = threading.Lock()
        self._number = 0
        self._sent: list[tuple[int, int, int]] = []
        super().__init__()
        answer = self._ask("now")
        if answer["pace"] != 0:
            self.close()
            raise ClockError(
                f"the server at {address} runs at pace {answer['pace']:g}: its time cannot be "
                "stepped; start it with --pace 0, or leave clock out of the bench file"
            )

    def move_to(self, when: float) -> None:
        """Have the server consume what was sent and set its time to `when`, never backwards."""
        self.claim()
        if when > self._now:
            self._ask("move", to=when)

    def attach(self, connection: Connection) -> None:
        """Announce a connection that is about to be opened: the server steps it from its start."""
        self._ask("attach", connection=connection)

    def note_sent(self, connection: Connection, count: int) -> None:
        """Remember that `count` bytes went to `connection`; the next question names them."""
        self._sent.append((*connection, count))

    def await_bytes(self, connection: Connection, timeout: float | None) -> int:
        """Let time pass until bytes are due, at most `timeout` s; return all bytes ever promised.

        Without a timeout, ask only for what is due of the replies that the server already knows.
        The promise is a total since the connection was opened, so a read that was interrupted
        does not make the next one wait for bytes that came already.
        """
        self.claim()
        return int(self._ask("receive", connection=connection, timeout=timeout)["expect"])

    def detach(self, connection: Connection) -> None:
        """Have the server consume what was sent before the connection closes."""
        self._ask("detach", connection=connection)

    def close(self) -> None:
        """Close the time port; may be called twice."""
        self._lines.close()
        self._socket.close()

    def _ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """One question and its answer; every answer carries the server's time."""
        with self._lock:
            self._number += 1
            question = {"id": self._number, "do": verb, "sent": self._sent, **arguments}
            try:
                self._socket.sendall(json.dumps(question).encode() + b"\n")
                self._sent = []
                answer = self._answer()
            except TimeoutError:
                raise TransportTimeout(
                    f"time port {self._address}: no answer to {verb!r} in {PATIENCE:g} s; "
                    "is the server still running?"
                ) from None
            except (OSError, ValueError) as error:
                raise ConnectionLost(
                    f"time port {self._address}: {error} on {verb!r}; start the server again"
                ) from None
            if "error" in answer:
                raise ConnectionLost(
                    f"time port {self._address}: {verb!r} refused: {answer['error']}"
                )
            self._now = max(self._now, float(answer["now"]))
            return answer

    def _answer(self) -> dict[str, Any]:
        """The answer to the last question; those to earlier, interrupted ones are skipped."""
        while True:
            line = self._lines.readline()
            if not line:
                raise ConnectionResetError("closed by the server")
            answer: dict[str, Any] = json.loads(line)
            if answer.get("id") == self._number:
                return answer


class SteppedTransport:
    """A TCP connection to a served simulator whose time a `SteppedClock` moves."""

    def __init__(self, host: str, port: int, clock: SteppedClock) -> None:
        self._clock = clock
        self._name = f"{host}:{port}"
        self._promised = 0
        self._read = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket: socket.socket | None = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(PATIENCE)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Bound before it connects, so that the server knows it when it arrives.
            self._socket.bind(("", 0))
            self._connection: Connection = (self._socket.getsockname()[1], port)
            clock.attach(self._connection)
            self._socket.connect((host, port))
        except OSError as error:
            self._socket.close()
            raise ConnectionLost(
                f"tcp://{self._name} cannot be reached ({error}); is the server running?"
            ) from None

    def send(self, data: bytes) -> None:
        """Send all of `data`; the simulator gets it with the clock's next question."""
        if not data:
            return
        try:
            self._open_socket().sendall(data)
        except OSError as error:
            raise ConnectionLost(f"tcp://{self._name}: {error}; open it again") from None
        self._clock.note_sent(self._connection, len(data))

    def receive(self, timeout: float) -> bytes:
        """Return what is due, letting at most `timeout` s pass; b"" if nothing came in time."""
        return self._read_promised(timeout)

    def arrived(self) -> bytes:
        """Return what is due already, without asking the simulator for more."""
        return self._read_promised(None)

    def _read_promised(self, timeout: float | None) -> bytes:
        source = self._open_socket()
        self._promised = self._clock.await_bytes(self._connection, timeout)
        arrived = bytearray()
        while self._read < self._promised:
            try:
                chunk = source.recv(self._promised - self._read)
            except OSError as error:
                raise ConnectionLost(f"tcp://{self._name}: {error}; open it again") from None
            if not chunk:
                raise ConnectionLost(f"tcp://{self._name}: closed by the server; open it again")
            self._read += len(chunk)
            arrived += chunk
        return bytes(arrived)

    def close(self) -> None:
        """Close the connection; what was sent before still reaches the simulator."""
        if self._socket is not None:
            try:
                self._clock.detach(self._connection)
            except TransportError:
                pass  # the server is gone, and with it everything that could still be told
            finally:
                self._socket.close()
                self._socket = None

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionLost(f"the connection to tcp://{self._name} is closed")
        return self._socket


def open_stepped_transport(address: str, clock: SteppedClock) -> SteppedTransport:
    """Open "tcp://HOST:PORT" (or "http://", "socket://") on a server whose time `clock` steps."""
    host, port = _host_and_port(address)
    return SteppedTransport(host, port, clock)


def _host_and_port(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port is None:
        raise TransportError(f"{address!r} is no address; write SCHEME://HOST:PORT")
    return host, port
