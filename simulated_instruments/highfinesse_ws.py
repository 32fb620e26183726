"""Simulated wavelength meter HighFinesse WS8 with switch and PID option: its wlmData functions.

Names, arguments, results and codes are those of the vendor's interface of 2024; what a function
gives through pointers comes behind its own result, in a list. Not simulated: interferograms,
linewidth, pulses, triggers, analogue inputs, air wavelengths and set points that depend on time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from labctl.transport import Endpoint
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.physics.wavemeter import (
    EXPOSURES,
    Channel,
    Light,
    WavemeterModel,
    in_unit,
)
from simulated_instruments.protocol.calls import CallEndpoint
from simulated_instruments.world import World

__all__ = ["Light", "SimHighFinesseWs", "WavemeterModel"]

# What functions give instead of a value, and what settings give.
NO_VALUE, WLM_MISSING, NOT_AVAILABLE = 0, -5, -6
OK, SET_MISSING, OUT_OF_RANGE, SET_NOT_AVAILABLE = 0, -1, -3, -6
NO_CHANNEL, UNIT_NOT_AVAILABLE = -10, -15
NOT_A_TEMPERATURE = -1000

STOPPED, ADJUSTMENT, MEASUREMENT = 0, 1, 2
TYPE, SERIAL, REVISION, BUILD = 8, 4711, 1, 2024
LATENCY = 2e-4  # s

# Settings of the regulation, as GetPIDSetting and SetPIDSetting number them.
CONSTANT_DT, PID_DT, CLEAR_HISTORY, CHANNEL = 1059, 1060, 1061, 1063
PID_T, PID_P, PID_I, PID_D, USE_T = 1033, 1034, 1035, 1036, 1031
FACTOR, POLARITY, EXPONENT, DIMENSION, UNIT = 1037, 1038, 1039, 1040, 1041
BOUND_MIN, BOUND_MAX, REF_MID, REF_AT = 1042, 1043, 1044, 1045
REALS = {PID_P: "p", PID_I: "i", PID_D: "d", PID_DT: "dt"}
UNITS = (0, 2)  # nm (vacuum), THz
_COURSE = re.compile(r"\s*=?\s*([0-9.]+(?:[eE][-+]?\d+)?)\s*")
_SPEED_OF_LIGHT = 299_792.458  # nm THz


class SimHighFinesseWs(SimulatedInstrument):
    """The meter's server program, in front of the model that it shares with the world."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("calls")}

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: WavemeterModel = world.part(name, lambda: _alone(world, name))
        self.model.advance(world.now)
        self.running = True  # the server program
        self.courses: dict[int, str] = {}
        self.factors = dict.fromkeys(self.model.channels, (1.0, -3))  # sensitivity
        self.others: dict[tuple[int, int], tuple[int, float]] = {}  # settings without effect

    def connect(self, port: str = "") -> Endpoint:
        if port not in ("", *self.PORTS):
            raise ValueError(f"{self.name} has no port {port!r}, only {', '.join(self.PORTS)}")
        return CallEndpoint(self.world, _functions(self), LATENCY)


def _alone(world: World, name: str) -> WavemeterModel:
    """A meter with a quiet laser of 193.4 THz on channel 1."""
    return WavemeterModel(world.seed_of, name, {1: Light(lambda t: 193.4e12 + 0.0 * t)})


def _functions(sim: SimHighFinesseWs) -> dict[str, Callable[..., Any]]:
    """What one client may call."""
    client = _Client(sim)
    return {
        **{n: getattr(client, n) for n in dir(client) if n[0].isupper()},
        "GetWLMCount": lambda _: int(sim.running),
        "ControlWLMEx": client.control,
        "ConvertUnit": _convert,
    }


