"""Simulated magnet supply programmer AMI Model 430 (firmware 3.20) with a persistent switch.

It greets each connection with two lines, ends its lines with CR LF, and counts fields in kG. What
the coil stands (quench, ramp rate) is the model's; the programmer itself refuses rates above the
limit that was configured for the magnet (`CONFigure:RAMP:RATE:CURRent`, one segment).
"""

from __future__ import annotations

import re
from typing import ClassVar

from simulated_instruments.instrument import Port
from simulated_instruments.physics.magnet import (
    PAUSED,
    RAMPING,
    ZEROING,
    MagnetModel,
)
from simulated_instruments.protocol.scpi import ScpiError, ScpiInstrument, scpi
from simulated_instruments.protocol.scpi_endpoint import ScpiEndpoint
from simulated_instruments.protocol.scpi_syntax import number
from simulated_instruments.world import World

__all__ = ["MagnetModel", "SimAmi430"]

GREETING = b"American Magnetics Model 430 IP Interface\r\nHello.\r\n"
LOWEST_RATE = 1e-4  # A/s
_SEGMENT = re.compile(r":(\d+)\?")  # of RAMP:RATE:FIELD:1?, which is no SCPI header


class SimAmi430(ScpiInstrument):
    """The command set in front of a `MagnetModel` that the world may have put there."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("ami", default=7180)}
    TERMINATOR: ClassVar[bytes] = b"\r\n"
    CLIPS: ClassVar[bool] = False
    ERROR_FORMAT: ClassVar[str] = '{code},"{text}"'
    identity = "AMERICAN MAGNETICS INC.,MODEL 430,3.20"

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: MagnetModel = world.part(name, lambda: MagnetModel(world.seed_of, name))
        self.model.advance(world.now)
        self.coil_constant = self.model.coil_constant  # kG/A, as configured
        self.current_limit = 80.0  # A
        self.voltage_limit = 5.0  # V

    def connect(self, port: str = "") -> ScpiEndpoint:
        return _Greeting(self)

    def number_text(self, value: float) -> str:
        return f"{value:.8g}"

    # ------------------------------------------------- configuration

    @scpi("CONFigure:COIL")
    def _set_coil(self, data: str) -> None:
        self.coil_constant = self.number(data, 1e-3, 1e3)

    @scpi("COIL?", "COILconst?")
    def _coil(self) -> float:
        return self.coil_constant

    @scpi("CONFigure:VOLTage:LIMit")
    def _set_voltage(self, data: str) -> None:
        self.voltage_limit = self.number(data, 0.001, 10.0)

    @scpi("VOLTage:LIMit?")
    def _voltage(self) -> float:
        return self.voltage_limit

    @scpi("CONFigure:CURRent:LIMit")
    def _set_limit(self, data: str) -> None:
        self.current_limit = self.number(data, 0.0, 100.0)

    @scpi("CURRent:LIMit?")
    def _limit(self) -> float:
        return self.current_limit

    @scpi("FIELD:UNITS?")
    def _units(self) -> int:
        return 0  # kG

    @scpi("RAMP:RATE:UNITS?")
    def _rate_units(self) -> int:
        return 0  # per second

    @scpi("CONFigure:CURRent:TARGet")
    def _set_current(self, data: str) -> None:
        self.model.target = self.number(data, -self.current_limit, self.current_limit)

    @scpi("CURRent:TARGet?")
    def _current_target(self) -> float:
        return self.model.target

    @scpi("CONFigure:FIELD:TARGet")
    def _set_field(self, data: str) -> None:
        most = self.current_limit * self.coil_constant
        self.model.target = self.number(data, -most, most) / self.coil_constant

    @scpi("FIELD:TARGet?")
    def _field_target(self) -> float:
        return self.model.target * self.coil_constant

    @scpi("CONFigure:RAMP:RATE:CURRent")
    def _set_current_rate(self, segment: str, data: str, bound: str = "") -> None:
        self._segment(segment)
        self.model.set_rate(self.number(data, LOWEST_RATE, 10.0))

    @scpi("CONFigure:RAMP:RATE:FIELD")
    def _set_field_rate(self, segment: str, data: str, bound: str = "") -> None:
        self._segment(segment)
        scale = self.coil_constant
        self.model.set_rate(self.number(data, LOWEST_RATE * scale, 10.0 * scale) / scale)

    def _segment(self, text: str) -> None:
        if number(text) != 1:
            raise ScpiError(-222)

    @scpi("RAMP:RATE:CURRent{n}?")
    def _current_rate(self, segment: int) -> str:
        return f"{self.model.rate:.8g},{self.current_limit:.8g}"

    @scpi("RAMP:RATE:FIELD{n}?")
    def _field_rate(self, segment: int) -> str:
        scale = self.coil_constant
        return f"{self.model.rate * scale:.8g},{self.current_limit * scale:.8g}"

    # ------------------------------------------------- ramps and readings

    @scpi("RAMP")
    def _ramp(self) -> None:
        self.model.go(self.model.target, RAMPING)

    @scpi("PAUSE")
    def _pause(self) -> None:
        self.model.pause()

    @scpi("ZERO")
    def _zero(self) -> None:
        self.model.go(0.0, ZEROING)

    @scpi("STATE?")
    def _state(self) -> int:
        return self.model.state(self.world.now)

    @scpi("FIELD:MAGnet?")
    def _field(self) -> float:
        """What the programmer works out from the current and its coil constant."""
        return round(self.model.coil_current(self.world.now) * self.coil_constant, 7)

    @scpi("FIELD:SUPPly?")
    def _supply_field(self) -> float:
        return round(self.model.supply_current(self.world.now) * self.coil_constant, 7)

    @scpi("CURRent:MAGnet?")
    def _current(self) -> float:
        return round(self.model.coil_current(self.world.now), 6)

    @scpi("CURRent:SUPPly?")
    def _supply(self) -> float:
        return round(self.model.supply_current(self.world.now), 6)

    @scpi("QUench?")
    def _quench(self) -> int:
        return int(self.model.quenched)

    @scpi("QUench")
    def _set_quench(self, data: str) -> None:
        if number(data):
            raise ScpiError(-222)
        self.model.reset_quench()

    @scpi("PSwitch")
    def _set_switch(self, data: str) -> None:
        self.model.heat_switch(bool(number(data)))

    @scpi("PSwitch?")
    def _switch(self) -> int:
        return int(self.model.switch_heater)

    @scpi("PSwitch:INSTalled?")
    def _has_switch(self) -> int:
        return 1

    def reset(self) -> None:
        self.model.go(self.model.supply_current(self.world.now), PAUSED)


class _Greeting(ScpiEndpoint):
    """A connection that is greeted before anything else, and knows segments as nodes (":1")."""

    _greeted = False

    def _next_message(self) -> str | None:
        message = super()._next_message()
        return message and _SEGMENT.sub(r"\1?", message)

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        replies = super().feed(data, now)
        if self._greeted:
            return replies
        self._greeted = True
        return [(now, GREETING), *replies]
