"""Qontrol modules on a daisy chain: voltage drivers (Q8iv, Q8b, Q8a) and photodiode inputs (S8i).

Address: `serial:///dev/ttyUSB0?baudrate=115200`. A module may complain at any time: what it says
of an output that it shut off is raised by the next command, unless `check_errors` reads it first.
Channels count from 0 over all modules of the chain. Voltages are in V, currents in mA.
"""

from __future__ import annotations

import math
import re
from typing import Any

from drivers._properties import within
from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError, TransportTimeout
from labctl.instrument import LabInstrument

#: What the codes of `E<code>:<channel>` mean, and what to do.
ERRORS = {
    0: "an unknown error",
    1: "over-voltage: the output was shut off",
    2: "over-current: the output was shut off",
    3: "a power error; check the supply",
    4: "a calibration error",
    5: "an output error",
    10: "it does not know the command",
    11: "it does not take this value",
    12: "there is no such channel; check the chain of modules",
    13: "this is forbidden",
    14: "its buffer overflowed",
    15: "a serial error; check the line",
    16: "the command timed out",
    17: "an SPI error inside",
    18: "a converter error inside",
    19: "an I2C error inside",
    30: "too many errors; some are not shown",
    31: "a fault of its firmware",
    90: "it was just powered up",
}
REFUSING = range(10, 17)  # answers to a command; other codes come by themselves
SERIAL_ERROR = 15
ATTEMPTS = 3  # for a command that a serial error spoilt
BETWEEN = 0.1  # s of silence after which no more lines belong to an answer
RAMP_STEP = 0.05  # s

