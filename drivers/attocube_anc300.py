"""Attocube ANC300 piezo controller, over its console on TCP port 7230: scanner axes.

pymeasure has `ANC300Controller`; a driver of our own, because that class talks in its constructor,
enters the code once and not again after a lost connection, and leaves an axis where it was when a
command is refused without saying which. Axes must be in mode `inp` to hold a voltage: the value
that `seta` sets is only applied there.
"""

from __future__ import annotations

import re
from typing import Any

from pymeasure.adapters import Adapter

from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError
from labctl.instrument import LabInstrument

SETTLE = 0.2  # s after a step, ten times the low-pass of a scanner module
_VALUE = re.compile(r"=\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)")
MOST_LINES = 20


class Anc300(LabInstrument):
    """Scanner axes by number, voltages in V.

    Args:
        adapter: the connection.
        name: the name in the bench file.
        axes: how many axes are in use, from number 1 on.
        code: authorization code of the console.
        maximum: most voltage (V) that the scanners stand at this temperature.
    """

    FRAMING = Framing(
        write=b"\r\n", read=b"\r\n", banner=b"Authorization code: ", timeout=3.0, unasked=True
    )
    IDENTITY = r"attocube ANC300"

    def __init__(
        self,
        adapter: Adapter | str,
        name: str = "piezos",
        axes: int = 4,
        code: str = "123456",
        maximum: float = 120.0,
        **settings: Any,
    ) -> None:
        super().__init__(adapter, name, **settings)
        if not 1 <= axes <= 7 or not 0 < maximum <= 150:
            raise RequestError(f"{name}: axes must be 1 to 7 and maximum up to 150 V")
        self.axes, self.maximum = axes, float(maximum)
        self._code = code
        self._connection: Any = None  # on which the code was entered

    # ------------------------------------------------- console

    def _enter(self) -> None:
        """Give the code, once per connection, and switch the echo off."""
        self.adapter.settle()
        if self._connection is self.adapter.connection:
            return
        self.write(self._code)
        self.read()  # stars
        if "success" not in (answer := self.read()):
            raise InstrumentError(
                f"{self.name}: the console answers the code with {answer!r}; set `code` in the "
                "bench file"
            )
        self._connection = self.adapter.connection
        self._reply("echo off")

    def _reply(self, command: str) -> str:
        self.write(command)
        lines: list[str] = []
        while len(lines) < MOST_LINES:
            line = self.read().strip()
            if line == "OK":
                return "\n".join(part for part in lines if not part.startswith("> "))
            if line == "ERROR":
                raise InstrumentError(
                    f"{self.name}: {command!r} was answered with {' '.join(lines)!r}; check axis "
                    "and value"
                )
            lines.append(line)
        raise InstrumentError(f"{self.name}: {command!r} has no end; check the connection")

    def command(self, text: str) -> str:
        """Send one command; returns its answer without the final OK."""
        with self.transaction():
            self._enter()
            return self._reply(text)

    def identify(self) -> str:
        return self.command("ver")

    # ------------------------------------------------- axes

    def _require(self, axis: int) -> None:
        if axis not in range(1, self.axes + 1):
            raise RequestError(f"{self.name}: axes are 1 to {self.axes}, got {axis!r}")

    def require_voltage(self, volts: float) -> None:
        """Refuse a voltage that the scanners do not stand."""
        if isinstance(volts, bool) or not 0.0 <= volts <= self.maximum:
            raise RequestError(
                f"{self.name}: {volts:.4g} V is outside what the scanners stand, 0 to "
                f"{self.maximum:g} V"
            )

    def hold(self, axis: int, volts: float) -> None:
        """Apply a voltage to an axis and wait until it has settled."""
        self._require(axis)
        self.require_voltage(volts)
        self.command(f"seta {axis} {volts:.4f}")
        if self.command(f"getm {axis}").partition("=")[2].strip() != "inp":
            self.command(f"setm {axis} inp")
        self.clock.sleep(SETTLE)

    def voltage(self, axis: int) -> float:
        """Voltage (V) that an axis has now."""
        self._require(axis)
        reply = self.command(f"geto {axis}")
        if not (match := _VALUE.search(reply)):
            raise self._nonsense(f"geto {axis}", reply, "a voltage")
        return float(match[1])

    def snapshot(self) -> dict[str, Any]:
        """Voltages of all axes."""
        return {f"axis {axis}": self.voltage(axis) for axis in range(1, self.axes + 1)}

    def make_safe(self) -> None:
        """Piezos stay where they are: a held voltage does no harm, a jump may."""
