"""Toy instruments for the tests of the server: they know no real protocol but show all its duties.

Commands are lines. Everything a toy says depends on the time at which it was asked.
"""

from __future__ import annotations

import io
import socket
from urllib.parse import urlsplit

import pytest

from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.server import address_of
from simulated_instruments.world import World


class Heater:
    """A part of the world: charge accumulates while it is on, in closed form."""

    def __init__(self) -> None:
        self.now = 0.0
        self.total = 0.0
        self.power = 0.0

    def advance(self, now: float) -> None:
        self.total += self.power * (now - self.now)
        self.now = now


class ToyEndpoint:
    """`NAME?`, `WHEN?` (the time), `SLOW? s` (answers late), `HEAT x`, `TOTAL?`, `BLOCK? n`,
    `PUSH s` (says the time every s, unasked), `BUSY s` (acts on nothing for s), `BREAK` (a bug of
    the simulator), `BYE` (hangs up).
    """

    def __init__(self, toy: SimulatedInstrument) -> None:
        self.toy = toy
        self.world = toy.world
        self.line = b""
        self.pending: list[bytes] = []
        self.busy_until = 0.0
        self.greeting = [b"hello\n"]
        self.push_every = 0.0
        self.push_next = 0.0
        self.closed = False

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        self.world.advance(now)
        replies = [(now, text) for text in self.greeting]
        self.greeting = []
        *lines, self.line = (self.line + data).split(b"\n")
        self.line = self.line[-1000:]
        self.pending += lines
        while self.pending and now >= self.busy_until:
            replies += self.obey(self.pending.pop(0).decode("latin-1").strip(), now)
        if self.pending:
            replies.append((self.busy_until, b""))
        while self.push_every and self.push_next <= now:
            replies.append((now, f"push {self.push_next!r}\n".encode()))
            self.push_next += self.push_every
        return replies

    def close(self) -> None:
        self.toy.hung_up += 1

    def obey(self, line: str, now: float) -> list[tuple[float, bytes]]:
        heater = self.world.part("heater", Heater)
        word, _, rest = line.partition(" ")
        try:
            number = float(rest or 0)
        except ValueError:
            return [(now, b"error\n")]
        if not 0 <= number <= 1e7:
            return [(now, b"error\n")]
        match word:
            case "NAME?":
                return [(now, f"{self.toy.name}\n".encode())]
            case "WHEN?":
                return [(now, f"{now!r}\n".encode())]
            case "SLOW?":
                return [(now + number, f"asked at {now!r}\n".encode())]
            case "HEAT":
                heater.power = number
            case "TOTAL?":
                return [(now + 0.003, f"{heater.total!r}\n".encode())]
            case "BLOCK?":
                return [(now + 0.001, bytes(int(number)) + b"\n")]
            case "BUSY":
                self.busy_until = now + number
            case "PUSH":
                self.push_every, self.push_next = number, now
            case "BREAK":
                raise RuntimeError("a bug of the simulator, made for a test")
            case "BYE":
                self.closed = True
                return [(now, b"bye\n")]
            case _:
                return [(now, b"error\n")]
        return []


class Toy(SimulatedInstrument):
    """Many clients on one port, one client on another."""

    PORTS = {"main": Port("scpi"), "single": Port("toy", connections=1), "web": Port("http")}

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.hung_up = 0  # connections that the server reported as closed

    def connect(self, port: str = "") -> ToyEndpoint:
        if port not in ("", *self.PORTS):
            raise ValueError(f"no port {port!r}")
        return ToyEndpoint(self)


class SerialToy(Toy):
    """The same on a serial line."""

    PORTS = {"line": Port("scpi", transport="serial")}


class Client:
    """A plain blocking socket with a deadline, which no part of labctl has touched."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        assert parts.hostname
        assert parts.port
        try:
            self.socket = socket.create_connection((parts.hostname, parts.port), timeout=10)
        except ConnectionResetError:  # refused: some see it only when they read
            self.socket = socket.socket()
            self.file = io.BytesIO()
        else:
            self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        """The next line; empty if the server hung up."""
        try:
            return self.file.readline()
        except ConnectionError:
            return b""

    def ask(self, command: str) -> str:
        self.send(command.encode() + b"\n")
        return self.line().decode().strip()

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        try:
            return self.file.read()
        except ConnectionError:
            return b""

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture(scope="session")
def toy() -> type[Toy]:
    return Toy


@pytest.fixture(scope="session")
def serial_toy() -> type[SerialToy]:
    return SerialToy


@pytest.fixture
def dial():
    """Open plain clients by address, or by the instrument and port of what `serving` gave."""
    clients: list[Client] = []

    def dialled(where, instrument: str = "", port: str = "") -> Client:
        address = where if isinstance(where, str) else address_of(where, instrument, port)
        clients.append(Client(address))
        return clients[-1]

    yield dialled
    for client in clients:
        client.close()
