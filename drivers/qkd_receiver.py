"""Receiver board for decoy-state BB84 at 1 GHz (docs/qkd-boards.md).

Address: "tcp://HOST:5026", detections come on port 6001 of the same host. The protocol is this
project's own, since no maker publishes one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymeasure.instruments import Instrument

from drivers._properties import number
from drivers._qkd_board import ON_OFF, QkdBoard
from labctl.adapter import ByteAdapter, Framing
from labctl.errors import InstrumentError
from labctl.transport.opening import host_and_port

MAGIC, VERSION = 0x444B5131, 1
DETECTIONS, SYNC = 2, 3  # overflow, 4, shows as a gap in the numbers as well
HEADER = struct.Struct("<IHHIIII")
DATA_PORT = 6001
FRAMES = Framing(write=b"", read=b"", timeout=5.0)
LONGEST = 1 << 28  # bytes of a payload that is believed
RECORD = np.dtype([("index", "<u4"), ("fine", "<u2"), ("detector", "u1"), ("flags", "u1")])
MOST_BLOCKS = 1000


@dataclass(frozen=True)
class Frame:
    """Detections of one frame."""

    number: int
    index: NDArray[np.uint32]  #: of the pulse in the frame
    basis: NDArray[np.uint8]  #: 0 X, 1 Y
    bit: NDArray[np.uint8]
    double: NDArray[np.uint8]  #: 1 where several detectors clicked


class QkdReceiver(QkdBoard):
    """Detections of pulses, counted in blocks of one second or pushed one by one."""

    FRAMING = Framing(timeout=5.0)
    IDENTITY = r"QKDBOARD-RX"
    SETTINGS = (
        "basis_probability", "gate_delay", "dead_time", "tracking", "events", "frame_pulses",
    )  # fmt: skip

    basis_probability = number("RX:BAS:PROB", "probability of basis X", (0.0, 1.0))
    gate_delay = number("RX:GATE:DEL", "delay of the gate in ps", (0.0, 1000.0))
    dead_time = number("RX:DEAD", "dead time of a detector in ns", (0.0, 100_000.0))
    tracking = Instrument.control(
        "RX:DRIF:ENAB?", "RX:DRIF:ENAB %d",
        "Control whether the board follows the interferometer's phase (bool).", **ON_OFF,
    )  # fmt: skip
    drift = Instrument.measurement("RX:DRIF?", "Get what the loop has corrected in rad (float).")
    events = Instrument.control(
        "RX:EVEN?", "RX:EVEN %d", "Control whether detections are pushed one by one (bool).",
        **ON_OFF,
    )  # fmt: skip
    finished_blocks = Instrument.measurement(
        "STAT:COUN?", "Get the number of finished blocks of one second (int).", cast=int
    )

    def __init__(self, adapter: Any, name: str = "receiver", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)
        self._data: ByteAdapter | None = None
        self._expected: int | None = None  # number of the next frame
        self.missing_frames = 0  #: that did not come, since `open_data`

    @property
    def count_rates(self) -> list[float]:
        """Get the clicks of each detector in the last whole second in Hz (list of float)."""
        return [float(v) for v in self.values("RX:COUN?")]

    def blocks(self, first: int, count: int) -> NDArray[np.int64]:
        """Finished blocks, shape (count, 4, 3): sent, clicks, sifted, wrong by intensity."""
        parts = []
        for begin in range(first, first + count, MOST_BLOCKS):
            number = min(MOST_BLOCKS, first + count - begin)
            answer = self.ask(f"STAT:BLOC? {begin},{number}").strip()
            words = [] if answer == "NONE" else answer.split(",")
            if len(words) != 12 * number:
                raise InstrumentError(
                    f"{self.name}: STAT:BLOC? {begin},{number} was answered with "
                    f"{len(words) / 12:g} blocks; wait until finished_blocks says they are there"
                )
            parts.append(np.array(words, np.int64).reshape(number, 4, 3))
        return np.concatenate(parts) if parts else np.zeros((0, 4, 3), np.int64)

    # ---------------------------------------------------------------- detections

    def open_data(self) -> None:
        """Connect to the data socket; before `start`, so that no frame is missed."""
        address = str(getattr(self.adapter, "address", "")) or "tcp://localhost"
        usual = f"tcp://{host_and_port(address, 5026)[0]}:{DATA_PORT}"
        self._data = self.adapter.port("data", usual, FRAMES)
        self._expected, self.missing_frames = None, 0

    def frames(self, count: int) -> Iterator[Frame]:
        """The next `count` frames that come, as they end.

        Gaps in their numbers, and what the board itself says it lost, are counted in
        `missing_frames`.

        Raises:
            InstrumentError: the stream is damaged, or of boards that disagree on the frames.
        """
        received = 0
        while received < count:
            kind, number, size, payload = self._message()
            if kind == SYNC and size != self.frame_pulses:
                raise InstrumentError(
                    f"{self.name}: the stream has frames of {size} pulses, the board was told "
                    f"{self.frame_pulses}; stop both boards and set the same on both"
                )
            if kind == DETECTIONS:
                records = np.frombuffer(payload, RECORD)
                if len(records) != size:
                    raise InstrumentError(
                        f"{self.name}: frame {number} says {size} detections and has "
                        f"{len(records)}; restart the run"
                    )
                if self._expected is not None and number > self._expected:
                    self.missing_frames += number - self._expected
                elif self._expected is not None and number < self._expected:
                    raise InstrumentError(
                        f"{self.name}: frame {number} came after {self._expected - 1}; "
                        "restart the run"
                    )
                self._expected = number + 1
                flags = records["flags"]
                received += 1
                yield Frame(number, records["index"], flags & 1, flags >> 2 & 1, flags >> 1 & 1)

    def _message(self) -> tuple[int, int, int, bytes]:
        """Kind, frame, count and payload of the next message."""
        data = self._data
        if data is None:
            raise InstrumentError(f"{self.name}: the data socket is closed; open_data first")
        head = bytes(data.read_bytes(HEADER.size))
        magic, version, kind, frame, count, length, crc = HEADER.unpack(head)
        if magic != MAGIC or version != VERSION or length > LONGEST:
            raise InstrumentError(
                f"{self.name}: {head[:8].hex(' ')} is no header of version {VERSION}; "
                "restart the run, and check the firmware if it stays so"
            )
        payload = bytes(data.read_bytes(length)) if length else b""
        if zlib.crc32(payload) != crc:
            raise InstrumentError(
                f"{self.name}: the checksum of frame {frame} is wrong; restart the run"
            )
        return kind, frame, count, payload

    def make_safe(self) -> None:
        """End the run."""
        self.stop()
