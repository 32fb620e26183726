"""Simulated fibre amplifier Amonics AEDFA, one channel: lines over a serial port.

A unit of 23 dBm, unless the model that the world made is of another size.

The commands look like SCPI but have no short forms, no error queue and no `*IDN?`. What the box
does not understand, or does not accept, it ignores; a question then stays without answer. A
setting that comes within 50 ms of the command before is sometimes lost.

Sources: public drivers that were tested on hardware (AEDFA-PA-30-B-FA and 13, 23 and 27 dBm units,
AEDFA-IL-23-B-FA), one of them written from the programming manual.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import ClassVar

from labctl.transport import Endpoint
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.physics.edfa import MAXIMUM_MA, STARTING, EdfaModel
from simulated_instruments.world import World

__all__ = ["EdfaModel", "SimAmonicsEdfa"]

OFF, ON, BUSY, LOCK = 0, 1, 2, 4  # status of channel and master control
PAUSE = 0.05  # s that must pass between commands
LOST = 0.3  # probability that a setting is lost otherwise
LATENCY = 0.02  # s from the end of a question to its answer
LONGEST = 200  # characters of a line that are kept
PUMP_MW_PER_MA = 0.8

_LINE = re.compile(r"(:[A-Z0-9_:]+)(?:(\?)| +(\S+))", re.IGNORECASE)


class SimAmonicsEdfa(SimulatedInstrument):
    """Questions and settings, in front of the amplifier that it shares with the world."""

    PORTS: ClassVar[dict[str, Port]] = {"serial": Port("scpi", transport="serial")}

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: EdfaModel = world.part(name, lambda: EdfaModel(world.seed_of, name))
        self.locked = False  # the interlock at the back
        self._serial = f"{world.seed_of(f'{name}.serial') % 10**8:08d}"
        self._channel_since = -math.inf  # s
        self._latest = -math.inf  # s, the last command
        self._settings = 0  # that came too early
        model = self.model
        self._questions: dict[str, Callable[[float], str]] = {
            ":CAL:SYS:MODEL": lambda t: f"AEDFA-{10 * math.log10(model.maximum_mw):.0f}-B-FA",
            ":CAL:SYS:SERIAL": lambda t: self._serial,
            ":READ:MODE:NAMES": lambda t: "ACC APC",
            ":MODE:SW:CH1": lambda t: "APC" if model.constant_power else "ACC",
            ":DRIV:INTERLOCK": lambda t: str(int(self.locked)),
            ":DRIV:MCTRL": lambda t: str(self._master(t)),
            ":DRIV:ACC:STAT:CH1": lambda t: str(self._channel(t)),
            ":DRIV:APC:STAT:CH1": lambda t: str(self._channel(t)),
            ":DRIV:ACC:CUR:CH1": lambda t: f"{model.current:e}",
            ":DRIV:APC:CUR:CH1": lambda t: f"{model.power:e}",
            ":READ:DRIV:UNIT:ACC:CH1": lambda t: "mA",
            ":READ:DRIV:UNIT:APC:CH1": lambda t: "mW",
            ":READ:DRIV:MIN:ACC:CH1": lambda t: f"{0.0:e}",
            ":READ:DRIV:MIN:APC:CH1": lambda t: f"{0.0:e}",
            ":READ:DRIV:MAX:ACC:CH1": lambda t: f"{MAXIMUM_MA:e}",
            ":READ:DRIV:MAX:APC:CH1": lambda t: f"{model.maximum_mw:e}",
            ":SENS:CUR:CH1": lambda t: f"{model.pump_ma(t):e}",
            ":SENS:POW:IN:CH1": lambda t: f"{max(float(model.input_mw(t)), 0.0):e}",
            ":SENS:POW:OUT:CH1": lambda t: f"{model.total_mw(t):e}",
            ":SENS:POW:PD:CH1": lambda t: f"{PUMP_MW_PER_MA * model.pump_ma(t):e}",
            ":SENS:TEMP:BOX": lambda t: f"{model.case_celsius(t):e}",
            ":SENS:THRES:ALARM:POW:IN:LOS:CH1": lambda t: str(int(model.dark(t))),
            ":SENS:THRES:ALARM:POW:IN:LOS:CH1:LATCH": lambda t: str(int(model.tripped)),
            ":THRES:POW:IN:LEV:SET1": lambda t: f"{model.loss_dbm:e}",
            ":THRES:POW:IN:STAT:SET1": lambda t: str(int(model.watch_input)),
        }

    def connect(self, port: str = "") -> Endpoint:
        if port not in ("", *self.PORTS):
            raise ValueError(f"{self.name} has no port {port!r}, only {', '.join(self.PORTS)}")
        return _Lines(self)

    def answer(self, line: str, t: float) -> str:
        """What the box says to a line that arrives at `t` (s); usually nothing."""
        hurried = t < self._latest + PAUSE - 1e-9
        self._latest = t
        match = _LINE.fullmatch(line.strip())
        if match is None:
            return ""
        header = match[1].upper()
        if match[2]:
            question = self._questions.get(header)
            return question(t) if question else ""
        if hurried:
            self._settings += 1
            if self.world.rng(f"{self.name}.lost.{self._settings}").random() < LOST:
                return ""
        self._set(header, match[3].upper(), t)
        return ""

    def _set(self, header: str, text: str, t: float) -> None:
        model = self.model
        if header == ":MODE:SW:CH1":
            if text in ("ACC", "APC") and not model.active:
                model.tell(t, constant_power=text == "APC")
            return
        try:
            value = float(text)
        except ValueError:
            return
        mode = "APC" if model.constant_power else "ACC"
        if header == ":DRIV:ACC:CUR:CH1" and 0.0 <= value <= MAXIMUM_MA:
            model.tell(t, current=value)
        elif header == ":DRIV:APC:CUR:CH1" and 0.0 <= value <= model.maximum_mw:
            model.tell(t, power=value)
        elif header == f":DRIV:{mode}:STAT:CH1" and value in (0.0, 1.0):
            on = bool(value)
            if on and not model.channel:
                self._channel_since = t
            model.set_channel(on, t)
        elif header == ":DRIV:MCTRL" and value == 1.0:
            if not self.locked and self._channel(t) == ON:
                model.activate(t)
        elif header == ":DRIV:MCTRL" and value == 0.0:
            model.deactivate(t)
        elif header == ":THRES:POW:IN:LEV:SET1" and -40.0 <= value <= 10.0:
            model.loss_dbm = value
        elif header == ":THRES:POW:IN:STAT:SET1" and value in (0.0, 1.0):
            model.watch_input = bool(value)
        elif header == ":THRES:INTERLOCK:UNLOCK" and value == 1.0 and not model.dark(t):
            model.tripped = False

    def lock(self, locked: bool) -> None:
        """Open or close the interlock at the back; an open one ends the activation."""
        self.locked = locked
        if locked:
            self.model.deactivate(self.world.now)

    def _channel(self, t: float) -> int:
        self.model.lit(t)  # the interlock may have tripped by now
        if self.model.tripped:
            return LOCK
        if not self.model.channel:
            return OFF
        return BUSY if t < self._channel_since + STARTING else ON

    def _master(self, t: float) -> int:
        lit = self.model.lit(t)
        return ON if lit else (BUSY if self.model.active else OFF)


class _Lines:
    """One serial line."""

    def __init__(self, edfa: SimAmonicsEdfa) -> None:
        self._edfa = edfa
        self._buffer = b""

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        self._edfa.world.advance(now)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        self._buffer = self._buffer[-LONGEST:]
        answers = [self._edfa.answer(line.decode("latin-1"), now) for line in lines]
        return [(now + LATENCY, f"{text}\r\n".encode()) for text in answers if text]
