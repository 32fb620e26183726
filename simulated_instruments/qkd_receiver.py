"""Simulated receiver board for decoy-state BB84; the protocol is docs/qkd-boards.md."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from simulated_instruments._qkd_board import (
    DETECTIONS,
    OVERFLOW,
    SYNC,
    Number,
    QkdBoard,
    Switch,
    data_frame,
    scpi,
)
from simulated_instruments.instrument import Port
from simulated_instruments.physics.decoy_bb84 import Clicks
from simulated_instruments.physics.qkd_boards import ReceiverModel
from simulated_instruments.protocol.scpi_syntax import boolean
from simulated_instruments.world import World

__all__ = ["ReceiverModel", "SimQkdReceiver"]

MOST_BLOCKS = 1000
GATE_CENTRE = 500  # ps
RECORD = np.dtype([("index", "<u4"), ("fine", "<u2"), ("detector", "u1"), ("flags", "u1")])


class SimQkdReceiver(QkdBoard):
    """The command set, in front of the receiver that it shares with the world."""

    PORTS: ClassVar[dict[str, Port]] = {
        "main": Port("scpi", default=5026),
        "data": Port("qkd-frames", default=6001, connections=1),
    }
    identity = "OWN,QKDBOARD-RX,0001,0.1"
    SETTINGS = (
        Number("RX:BASis:PROBability", "basis", 0.0, 1.0, 0.5),
        Number("RX:GATE:DELay", "gate_delay", 0.0, 1000.0, 500.0),
        Number("RX:DEAD", "dead_time", 0.0, 100_000.0, 100.0),
        Switch("RX:DRIFt:ENABle", "tracking"),
    )

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: ReceiverModel = world.part(name, lambda: ReceiverModel(world.seed_of, name))

    def connect(self, port: str = "") -> Any:
        if port in ("", "main"):
            return super().connect(port)
        if port == "data":
            return _Frames(self)
        raise ValueError(f"{self.name} has no port {port!r}, only {', '.join(self.PORTS)}")

    @scpi("RUN:STATe?")
    def _state(self) -> str:
        if not self.model.armed:
            return "IDLE"
        return "RUN" if self.model.started is not None else "ARMED"

    @scpi("RX:DRIFt?")
    def _drift(self) -> str:
        return f"{self.model.phase(self.world.now) if self.model.tracking else 0.0:.6f}"

    @scpi("RX:COUNt?")
    def _counts(self) -> str:
        return ",".join(map(str, self.model.rates()))

    @scpi("RX:EVENts")
    def _set_events(self, data: str) -> None:
        on = boolean(data)
        self.forbid_running()
        self.model.events = on

    @scpi("RX:EVENts?")
    def _events(self) -> bool:
        return self.model.events

    @scpi("STATistics:COUNt?")
    def _finished(self) -> int:
        return len(self.model.blocks)

    @scpi("STATistics:BLOCk?")
    def _blocks(self, first: str, count: str) -> str:
        start = round(self.number(first, 0, 2**31))
        number = round(self.number(count, 1, MOST_BLOCKS))
        blocks = self.model.blocks[start : start + number]
        if not blocks:
            return "NONE"
        rows = [np.concatenate([b.sent, b.clicks, b.sifted, b.wrong]) for b in blocks]
        return ",".join(map(str, np.concatenate(rows).tolist()))


class _Frames:
    """The data socket: pushes what the receiver has detected, frame by frame."""

    def __init__(self, board: SimQkdReceiver) -> None:
        self._board = board
        self._synced: float | None = None  # start of the run that was announced

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        board, model = self._board, self._board.model
        board.world.advance(now)
        out: list[tuple[float, bytes]] = []
        if model.started is None or not model.events:
            self._synced = None
            return [(now + 0.1, b"")] if model.armed and model.events else out
        if self._synced != model.started:
            self._synced = model.started
            first = model.frames[0][0] if model.frames else 0
            out.append((now, data_frame(SYNC, first, model.frame_pulses)))
        if model.lost[1]:
            out.append((now, data_frame(OVERFLOW, *model.lost)))
            model.lost = (0, 0)
        while model.frames:
            number, end, clicks = model.frames.popleft()
            payload = self._records(number, clicks)
            frame = data_frame(DETECTIONS, number, len(clicks.pulse), payload)
            out.append((max(now, end), frame))
        ends = model.next_frame_ends()
        return [*out, (ends, b"")] if ends < math.inf else out

    def _records(self, number: int, clicks: Clicks) -> bytes:
        rng = self._board.world.rng(f"{self._board.name}.fine.{number}")
        records = np.zeros(len(clicks.pulse), RECORD)
        records["index"] = clicks.pulse
        fine = GATE_CENTRE + 60.0 * rng.standard_normal(len(records))  # jitter of the detector
        records["fine"] = np.clip(np.rint(fine), 0, 999)
        records["detector"] = clicks.bit if self._board.model.detectors == 2 else 0
        records["flags"] = clicks.basis | clicks.bit << 2
        return records.tobytes()