_ERROR = re.compile(r"E(\d+):(\d+)\s*")
_NUMBER = re.compile(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*(n|u|m|)([VA]?)\s*")
_SCALE = {"n": 1e-6, "u": 1e-3, "m": 1.0, "": 1e3}  # to mA


class _QontrolChain(LabInstrument):
    """What all chains have."""

    FRAMING = Framing(write=b"\n", read=b"\n", timeout=1.0, unasked=True, encoding="latin-1")

    def __init__(self, adapter: Any, name: str = "qontrol", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)
        self._complaints: list[str] = []
        self._modules: list[str] = []

    def identify(self) -> str:
        """The module nearest to the computer."""
        return self.lines("id?")[0].strip("\x00 \r")

    @property
    def modules(self) -> list[str]:
        """Get the identities of the modules in the chain, which get their numbers with it."""
        if not self._modules:
            self.order("nup=0")
            found = self.lines("nupall?", count=0)
            self._modules = [line.partition(":")[0].strip("\x00 \r") for line in found]
        return list(self._modules)

    @property
    def channel_count(self) -> int:
        """Get how many channels the chain has; the kinds of the modules say it (int)."""
        counts = [re.search(r"\d+", module.partition("-")[0]) for module in self.modules]
        return sum(int(count[0]) for count in counts if count)

    def check_errors(self) -> list[str]:
        """Read what the modules complained about since the last look."""
        with self.transaction():
            self._drain()
            complaints, self._complaints = self._complaints, []
        return complaints

    def order(self, command: str) -> None:
        """Send a command that sets something; returns when it is confirmed."""
        for line in self._exchange(command, 1):
            if line.strip() != "OK":
                raise self._nonsense(command, line, "OK")

    def lines(self, query: str, count: int = 1) -> list[str]:
        """Send a question and return the lines of its answer; 0: as many as come."""
        return self._exchange(query, count)

    def _exchange(self, command: str, count: int) -> list[str]:
        with self.transaction():
            self._drain()
            self._raise_complaints()
            for attempt in range(ATTEMPTS):
                self.write(command)
                try:
                    return self._collect(command, count)
                except _SerialError:
                    if attempt == ATTEMPTS - 1:
                        raise
            raise AssertionError("unreachable")

    def _collect(self, command: str, count: int) -> list[str]:
        """The lines that answer `command`; complaints among them are noted, or raised if meant."""
        found: list[str] = []
        while not count or len(found) < count:
            try:
                line = self.read(timeout=BETWEEN if found and not count else self.FRAMING.timeout)
            except TransportTimeout:
                if found and not count:
                    break
                self.clock.wait(self.FRAMING.timeout)  # what comes late must not answer the next
                raise
            if match := _ERROR.fullmatch(line):
                code = int(match[1])
                if code == SERIAL_ERROR:
                    raise _SerialError(self._complaint(match, command))
                if code in REFUSING:
                    raise InstrumentError(self._complaint(match, command))
                self._complaints.append(self._complaint(match))
            else:
                found.append(line)
        return found

    def _drain(self) -> None:
        """Note complaints that came by themselves; other lines are answers that came too late."""
        try:
            text = self.adapter.read_bytes(-1, timeout=0.0).decode("latin-1")
        except TransportTimeout:
            return
        found = (_ERROR.fullmatch(line) for line in text.splitlines())
        self._complaints += [self._complaint(match) for match in found if match]

    def _complaint(self, match: re.Match[str], command: str = "") -> str:
        code, channel = int(match[1]), int(match[2])
        meaning = ERRORS.get(code, "a code that its manual does not explain")
        after = f"{command!r} was refused with" if command else "channel"
        where = f" {match[0].strip()}" if command else f" {channel} reports {match[0].strip()}"
        return f"{self.name}: {after}{where}, {meaning}"

    def _raise_complaints(self) -> None:
        if self._complaints:
            complaints, self._complaints = self._complaints, []
            raise InstrumentError("; ".join(complaints))

    def _channel(self, channel: int) -> int:
        count = self.channel_count
        if isinstance(channel, bool) or not isinstance(channel, int) or not 0 <= channel < count:
            raise RequestError(
                f"{self.name}: channel {channel!r} does not exist; there are 0 to {count - 1}"
            )
        return channel

    def _number(self, query: str, line: str) -> float:
        """A number; currents in mA, whatever unit they come in."""
        match = _NUMBER.fullmatch(line)
        if match is None:
            raise self._nonsense(query, line, "a number")
        return float(match[1]) * (_SCALE[match[2]] if match[3] == "A" else 1.0)

    def _numbers(self, query: str) -> list[float]:
        return [self._number(query, line) for line in self.lines(query, self.channel_count)]


class _SerialError(InstrumentError):
    """A command did not arrive in one piece; it may be sent again."""


class QontrolOutputs(_QontrolChain):
    """Voltage drivers, for example of thermo-optic phase shifters.

    Args:
        adapter: the connection.
        name: the name in the bench file.
        maximum_voltage: what the heaters stand, in V.
    """

    IDENTITY = r"^Q\d"
    SETTINGS = ("modules", "voltages")

    def __init__(
        self,
        adapter: Any,
        name: str = "phases",
        maximum_voltage: float = math.inf,
        **kwargs: Any,
    ) -> None:
        if not maximum_voltage > 0.0:
            raise RequestError(f"{name}: maximum_voltage {maximum_voltage!r} must be positive")
        super().__init__(adapter, name, **kwargs)
        self._maximum = maximum_voltage
        self._full = 0.0

    @property
    def full_scale(self) -> float:
        """Get the highest voltage in V: of the modules, or what the heaters stand (float)."""
        if not self._full:
            self._full = self._number("vfull?", self.lines("vfull?")[0])
        return min(self._full, self._maximum)

    def voltage(self, channel: int) -> float:
        """The voltage of a channel in V, as it is."""
        query = f"V{self._channel(channel)}?"
        return self._number(query, self.lines(query)[0])

    def set_voltage(self, channel: int, volts: float) -> None:
        """Set the voltage of a channel in V."""
        self.order(f"V{self._channel(channel)}={self._allowed(volts):.6g}")

    @property
    def voltages(self) -> list[float]:
        """Control the voltages of all channels in V (list of float)."""
        return self._numbers("Vall?")

    @voltages.setter
    def voltages(self, volts: list[float]) -> None:
        wanted = [self._allowed(value) for value in volts]
        if len(wanted) != self.channel_count:
            raise RequestError(
                f"{self.name}: {self.channel_count} voltages are needed, got {len(wanted)}"
            )
        first = 0
        for module in self.modules:
            found = re.search(r"\d+", module)
            count = int(found[0]) if found else 0
            part = ",".join(f"{value:.6g}" for value in wanted[first : first + count])
            self.order(f"VVEC{first}={part}")
            first += count

    def current(self, channel: int) -> float:
        """The current of a channel in mA."""
        query = f"I{self._channel(channel)}?"
        return self._number(query, self.lines(query)[0])

    @property
    def currents(self) -> list[float]:
        """Get the currents of all channels in mA (list of float)."""
        return self._numbers("Iall?")

    @property
    def power(self) -> float:
        """Get the heat of all channels together in mW (float)."""
        return sum(v * i for v, i in zip(self.voltages, self.currents, strict=True))

    def set_current_limit(self, channel: int, milliampere: float) -> None:
        """Set the current in mA at which a channel is shut off."""
        limit = within(milliampere, (0.0, 1000.0), f"current limit in mA of {self.name}")
        self.order(f"IMAX{self._channel(channel)}={limit:.6g}")

    def ramp(self, channel: int, volts: float, rate: float) -> None:
        """Go to a voltage in V with `rate` V/s, for what stands no jump."""
        goal = self._allowed(volts)
        if not 0.0 < rate < math.inf:
            raise RequestError(f"{self.name}: the rate in V/s must be positive, got {rate!r}")
        start = self.voltage(channel)
        steps = max(1, math.ceil(abs(goal - start) / (rate * RAMP_STEP)))
        for step in range(1, steps + 1):
            self.clock.sleep(RAMP_STEP)
            self.set_voltage(channel, start + (goal - start) * step / steps)

    def make_safe(self) -> None:
        """Switch all heaters off."""
        with self.transaction():
            self.check_errors()
            self.voltages = [0.0] * self.channel_count

    def _allowed(self, volts: float) -> float:
        return within(volts, (0.0, self.full_scale), f"voltage in V of {self.name}")


class QontrolInputs(_QontrolChain):
    """Photodiode inputs."""

    IDENTITY = r"^S\d"
    SETTINGS = ("modules",)

    def current(self, channel: int) -> float:
        """The photocurrent of a channel in mA."""
        query = f"I{self._channel(channel)}?"
        return self._number(query, self.lines(query)[0])

    @property
    def currents(self) -> list[float]:
        """Get the photocurrents of all channels in mA (list of float)."""
        return self._numbers("Iall?")
