"""Simulated signal analyser Keysight N9020B (MXA), option 503: remote interface on port 5025.

Command names, formats and error numbers are those of the X-series user's and programmer's
reference. One trace is simulated (TRACE1), without the EMI detectors.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from simulated_instruments.instrument import Port
from simulated_instruments.physics.analyser import AnalyserModel, NoiseSource, ThermalSource
from simulated_instruments.physics.analyser_settings import X_SERIES
from simulated_instruments.protocol.scpi import (
    AfterPending,
    Choice,
    Number,
    ScpiError,
    ScpiInstrument,
    Switch,
    scpi,
)
from simulated_instruments.protocol.scpi_syntax import block, boolean, choice, nr3, real
from simulated_instruments.world import World

__all__ = ["AnalyserModel", "NoiseSource", "SimSpectrumAnalyser", "ThermalSource"]

MARKERS = 12
NOT_A_NUMBER = "+9.91000000E+037"
# Bits of STATus:QUEStionable and of its INTegrity register; of STATus:OPERation.
INTEGRITY = 512
UNCALIBRATED, OVERLOAD, INVALID_DATA = 8, 16, 4096
SWEEPING = 8

FREQUENCY_MAX_HZ = X_SERIES.frequency_max_hz
_DETECTORS = ("NORMal", "AVERage", "SAMPle", "POSitive", "NEGative")
_BAND = "[:SENSe]:BANDwidth|BWIDth"
_SCALE = ":DISPlay:WINDow{1}:TRACe:Y[:SCALe]"


class SimSpectrumAnalyser(ScpiInstrument):
    """The command set in front of an `AnalyserModel` that the world may have put there."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("scpi", default=5025)}
    identity = "Keysight Technologies,N9020B,MY00000001,A.25.05"
    options = "503"
    SETTINGS = (
        Number("[:SENSe]:FREQuency:CENTer", "centre_hz", 0.0, FREQUENCY_MAX_HZ, 1.8e9, "HZ"),
        Number("[:SENSe]:FREQuency:SPAN", "span_hz", 0.0, FREQUENCY_MAX_HZ, 3.6e9, "HZ"),
        Number("[:SENSe]:FREQuency:STARt", "start_hz", 0.0, FREQUENCY_MAX_HZ, 0.0, "HZ"),
        Number("[:SENSe]:FREQuency:STOP", "stop_hz", 0.0, FREQUENCY_MAX_HZ, 3.6e9, "HZ"),
        Number(f"{_BAND}[:RESolution]", "rbw_hz", 1.0, 8e6, 3e6, "HZ"),
        Switch(f"{_BAND}[:RESolution]:AUTO", "rbw_auto"),
        Number(f"{_BAND}:VIDeo", "vbw_hz", 1.0, 50e6, 3e6, "HZ"),
        Switch(f"{_BAND}:VIDeo:AUTO", "vbw_auto"),
        Number("[:SENSe]:SWEep:TIME", "sweep_time_s", 1e-6, 6000.0, 1e-3, "S"),
        Switch("[:SENSe]:SWEep:TIME:AUTO", "sweep_time_auto"),
        Number("[:SENSe]:SWEep:POINts", "points", 1, 20001, 1001, integer=True),
        Choice("[:SENSe]:DETector:TRACe{1}", "detector", _DETECTORS),
        Choice("[:SENSe]:DETector[:FUNCtion]", "detector", _DETECTORS),
        Switch("[:SENSe]:DETector:TRACe{1}:AUTO", "detector_auto"),
        Switch("[:SENSe]:DETector:AUTO", "detector_auto"),
        Choice("[:SENSe]:AVERage:TYPE", "average_type", ("RMS", "LOG", "SCALar")),
        Switch("[:SENSe]:AVERage:TYPE:AUTO", "average_type_auto"),
        Number("[:SENSe]:AVERage:COUNt", "average_count", 1, 10000, 100, integer=True),
        Choice(":TRACe{1}:TYPE", "trace_type", ("WRITe", "AVERage", "MAXHold", "MINHold")),
        Number(f"{_SCALE}:RLEVel", "reference_level_dbm", -170.0, 30.0, 0.0, "DBM"),
        Number(f"{_SCALE}:PDIVision", "db_per_division", 0.1, 20.0, 10.0, "DB"),
        Number("[:SENSe]:POWer[:RF]:ATTenuation", "attenuation_db", 0.0, 70.0, 10.0, "DB"),
        Switch("[:SENSe]:POWer[:RF]:ATTenuation:AUTO", "attenuation_auto"),
    )

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: AnalyserModel = world.part(name, lambda: AnalyserModel(world.seed_of, name))
        self.model.advance(world.now)
        self._unformat()

    def _unformat(self) -> None:
        self._format, self._bits, self._big_endian = "ASC", 8, True
        self._markers: dict[int, float] = {}  # position on the axis by number

    # ------------------------------------------------- state

    def pending_until(self) -> float:
        return self.model.done_at

    def operation_condition(self) -> int:
        return SWEEPING if self.model.sweeping else 0

    def questionable_condition(self) -> int:
        return INTEGRITY if self._integrity() & ~INVALID_DATA else 0

    @scpi("STATus:QUEStionable:INTegrity:CONDition?")
    def _integrity(self) -> int:
        model = self.model
        bits = UNCALIBRATED if model.uncalibrated else 0
        bits |= OVERLOAD if model.overloaded else 0
        return bits | (INVALID_DATA if model.stale else 0)

    def reset(self) -> None:
        self.model.preset(continuous=False)
        self._unformat()

    @scpi("SYSTem:PRESet")
    def _preset(self) -> None:
        self.model.preset(continuous=True)
        self._markers.clear()

    # ------------------------------------------------- modes

    @scpi("INSTrument[:SELect]")
    def _set_mode(self, data: str) -> None:
        choice(data, ("SA",))

    @scpi("INSTrument[:SELect]?")
    def _mode(self) -> str:
        return "SA"

    @scpi("CONFigure:SANalyzer")
    def _configure(self) -> None:
        self.model.abort()

    @scpi("CONFigure?")
    def _configuration(self) -> str:
        return "SAN"

    @scpi("UNIT:POWer")
    def _set_unit(self, data: str) -> None:
        choice(data, ("DBM",))

    @scpi("UNIT:POWer?")
    def _unit(self) -> str:
        return "DBM"

    # ------------------------------------------------- sweeps

    @scpi("INITiate:CONTinuous")
    def _set_continuous(self, data: str) -> None:
        self.model.set_continuous(boolean(data))

    @scpi("INITiate:CONTinuous?")
    def _continuous(self) -> bool:
        return self.model.continuous

    @scpi("INITiate[:IMMediate]")
    def _initiate(self) -> None:
        if self.model.sweeping:
            raise ScpiError(-213)
        self.model.initiate()

    @scpi("INITiate:RESTart")
    def _restart(self) -> None:
        self.model.abort()
        if not self.model.continuous:
            self.model.initiate()

    @scpi("ABORt")
    def _abort(self) -> None:
        self.model.abort()

    @scpi("[:SENSe]:AVERage:CLEar")
    def _clear_average(self) -> None:
        self.model.clear_average()

    @scpi("[:SENSe]:AVERage[:STATe]")
    def _set_averaging(self, data: str) -> None:
        self.model.trace_type = "AVER" if boolean(data) else "WRIT"

    @scpi("[:SENSe]:AVERage[:STATe]?")
    def _averaging(self) -> bool:
        return bool(self.model.trace_type == "AVER")

    # ------------------------------------------------- traces

    @scpi("FORMat[:TRACe][:DATA]")
    def _set_format(self, data: str, size: str = "") -> None:
        """A size that does not exist raises no error; the default is used."""
        self._format = choice(data, ("ASCii", "REAL", "INTeger"))
        self._bits = {"ASC": 8, "REAL": 32, "INT": 32}[self._format]
        if self._format == "REAL" and size == "64":
            self._bits = 64

    @scpi("FORMat[:TRACe][:DATA]?")
    def _get_format(self) -> str:
        return f"{self._format},{self._bits}"

    @scpi("FORMat:BORDer")
    def _set_order(self, data: str) -> None:
        self._big_endian = choice(data, ("NORMal", "SWAPped")) == "NORM"

    @scpi("FORMat:BORDer?")
    def _order(self) -> str:
        return "NORM" if self._big_endian else "SWAP"

    def _formatted(self, values: np.ndarray) -> str | bytes:
        if self._format == "ASC":
            return ",".join([f"{v:+.5E}" for v in values.tolist()])
        if self._format == "REAL":
            return real(values, self._bits, self._big_endian)
        order = ">" if self._big_endian else "<"
        return block(np.rint(values * 1000).astype(f"{order}i4").tobytes())  # millidBm

    @scpi(":TRACe[:DATA]?")
    def _trace(self, which: str = "TRACE1") -> str | bytes:
        choice(which, ("TRACE1",))
        return self._formatted(self.model.trace_dbm())

    @scpi("FETCh:SANalyzer{n}?")
    def _fetch(self, n: int) -> str | bytes:
        """The trace as pairs of axis value and level."""
        if n != 1:
            raise ScpiError(-114)
        return self._formatted(np.column_stack((self.model.axis(), self.model.trace_dbm())).ravel())

    @scpi("READ:SANalyzer{n}?")
    def _read(self, n: int) -> AfterPending:
        if not self.model.continuous:
            self._initiate()
        return AfterPending(lambda: self._fetch(n))

    # ------------------------------------------------- markers

    @scpi("CALCulate:MARKer{n}:MODE")
    def _set_marker_mode(self, n: int, data: str) -> None:
        if choice(data, ("POSition", "OFF")) == "OFF":
            self._markers.pop(_marker(n), None)
        else:
            axis = self.model.axis()
            self._markers.setdefault(_marker(n), float(axis[len(axis) // 2]))

    @scpi("CALCulate:MARKer{n}:MODE?")
    def _marker_mode(self, n: int) -> str:
        return "POS" if _marker(n) in self._markers else "OFF"

    @scpi("CALCulate:MARKer{n}:X")
    def _set_marker_x(self, n: int, data: str) -> None:
        axis = self.model.axis()
        unit = "HZ" if self.model.span_hz else "S"
        self._markers[_marker(n)] = self.number(
            data, float(axis[0]), float(axis[-1]), float(axis[len(axis) // 2]), unit
        )

    @scpi("CALCulate:MARKer{n}:X?")
    def _marker_x(self, n: int) -> str:
        if _marker(n) not in self._markers:
            return NOT_A_NUMBER
        return nr3(float(self.model.axis()[self._bucket(n)]))

    @scpi("CALCulate:MARKer{n}:Y?")
    def _marker_y(self, n: int) -> str:
        if _marker(n) not in self._markers:
            return NOT_A_NUMBER
        return nr3(float(self.model.trace_dbm()[self._bucket(n)]))

    @scpi("CALCulate:MARKer{n}:MAXimum")
    def _marker_to_peak(self, n: int) -> None:
        peak = int(np.argmax(self.model.trace_dbm()))
        self._markers[_marker(n)] = float(self.model.axis()[peak])

    def _bucket(self, n: int) -> int:
        return int(np.argmin(np.abs(self.model.axis() - self._markers[n])))


def _marker(n: int) -> int:
    if not 1 <= n <= MARKERS:
        raise ScpiError(-114)
    return n
