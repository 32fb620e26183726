"""What both simulated boards of docs/qkd-boards.md share: clock, frames, faults, data frames."""

from __future__ import annotations

import struct
import zlib
from typing import Any

from simulated_instruments.protocol.scpi import Number, ScpiError, ScpiInstrument, Switch, scpi
from simulated_instruments.protocol.scpi_syntax import choice

MAGIC, VERSION = 0x444B5131, 1
SETTINGS, DETECTIONS, SYNC, OVERFLOW = 1, 2, 3, 4
SETTINGS_CONFLICT = -221

__all__ = ["Number", "QkdBoard", "ScpiError", "Switch", "data_frame", "scpi"]


def data_frame(kind: int, frame: int, count: int, payload: bytes = b"") -> bytes:
    """Header and payload of one message of the data socket."""
    header = (MAGIC, VERSION, kind, frame & 0xFFFFFFFF, count, len(payload), zlib.crc32(payload))
    return struct.pack("<IHHIIII", *header) + payload


class QkdBoard(ScpiInstrument):
    """Commands that transmitter and receiver have in common."""

    CLIPS = False
    ERROR_FORMAT = '{code:d},"{text}"'

    def number_text(self, value: float) -> str:
        return f"{value:.9g}"

    def reset(self) -> None:
        self.model.restore()

    def running(self) -> bool:
        """Whether settings that belong to a run are locked."""
        return self.model.started is not None or getattr(self.model, "armed", False)

    def forbid_running(self) -> None:
        if self.running():
            raise ScpiError(SETTINGS_CONFLICT, "stop first")

    @scpi("CLOCk:FREQuency?")
    def _frequency(self) -> str:
        return "1000000000"

    @scpi("CLOCk:SOURce")
    def _set_source(self, data: str) -> None:
        self.model.external_clock = choice(data, ("INTernal", "EXTernal")) == "EXT"

    @scpi("CLOCk:SOURce?")
    def _source(self) -> str:
        return "EXT" if self.model.external_clock else "INT"

    @scpi("CLOCk:LOCK?")
    def _locked(self) -> int:
        return 1

    @scpi("SYNC:FRAMe")
    def _set_frame(self, data: str) -> None:
        pulses = self.number(data, 1_000, 100_000_000, 10_000_000)
        self.forbid_running()
        self.model.frame_pulses = round(pulses)

    @scpi("SYNC:FRAMe?")
    def _frame(self) -> int:
        return int(self.model.frame_pulses)

    @scpi("RUN:STARt")
    def _start(self) -> None:
        if not self.running():
            self.model.start()

    @scpi("RUN:STOP")
    def _stop(self) -> None:
        self.model.stop()

    @scpi("FAULt?")
    def _faults(self) -> str:
        faults: dict[str, Any] = self.model.faults
        text = ",".join(faults) or "NONE"
        for name in [name for name, holds in faults.items() if not holds]:
            del faults[name]
        return text
