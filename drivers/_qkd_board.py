"""What drivers of transmitter and receiver boards share (docs/qkd-boards.md)."""

from __future__ import annotations

from typing import Any

from pymeasure.instruments import Instrument

from drivers._properties import number
from labctl.errors import InstrumentError, TransportTimeout
from labctl.instrument import LabInstrument

STARTING = 5.0  # s within which a board that was started must run
POLL = 0.05  # s

ON_OFF: dict[str, Any] = {
    "values": {True: 1, False: 0},
    "map_values": True,
    "check_set_errors": True,
}


class QkdBoard(LabInstrument):
    """One board; the clock is common to all."""

    clock_locked = Instrument.measurement(
        "CLOC:LOCK?",
        "Get whether the clock follows its reference (bool).",
        values={True: 1, False: 0},
        map_values=True,
    )
    clock_rate = Instrument.measurement("CLOC:FREQ?", "Get pulses per second in Hz (float).")
    frame_pulses = number("SYNC:FRAM", "pulses per frame", (1_000, 100_000_000), "%d")
    state = Instrument.measurement(
        "RUN:STAT?", 'Get "IDLE", "ARMED", "RUN" or "FAULT" (str).', cast=str
    )

    @property
    def faults(self) -> list[str]:
        """Get the names of what is or was wrong; those that are over are forgotten (list)."""
        answer = self.ask("FAUL?").strip()
        return [] if answer == "NONE" else answer.split(",")

    def start(self) -> None:
        """Begin a run; returns when it runs.

        Raises:
            InstrumentError: the board reports a fault instead.
            TransportTimeout: it does not run after 5 s.
        """
        self.write("RUN:STAR")
        self.check_set_errors()
        deadline = self.clock.now() + STARTING
        while (state := self.state.strip()) != "RUN":
            if state == "FAULT":
                raise InstrumentError(
                    f"{self.name}: RUN:STAR ended in a fault: {', '.join(self.faults)}; "
                    "check light and sync"
                )
            if self.clock.now() > deadline:
                raise TransportTimeout(
                    f"{self.name}: {state} {STARTING:g} s after RUN:STAR; "
                    "does the transmitter run, with as many pulses per frame?"
                )
            self.clock.sleep(POLL)

    def stop(self) -> None:
        """End the run."""
        self.write("RUN:STOP")
        self.check_set_errors()
