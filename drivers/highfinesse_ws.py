"""Wavelength meters HighFinesse WS and WSU with fibre switch and PID option, over wlmData.

Address: `lib://drivers.highfinesse_library:WlmData`, with `?path=FILE` if the library is not where
the vendor's installer puts it. The meter's own program must run, here or, for the vendor's client
library, on the computer that has the meter. Frequencies are vacuum values in THz.
"""

from __future__ import annotations

import math
from typing import Any

from pymeasure.instruments import Instrument

from drivers._properties import within
from labctl.errors import InstrumentError, RequestError, TransportTimeout
from labctl.instrument import LabChannel, LibraryInstrument

CHANNELS = 8
STOPPED, MEASURING = 0, 2  # of Operation
PID_P, PID_I, PID_D = 1034, 1035, 1036
FACTOR, POLARITY, EXPONENT, DIMENSION, UNIT = 1037, 1038, 1039, 1040, 1041
BOUND_MIN, BOUND_MAX = 1042, 1043
THZ = 2
POLL = 2e-3  # s between two looks for a new value
NO_VALUE = 0

#: What the meter gives instead of a value.
NO_RESULT = {
    0: "no value yet; is it measuring, and is this channel in use?",
    -1: "no signal; check laser, shutter and fibre",
    -2: "a bad signal; check that the laser runs on one mode",
    -3: "a signal that is too low; give more light or a longer exposure",
    -4: "a signal that is too strong; give less light or a shorter exposure",
    -5: "that no meter is there; start the wavelength meter's program",
    -6: "that it cannot do this; check model, options and channel",
    -8: "no pulse",
    -13: "a division by zero",
    -14: "a result outside its range",
    -15: "that it does not know this unit",
}
#: Why it refuses a setting.
REFUSED = {
    -1: "no meter is there; start the wavelength meter's program",
    -2: "it could not be set",
    -3: "the value is out of range",
    -4: "it has no resources left",
    -5: "an internal error",
    -6: "this meter does not have it; check model and options",
    -7: "the meter is busy; try again",
    -8: "it is not measuring; set measuring = True",
    -9: "it must not measure meanwhile; set measuring = False",
    -10: "there is no such channel",
    -11: "the channel is not available at the moment",
    -15: "it does not know this unit",
    -20: "another program has the right to change this",
}
#: Results below this stand for no temperature or pressure.
NO_WEATHER = -999.0


