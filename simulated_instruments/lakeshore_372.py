"""Simulated resistance bridge and temperature controller Lake Shore 372 with a 16-channel scanner.

Lines end with LF from the host and CR LF from the instrument. Commands are those of the manual
(IEEE 488.2 common commands and the maker's own, no SCPI): readings, scanner, three heater outputs.
Curves, alarms, relays and the control input A are not simulated; outputs 1 and 2 are either open
or closed loop. An error is told by *ESR? alone, as there is no error queue; a query that fails is
not answered.
"""

from __future__ import annotations

import math
from typing import ClassVar

from simulated_instruments.instrument import Port
from simulated_instruments.physics.cryostat import CLOSED_LOOP, OFF, OPEN_LOOP, CryostatModel
from simulated_instruments.protocol.scpi import ScpiError, ScpiInstrument, scpi
from simulated_instruments.protocol.scpi_syntax import number
from simulated_instruments.world import World

__all__ = ["CryostatModel", "SimLakeShore372"]

CHANNELS = range(1, 17)
OUTPUTS = range(3)  # sample heater, warm-up heater, analog/still
#: Full scale (A) of the ranges of the sample heater.
RANGES_A = (0.0, 31.6e-6, 100e-6, 316e-6, 1e-3, 3.16e-3, 10e-3, 31.6e-3, 100e-3)
#: Bits of RDGST?.
TEMPERATURE_UNDER, RESISTANCE_OVER = 128, 16
ROX_OHM, ROX_K = 1000.0, 0.763  # R = ROX_OHM exp((ROX_K / T)^(1/4)), a ruthenium oxide chip
COLDEST_K = 0.005  # end of the calibration


