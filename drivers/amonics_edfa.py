"""Amonics AEDFA fibre amplifier with one pump, over a serial line (19200 baud, CR LF).

Address: "serial:///dev/ttyUSB0?baudrate=19200". The box has no error queue and sometimes loses a
command, so every setting is read back and sent again. It wants 50 ms between commands.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pymeasure.instruments import Instrument

from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError
from labctl.instrument import LabInstrument

PAUSE = 0.05  # s between two commands
SWITCHING = 3.0  # s within which a switch must have moved
AGAIN = 0.25  # s after which a setting that is not there yet is sent again
OFF, ON, BUSY, LOCK = 0, 1, 2, 4
STATES = {OFF: "off", ON: "on", BUSY: "busy", LOCK: "locked"}
CONTROLS = {"current": ("ACC", "mA"), "power": ("APC", "mW")}
TO_MILLI = {"ma": 1.0, "mw": 1.0, "a": 1e3, "w": 1e3}


class AmonicsEdfa(LabInstrument):
    """Amonics fibre amplifier. Powers are in mW, currents in mA.

    An amplifier that is pumped without input light can destroy itself and what follows it, so
    `emission = True` asks for the input power first.

    Args:
        adapter: the connection.
        name: the name in the bench file.
        control: what is held constant: "current" of the pump, or output "power".
        minimum_input: input (mW) below which the pump is not switched on.
        input_monitor: whether the unit can measure its input; without, nobody checks it.
    """

    FRAMING = Framing(write=b"\r\n", read=b"\r\n", timeout=2.0, encoding="latin-1")
    IDENTITY = r"AEDFA"
    SETTINGS = ("control", "setpoint", "emission")

    model = Instrument.measurement(":CAL:SYS:MODEL?", "Get the model (str).", cast=str, maxsplit=0)
    serial_number = Instrument.measurement(
        ":CAL:SYS:SERIAL?", "Get the serial number (str).", cast=str, maxsplit=0
    )
    interlock = Instrument.measurement(
        ":DRIV:INTERLOCK?",
        "Get whether the interlock locks the pump (bool).",
        values={False: 0, True: 1},
        map_values=True,
    )
    input_power = Instrument.measurement(
        ":SENS:POW:IN:CH1?", "Get the power at the input in mW (float)."
    )
    output_power = Instrument.measurement(
        ":SENS:POW:OUT:CH1?", "Get the power at the output in mW (float)."
    )
    pump_current = Instrument.measurement(
        ":SENS:CUR:CH1?", "Get the current through the pump in mA (float)."
    )
    case_temperature = Instrument.measurement(
        ":SENS:TEMP:BOX?", "Get the temperature of the case in degC (float)."
    )
    _master = Instrument.measurement(":DRIV:MCTRL?", "Get the master control (int).", cast=int)

    def __init__(
        self,
        adapter: Any,
        name: str = "edfa",
        control: str = "current",
        minimum_input: float = 0.01,
        input_monitor: bool = True,
        **kwargs: Any,
    ) -> None:
        self._spoken = -math.inf  # s, when the last command was sent
        super().__init__(adapter, name, **kwargs)
        if control not in CONTROLS:
            raise RequestError(f"{name}: control must be current or power, got {control!r}")
        if not minimum_input > 0:
            raise RequestError(f"{name}: minimum_input must be positive, got {minimum_input!r} mW")
        self.control = control
        self.minimum_input = minimum_input
        self.input_monitor = input_monitor
        self._mode, self.unit = CONTROLS[control]
        self._scale: float | None = None  # mA or mW per unit of the box
        self._limits: tuple[float, float] | None = None

    def write(self, command: str, **kwargs: Any) -> None:
        """Send a command, not sooner than 50 ms after the one before."""
        with self.transaction():
            self.clock.wait(max(0.0, self._spoken + PAUSE - self.clock.now()))
            super().write(command, **kwargs)
            self._spoken = self.clock.now()

    def identify(self) -> str:
        """Model and serial number."""
        return f"{self.model.strip()}, {self.serial_number.strip()}"

    # ---------------------------------------------------------------- set point

    def _ask_number(self, command: str) -> float:
        return float(self.values(command)[0])

    def _unit(self) -> float:
        """How many mA or mW one unit of the box is, asked once."""
        if self._scale is None:
            asked = f":READ:DRIV:UNIT:{self._mode}:CH1?"
            unit = self.ask(asked).strip()
            if unit.lower() not in TO_MILLI:
                raise InstrumentError(f"{self.name}: {asked} was answered with {unit!r}, no unit")
            self._scale = TO_MILLI[unit.lower()]
        return self._scale

    @property
    def limits(self) -> tuple[float, float]:
        """Get the smallest and largest set point (mA or mW), asked once."""
        if self._limits is None:
            low, high = (
                self._ask_number(f":READ:DRIV:{end}:{self._mode}:CH1?") * self._unit()
                for end in ("MIN", "MAX")
            )
            self._limits = low, high
        return self._limits

    @property
    def setpoint(self) -> float:
        """Control the pump current in mA, or the output power in mW (see `control`) (float)."""
        return self._ask_number(f":DRIV:{self._mode}:CUR:CH1?") * self._unit()

    @setpoint.setter
    def setpoint(self, value: float) -> None:
        low, high = self.limits
        if not isinstance(value, int | float) or not low <= value <= high:
            raise RequestError(
                f"{self.name}: {self.control} {value!r} {self.unit} is outside "
                f"{low:g} to {high:g} {self.unit}"
            )

        def there() -> bool:  # the box rounds to steps of 1
            return abs(self.setpoint - value) <= 0.51

        command = f":DRIV:{self._mode}:CUR:CH1 {value / self._unit():.10g}"
        if not self._insist(command, there):
            raise InstrumentError(
                f"{self.name}: {command} was ignored, the set point is still "
                f"{self.setpoint:g} {self.unit}; check the box"
            )

    # ---------------------------------------------------------------- emission

    @property
    def channel_status(self) -> int:
        """Get the status of the channel: 0 off, 1 on, 2 busy, 4 locked (int)."""
        return int(self.values(f":DRIV:{self._mode}:STAT:CH1?", cast=int)[0])

    @property
    def emission(self) -> bool:
        """Control whether the pump runs (bool); switching on needs light at the input.

        Raises:
            InstrumentError: no input light, interlock, or a switch that does not move.
        """
        return bool(self._master == ON)

    @emission.setter
    def emission(self, on: bool) -> None:
        if on:
            self._require_input()
            self.write(f":MODE:SW:CH1 {self._mode}")
            self._switch("channel", f":DRIV:{self._mode}:STAT:CH1", lambda: self.channel_status, ON)
            self._switch("activation", ":DRIV:MCTRL", lambda: int(self._master), ON)
        else:
            self._switch("activation", ":DRIV:MCTRL", lambda: int(self._master), OFF)
            self._switch(
                "channel", f":DRIV:{self._mode}:STAT:CH1", lambda: self.channel_status, OFF
            )

    def _require_input(self) -> None:
        if self.interlock:
            raise InstrumentError(
                f"{self.name}: the interlock is open; close it, then switch the amplifier on"
            )
        if not self.input_monitor:
            return
        power = self.input_power
        if not power >= self.minimum_input:
            level = f"{10 * math.log10(power):.1f} dBm" if power > 0 else "nothing"
            least = 10 * math.log10(self.minimum_input)
            raise InstrumentError(
                f"{self.name}: no input light ({level} instead of at least {least:.1f} dBm); "
                "switch the seed laser on before the amplifier"
            )

    def _switch(self, what: str, command: str, state: Callable[[], int], wanted: int) -> None:
        """Move a switch, insisting; a locked channel is said at once."""
        if state() == wanted:
            return

        def there() -> bool:
            now = state()
            if now == LOCK and wanted == ON:
                raise InstrumentError(
                    f"{self.name}: the {what} is locked, the input was lost while the pump ran; "
                    "bring the light back, then switch the amplifier off and on"
                )
            return now == wanted

        if not self._insist(f"{command} {wanted}", there, lambda: wanted == ON and state() == BUSY):
            raise InstrumentError(
                f"{self.name}: the {what} is {STATES.get(state(), 'in an unknown state')} "
                f"{SWITCHING:g} s after {command} {wanted}; check input, interlock and front panel"
            )

    def _insist(
        self, command: str, there: Callable[[], bool], busy: Callable[[], bool] = lambda: False
    ) -> bool:
        """Send a command again and again until its effect is there; whether it is in the end."""
        deadline = self.clock.now() + SWITCHING
        while self.clock.now() < deadline:
            if not busy():
                self.write(command)
            again = self.clock.now() + AGAIN
            while self.clock.now() < again:
                if there():
                    return True
        return there()

    def make_safe(self) -> None:
        """Switch the pump off, then the channel, and verify both."""
        self.emission = False
