"""AA Opto-Electronic MPDSnC: radio-frequency driver of acousto-optic modulators, serial.

Address: `serial:///dev/ttyUSB0?baudrate=57600`. Each line has a carrier: frequency in MHz, power in
dBm. Pulses are gated by a signal at the lines' inputs, which takes `external`.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from pymeasure.instruments import Instrument

from drivers._properties import within
from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError
from labctl.instrument import LabChannel, LabInstrument

END = "\n\r"
MOST_LINES = 8
POWERS = (0.0, 22.0)  # dBm
#: How exactly a line tells what holds: in MHz, in dBm (one decimal, whatever was sent).
RESOLUTION = {"frequency": 0.0006, "power": 0.051}

_LINE = re.compile(r"l(\d)F(\d+\.\d+)P(\d+\.\d+)S([01])")
_STATUS = re.compile(r"l(\d) F=\s*(\d+\.\d+) P=\s*(\d+\.\d+) (ON|OFF) (INT|EXT)")


@dataclass(frozen=True)
class LineState:
    """What one line does."""

    frequency: float  # MHz
    power: float  # dBm
    output: bool
    external: bool  # gated by the signal at its input


class MpdsChannel(LabChannel):
    """One line."""

    parent: AaMpds

    @property
    def frequency(self) -> float:
        """Control the frequency in MHz (float)."""
        return self._tell()[0]

    @frequency.setter
    def frequency(self, megahertz: float) -> None:
        wanted = within(megahertz, (0.001, 999.999), f"frequency in MHz of {self.label}")
        self._require("frequency", wanted, self._tell(f"F{wanted:07.3f}")[0])

    @property
    def power(self) -> float:
        """Control the power in dBm (float), as far as the modulator stands it."""
        return self._tell()[1]

    @power.setter
    def power(self, dbm: float) -> None:
        limits = (POWERS[0], min(POWERS[1], self.parent.maximum_power))
        wanted = within(dbm, limits, f"power in dBm of {self.label}")
        self._require("power", wanted, self._tell(f"D{wanted:05.2f}")[1])

    @property
    def output(self) -> bool:
        """Control whether the line is on (bool)."""
        return self._tell()[2]

    @output.setter
    def output(self, on: bool) -> None:
        if on and self.power > self.parent.maximum_power + RESOLUTION["power"]:
            most = self.parent.maximum_power
            raise RequestError(
                f"{self.label} is set to {self.power:g} dBm, more than the {most:g} dBm that the "
                "modulator stands; lower the power first"
            )
        if self._tell(f"O{int(bool(on))}")[2] != bool(on):
            raise InstrumentError(f"{self.label} cannot be switched {'on' if on else 'off'}")

    @property
    def external(self) -> bool:
        """Control whether the signal at the line's input gates it (bool)."""
        lines = self.parent.lines
        if self.id not in lines:
            raise InstrumentError(f"{self.parent.name} has no line {self.id}, it has {len(lines)}")
        return lines[self.id].external

    @external.setter
    def external(self, outside: bool) -> None:
        self._tell(f"I{0 if outside else 1}")

    @property
    def label(self) -> str:
        return f"{self.parent.name} line {self.id}"

    def _tell(self, change: str = "") -> tuple[float, float, bool]:
        """Change something, or nothing; frequency (MHz), power (dBm) and whether it is on."""
        command = f"L{self.id}{change}"
        reply = self.parent.exchange(command, END)
        match = _LINE.fullmatch(reply)
        if match is None or int(match[1]) != self.id:
            raise self.parent.nonsense(command, reply)
        return float(match[2]), float(match[3]), match[4] == "1"

    def _require(self, what: str, wanted: float, holds: float) -> None:
        """The driver does not complain: what it answers tells whether it took a value."""
        if abs(wanted - holds) > RESOLUTION[what]:
            unit = "MHz" if what == "frequency" else "dBm"
            raise InstrumentError(
                f"{self.label} did not take the {what} {wanted:g} {unit}, it stays at {holds:g}; "
                "check the range of this model"
            )


class AaMpds(LabInstrument):
    """The driver, with one, four or eight lines `line_1`, `line_2`, ...

    Args:
        adapter: the connection.
        name: the name in the bench file.
        maximum_power: what the modulators stand, in dBm.
    """

    FRAMING = Framing(write=b"", read=b"", timeout=1.0, encoding="latin-1")
    IDENTITY = r"MPDS"
    channels = Instrument.MultiChannelCreator(
        MpdsChannel, tuple(range(1, MOST_LINES + 1)), prefix="line_"
    )

    def __init__(
        self, adapter: Any, name: str = "aom", maximum_power: float = POWERS[1], **kwargs: Any
    ) -> None:
        if not POWERS[0] < maximum_power <= POWERS[1]:
            raise RequestError(f"{name}: maximum_power must be up to 22 dBm, got {maximum_power!r}")
        super().__init__(adapter, name, **kwargs)
        self.maximum_power = maximum_power

    def identify(self) -> str:
        """The product's name."""
        return self.exchange("q", "?").strip()

    @property
    def lines(self) -> dict[int, LineState]:
        """Get what all lines do (dict)."""
        reply = self.exchange("S", "?")
        found = {
            int(number): LineState(float(f), float(p), state == "ON", mode == "EXT")
            for number, f, p, state, mode in _STATUS.findall(reply)
        }
        if not found:
            raise self.nonsense("S", reply)
        return found

    def snapshot(self) -> dict[str, Any]:
        """Settings of all lines."""
        return {
            f"line_{number}.{setting}": value
            for number, line in self.lines.items()
            for setting, value in asdict(line).items()
        }

    def make_safe(self) -> None:
        """Switch all lines off."""
        for number in self.lines:
            self.channels[number].output = False

    def exchange(self, command: str, end: str) -> str:
        """Send a command and return its answer up to `end`."""
        with self.transaction():
            self.adapter.write_bytes((command + END).encode("ascii"))
            reply = ""
            while not reply.endswith(end) and not reply.endswith("?"):
                reply += self.adapter.receive().decode("latin-1")
        return reply.removesuffix(end).strip(END)

    def nonsense(self, command: str, reply: str) -> InstrumentError:
        """The error for an answer that is none."""
        return self._nonsense(command, reply, "the state of a line")