class WavemeterChannel(LabChannel):
    """One input of the switch and the output that regulates the laser on it."""

    parent: HighFinesseWs

    @property
    def frequency(self) -> float:
        """Get the last measured frequency in THz (float)."""
        return self._value("GetFrequencyNum", "frequency")

    @property
    def wavelength(self) -> float:
        """Get the last measured wavelength in vacuum in nm (float)."""
        return self._value("GetWavelengthNum", "wavelength")

    @property
    def power(self) -> float:
        """Get the light power at the last measurement in uW (float)."""
        return self._value("GetPowerNum", "power")

    def next_frequency(self, timeout: float = 5.0) -> float:
        """Wait for a frequency that was not read before, and return it in THz.

        Raises:
            TransportTimeout: the meter gave none within `timeout` s.
        """
        clock = self.parent.clock
        give_up = clock.now() + timeout
        self.parent.read_each_once(True)
        try:
            while True:
                value = float(self.parent.call("GetFrequencyNum", self.id, 0.0))
                if value != NO_VALUE:
                    return self.parent.checked(value, f"frequency of channel {self.id}")
                if clock.now() > give_up:
                    raise TransportTimeout(
                        f"{self.parent.name}: no new value on channel {self.id} in {timeout:g} s; "
                        "is it measuring, and is this channel in use?"
                    )
                clock.sleep(POLL)
        finally:
            self.parent.read_each_once(False)

    @property
    def used(self) -> bool:
        """Control whether the switch measures this channel in its turn (bool)."""
        return bool(self._states()[0])

    @used.setter
    def used(self, on: bool) -> None:
        self.parent.set("SetSwitcherSignalStates", self.id, int(bool(on)), int(bool(on)))

    @property
    def auto_exposure(self) -> bool:
        """Control whether the meter looks for the exposure itself (bool)."""
        return bool(self.parent.call("GetExposureModeNum", self.id, False))

    @auto_exposure.setter
    def auto_exposure(self, on: bool) -> None:
        self.parent.set("SetExposureModeNum", self.id, bool(on))

    @property
    def exposure(self) -> int:
        """Control the exposure in ms (int); setting it ends the automatic one."""
        return int(self._value("GetExposureNum", "exposure", 1, 0))

    @exposure.setter
    def exposure(self, milliseconds: int) -> None:
        self.auto_exposure = False
        self.parent.set("SetExposureNum", self.id, 1, int(milliseconds))

    @property
    def deviation(self) -> float:
        """Control the voltage at the regulation's output in mV (float)."""
        return float(self.parent.call("GetDeviationSignalNum", self.id, 0.0))

    @deviation.setter
    def deviation(self, millivolt: float) -> None:
        if self.parent.regulation:
            raise RequestError(
                f"{self.parent.name}: the regulation moves the output of channel {self.id}; "
                "switch it off first (regulation = False)"
            )
        self.parent.set("SetDeviationSignalNum", self.id, float(millivolt))

    @property
    def course(self) -> str:
        """Get the regulation's set point, a text: a number, or an expression of time (str)."""
        result, text = self.parent.call("GetPIDCourseNum", self.id)
        self.parent.accepted(int(result), f"the set point of channel {self.id}")
        return str(text)

    def regulate(
        self,
        frequency: float,
        sensitivity: float,
        *,
        p: float = 0.0,
        i: float = 10.0,
        d: float = 0.0,
        limits: tuple[float, float] = (-10_000.0, 10_000.0),
    ) -> None:
        """Prepare to hold a laser; `regulation = True` begins with it.

        Args:
            frequency: where to, in THz.
            sensitivity: how far the laser goes for 1 V at the output, in GHz; with its sign.
            p: proportional part.
            i: integral part in 1/s; times the time between readings of this channel it is how
                much of a deviation is corrected at once, and must stay well below 2.
            d: differential part in s.
            limits: of the output, in mV.
        """
        name, meter = f"{self.parent.name} channel {self.id}", self.parent
        within(frequency, (100.0, 1000.0), f"frequency in THz for {name}")
        if not 1e-6 <= abs(sensitivity) <= 1e6:
            raise RequestError(f"the sensitivity in GHz/V of {name} cannot be {sensitivity!r}")
        for what, value in (("p", p), ("i", i), ("d", d)):
            if not 0.0 <= value < math.inf:
                raise RequestError(f"{what} of {name} must not be negative, got {value!r}")
        if not -10_000.0 <= limits[0] < limits[1] <= 10_000.0:
            raise RequestError(
                f"limits of {name} must be two rising voltages in mV, got {limits!r}"
            )
        settings = (
            (UNIT, THZ, 0.0), (DIMENSION, THZ, 0.0), (POLARITY, 1 if sensitivity > 0 else -1, 0.0),
            (FACTOR, 0, abs(sensitivity)), (EXPONENT, -3, 0.0),
            (BOUND_MIN, 0, -10_000.0), (BOUND_MAX, 0, limits[1]), (BOUND_MIN, 0, limits[0]),
            (PID_P, 0, p), (PID_I, 0, i), (PID_D, 0, d),
        )  # fmt: skip
        for setting, whole, real in settings:
            meter.set("SetPIDSetting", setting, self.id, whole, float(real))
        meter.set("SetPIDCourseNum", self.id, f"= {frequency:.9f}")
        meter.set("ClearPIDHistory", self.id)

    def release(self) -> None:
        """Regulate this laser no more; its output stays where it is."""
        self.parent.set("SetPIDCourseNum", self.id, "= 0")

    def _states(self) -> list[int]:
        result, *states = self.parent.call("GetSwitcherSignalStates", self.id)
        self.parent.accepted(int(result), f"the state of channel {self.id}")
        return [int(state) for state in states]

    def _value(self, function: str, what: str, *more: Any) -> float:
        arguments = more or (0.0,)
        value = self.parent.call(function, self.id, *arguments)
        return self.parent.checked(value, f"{what} of channel {self.id}")


