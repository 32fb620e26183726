"""Simulated Red Pitaya STEMlab 125-14 4-Input with the SCPI server (OS 2.0): acquisition and pins.

Four fast inputs into one circular buffer of 16384 samples, one trigger, digital pins, four slow
analog outputs. There is no generator on this board; deep memory, streaming and split triggers are
not simulated. Lines end with CR LF both ways. Binary data are blocks of big-endian 16-bit integers
(RAW) or 32-bit floats (VOLTS). A trigger other than NOW never comes: nothing is connected to it.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from simulated_instruments.instrument import Port
from simulated_instruments.physics.digitiser import (
    BUFFER,
    CHANNELS,
    STEPS_PER_VOLT,
    DigitiserModel,
)
from simulated_instruments.protocol.scpi import ScpiError, ScpiInstrument, scpi
from simulated_instruments.protocol.scpi_syntax import boolean, choice, number
from simulated_instruments.world import World

__all__ = ["DigitiserModel", "SimRedPitayaScpi"]

FASTEST, SLOWEST = 0, 16  # powers of two of the decimation
MOST_VOLTS = 1.8  # of a slow analog output
TRIGGERS = ("DISABLED", "NOW", *(f"CH{n}_{edge}E" for n in range(1, 5) for edge in "PN"),
            "EXT_PE", "EXT_NE", "AWG_PE", "AWG_NE")  # fmt: skip
PINS = tuple(f"DIO{n}_{side}" for n in range(8) for side in "PN") + tuple(
    f"LED{n}" for n in range(8)
)


class SimRedPitayaScpi(ScpiInstrument):
    """The command set in front of a `DigitiserModel` that the world may have put there."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("scpi", default=5000)}
    TERMINATOR: ClassVar[bytes] = b"\r\n"
    CLIPS: ClassVar[bool] = False
    identity = "REDPITAYA,INSTR2024,0,01-02"

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: DigitiserModel = world.part(name, lambda: DigitiserModel(world.seed_of, name))
        self.model.advance(world.now)
        self._inputs: set[str] = set(PINS[:16])

    def number_text(self, value: float) -> str:
        return f"{value:.6g}"

    def reset(self) -> None:
        self.model.preset()

    @scpi("SYSTem:BRD:Name?")
    def _board(self) -> str:
        return "STEMlab 125-14 4-Input"

    # ------------------------------------------------- acquisition

    @scpi("ACQ:RST")
    def _acquisition_reset(self) -> None:
        self.model.preset()

    @scpi("ACQ:STARt")
    def _start(self) -> None:
        self.model.start()

    @scpi("ACQ:STOP")
    def _stop(self) -> None:
        self.model.started = None

    @scpi("ACQ:DECimation", "ACQ:DECimation:Factor")
    def _set_decimation(self, data: str) -> None:
        value = number(data)
        if value not in [2**n for n in range(FASTEST, SLOWEST + 1)]:
            raise ScpiError(-222)
        self.model.decimation = int(value)

    @scpi("ACQ:DECimation?", "ACQ:DECimation:Factor?")
    def _decimation(self) -> int:
        return self.model.decimation

    @scpi("ACQ:AVG")
    def _set_averaging(self, data: str) -> None:
        self.model.averaging = boolean(data)

    @scpi("ACQ:AVG?")
    def _averaging(self) -> str:
        return "ON" if self.model.averaging else "OFF"

    @scpi("ACQ:DATA:Units")
    def _set_units(self, data: str) -> None:
        self.model.units = choice(data, ("RAW", "VOLTS"))

    @scpi("ACQ:DATA:Units?")
    def _units(self) -> str:
        return self.model.units

    @scpi("ACQ:DATA:FORMAT")
    def _set_format(self, data: str) -> None:
        self.model.format = choice(data, ("ASCII", "BIN"))

    @scpi("ACQ:DATA:FORMAT?")
    def _format(self) -> str:
        return self.model.format

    @scpi("ACQ:SOUR{n}:GAIN")
    def _set_gain(self, n: int, data: str) -> None:
        self.model.gains[self._input(n)] = choice(data, ("LV", "HV"))

    @scpi("ACQ:SOUR{n}:GAIN?")
    def _gain(self, n: int) -> str:
        return self.model.gains[self._input(n)]

    @scpi("ACQ:BUF:SIZE?")
    def _size(self) -> int:
        return BUFFER

    def _input(self, n: int) -> int:
        if not 1 <= n <= CHANNELS:
            raise ScpiError(-114)
        return n - 1

    # ------------------------------------------------- trigger

    @scpi("ACQ:TRig")
    def _trigger(self, source: str) -> None:
        if choice(source, TRIGGERS) == "NOW":
            self.model.trigger()

    @scpi("ACQ:TRig:STAT?")
    def _trigger_state(self) -> str:
        waiting = self.model.started is not None and self.model.triggered is None
        return "WAIT" if waiting else "TD"

    @scpi("ACQ:TRig:FILL?")
    def _filled(self) -> int:
        return int(self.world.now >= self.model.filled_at)

    @scpi("ACQ:TRig:DLY")
    def _set_delay(self, data: str) -> None:
        self.model.delay = int(self.number(data, -BUFFER // 2, 2**30))

    @scpi("ACQ:TRig:DLY?")
    def _delay(self) -> int:
        return self.model.delay

    @scpi("ACQ:TRig:LEV")
    def _set_level(self, data: str) -> None:
        self.model.level = self.number(data, -1.0, 1.0, 0.0, "V")

    @scpi("ACQ:TRig:LEV?")
    def _level(self) -> float:
        return self.model.level

    @scpi("ACQ:TPOS?")
    def _position(self) -> int:
        return (BUFFER // 2 - self.model.delay) % BUFFER

    # ------------------------------------------------- data

    @scpi("ACQ:SOUR{n}:DATA?")
    def _all(self, n: int) -> str | bytes:
        return self._send(n, slice(None))

    @scpi("ACQ:SOUR{n}:DATA:Old:N?")
    def _oldest(self, n: int, count: str) -> str | bytes:
        return self._send(n, slice(0, self._count(count)))

    @scpi("ACQ:SOUR{n}:DATA:LATest:N?")
    def _latest(self, n: int, count: str) -> str | bytes:
        return self._send(n, slice(BUFFER - self._count(count), None))

    @scpi("ACQ:SOUR{n}:DATA:STArt:N?")
    def _part(self, n: int, start: str, count: str) -> str | bytes:
        first = int(self.number(start, 0, BUFFER - 1))
        return self._send(n, slice(first, first + self._count(count)))

    def _count(self, text: str) -> int:
        return int(self.number(text, 1, BUFFER))

    def _send(self, n: int, part: slice) -> str | bytes:
        model = self.model
        channel = self._input(n)
        codes = model.codes()[part, channel]
        volts = codes / STEPS_PER_VOLT * (1.0 if model.gains[channel] == "LV" else 20.0)
        if model.format == "ASCII":
            if model.units == "RAW":
                return "{" + ",".join(map(str, codes.tolist())) + "}"
            return "{" + ",".join(f"{value:.6f}" for value in volts.tolist()) + "}"
        raw = model.units == "RAW"
        body = codes.astype(">i2").tobytes() if raw else volts.astype(np.dtype(">f4")).tobytes()
        size = str(len(body))
        return f"#{len(size)}{size}".encode() + body

    # ------------------------------------------------- pins

    def _pin(self, text: str) -> str:
        name = text.strip().upper()
        if name not in PINS:
            raise ScpiError(-224)
        return name

    @scpi("DIG:PIN:DIR")
    def _set_direction(self, direction: str, pin: str) -> None:
        name = self._pin(pin)
        if choice(direction, ("IN", "OUT")) == "IN":
            self._inputs.add(name)
            self.model.pins[name] = False
        else:
            self._inputs.discard(name)

    @scpi("DIG:PIN:DIR?")
    def _direction(self, pin: str) -> str:
        return "IN" if self._pin(pin) in self._inputs else "OUT"

    @scpi("DIG:PIN")
    def _set_pin(self, pin: str, value: str) -> None:
        name = self._pin(pin)
        if number(value) not in (0, 1) or name in self._inputs:
            raise ScpiError(-221)
        self.model.pins[name] = bool(number(value))

    @scpi("DIG:PIN?")
    def _read_pin(self, pin: str) -> int:
        return int(self.model.pins.get(self._pin(pin), False))

    @scpi("DIG:RST")
    def _reset_pins(self) -> None:
        self._inputs = set(PINS[:16])
        self.model.pins.clear()

    def _analog(self, text: str) -> int:
        name = text.strip().upper()
        if name not in ("AOUT0", "AOUT1", "AOUT2", "AOUT3"):
            raise ScpiError(-224)
        return int(name[-1])

    @scpi("ANALOG:PIN")
    def _set_analog(self, pin: str, value: str) -> None:
        place = self._analog(pin)
        self.model.outputs[place] = self.number(value, 0.0, MOST_VOLTS, unit="V")

    @scpi("ANALOG:PIN?")
    def _read_analog(self, pin: str) -> float:
        return self.model.outputs[self._analog(pin)]

    @scpi("ANALOG:RST")
    def _reset_analog(self) -> None:
        self.model.outputs = [0.0] * 4