class _Client:
    """One program that has loaded the library; methods in capitals are the vendor's functions."""

    def __init__(self, sim: SimHighFinesseWs) -> None:
        self._sim = sim
        self._model = sim.model
        self._single = False  # whether a value is given only once
        self._given: dict[int, int] = {}

    def control(self, action: int, *_: Any) -> int:
        """Show, hide or end the server program; what is not running is started."""
        self._sim.running = action & 0xF != 3
        if not self._sim.running:
            self._model.change(measuring=False)
        return 1

    def Instantiate(self, what: int, mode: int, _: int, __: int) -> int:
        if not self._sim.running:
            return 0
        if what == 0:
            self._single = bool(mode)
        return 1

    # ------------------------------------------------- the program

    def GetWLMVersion(self, what: int) -> int:
        versions = (TYPE, SERIAL, REVISION, BUILD)
        return self._get(lambda: versions[what] if 0 <= what < 4 else NOT_AVAILABLE)

    def GetWLMIndex(self, _: int) -> int:
        return self._get(lambda: 0)

    def PresetWLMIndex(self, _: int) -> int:
        return self._get(lambda: 0)

    def Operation(self, state: int) -> int:
        def operate() -> int:
            if state not in (STOPPED, ADJUSTMENT, MEASUREMENT):
                return OUT_OF_RANGE
            if self._model.measuring != (state == MEASUREMENT):
                self._model.change(measuring=state == MEASUREMENT)
            return OK

        return self._set(operate)

    def GetOperationState(self, _: int) -> int:
        return MEASUREMENT if self._sim.running and self._model.measuring else STOPPED

    def GetChannelsCount(self, _: int) -> int:
        return self._get(lambda: len(self._model.channels))

    def GetSwitcherMode(self, _: int) -> int:
        return self._get(lambda: int(self._model.switching))

    def SetSwitcherMode(self, mode: int) -> int:
        return self._set(lambda: self._change(switching=bool(mode)))

    def GetSwitcherSignalStates(self, number: int) -> list[int]:
        channel = self._model.channels.get(number)
        if not self._sim.running or channel is None:
            return [NO_CHANNEL if self._sim.running else SET_MISSING, 0, 0]
        return [OK, int(channel.used), int(channel.shown)]

    def SetSwitcherSignalStates(self, number: int, used: int, shown: int) -> int:
        def switch(channel: Channel) -> int:
            if channel.used != bool(used):
                self._model.change(used=(number, bool(used)))
            channel.shown = bool(shown)
            return OK

        return self._set_channel(number, switch)

    def GetActiveChannel(self, mode: int, _: int = 0) -> list[int]:
        return [self._get(lambda: self._model.active), 1]

    def SetActiveChannel(self, mode: int, port: int, number: int, _: int) -> int:
        return self._set_channel(number, lambda _: self._change(active=number))

    def _change(self, **changes: Any) -> int:
        self._model.change(**changes)
        return OK

    # ------------------------------------------------- values

    def GetFrequencyNum(self, number: int, _: float) -> float:
        value = self._reading(number)
        return value * 1e-12 if value > 0 else value

    def GetWavelengthNum(self, number: int, _: float) -> float:
        value = self._reading(number)
        return in_unit(value, 0) if value > 0 else value

    def GetFrequency(self, _: float) -> float:
        return self.GetFrequencyNum(1, 0.0)

    def GetWavelength(self, _: float) -> float:
        return self.GetWavelengthNum(1, 0.0)

    def _reading(self, number: int) -> float:
        if not self._sim.running:
            return WLM_MISSING
        if number not in self._model.channels:
            return NOT_AVAILABLE
        which, value = self._model.reading(number)
        if self._single and self._given.get(number) == which:
            return NO_VALUE
        self._given[number] = which
        return value

    def GetPowerNum(self, number: int, _: float) -> float:
        value = self._reading(number)
        return self._model.power_uw(number) if value > 0 else value

    def GetTemperature(self, _: float) -> float:
        return round(self._model.celsius(), 2) if self._sim.running else NOT_A_TEMPERATURE - 5

    def GetPressure(self, _: float) -> float:
        return round(self._model.millibar(), 1) if self._sim.running else NOT_A_TEMPERATURE - 5

    # ------------------------------------------------- exposure

    def GetExposureModeNum(self, number: int, _: int) -> int:
        return self._get_channel(number, lambda channel: int(channel.automatic))

    def SetExposureModeNum(self, number: int, automatic: int) -> int:
        def set_mode(channel: Channel) -> int:
            self._model.exposure_ms(number)  # manual begins with what was found
            channel.automatic = bool(automatic)
            return OK

        return self._set_channel(number, set_mode)

    def GetExposureNum(self, number: int, sensor: int, _: int) -> int:
        if sensor not in (1, 2):
            return NOT_AVAILABLE
        return self._get_channel(number, lambda _: self._model.exposure_ms(number))

    def SetExposureNum(self, number: int, sensor: int, milliseconds: int) -> int:
        def expose(channel: Channel) -> int:
            if sensor not in (1, 2):
                return SET_NOT_AVAILABLE
            if not EXPOSURES[0] <= milliseconds <= EXPOSURES[1]:
                return OUT_OF_RANGE
            channel.exposure_ms = milliseconds
            return OK

        return self._set_channel(number, expose)

    # ------------------------------------------------- regulation

    def GetDeviationMode(self, _: int) -> int:
        return int(self._sim.running and self._model.regulating)

    def SetDeviationMode(self, on: int) -> int:
        def regulate() -> int:
            self._model.regulate(bool(on))
            return OK

        return self._set(regulate)

    def GetDeviationSignalNum(self, port: int, _: float) -> float:
        return self._get_channel(port, lambda channel: channel.output)

    def SetDeviationSignalNum(self, port: int, millivolt: float) -> int:
        def put(channel: Channel) -> int:
            if not channel.bounds[0] <= millivolt <= channel.bounds[1]:
                return OUT_OF_RANGE
            self._model.set_output(port, millivolt)
            return OK

        return self._set_channel(port, put)

    def GetPIDCourseNum(self, port: int, _: str = "") -> list[Any]:
        result = self._set_channel(port, lambda _: OK)
        return [result, self._sim.courses.get(port, "0")]

    def SetPIDCourseNum(self, port: int, text: str) -> int:
        def steer(channel: Channel) -> int:
            match = _COURSE.fullmatch(text)
            try:
                wanted = float(match[1]) if match else -1.0
            except ValueError:
                wanted = -1.0
            if wanted < 0.0:
                return OUT_OF_RANGE
            channel.course = wanted or None
            self._sim.courses[port] = text
            return OK

        return self._set_channel(port, steer)

    def GetPIDSetting(self, setting: int, port: int) -> list[Any]:
        result = self._set_channel(port, lambda _: OK)
        if result != OK:
            return [result, 0, 0.0]
        channel = self._model.channels[port]
        factor, exponent = self._sim.factors[port]
        whole = {
            CONSTANT_DT: int(channel.constant_dt), POLARITY: channel.polarity, CHANNEL: port,
            EXPONENT: exponent, UNIT: channel.unit, DIMENSION: channel.unit,
        }  # fmt: skip
        real = {BOUND_MIN: channel.bounds[0], BOUND_MAX: channel.bounds[1], FACTOR: factor}
        real |= {key: getattr(channel, name) for key, name in REALS.items()}
        known = (setting, port) in self._sim.others or setting in (PID_T, USE_T, CLEAR_HISTORY)
        if setting not in whole and setting not in real and not known:
            return [SET_NOT_AVAILABLE, 0, 0.0]
        plain = self._sim.others.get((setting, port), (0, 0.0))
        return [OK, whole.get(setting, plain[0]), real.get(setting, plain[1])]

    def SetPIDSetting(self, setting: int, port: int, whole: int, real: float) -> int:
        return self._set_channel(
            port, lambda channel: self._set_pid(channel, setting, port, whole, real)
        )

    def _set_pid(self, channel: Channel, setting: int, port: int, whole: int, real: float) -> int:
        factor, exponent = self._sim.factors[port]
        if setting in REALS:
            if setting == PID_DT and not real > 0.0:
                return OUT_OF_RANGE
            setattr(channel, REALS[setting], real)
        elif setting == CONSTANT_DT:
            channel.constant_dt = bool(whole)
        elif setting == POLARITY and whole in (1, -1):
            channel.polarity = whole
        elif setting == FACTOR and real > 0.0:
            self._sim.factors[port] = (real, exponent)
        elif setting == EXPONENT and -15 <= whole <= 15:
            self._sim.factors[port] = (factor, whole)
        elif setting in (UNIT, DIMENSION):
            if whole not in UNITS:
                return UNIT_NOT_AVAILABLE
            channel.unit = whole
        elif setting == BOUND_MIN and real < channel.bounds[1]:
            channel.bounds = (real, channel.bounds[1])
        elif setting == BOUND_MAX and real > channel.bounds[0]:
            channel.bounds = (channel.bounds[0], real)
        elif setting in (PID_T, USE_T, CLEAR_HISTORY, REF_MID, REF_AT):
            self._sim.others[setting, port] = (whole, real)
        elif setting == CHANNEL:
            return OK if whole == port else OUT_OF_RANGE
        elif setting in (POLARITY, FACTOR, EXPONENT, BOUND_MIN, BOUND_MAX):
            return OUT_OF_RANGE
        else:
            return SET_NOT_AVAILABLE
        factor, exponent = self._sim.factors[port]
        channel.sensitivity = factor * 10.0**exponent
        return OK

    def ClearPIDHistory(self, port: int) -> int:
        def clear(channel: Channel) -> int:
            channel.clear()
            return OK

        return self._set_channel(port, clear)

    # ------------------------------------------------- without a program, without a channel

    def _get(self, value: Callable[[], Any]) -> Any:
        return value() if self._sim.running else WLM_MISSING

    def _get_channel(self, number: int, value: Callable[[Channel], Any]) -> Any:
        channel = self._model.channels.get(number)
        return self._get(lambda: NOT_AVAILABLE if channel is None else value(channel))

    def _set(self, change: Callable[[], int]) -> int:
        return change() if self._sim.running else SET_MISSING

    def _set_channel(self, number: int, change: Callable[[Channel], int]) -> int:
        channel = self._model.channels.get(number)
        return self._set(lambda: NO_CHANNEL if channel is None else change(channel))


def _convert(value: float, given: int, wanted: int) -> float:
    """Between nm (vacuum) and THz."""
    if given not in UNITS or wanted not in UNITS or not value > 0.0:
        return UNIT_NOT_AVAILABLE
    return value if given == wanted else _SPEED_OF_LIGHT / value