class HighFinesseWs(LibraryInstrument):
    """Wavelength meter; `channels[1]` or `ch_1` is its first input, and so on up to eight."""

    IDENTITY = r"^HighFinesse WS"
    SETTINGS = ("measuring", "regulation", "switching", "channels_in_use", "courses")

    channels = Instrument.MultiChannelCreator(WavemeterChannel, tuple(range(1, CHANNELS + 1)))

    def identify(self) -> str:
        """Kind, serial number, revision and build of the meter."""
        if not self.call("GetWLMCount", 0):
            raise InstrumentError(
                f"{self.name}: no wavelength meter's program is running; start it and try again"
            )
        kind, serial, revision, build = (
            int(self.checked(self.call("GetWLMVersion", what), "version")) for what in range(4)
        )
        return f"HighFinesse WS{kind}, serial {serial}, revision {revision}.{build}"

    @property
    def measuring(self) -> bool:
        """Control whether it measures (bool); regulation acts only meanwhile."""
        return int(self.call("GetOperationState", 0)) == MEASURING

    @measuring.setter
    def measuring(self, on: bool) -> None:
        self.set("Operation", MEASURING if on else STOPPED)

    @property
    def switching(self) -> bool:
        """Control whether the switch goes through the channels in use (bool)."""
        return bool(self.checked(self.call("GetSwitcherMode", 0), "switch", lowest=0))

    @switching.setter
    def switching(self, on: bool) -> None:
        self.set("SetSwitcherMode", int(bool(on)))

    @property
    def channels_in_use(self) -> list[int]:
        """Control which channels the switch goes through (list of int)."""
        return [n for n in range(1, self._count() + 1) if self.channels[n].used]

    @channels_in_use.setter
    def channels_in_use(self, wanted: list[int]) -> None:
        most = self._count()
        numbers = list(wanted)
        if not numbers or not all(isinstance(n, int) and 1 <= n <= most for n in numbers):
            raise RequestError(
                f"{self.name}: the channels in use must be from 1 to {most}, got {wanted!r}"
            )
        for number in range(1, most + 1):
            if self.channels[number].used != (number in numbers):
                self.channels[number].used = number in numbers

    @property
    def courses(self) -> dict[str, str]:
        """Get the set points of the channels in use, by number as text (dict)."""
        return {str(n): self.channels[n].course for n in self.channels_in_use}

    @property
    def regulation(self) -> bool:
        """Control whether readings move the outputs (bool)."""
        return bool(self.call("GetDeviationMode", False))

    @regulation.setter
    def regulation(self, on: bool) -> None:
        self.set("SetDeviationMode", bool(on))

    @property
    def temperature(self) -> float:
        """Get the temperature inside the meter in degC (float)."""
        return self.checked(self.call("GetTemperature", 0.0), "temperature", lowest=NO_WEATHER)

    @property
    def pressure(self) -> float:
        """Get the pressure inside the meter in mbar (float)."""
        return self.checked(self.call("GetPressure", 0.0), "pressure", lowest=NO_WEATHER)

    def read_each_once(self, once: bool) -> None:
        """Give each measured value only once, and 0 until there is a new one; or the last again."""
        self.call("Instantiate", 0, int(once), 0, 0)

    def make_safe(self) -> None:
        """Stop to regulate; outputs stay where they are, because a jump would lose the lasers."""
        self.regulation = False

    def _count(self) -> int:
        return min(int(self.checked(self.call("GetChannelsCount", 0), "switch")), CHANNELS)

    def set(self, function: str, *arguments: Any) -> None:
        """Call a function that changes something; what it refuses is an InstrumentError."""
        result = int(self.call(function, *arguments))
        said = ", ".join(map(str, arguments))
        self.accepted(result, f"{function}({said})")

    def accepted(self, result: int, what: str) -> None:
        """Raise what the meter says instead of `ok`."""
        if result:
            why = REFUSED.get(result, "it does not say why")
            raise InstrumentError(f"{self.name}: {what} was refused ({result}): {why}")

    def checked(self, value: float, what: str, lowest: float | None = None) -> float:
        """A value that is one, or InstrumentError with what the meter says instead."""
        good = value > 0 if lowest is None else value >= lowest
        if not good:
            code = value + 1000 if lowest == NO_WEATHER else value
            why = NO_RESULT.get(int(code), "a code that its manual does not explain")
            raise InstrumentError(f"{self.name}: instead of the {what} it gives {why} ({value:g})")
        return float(value)
