"""Simulated Qontrol modules on a daisy chain: Q8iv voltage drivers, and S8i photodiode inputs.

Lines, units and error codes are those of the vendor's client (1.1.20). Every command that sets
answers `OK` unless QUIET; an error is a line `E<code>:<channel>` and may come at any time. Not
simulated: the binary mode, calibration, non-volatile memory, and lines of the log.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any, ClassVar

from labctl.transport import Endpoint
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.physics.phase_shifter import PhaseShifterModel, PhotodiodesModel
from simulated_instruments.world import World

__all__ = ["PhaseShifterModel", "PhotodiodesModel", "SimQontrolInputs", "SimQontrolOutputs"]

PER_MODULE = 8
V_FULL, I_FULL = 12.0, 24.0  # V, mA
V_STEP = V_FULL / 0xFFFF  # of the converters
OVER_VOLTAGE, OVER_CURRENT = 1, 2
UNKNOWN, BAD_VALUE, BAD_CHANNEL, FORBIDDEN, OVERFLOW = 10, 11, 12, 13, 14
LATENCY = 1e-3  # s
TRIP = 5e-3  # s from too much current to the error
LONGEST = 1024  # bytes of a line

_LINE = re.compile(r"([A-Z]+?)(ALL|VEC)?(\d*)([?=])(.*)", re.ASCII)


class QontrolError(Exception):
    """What a command is answered with."""

    def __init__(self, code: int, channel: int = 0) -> None:
        self.text = f"E{code:02d}:{channel:02d}"
        super().__init__(self.text)


class _Chain(SimulatedInstrument):
    """Modules of one kind on one serial line."""

    PORTS: ClassVar[dict[str, Port]] = {"serial": Port("qontrol", transport="serial")}
    kind: ClassVar[str]

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: Any = None
        self.quiet = False
        self.numbered = False  # whether the modules know their places
        self.lines: list[_Line] = []

    def connect(self, port: str = "") -> Endpoint:
        if port not in ("", *self.PORTS):
            raise ValueError(f"{self.name} has no port {port!r}, only {', '.join(self.PORTS)}")
        return _Line(self)

    @property
    def modules(self) -> list[str]:
        """Identities of the modules, the first one nearest to the computer."""
        count = -(-self.model.channels // PER_MODULE)
        return [f"{self.kind}-{n + 1:04X}" for n in range(count)]

    def answer(self, line: str) -> list[str]:
        """The lines that answer a command."""
        match = _LINE.fullmatch(line.strip().upper())
        if match is None:
            raise QontrolError(UNKNOWN)
        name, group, digits, operator, rest = match.groups("")
        if operator == "?":
            if rest:
                raise QontrolError(BAD_VALUE, int(digits or 0))
            if name == "NUP":
                return self._number(group)
            if digits or group == "ALL":
                channels = [self._channel(digits)] if digits else range(self.model.channels)
                return [self.read(name, channel) for channel in channels]
            return [self.about(name)]
        if name == "NUP" and not digits:
            self.numbered = False
        elif name == "QUIET" and not digits:
            self.quiet = bool(_value(rest, 0))
        elif name in ("LED", "LOG"):
            _value(rest, 0)
        elif group == "VEC" and digits:
            first = self._channel(digits)
            values = rest.split(",")
            if first + len(values) > self.model.channels:
                raise QontrolError(BAD_CHANNEL, self.model.channels)
            numbers = {first + n: _value(text, first + n) for n, text in enumerate(values)}
            self.write(name, numbers)
        elif not group and digits:
            channel = self._channel(digits)
            self.write(name, {channel: _value(rest, channel)})
        else:
            raise QontrolError(UNKNOWN)
        return [] if self.quiet else ["OK"]

    def _number(self, group: str) -> list[str]:
        """Number the modules, and say who they are."""
        self.numbered = True
        modules = self.modules if group == "ALL" else self.modules[:1]
        return [f"{module}:{place}" for place, module in enumerate(modules)]

    def _channel(self, digits: str) -> int:
        channel = int(digits[:6])
        if channel >= self.model.channels:
            raise QontrolError(BAD_CHANNEL, channel % 100)
        return channel

    def about(self, name: str) -> str:
        """What a question without channel is answered with."""
        plain = {
            "ID": self.modules[0],
            "NCHAN": str(PER_MODULE),
            "FIRMWARE": "1.5.3",
            "LIFETIME": f"{int(self.world.now)}",
        }
        if name not in plain:
            raise QontrolError(UNKNOWN)
        return plain[name]

    def read(self, name: str, channel: int) -> str:
        """What a question about a channel is answered with."""
        raise NotImplementedError

    def write(self, name: str, values: dict[int, float]) -> None:
        """Set something on channels."""
        raise NotImplementedError


class SimQontrolOutputs(_Chain):
    """Q8iv modules in front of heaters."""

    kind = "Q8iv"

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: PhaseShifterModel = world.part(
            name, lambda: PhaseShifterModel(world.seed_of, name)
        )
        self.model.advance(world.now)
        channels = range(self.model.channels)
        self.limits = {
            "VMAX": dict.fromkeys(channels, V_FULL),
            "IMAX": dict.fromkeys(channels, I_FULL),
        }

    def about(self, name: str) -> str:
        if name == "VFULL":
            return f"{V_FULL:+.3f} V"
        if name == "IFULL":
            return f"{I_FULL:+.3f} mA"
        return super().about(name)

    def read(self, name: str, channel: int) -> str:
        if name == "V":
            return f"{self.model.volts[channel]:+.4f} V"
        if name == "I":
            return f"{1e3 * self.model.ampere(channel):+.4f} mA"
        if name in self.limits:
            unit = "V" if name == "VMAX" else "mA"
            return f"{self.limits[name][channel]:+.4f} {unit}"
        raise QontrolError(UNKNOWN, channel)

    def write(self, name: str, values: dict[int, float]) -> None:
        if name == "I":
            resistance = self.model.resistance_ohm
            values = {n: 1e-3 * value * resistance[n] for n, value in values.items()}
            name = "V"
        most = {"V": V_FULL, "VMAX": V_FULL, "IMAX": I_FULL}.get(name)
        if most is None:
            raise QontrolError(UNKNOWN)
        for channel, value in values.items():
            if not 0.0 <= value <= most:
                raise QontrolError(BAD_VALUE, channel)
        if name != "V":
            self.limits[name].update(values)
            return
        self.model.set_volts({n: round(value / V_STEP) * V_STEP for n, value in values.items()})
        for channel in values:
            self._protect(channel)

    def _protect(self, channel: int) -> None:
        """Shut an output off that is beyond its limits, and tell everybody a little later."""
        over_current = 1e3 * self.model.ampere(channel) > self.limits["IMAX"][channel]
        if over_current or self.model.volts[channel] > self.limits["VMAX"][channel] + V_STEP:
            self.model.set_volts({channel: 0.0})
            code = OVER_CURRENT if over_current else OVER_VOLTAGE
            for line in self.lines:
                line.tell(self.world.now + TRIP, QontrolError(code, channel).text)


class SimQontrolInputs(_Chain):
    """S8i modules behind photodiodes."""

    kind = "S8i"

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: PhotodiodesModel = world.part(
            name, lambda: PhotodiodesModel(world.seed_of, name)
        )
        self.model.advance(world.now)
        self.gains = dict.fromkeys(range(self.model.channels), 0)

    def about(self, name: str) -> str:
        return f"{1.0:+.3f} mA" if name == "IFULL" else super().about(name)

    def read(self, name: str, channel: int) -> str:
        if name == "I":
            return f"{1e3 * self.model.read_ma(channel):+.6f} uA"
        if name == "GAIN":
            return str(self.gains[channel])
        raise QontrolError(UNKNOWN, channel)

    def write(self, name: str, values: dict[int, float]) -> None:
        if name != "GAIN":
            raise QontrolError(FORBIDDEN if name == "I" else UNKNOWN)
        for channel, value in values.items():
            if value not in range(8):
                raise QontrolError(BAD_VALUE, channel)
        self.gains.update({channel: int(value) for channel, value in values.items()})


class _Line:
    """One serial line."""

    def __init__(self, chain: _Chain) -> None:
        self._chain = chain
        self._buffer = b""
        self._unasked: deque[tuple[float, str]] = deque()
        chain.lines.append(self)

    def tell(self, due: float, text: str) -> None:
        """Say something that nobody asked for."""
        self._unasked.append((due, text))

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        self._chain.world.advance(now)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        said = [text for line in lines if line.strip() for text in self._answered(line)]
        replies = [(now + LATENCY, text) for text in said]
        if len(self._buffer) > LONGEST:
            self._buffer = b""
            replies.append((now + LATENCY, QontrolError(OVERFLOW).text))
        while self._unasked and self._unasked[0][0] <= now:
            replies.insert(0, (now, self._unasked.popleft()[1]))
        sent = [(due, f"{text}\n".encode()) for due, text in replies]
        return [*sent, (self._unasked[0][0], b"")] if self._unasked else sent

    def _answered(self, line: bytes) -> list[str]:
        try:
            return self._chain.answer(line.decode("latin-1"))
        except QontrolError as error:
            return [error.text]

    def close(self) -> None:
        """The client is gone."""
        if self in self._chain.lines:
            self._chain.lines.remove(self)


def _value(text: str, channel: int) -> float:
    try:
        value = float(text)
    except ValueError:
        raise QontrolError(BAD_VALUE, channel) from None
    if value != value:
        raise QontrolError(BAD_VALUE, channel)
    return value
