"""Simulated radio-frequency driver AA Opto-Electronic MPDS4C for acousto-optic modulators, serial.

Four lines with frequency and power each; what gates them is a signal at their inputs, which the
world knows. Lines end with LF CR. Messages are those of the public client `aaopto_aotf` 0.0.12; a
command that it does not know is answered with `?` (assumed). A frequency or power out of range is
ignored, and the answer tells what holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from labctl.transport import Endpoint
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.world import World

__all__ = ["MpdsModel", "SimMpds"]

END = b"\n\r"
LINES = 4
FREQUENCIES, POWERS = (60.0, 150.0), (0.0, 22.0)  # MHz, dBm
PRODUCT = "MPDS4C-B66-22-60.150-RS"
LATENCY = 5e-3  # s
LONGEST = 256  # bytes of a line

_CHANNEL = re.compile(r"L([0-9])((?:[FDOI][0-9.]+)*)")
_PART = re.compile(r"([FDOI])([0-9.]+)")


@dataclass
class MpdsLine:
    """One output."""

    mhz: float = 110.0
    dbm: float = 0.0
    on: bool = False
    external: bool = True  # gated by the signal at its input


class MpdsModel:
    """The outputs, by number from 1."""

    def __init__(self, lines: int = LINES) -> None:
        self.lines = {number: MpdsLine() for number in range(1, lines + 1)}
        self.stored = {number: MpdsLine() for number in self.lines}
        self.blanked_outside = False  # whether the blanking input must be high

    def dbm(self, number: int) -> float:
        """Power (dBm) that leaves a line while its gate is open; -inf when it is off."""
        line = self.lines[number]
        return line.dbm if line.on else -float("inf")

    def advance(self, now: float) -> None:
        """Nothing changes by itself."""


class SimMpds(SimulatedInstrument):
    """The serial port, in front of the model that the world may read."""

    PORTS: ClassVar[dict[str, Port]] = {"serial": Port("mpds", transport="serial")}

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: MpdsModel = world.part(name, MpdsModel)
        self.ten_volts = False

    def connect(self, port: str = "") -> Endpoint:
        if port not in ("", *self.PORTS):
            raise ValueError(f"{self.name} has no port {port!r}, only {', '.join(self.PORTS)}")
        return _Endpoint(self)

    def answer(self, command: str) -> bytes:
        """What is answered to a command without its end."""
        if command.startswith("L"):
            return self._channel(command)
        if command == "S":
            return END + self._status() + END + b"?"
        if command == "q":
            return PRODUCT.encode() + END + b"?"
        if command in ("V0", "V1"):
            self.ten_volts = command == "V1"
            return b""
        if command in ("I", "I0", "I1"):
            external = command == "I1"
            for line in self.model.lines.values():
                line.external = external
            self.model.blanked_outside = external
            return b""
        if command == "M":
            self._reset()
            return b""
        if command == "E":
            copies = {n: MpdsLine(line.mhz, line.dbm) for n, line in self.model.lines.items()}
            self.model.stored = copies
            return END + b"?"
        return END + b"?"

    def _reset(self) -> None:
        """Stored frequencies and powers, gated from outside, off."""
        for number, stored in self.model.stored.items():
            self.model.lines[number] = MpdsLine(stored.mhz, stored.dbm)

    def _channel(self, command: str) -> bytes:
        match = _CHANNEL.fullmatch(command)
        number = int(match[1]) if match else -1
        if match is None or (number and number not in self.model.lines):
            return END + b"?"
        for letter, text in _PART.findall(match[2]):
            try:
                value = float(text)
            except ValueError:
                return END + b"?"
            if number == 0:
                if letter == "I":
                    self.model.blanked_outside = value == 0.0
                continue
            self._set(self.model.lines[number], letter, value)
        if number == 0:
            return self._blanking() + END
        line = self.model.lines[number]
        return f"l{number}F{line.mhz:.3f}P{line.dbm:.1f}S{int(line.on)}".encode() + END

    @staticmethod
    def _set(line: MpdsLine, letter: str, value: float) -> None:
        if letter == "F" and FREQUENCIES[0] <= value <= FREQUENCIES[1]:
            line.mhz = value
        elif letter == "D" and POWERS[0] <= value <= POWERS[1]:
            line.dbm = value
        elif letter == "O" and value in (0.0, 1.0):
            line.on = bool(value)
        elif letter == "I" and value in (0.0, 1.0):
            line.external = value == 0.0

    def _status(self) -> bytes:
        """All lines and the blanking."""
        texts = []
        for number, line in self.model.lines.items():
            state, mode = ("ON" if line.on else "OFF"), ("EXT" if line.external else "INT")
            texts.append(f"l{number} F={line.mhz:.3f} P={line.dbm:.3f} {state} {mode}".encode())
        return END.join([*texts, self._blanking()])

    def _blanking(self) -> bytes:
        return b"Blanking ON " + (b"EXT" if self.model.blanked_outside else b"INT")


class _Endpoint:
    """One serial line; `M` and `E` need no end."""

    def __init__(self, driver: SimMpds) -> None:
        self._driver = driver
        self._buffer = b""

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        self._driver.world.advance(now)
        self._buffer += data
        replies: list[tuple[float, bytes]] = []
        while self._buffer:
            self._buffer = self._buffer.lstrip(b"\n\r")
            if self._buffer[:1] in (b"M", b"E"):
                command, self._buffer = self._buffer[:1], self._buffer[1:]
            else:
                end = self._buffer.find(END)
                if end < 0:
                    self._buffer = self._buffer[-LONGEST:]
                    break
                command, self._buffer = self._buffer[:end], self._buffer[end + len(END) :]
            reply = self._driver.answer(command.decode("latin-1").strip())
            if reply:
                replies.append((now + LATENCY, reply))
        return replies
