"""Lake Shore 372 resistance bridge and temperature controller, over TCP (port 7777) or USB.

pymeasure has no class for it. Every message ends with `*ESR?`, as the maker's own software does,
so that a command the instrument does not understand, or refuses, cannot pass silently: it has no
error queue, and it does not answer a query that failed.

Settings for a bench file: `channel` is the thermometer that `temperature_k` reads (6 is the mixing
chamber on many refrigerators) and `output` the heater that `hold` uses for it.
"""

from __future__ import annotations

import math
from typing import Any

from pymeasure.adapters import Adapter

from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError
from labctl.instrument import LabInstrument

CLOSED_LOOP, OPEN_LOOP = 5, 2
SAMPLE_HEATER, WARM_UP_HEATER = 0, 1
#: Bits of *ESR? that mean that something was wrong, and of RDGST?.
COMPLAINTS = {4: "query error", 16: "execution error", 32: "command error"}
READING_FAULTS = (
    "current source overload", "common mode overload", "mixer overload", "difference overload",
    "resistance over range", "resistance under range", "temperature over range",
    "temperature under range",
)  # fmt: skip
WARMEST = 400.0  # K
POLL = 2.0  # s


class LakeShore372(LabInstrument):
    """One bridge with scanner and three heater outputs. Temperatures in K.

    Args:
        adapter: the connection.
        name: the name in the bench file.
        channel: scanner channel of the thermometer that matters most.
        output: heater output that acts on it.
        full_range: range of the sample heater (1 to 8) in closed loop.
    """

    FRAMING = Framing(write=b"\n", read=b"\r\n", timeout=5.0)
    IDENTITY = r"LSCI,MODEL372,"
    SETTINGS = ("temperature_k", "setpoint_k", "heater_range")

    def __init__(
        self,
        adapter: Adapter | str,
        name: str = "thermometer",
        channel: int = 6,
        output: int = SAMPLE_HEATER,
        full_range: int = 8,
        **settings: Any,
    ) -> None:
        super().__init__(adapter, name, **settings)
        for what, value, values in (
            ("channel", channel, range(1, 17)),
            ("output", output, range(3)),
            ("full_range", full_range, range(1, 9)),
        ):
            if value not in values:
                raise RequestError(f"{name}: {what} {value!r} is not {values[0]} to {values[-1]}")
        self.channel, self.output, self.full_range = channel, output, full_range

    # ------------------------------------------------- wire

    def _ask(self, query: str) -> str:
        """Answer to a query, if the instrument has nothing to complain about."""
        reply = self.ask(f"{query};*ESR?").strip()
        value, mark, status = reply.rpartition(";")
        if not mark:
            self._complain(query, status)
            raise self._nonsense(query, reply, "a value and a status")
        self._complain(query, status)
        return value

    def _tell(self, command: str) -> None:
        self._complain(command, self.ask(f"{command};*ESR?").strip())

    def _complain(self, command: str, status: str) -> None:
        try:
            bits = int(status)
        except ValueError:
            raise self._nonsense(command, status, "an event status") from None
        if found := [text for bit, text in COMPLAINTS.items() if bits & bit]:
            raise InstrumentError(
                f"{self.name}: the instrument answers {command!r} with {', '.join(found)}; "
                "check channel, output and value"
            )

    def _number(self, query: str) -> float:
        text = self._ask(query)
        try:
            return float(text)
        except ValueError:
            raise self._nonsense(query, text, "a number") from None

    def identify(self) -> str:
        return self._ask("*IDN?")

    # ------------------------------------------------- readings

    def temperature(self, channel: int) -> float:
        """Temperature (K) that a thermometer showed when the scanner last looked at it.

        Raises:
            InstrumentError: the bridge flags the reading, or the channel is off.
        """
        status = int(self._number(f"RDGST? {channel}"))
        if faults := [text for bit, text in enumerate(READING_FAULTS) if status >> bit & 1]:
            raise InstrumentError(
                f"{self.name}: channel {channel} shows {', '.join(faults)}; check the sensor, "
                "or enable the channel"
            )
        kelvin = self._number(f"KRDG? {channel}")
        if not 0 < kelvin < math.inf:
            raise InstrumentError(
                f"{self.name}: channel {channel} shows {kelvin:g} K; check its curve"
            )
        return kelvin

    @property
    def temperature_k(self) -> float:
        """Get the temperature (K) of the thermometer that the bench file names (float)."""
        return self.temperature(self.channel)

    def resistance(self, channel: int) -> float:
        """Resistance (ohm) of a thermometer."""
        return self._number(f"RDGR? {channel}")

    def look_at(self, channel: int, autoscan: bool = False) -> None:
        """Turn the scanner to a channel, and leave it there unless `autoscan`."""
        self._tell(f"SCAN {channel},{int(autoscan)}")

    # ------------------------------------------------- heaters

    @property
    def setpoint_k(self) -> float:
        """Get the set point (K) of the heater that the bench file names (float)."""
        return self._number(f"SETP? {self.output}")

    @property
    def heater_range(self) -> int:
        """Get the range of that heater; 0 is off (int)."""
        return int(self._number(f"RANGE? {self.output}"))

    def hold(self, kelvin: float, channel: int | None = None, output: int | None = None) -> None:
        """Regulate a stage at `kelvin` from now on; it takes a while to get there."""
        if isinstance(kelvin, bool) or not 0 < kelvin <= WARMEST:
            raise RequestError(
                f"{self.name}: a set point must be above 0 and at most {WARMEST:g} K, "
                f"got {kelvin!r}"
            )
        channel = self.channel if channel is None else channel
        output = self.output if output is None else output
        if self._ask(f"OUTMODE? {output}").split(",")[:2] != [str(CLOSED_LOOP), str(channel)]:
            self._tell(f"OUTMODE {output},{CLOSED_LOOP},{channel},0,0,0,1")
        self._tell(f"SETP {output},{kelvin:.6g}")
        self._tell(f"RANGE {output},{self.full_range if output == SAMPLE_HEATER else 1}")

    def settle(
        self, kelvin: float, channel: int | None = None, tolerance: float = 0.02,
        patience: float = 600.0,
    ) -> float:  # fmt: skip
        """Wait until a stage is within the relative `tolerance` of `kelvin`; returns the reading.

        Raises:
            InstrumentError: it does not get there within `patience` s.
        """
        channel = self.channel if channel is None else channel
        give_up = self.clock.now() + patience
        while True:
            found = self.temperature(channel)
            if abs(found - kelvin) <= tolerance * kelvin:
                return found
            if self.clock.now() > give_up:
                raise InstrumentError(
                    f"{self.name}: channel {channel} is at {1e3 * found:.4g} mK "
                    f"{patience:g} s after {1e3 * kelvin:.4g} mK were asked for; "
                    "ask for another temperature, or find what heats it"
                )
            self.clock.sleep(POLL)

    def off(self, output: int | None = None) -> None:
        """Switch a heater off."""
        self._tell(f"RANGE {self.output if output is None else output},0")

    def make_safe(self) -> None:
        """Switch off both heaters that can warm a stage; the still heater keeps mixture moving."""
        self.off(SAMPLE_HEATER)
        self.off(WARM_UP_HEATER)
