"""Simulated signal analyser Rohde & Schwarz FSV-7: remote interface on port 5025.

The same analyser as the N9020B in other words and with other habits; sources are the FSV, FSV3000
and FSW user manuals. The RMS detector bypasses the video filter; the other detectors see the
envelope's voltage behind it. One trace, one window and the spectrum application are simulated,
markers 1 to 4 without delta markers. Assumed where the manuals were not at hand: limits of points
and counts (FSV), that `INITiate` starts a running sweep again, and the bit of STATus:OPERation.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from simulated_instruments.instrument import Port
from simulated_instruments.physics.analyser import AnalyserModel
from simulated_instruments.physics.analyser_settings import FSV
from simulated_instruments.protocol.scpi import (
    Number,
    ScpiError,
    ScpiInstrument,
    Switch,
    scpi,
)
from simulated_instruments.protocol.scpi_status import EventRegister
from simulated_instruments.protocol.scpi_syntax import boolean, choice, number, real, string
from simulated_instruments.world import World

MOST_HZ = FSV.frequency_max_hz
MARKERS = 4
POWER = 8  # bit of STATus:QUEStionable that sums up its POWer register
OVERLOAD = 1  # bit of STATus:QUEStionable:POWer
MEASURING = 16  # bit of STATus:OPERation
CONTINUOUS_AVERAGES = 10  # sweeps that are averaged without end when the count is 0

#: Detectors as on the wire: short form, the model's detector, and what the envelope is averaged in.
DETECTORS = {
    "APE": ("NORM", "SCAL"),
    "POS": ("POS", "SCAL"),
    "NEG": ("NEG", "SCAL"),
    "SAMP": ("SAMP", "SCAL"),
    "RMS": ("AVER", "RMS"),
    "AVER": ("AVER", "SCAL"),
}
#: Detectors that go with trace modes when they are chosen automatically.
AUTO_DETECTORS = {"WRIT": "APE", "MAXH": "POS", "MINH": "NEG", "AVER": "SAMP"}
#: In what traces are averaged; the unit is dBm, so that LINear means power, too.
AVERAGES = {"VID": "LOG", "LIN": "RMS", "POW": "RMS"}

_BAND = "[:SENSe]:BANDwidth|BWIDth"
_SCALE = ":DISPlay[:WINDow{1}]:TRACe{1}:Y[:SCALe]"
_MARKER = ":CALCulate{1}:MARKer{n}"


class SimFsv(ScpiInstrument):
    """The command set in front of an `AnalyserModel` that the world may have put there."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("scpi", default=5025)}
    identity = "Rohde&Schwarz,FSV-7,1321.3008K07/100001,3.40"
    ERROR_FORMAT = '{code},"{text}"'
    SETTINGS = (
        Number("[:SENSe]:FREQuency:CENTer", "centre_hz", 0.0, MOST_HZ, MOST_HZ / 2, "HZ"),
        Number("[:SENSe]:FREQuency:SPAN", "span_hz", 0.0, MOST_HZ, MOST_HZ, "HZ"),
        Number("[:SENSe]:FREQuency:STARt", "start_hz", 0.0, MOST_HZ, 0.0, "HZ"),
        Number("[:SENSe]:FREQuency:STOP", "stop_hz", 0.0, MOST_HZ, MOST_HZ, "HZ"),
        Number(f"{_BAND}[:RESolution]", "rbw_hz", 1.0, 1e7, 3e6, "HZ"),
        Switch(f"{_BAND}[:RESolution]:AUTO", "rbw_auto"),
        Number(f"{_BAND}:VIDeo", "vbw_hz", 1.0, 1e7, 3e6, "HZ"),
        Switch(f"{_BAND}:VIDeo:AUTO", "vbw_auto"),
        Number("[:SENSe]:SWEep:TIME", "sweep_time_s", 1e-6, 16000.0, 1e-3, "S"),
        Switch("[:SENSe]:SWEep:TIME:AUTO", "sweep_time_auto"),
        Number("[:SENSe]:SWEep:POINts", "points", 101, 32001, 691, integer=True),
        Number(f"{_SCALE}:RLEVel", "reference_level_dbm", -130.0, 30.0, -10.0, "DBM"),
        Number(":INPut:ATTenuation", "attenuation_db", 0.0, 75.0, 10.0, "DB"),
        Switch(":INPut:ATTenuation:AUTO", "attenuation_auto"),
    )

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: AnalyserModel = world.part(name, lambda: AnalyserModel(world.seed_of, name))
        self.model.advance(world.now)
        self.model.hardware = FSV
        self._power = EventRegister()
        self.reset()
        self.model.set_continuous(False)  # as its last user has left it

    def reset(self) -> None:
        self._count = 0
        self._average = "VID"
        self._detector_auto = True
        self._binary = False
        self._markers: dict[int, float] = {}  # position on the axis by number
        self.model.preset(continuous=False)
        self._follow()
        self.model.set_continuous(True)

    # ------------------------------------------------- state

    def pending_until(self) -> float:
        return self.model.done_at

    def operation_condition(self) -> int:
        return MEASURING if self.model.sweeping else 0

    def questionable_condition(self) -> int:
        self._power.update(OVERLOAD if self.model.overloaded else 0)
        return POWER if self._power.condition else 0

    @scpi("STATus:QUEStionable:POWer:CONDition?")
    def _power_condition(self) -> int:
        return self._power.condition

    @scpi("STATus:QUEStionable:POWer[:EVENt]?")
    def _power_event(self) -> int:
        return self._power.take_event()

    def number_text(self, value: float) -> str:
        return f"{value:.12g}"

    # ------------------------------------------------- applications

    @scpi("INSTrument[:SELect]")
    def _set_application(self, data: str) -> None:
        if data[:1] not in "\"'":
            choice(data, ("SANalyzer", "SAN"))
        elif string(data) != "Spectrum":
            raise ScpiError(-224, data[:20])

    @scpi("INSTrument[:SELect]?")
    def _application(self) -> str:
        return "SAN"

    @scpi("INSTrument:LIST?")
    def _applications(self) -> str:
        return "'SANALYZER','Spectrum'"

    @scpi("UNIT:POWer", "CALCulate{1}:UNIT:POWer")
    def _set_unit(self, data: str) -> None:
        choice(data, ("DBM",))

    @scpi("UNIT:POWer?", "CALCulate{1}:UNIT:POWer?")
    def _unit(self) -> str:
        return "DBM"

    # ------------------------------------------------- detectors and traces

    def _follow(self) -> None:
        """Hand on to the model what depends on detector, trace mode and count."""
        model = self.model
        if self._detector_auto:
            self._detector = AUTO_DETECTORS[model.trace_type]
        model.detector, model.average_type = DETECTORS[self._detector]
        model.video_bypassed = self._detector == "RMS"
        model.sweep_average = AVERAGES[self._average]
        count = self._count
        if count == 0:
            count = CONTINUOUS_AVERAGES if model.continuous else 1
        model.average_count = count

    @scpi("[:SENSe]:DETector{1}[:FUNCtion]")
    def _set_detector(self, data: str) -> None:
        self._detector = choice(data, ("APEak", "POSitive", "NEGative", "SAMPle", "RMS", "AVERage"))
        self._detector_auto = False
        self._follow()

    @scpi("[:SENSe]:DETector{1}[:FUNCtion]?")
    def _get_detector(self) -> str:
        return self._detector

    @scpi("[:SENSe]:DETector{1}[:FUNCtion]:AUTO")
    def _set_detector_auto(self, data: str) -> None:
        self._detector_auto = boolean(data)
        self._follow()

    @scpi("[:SENSe]:DETector{1}[:FUNCtion]:AUTO?")
    def _get_detector_auto(self) -> bool:
        return self._detector_auto

    @scpi(":DISPlay[:WINDow{1}]:TRACe{1}:MODE")
    def _set_mode(self, data: str) -> None:
        self.model.trace_type = choice(data, ("WRITe", "AVERage", "MAXHold", "MINHold"))
        self._follow()

    @scpi(":DISPlay[:WINDow{1}]:TRACe{1}:MODE?")
    def _mode(self) -> str:
        return str(self.model.trace_type)

    @scpi("[:SENSe]:AVERage{1}:TYPE")
    def _set_average(self, data: str) -> None:
        self._average = choice(data, ("VIDeo", "LINear", "POWer"))
        self._follow()

    @scpi("[:SENSe]:AVERage{1}:TYPE?")
    def _get_average(self) -> str:
        return self._average

    @scpi("[:SENSe]:SWEep:COUNt", "[:SENSe]:AVERage:COUNt")
    def _set_count(self, data: str) -> None:
        self._count = round(self.number(data, 0, 32767, 0))
        self._follow()

    @scpi("[:SENSe]:SWEep:COUNt?", "[:SENSe]:AVERage:COUNt?")
    def _get_count(self) -> int:
        return self._count

    # ------------------------------------------------- sweeps

    @scpi("INITiate:CONTinuous")
    def _set_continuous(self, data: str) -> None:
        self.model.set_continuous(boolean(data))
        self._follow()

    @scpi("INITiate:CONTinuous?")
    def _continuous(self) -> bool:
        return self.model.continuous

    @scpi("INITiate[:IMMediate]")
    def _initiate(self) -> None:
        """One measurement is as many sweeps as the count says, whatever the trace mode."""
        if self.model.continuous:
            self.model.abort()
        else:
            self.model.initiate(self.model.average_count)

    @scpi("ABORt")
    def _abort(self) -> None:
        self.model.abort()

    # ------------------------------------------------- data

    @scpi("FORMat[:DATA]")
    def _set_format(self, data: str, size: str = "32") -> None:
        """Levels are numbers of 32 bits; the size that is given with ASCii is of no use."""
        self._binary = choice(data, ("ASCii", "REAL")) == "REAL"
        if self._binary and number(size) != 32:
            self._binary = False
            raise ScpiError(-224, size[:20])

    @scpi("FORMat[:DATA]?")
    def _format(self) -> str:
        return "REAL,32" if self._binary else "ASC,0"

    def _formatted(self, values: np.ndarray) -> str | bytes:
        """Little endian, or as many digits as tell numbers of 32 bits apart."""
        if self._binary:
            return real(values, 32, big_endian=False)
        return ",".join([f"{v:.9g}" for v in values.astype(np.float32).tolist()])

    @scpi(":TRACe{1}[:DATA]?")
    def _trace(self, which: str) -> str | bytes:
        choice(which, ("TRACE1",))
        return self._formatted(self.model.trace_dbm())

    @scpi(":TRACe{1}[:DATA]:X?")
    def _axis(self, which: str) -> str | bytes:
        choice(which, ("TRACE1",))
        return self._formatted(self.model.axis())

    # ------------------------------------------------- markers

    @scpi(f"{_MARKER}[:STATe]")
    def _set_marker(self, n: int, data: str) -> None:
        if not boolean(data):
            self._markers.pop(_marker(n), None)
        elif _marker(n) not in self._markers:
            self._marker_to_peak(n)

    @scpi(f"{_MARKER}[:STATe]?")
    def _marker_state(self, n: int) -> bool:
        return _marker(n) in self._markers

    @scpi(f"{_MARKER}:X")
    def _set_marker_x(self, n: int, data: str) -> None:
        axis = self.model.axis()
        unit = "HZ" if self.model.span_hz else "S"
        low, high = float(axis[0]), float(axis[-1])
        self._markers[_marker(n)] = self.number(data, low, high, low, unit)

    @scpi(f"{_MARKER}:X?")
    def _marker_x(self, n: int) -> float:
        return float(self.model.axis()[self._bucket(n)])

    @scpi(f"{_MARKER}:Y?")
    def _marker_y(self, n: int) -> float:
        return float(self.model.trace_dbm()[self._bucket(n)])

    @scpi(f"{_MARKER}:MAXimum[:PEAK]")
    def _marker_to_peak(self, n: int) -> None:
        peak = int(np.argmax(self.model.trace_dbm()))
        self._markers[_marker(n)] = float(self.model.axis()[peak])

    def _bucket(self, n: int) -> int:
        if _marker(n) not in self._markers:
            raise ScpiError(-221)
        return int(np.argmin(np.abs(self.model.axis() - self._markers[n])))


def _marker(n: int) -> int:
    if not 1 <= n <= MARKERS:
        raise ScpiError(-114)
    return n
