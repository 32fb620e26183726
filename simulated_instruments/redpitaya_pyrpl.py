"""Simulated Red Pitaya with the PyRPL gateware: phase lock, scope and generator by registers.

The wire protocol (TCP, port 2222, little-endian) reads and writes 32-bit words at physical
addresses: a header of operation, 0, number of words (16 bit) and address (32 bit); a write brings
its words. The server answers with the same header and, for a read, the words.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labctl.transport import Endpoint
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.physics.phase_lock import PhaseLoop
from simulated_instruments.protocol.framed import FrameBuffer
from simulated_instruments.redpitaya_model import RedPitayaModel
from simulated_instruments.world import World

__all__ = ["MonitorServer", "RedPitayaModel", "SimRedPitaya"]

#: Seconds from a request to its reply, and more for each word.
EXCHANGE = 2.5e-4
PER_WORD = 5e-8


class MonitorServer:
    """One connection to the register server; it hangs up on what it does not understand."""

    def __init__(self, world: World, model: RedPitayaModel) -> None:
        self.closed = False
        self._world = world
        self._model = model
        self._frames = FrameBuffer(8, _frame_length)

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        self._world.advance(now)
        replies: list[tuple[float, bytes]] = []
        for frame in () if self.closed else self._frames.feed(data):
            operation, count = frame[:1], int.from_bytes(frame[2:4], "little")
            address = int.from_bytes(frame[4:8], "little")
            if operation == b"c":
                self.closed = True
            elif count == 0:
                continue
            elif operation == b"r":
                words = self._model.read(address, count, now)
                due = now + EXCHANGE + PER_WORD * count
                replies.append((due, frame + words.astype("<u4").tobytes()))
            elif operation == b"w":
                self._model.write(address, np.frombuffer(frame, "<u4", offset=8), now)
                replies.append((now + EXCHANGE + PER_WORD * count, frame[:8]))
            else:
                self.closed = True
            if self.closed:
                break
        return replies


def _frame_length(header: bytes) -> int:
    words = int.from_bytes(header[2:4], "little") if header[:1] == b"w" else 0
    return 8 + 4 * words


class SimRedPitaya(SimulatedInstrument):
    """The board with its register server. On its own it looks at an interferometer at 0.4 V."""

    PORTS: ClassVar[dict[str, Port]] = {"registers": Port("pyrpl", default=2222, connections=1)}

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)

        def seed_of(owner: str) -> int:
            return world.seed_of(f"{name}.{owner}")

        self.model: RedPitayaModel = world.part(
            name, lambda: RedPitayaModel(seed_of, loop=PhaseLoop(seed_of))
        )

    def connect(self, port: str = "") -> Endpoint:
        if port not in ("", *self.PORTS):
            raise ValueError(f"{self.name} has no port {port!r}, only {', '.join(self.PORTS)}")
        return MonitorServer(self.world, self.model)
