"""A driver alone, against bytes out of a manual; and a driver in front of its simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labctl.adapter import ByteAdapter
from labctl.clock import VirtualClock
from labctl.transport.link import Link
from simulated_instruments.faults import FaultPlan, wrap
from simulated_instruments.world import World


class Script:
    """A transport that expects exact bytes and gives prepared answers."""

    def __init__(self, *exchanges: tuple[bytes, bytes], greeting: bytes = b"") -> None:
        self.exchanges = list(exchanges)
        self.waiting = greeting

    def send(self, data: bytes) -> None:
        assert self.exchanges, f"nothing more was expected, but {data!r} was sent"
        expected, reply = self.exchanges.pop(0)
        assert data == expected
        self.waiting += reply

    def receive(self, timeout: float) -> bytes:
        data, self.waiting = self.waiting, b""
        return data

    def close(self) -> None:
        pass


def scripted(
    driver: type,
    *exchanges: tuple[bytes, bytes],
    name: str = "it",
    greeting: bytes = b"",
    **settings: Any,
) -> tuple[Any, Script]:
    """A driver that must say exactly this; the script is empty when it has said all.

    All connections of the instrument share the script.
    """
    script = Script(*exchanges, greeting=greeting)
    adapter = ByteAdapter(
        lambda: script,
        VirtualClock(),
        name=name,
        framing=driver.FRAMING,
        address="tcp://it:1",
        open_port=lambda port, usual: lambda: script,
    )
    return driver(adapter, name=name, **settings), script


class Wire:
    """A client that speaks lines to a simulator in virtual time."""

    def __init__(self, simulator: Any) -> None:
        self.simulator = simulator
        self.model = simulator.model
        self.clock = VirtualClock()
        self.link = Link(simulator.connect(), self.clock)

    def say(self, text: str) -> None:
        self.link.send(text.encode() + b"\n")

    def ask_bytes(self, text: str, timeout: float = 60.0) -> bytes:
        self.say(text)
        return self.link.receive(timeout)

    def ask(self, text: str, timeout: float = 60.0) -> str:
        return self.ask_bytes(text, timeout).decode().removesuffix("\n")


def in_front_of(
    simulator: Any,
    driver: type,
    faults: FaultPlan | None = None,
    clock: VirtualClock | None = None,
    **settings: Any,
) -> Any:
    """A driver in virtual time; `driver.clock` is the bench's, or the one that is given."""
    clock = clock or VirtualClock(simulator.world.now)

    def opener(port: str, usual: str = "") -> Callable[[], Link]:
        def link() -> Link:
            endpoint = simulator.connect(port)
            return Link(wrap(endpoint, faults) if faults else endpoint, clock)

        return link

    adapter = ByteAdapter(
        opener(""),
        clock,
        name=simulator.name,
        framing=driver.FRAMING,
        address="tcp://it:1",
        open_port=opener,
    )
    return driver(adapter, name=simulator.name, **settings)


def simulated(
    simulator: type, driver: type, faults: FaultPlan | None = None, **settings: Any
) -> tuple[Any, Any]:
    """A driver and the simulator behind it, in a world of their own."""
    built = simulator(World(1), "it")
    return in_front_of(built, driver, faults, **settings), built
