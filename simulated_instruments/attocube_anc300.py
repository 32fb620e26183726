"""Simulated piezo controller Attocube ANC300: a console over TCP with a password and an echo.

Each axis is a scanner module (ANM200): it holds a voltage. Stepping modules are not simulated. The
console greets, asks for the code, and repeats what is typed until `echo off`; each command ends
with a line `OK`, or with a message and a line `ERROR`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.physics.piezo import MOST_VOLTS, PiezoModel
from simulated_instruments.world import World

__all__ = ["PiezoModel", "SimAnc300"]

CODE = "123456"  # as delivered
LATENCY = 2e-3  # s
LONGEST = 400  # characters of a line that are kept
MODES = ("gnd", "inp", "off", "osc")


class SimAnc300(SimulatedInstrument):
    """The console in front of a `PiezoModel` that the world may have put there."""

    PORTS: ClassVar[dict[str, Port]] = {"console": Port("anc300", default=7230)}

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: PiezoModel = world.part(name, PiezoModel)
        self._commands: dict[str, Callable[..., str]] = {
            "ver": lambda: "attocube ANC300 controller version 1.2.0-1375",
            "getcser": lambda: "ANC300B-C-1514-3006142",
            "getser": lambda axis: f"ANM200A-M-0545-{3010000 + self._axis(axis)}",
            "setm": self._set_mode,
            "getm": lambda axis: f"mode = {self.model.modes[self._axis(axis)]}",
            "seta": self._set_offset,
            "geta": lambda axis: f"voltage = {self.model.volts[self._axis(axis)]:.6f} V",
            "geto": lambda axis: f"voltage = {self.model.applied(self._axis(axis)):.6f} V",
        }

    def connect(self, port: str = "") -> _Console:
        if port not in ("", *self.PORTS):
            raise ValueError(f"{self.name} has no port {port!r}, only {', '.join(self.PORTS)}")
        return _Console(self)

    def answer(self, line: str) -> list[str]:
        """The lines that follow a command."""
        word, *arguments = line.split()
        command = self._commands.get(word)
        if command is None:
            return [f"Unknown command: {word}", "ERROR"]
        try:
            text = command(*arguments)
        except TypeError:
            return ["Wrong number of arguments", "ERROR"]
        except ValueError as error:
            return [str(error), "ERROR"]
        return [text, "OK"] if text else ["OK"]

    def _axis(self, text: str) -> int:
        if text not in self.model.names:
            raise ValueError("Wrong axis number")
        return int(text) - 1

    def _set_mode(self, axis: str, mode: str) -> str:
        place = self._axis(axis)
        if mode not in MODES:
            raise ValueError("Invalid mode for this axis")
        self.model.set(place, mode=mode)
        return ""

    def _set_offset(self, axis: str, text: str) -> str:
        place = self._axis(axis)
        value = float(text)
        if not 0.0 <= value <= MOST_VOLTS:
            raise ValueError("Value out of range")
        self.model.set(place, volts=value)
        return ""


class _Console:
    """One connection."""

    def __init__(self, controller: SimAnc300) -> None:
        self._controller = controller
        self._buffer = b""
        self._greeted = False
        self._inside = False
        self._echo = True

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        self._controller.world.advance(now)
        replies = []
        if not self._greeted:
            self._greeted = True
            replies.append((now, b"attocube ANC300 console\r\nAuthorization code: "))
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        self._buffer = self._buffer[-LONGEST:]
        for raw in lines:
            line = raw.decode("latin-1").strip()
            texts = self._enter(line) if not self._inside else self._command(line)
            if texts:
                replies.append((now + LATENCY, "".join(f"{t}\r\n" for t in texts).encode()))
        return replies

    def _enter(self, line: str) -> list[str]:
        self._inside = line == CODE
        word = "success" if self._inside else "denied"
        return ["*" * len(line), f"Authorization {word}"]

    def _command(self, line: str) -> list[str]:
        if not line:
            return []
        echoed = [f"> {line}"] if self._echo else []
        if line in ("echo on", "echo off"):
            self._echo = line.endswith("on")
            return [*echoed, "OK"]
        return echoed + self._controller.answer(line)