class SimLakeShore372(ScpiInstrument):
    """The command set in front of a `CryostatModel` that the world may have put there."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("lakeshore", default=7777)}
    TERMINATOR: ClassVar[bytes] = b"\r\n"
    CLIPS: ClassVar[bool] = False
    identity = "LSCI,MODEL372,LSA2DE4,1.3"

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: CryostatModel = world.part(name, lambda: CryostatModel(world.seed_of, name))
        self.model.advance(world.now)
        #: Per channel: enabled, dwell (s), pause (s), curve, coefficient.
        self._inputs = {n: [int(n in self.model.stages), 10, 3, 21, 1] for n in CHANNELS}
        #: Per channel: voltage or current, excitation (20 uV), autorange, range, shunt, unit.
        self._types = {n: [0, 3, 1, 15, 0, 1] for n in CHANNELS}
        self._scanned = (min(self.model.stages), True, world.now)  # channel, autoscan, since
        self._last = dict.fromkeys(CHANNELS, world.now)  # s, last look while it was scanned
        #: Per output: mode, input, on after power-up, polarity, filter, delay.
        self._modes = {n: [OFF, 6, 0, 0, 0, 1] for n in OUTPUTS}
        self._ranges = dict.fromkeys(OUTPUTS, 0)
        self._setpoints = dict.fromkeys(OUTPUTS, 0.0)
        self._manual = dict.fromkeys(OUTPUTS, 0.0)
        self._pid = dict.fromkeys(OUTPUTS, (10.0, 20.0, 0.0))
        for output, heater in self.model.heaters.items():
            self._modes[output][1] = heater.channel

    def number_text(self, value: float) -> str:
        return f"{value:+.6E}"

    # ------------------------------------------------- readings and scanner

    def _channel(self, text: str) -> int:
        value = number(text)
        if value not in CHANNELS:
            raise ScpiError(-222)
        return int(value)

    def _seen_at(self, channel: int) -> float:
        """When the scanner last looked at a channel (s)."""
        current, autoscan, since = self._scanned
        now = self.world.now
        enabled = [n for n in CHANNELS if self._inputs[n][0]]
        if not autoscan or channel not in enabled:
            return now if channel == current and self._inputs[channel][0] else self._last[channel]
        start = enabled.index(current) if current in enabled else 0
        order = enabled[start:] + enabled[:start]
        turns = [float(self._inputs[n][1] + self._inputs[n][2]) for n in order]
        place = order.index(channel)
        begin, cycle = sum(turns[:place]), sum(turns)
        into = (now - since) % cycle
        if begin <= into < begin + turns[place]:
            return now
        end = now - into + begin + turns[place] - (cycle if into < begin else 0.0)
        return end if end > since else self._last[channel]

    def _current(self) -> int:
        return next((n for n in CHANNELS if self._seen_at(n) == self.world.now), self._scanned[0])

    @scpi("SCAN")
    def _set_scan(self, channel: str, autoscan: str) -> None:
        wanted, automatic = self._channel(channel), bool(number(autoscan))
        self._last = {n: self._seen_at(n) for n in CHANNELS}
        self._scanned = (wanted, automatic, self.world.now)

    @scpi("SCAN?")
    def _scan(self) -> str:
        return f"{self._current():02d},{int(self._scanned[1])}"

    @scpi("KRDG?")
    def _kelvin(self, channel: str) -> float:
        number = self._channel(channel)
        if number not in self.model.stages or not self._inputs[number][0]:
            return 0.0
        return self.model.reading_k(self._seen_at(number), number)

    @scpi("RDGR?", "SRDG?")
    def _resistance(self, channel: str) -> float:
        kelvin = self._kelvin(channel)
        return ROX_OHM * math.exp((ROX_K / kelvin) ** 0.25) if kelvin else 0.0

    @scpi("QRDG?")
    def _quadrature(self, channel: str) -> float:
        self._channel(channel)
        return 0.0

    @scpi("RDGPWR?")
    def _power(self, channel: str) -> float:
        resistance = self._resistance(channel)
        return (20e-6) ** 2 / resistance if resistance else 0.0

    @scpi("RDGST?")
    def _reading_status(self, channel: str) -> str:
        number = self._channel(channel)
        if number not in self.model.stages or not self._inputs[number][0]:
            return f"{RESISTANCE_OVER:03d}"
        return f"{TEMPERATURE_UNDER * (self._kelvin(channel) < COLDEST_K):03d}"

    @scpi("INSET")
    def _set_input(
        self, channel: str, enabled: str, dwell: str, pause: str, curve: str, slope: str = ""
    ) -> None:
        texts = (enabled, dwell, pause, curve, slope or "1")
        values = [int(number(text)) for text in texts]
        inside = values[0] in (0, 1) and 0 <= values[1] <= 200 and 0 <= values[2] <= 200
        if not inside or (values[0] and values[1] < 1):
            raise ScpiError(-222)
        self._last = {n: self._seen_at(n) for n in CHANNELS}
        scanned, autoscan, _ = self._scanned
        self._scanned = (scanned, autoscan, self.world.now)
        self._inputs[self._channel(channel)] = values

    @scpi("INSET?")
    def _input(self, channel: str) -> str:
        enabled, dwell, pause, curve, slope = self._inputs[self._channel(channel)]
        return f"{enabled},{dwell:03d},{pause:03d},{curve:02d},{slope}"

    @scpi("INTYPE?")
    def _type(self, channel: str) -> str:
        mode, excitation, automatic, span, shunted, unit = self._types[self._channel(channel)]
        return f"{mode},{excitation:02d},{automatic},{span:02d},{shunted},{unit}"

    @scpi("INTYPE")
    def _set_type(
        self, channel: str, mode: str, excitation: str, automatic: str, span: str, shunted: str,
        unit: str,
    ) -> None:  # fmt: skip
        texts = (mode, excitation, automatic, span, shunted, unit)
        values = [int(number(text)) for text in texts]
        most = (1, 22, 2, 22, 1, 1)  # set points in ohm (unit 2) are not simulated
        if any(not 0 <= value <= limit for value, limit in zip(values, most, strict=True)):
            raise ScpiError(-222)
        self._types[self._channel(channel)] = values

    @scpi("INNAME?")
    def _name(self, channel: str) -> str:
        stage = self.model.stages.get(self._channel(channel))
        return f"{stage.name if stage else '':<15.15}"

    @scpi("EMUL")
    def _emulate(self, mode: str) -> None:
        """Emulation of the Model 370, which changes nothing of what is simulated."""
        if number(mode) not in (0, 1):
            raise ScpiError(-222)

    # ------------------------------------------------- heaters

    def _output(self, text: str) -> int:
        value = number(text)
        if value not in OUTPUTS:
            raise ScpiError(-222)
        return int(value)

    def _drive(self, output: int) -> None:
        """Tell the cryostat what the settings come to."""
        heater = self.model.heaters.get(output)
        if heater is None:
            return
        mode, channel, *_ = self._modes[output]
        if mode == CLOSED_LOOP and channel != heater.channel:
            mode = OFF  # it looks at another stage than it heats: nothing sensible comes of it
        fraction = self._manual[output] / 100.0
        if output == 0:  # manual output is in percent of the range, full scale is 100 mA
            fraction *= RANGES_A[self._ranges[0]] / RANGES_A[-1]
        self.model.tell(
            self.world.now,
            output,
            mode=mode,
            setpoint_k=self._setpoints[output],
            fraction=fraction,
            enabled=bool(self._ranges[output]),
        )

    @scpi("OUTMODE")
    def _set_mode(
        self, output: str, mode: str, channel: str, powerup: str, polarity: str, filtered: str,
        delay: str,
    ) -> None:  # fmt: skip
        place = self._output(output)
        wanted = int(number(mode))
        if wanted not in (OFF, OPEN_LOOP, CLOSED_LOOP) or not 1 <= number(delay) <= 255:
            raise ScpiError(-222)
        rest = [int(number(text)) for text in (powerup, polarity, filtered, delay)]
        self._modes[place] = [wanted, self._channel(channel), *rest]
        self._ranges[place] = 0  # the instrument switches an output off whose mode changes
        self._drive(place)

    @scpi("OUTMODE?")
    def _mode(self, output: str) -> str:
        mode, channel, *rest = self._modes[self._output(output)]
        powerup, polarity, filtered, delay = rest
        return f"{mode},{channel},{powerup},{polarity},{filtered},{delay:03d}"

    @scpi("RANGE")
    def _set_range(self, output: str, value: str) -> None:
        place, wanted = self._output(output), number(value)
        if wanted not in (range(len(RANGES_A)) if place == 0 else (0, 1)):
            raise ScpiError(-222)
        self._ranges[place] = int(wanted)
        self._drive(place)

    @scpi("RANGE?")
    def _range(self, output: str) -> int:
        return self._ranges[self._output(output)]

    @scpi("SETP")
    def _set_setpoint(self, output: str, value: str) -> None:
        place, wanted = self._output(output), number(value)
        if not 0.0 <= wanted <= 400.0:
            raise ScpiError(-222)
        self._setpoints[place] = wanted
        self._drive(place)

    @scpi("SETP?")
    def _setpoint(self, output: str) -> float:
        return self._setpoints[self._output(output)]

    @scpi("MOUT")
    def _set_manual(self, output: str, value: str) -> None:
        place, wanted = self._output(output), number(value)
        if not 0.0 <= wanted <= 100.0:
            raise ScpiError(-222)
        self._manual[place] = wanted
        self._drive(place)

    @scpi("MOUT?")
    def _manual_output(self, output: str) -> float:
        return self._manual[self._output(output)]

    @scpi("PID")
    def _set_pid(self, output: str, p: str, i: str, d: str) -> None:
        values = (number(p), number(i), number(d))
        if not (0 <= values[0] <= 1000 and 0 <= values[1] <= 10000 and 0 <= values[2] <= 2500):
            raise ScpiError(-222)
        self._pid[self._output(output)] = values

    @scpi("PID?")
    def _gains(self, output: str) -> str:
        return ",".join(self.number_text(value) for value in self._pid[self._output(output)])

    @scpi("HTR?")
    def _heater_percent(self) -> float:
        if 0 not in self.model.heaters or not self._ranges[0]:
            return 0.0
        current = self.model.heater_fraction(0, self.world.now) * RANGES_A[-1]
        return 100.0 * min(1.0, current / RANGES_A[self._ranges[0]])

    @scpi("AOUT?")
    def _analog_percent(self, output: str) -> float:
        place = self._output(output)
        if place == 0:
            raise ScpiError(-222)
        known = place in self.model.heaters
        return 100.0 * self.model.heater_fraction(place, self.world.now) if known else 0.0

    @scpi("HTRST?")
    def _heater_status(self, output: str) -> int:
        self._output(output)
        return 0
