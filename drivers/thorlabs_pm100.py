"""Thorlabs power meter consoles PM100D, PM100USB, PM400 and relatives with a power sensor.

The instrument has USB only; over VISA its address is
`visa://USB0::0x1313::0x8078::SERIAL::INSTR` for a PM100D. Built on pymeasure's `ThorlabsPM100USB`
(0.16.0), of which it mends:

* a wavelength outside the sensor's range was replaced by the nearest limit without a word;
* nothing read the error queue, so that refused settings passed;
* the power came in dBm when the console was set to dBm, although it is documented in W;
* an over-range reading came as 9.9E37 W;
* a sensor that is not there was noticed only if the console leaves out the quotation marks;
* the sensor was asked in the constructor, before anybody could check who answers, and each
  object warned that the instrument may not speak SCPI;
* averaging, range, unit, attenuation, bandwidth and zero were missing, as was a time-out that
  grows with the averaging.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from pymeasure.adapters import Adapter
from pymeasure.instruments import Instrument
from pymeasure.instruments.thorlabs import ThorlabsPM100USB
from pymeasure.instruments.validators import strict_discrete_set

from drivers._properties import integer, number, within
from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError
from labctl.instrument import LabInstrument

SAMPLE = 3e-3  # s that one of the averaged samples takes
PATIENT_FROM = 0.5  # s of averaging from which waiting is done in bench time
OVERFLOW = 9.8e37  # from here on a reading is infinity or no number (SCPI-99)
ZERO_TIMEOUT = 30.0  # s


@dataclass(frozen=True)
class Sensor:
    """The head that is plugged in."""

    name: str
    serial: str
    calibration: str
    type: int
    subtype: int
    flags: int


def _flag(bit: int, meaning: str) -> Any:
    def has(self: ThorlabsPm100) -> bool:
        return bool(self.sensor.flags & bit)

    return property(has, doc=f"Get whether the sensor {meaning} (bool).")


def _text(index: int, meaning: str) -> Any:
    names = ("name", "serial", "calibration", "type", "subtype")

    def read(self: ThorlabsPm100) -> Any:
        return getattr(self.sensor, names[index])

    return property(read, doc=f"Get the sensor's {meaning}.")


class ThorlabsPm100(LabInstrument, ThorlabsPM100USB):  # type: ignore[misc]  # pymeasure: no types
    """Thorlabs PM100 console with one sensor. Powers in W, wavelengths in nm, attenuations in dB.

    Args:
        adapter: the connection.
        name: the name in the bench file.
    """

    FRAMING = Framing(write=b"\n", read=b"\n", timeout=5.0)
    IDENTITY = r"(?i)^thorlabs, ?PM(\d{3}|\d{4})"
    SETTINGS = (
        "wavelength",
        "averaging",
        "auto_range",
        "range",
        "attenuation",
        "unit",
        "low_bandwidth",
    )

    def __init__(self, adapter: Adapter | str, name: str = "power_meter", **settings: Any) -> None:
        self._averaging: int | None = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # it does speak SCPI
            super().__init__(adapter, name, **settings)

    def _set_flags(self) -> None:
        """The sensor is asked for when it matters, not when the object is made."""

    # ------------------------------------------------- settings

    attenuation = number(
        "SENS:CORR:LOSS:INP:MAGN", "attenuation in dB before the sensor", (-60.0, 60.0)
    )
    auto_range = Instrument.control(
        "SENS:POW:RANG:AUTO?",
        "SENS:POW:RANG:AUTO %d",
        """Control whether the console looks for the range itself (bool).""",
        validator=strict_discrete_set,
        values={True: 1, False: 0},
        map_values=True,
        check_set_errors=True,
    )
    low_bandwidth = Instrument.control(
        "INP:PDI:FILT:LPAS:STAT?",
        "INP:PDI:FILT:LPAS:STAT %d",
        """Control whether the photodiode's bandwidth is reduced to 15 Hz (bool).""",
        validator=strict_discrete_set,
        values={True: 1, False: 0},
        map_values=True,
        check_set_errors=True,
    )
    range = number(
        "SENS:POW:RANG",
        "largest power in W that the range must take; what is read is that of the range in use",
        (0.0, 1e4),
    )
    unit = Instrument.control(
        "SENS:POW:UNIT?",
        "SENS:POW:UNIT %s;:CONF:POW",
        """Control the unit on the display, "W" or "DBM" (str); reading `power` sets it to W.""",
        validator=strict_discrete_set,
        values={"W": "W", "DBM": "DBM"},
        map_values=True,
        check_set_errors=True,
    )
    responsivity = Instrument.measurement(
        "SENS:CORR:POW:PDI:RESP?",
        """Get the photodiode's responsivity in A/W at the wavelength that is set (float).""",
    )

    @property
    def wavelength(self) -> float:
        """Control the wavelength in nm of the light, for which the sensor is calibrated (float)."""
        return float(self.values("SENS:CORR:WAV?")[0])

    @wavelength.setter
    def wavelength(self, value: float) -> None:
        low, high = self.wavelength_min, self.wavelength_max
        self.write(f"SENS:CORR:WAV {within(value, (low, high), 'wavelength in nm'):.12g}")
        self.check_set_errors()

    @property
    def averaging(self) -> int:
        """Control the number of samples, 3 ms each, that are averaged for a reading (int)."""
        self._averaging = int(self.values("SENS:AVER:COUN?", cast=integer)[0])
        return self._averaging

    @averaging.setter
    def averaging(self, count: int) -> None:
        self.write(f"SENS:AVER:COUN {within(count, (1, 10000), 'number of samples'):.0f}")
        self.check_set_errors()
        self._averaging = int(count)

    @property
    def averaging_time(self) -> float:
        """Get how long one reading takes in s, without changes of the range (float)."""
        return SAMPLE * (self._averaging or self.averaging)

    # ------------------------------------------------- sensor

    @property
    def sensor(self) -> Sensor:
        """Get the sensor that is plugged in now."""
        command = "SYST:SENS:IDN?"
        reply = self.ask(command)
        name, *rest = [part.strip().strip('"') for part in reply.split(",")]
        if name.lower() == "no sensor":
            raise InstrumentError(f"{self.name}: no sensor is connected; plug one in")
        try:
            serial, calibration, *codes = rest
            kind, subtype, flags = (int(code) for code in codes)
        except ValueError:
            raise self._nonsense(command, reply, "a sensor") from None
        return Sensor(name, serial, calibration, kind, subtype, flags)

    is_power_sensor = _flag(1, "measures power")
    is_energy_sensor = _flag(2, "measures energy")
    response_settable = _flag(16, "has a response that can be set")
    wavelength_settable = _flag(32, "has a wavelength that can be set")
    tau_settable = _flag(64, "has a time constant that can be set")
    has_temperature_sensor = _flag(256, "has a thermometer")
    sensor_name = _text(0, "name (str)")
    sensor_sn = _text(1, "serial number (str)")
    sensor_cal_msg = _text(2, "calibration message (str)")
    sensor_type = _text(3, "type (int)")
    sensor_subtype = _text(4, "subtype (int)")

    # ------------------------------------------------- readings

    @property
    def power(self) -> float:
        """Measure the power in W, averaged over `averaging` samples (float).

        Small negative values are normal in the dark.

        Raises:
            InstrumentError: the light is too strong for the range or the sensor.
        """
        time = self.averaging_time
        if time < PATIENT_FROM:
            reply = self.ask("SENS:POW:UNIT W;:MEAS:POW?", timeout=self.FRAMING.timeout + time)
        else:
            self.write("SENS:POW:UNIT W;:CONF:POW;:ABOR;:INIT")
            self.clock.sleep(time)
            self.ask("*OPC?", timeout=self.FRAMING.timeout + time)
            reply = self.ask("FETC?")
        return self._watts("MEAS:POW?", reply)

    @property
    def last_power(self) -> float:
        """Get the power in W of the last reading, without a new one (float)."""
        if self.unit != "W":
            raise RequestError(f"{self.name}: the last reading is in dBm; set the unit to W first")
        return self._watts("FETC?", self.ask("FETC?"))

    def _watts(self, command: str, reply: str) -> float:
        try:
            watts = float(reply)
        except ValueError:
            raise self._nonsense(command, reply, "a power") from None
        if not abs(watts) < OVERFLOW:
            raise InstrumentError(
                f"{self.name}: {command!r} was answered with {reply.strip()}, over range; "
                "raise the range, set auto_range, or weaken the light"
            )
        return watts

    def zero(self) -> float:
        """Take what the sensor sees now as dark; shade it first.

        Returns:
            the offset, in A for photodiodes and in V for thermal sensors.
        """
        self.write("SENS:CORR:COLL:ZERO:INIT")
        self.check_set_errors()
        give_up = self.clock.now() + ZERO_TIMEOUT
        while self.values("SENS:CORR:COLL:ZERO:STAT?", cast=integer)[0]:
            if self.clock.now() > give_up:
                self.write("SENS:CORR:COLL:ZERO:ABOR")
                raise InstrumentError(
                    f"{self.name}: zeroing did not end within {ZERO_TIMEOUT:g} s and was aborted; "
                    "shade the sensor and try again"
                )
            self.clock.sleep(0.1)
        return float(self.values("SENS:CORR:COLL:ZERO:MAGN?")[0])
