"""Base of all simulated instruments: named ports in front of a model in the world."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from labctl.transport import Endpoint
from simulated_instruments.world import World


@dataclass(frozen=True)
class Port:
    """One place to connect to on an instrument."""

    protocol: str  # the wire protocol, as `labctl serve --json` prints it: "scpi", "http", ...
    transport: str = "tcp"  # "tcp" or "serial"
    default: int | None = None  # the vendor's TCP port, for documentation
    connections: int = 0  # most connections at the same time; 0 = no limit


class SimulatedInstrument(ABC):
    """A command table in front of a model. Sub-classes are `Sim...(world, name)`."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("scpi")}  # the first is what drivers use

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name

    @abstractmethod
    def connect(self, port: str = "") -> Endpoint:
        """Open one connection to `port` (default: the first of `PORTS`).

        The endpoint calls `self.world.advance(now)` before it acts on what it was fed.
        """
