"""Spectrum analysers of two families behind one interface: Keysight X-series, and R&S FSV and FSW.

Made for noise in zero span: one frequency, power against time. The raw socket is TCP port 5025.
Procedures use `configure_zero_span`, `single`, `trace` and `zero_span_power`, so that a bench file
names one class or the other and nothing else changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pymeasure.instruments import Instrument
from pymeasure.instruments.rohdeschwarz import FSW

from drivers._noise_analyser import Limits, NoiseAnalyser
from drivers._properties import AsksAfterSetting, number, one_of, word
from drivers._zero_span import Array, SweepSettings, ZeroSpanPower
from labctl.errors import RequestError

__all__ = ["FsvAnalyser", "SpectrumAnalyser", "SweepSettings", "ZeroSpanPower"]

_CONTINUOUS = Instrument.control(
    ":INIT:CONT?",
    ":INIT:CONT %d",
    """Control whether the analyser sweeps without end (bool).""",
    values={True: 1, False: 0},
    map_values=True,
    check_set_errors=True,
)

X_SERIES = Limits((0.0, 50e9), (1.0, 8e6), (1.0, 50e6), (1e-6, 6000.0), (1, 20001))
_DETECTORS = ("AVER", "SAMP", "NORM", "POS", "NEG")
_AVERAGES = ("RMS", "LOG", "SCAL")


class SpectrumAnalyser(NoiseAnalyser):
    """Keysight X-series: N9020B MXA, N9010B EXA and relatives.

    Traces can be read as REAL,32, REAL,64, INT,32 (millidBm) or ASC.
    """

    IDENTITY = r"^(Keysight|Agilent) Technologies, ?N90\d\d[A-Z]"
    LIMITS = X_SERIES
    QUERIES = {
        "centre": ":SENS:FREQ:CENT?",
        "span": ":SENS:FREQ:SPAN?",
        "rbw": ":SENS:BAND:RES?",
        "vbw": ":SENS:BAND:VID?",
        "sweep_time": ":SENS:SWE:TIME?",
        "points": ":SENS:SWE:POIN?",
        "detector": ":SENS:DET:TRAC?",
        "average_type": ":SENS:AVER:TYPE?",
        "trace_type": ":TRAC:TYPE?",
        "average_count": ":SENS:AVER:COUN?",
        "reference_level": ":DISP:WIND:TRAC:Y:RLEV?",
        "attenuation": ":SENS:POW:ATT?",
        "continuous": ":INIT:CONT?",
    }
    DONE = "*OPC?;:STAT:QUES:INT:COND?;:SYST:ERR?"
    OVERLOAD = 16 | 32  # input overload, over range
    TRACE = ":FORM:DATA {form};:FORM:BORD NORM;:TRAC:DATA? TRACE1"
    FORMATS = {
        "REAL,32": (">f4", 1.0),
        "REAL,64": (">f8", 1.0),
        "INT,32": (">i4", 1e-3),
        "ASC": ("", 1.0),
    }
    MEAN_TRACES = ("WRIT", "AVER")

    centre = number(":SENS:FREQ:CENT", "centre frequency in Hz", X_SERIES.frequency_hz)
    span = number(":SENS:FREQ:SPAN", "span in Hz, 0 for a time trace", X_SERIES.frequency_hz)
    start = number(":SENS:FREQ:STAR", "start frequency in Hz", X_SERIES.frequency_hz)
    stop = number(":SENS:FREQ:STOP", "stop frequency in Hz", X_SERIES.frequency_hz)
    rbw = number(":SENS:BAND:RES", "resolution bandwidth in Hz", X_SERIES.rbw_hz)
    vbw = number(":SENS:BAND:VID", "video bandwidth in Hz", X_SERIES.vbw_hz)
    sweep_time = number(":SENS:SWE:TIME", "sweep time in s", X_SERIES.sweep_time_s)
    points = number(":SENS:SWE:POIN", "number of points", X_SERIES.points, "%d")
    detector = word(":SENS:DET:TRAC", "detector", _DETECTORS)
    average_type = word(":SENS:AVER:TYPE", "quantity that is averaged", _AVERAGES)
    average_count = number(":SENS:AVER:COUN", "number of sweeps to average", (1, 10000), "%d")
    trace_type = word(":TRAC:TYPE", "trace type", ("WRIT", "AVER", "MAXH", "MINH"))
    reference_level = number(":DISP:WIND:TRAC:Y:RLEV", "reference level in dBm", (-170.0, 30.0))
    attenuation = number(":SENS:POW:ATT", "input attenuation in dB", (0.0, 70.0))
    continuous = _CONTINUOUS
    overloaded = Instrument.measurement(
        ":STAT:QUES:INT:COND?",
        """Get whether the input was overloaded in the last sweep (bool).""",
        get_process=lambda bits: bool(bits & SpectrumAnalyser.OVERLOAD),
        cast=int,
    )

    def _zero_span_commands(
        self, values: Mapping[str, str], detector: str, average_type: str
    ) -> Sequence[str]:
        return (
            ":INIT:CONT OFF",
            ":INST:SEL SA",
            ":CONF:SAN",
            ":UNIT:POW DBM",
            f":SENS:FREQ:CENT {values['centre']}",
            ":SENS:FREQ:SPAN 0",
            f":SENS:BAND:RES {values['rbw']}",
            f":SENS:BAND:VID {values['vbw']}",
            f":SENS:SWE:POIN {values['points']}",
            ":SENS:SWE:TIME:AUTO OFF",
            f":SENS:SWE:TIME {values['sweep_time']}",
            f":SENS:DET:TRAC {one_of(detector, _DETECTORS, 'detector')}",
            f":SENS:AVER:TYPE {one_of(average_type, _AVERAGES, 'average type')}",
            ":TRAC:TYPE WRIT",
        )

    def _meaning(self, readings: Mapping[str, Any]) -> tuple[str, str, int, bool]:
        sweeps = 1 if readings["trace_type"] == "WRIT" else readings["average_count"]
        return readings["detector"], readings["average_type"], sweeps, True


FSV = Limits((0.0, 90e9), (1.0, 80e6), (1.0, 80e6), (1e-6, 16000.0), (101, 100001))
#: Detectors on the wire: name and average type in the words of `SweepSettings`.
_FSV_DETECTORS = {
    "RMS": ("AVER", "RMS"),
    "AVER": ("AVER", "SCAL"),
    "SAMP": ("SAMP", "SCAL"),
    "APE": ("NORM", "SCAL"),
    "POS": ("POS", "SCAL"),
    "NEG": ("NEG", "SCAL"),
}
_FSV_MODES = ("WRIT", "AVER", "MAXH", "MINH", "VIEW")


class FsvAnalyser(AsksAfterSetting, NoiseAnalyser, FSW):  # type: ignore[misc]
    """Rohde & Schwarz FSV, FSV3000, FSW and relatives, in the spectrum application.

    The detector says what is averaged: RMS the power, AVER the voltage. RMS bypasses the video
    filter, so that a point averages over its interval, whatever the video bandwidth. One start
    makes as many sweeps as `average_count` says, in any trace mode; 0 counts as 1.

    Built on pymeasure's `FSW` (0.16.0), whose names keep working, and of which it mends:

    * nothing read the error queue; now every property does that is set;
    * texts such as "abc", or NaN, were sent as frequencies (in the properties named here);
    * `single_sweep` returned at once, so that the next query timed out on long sweeps;
    * `read_trace` relied on the number format that it found, asked for trace n in window n, and
      made up a frequency axis, also in zero span;
    * `active_channel` could not be set because its setter was called `activate_channel`;
    * detector, counts, points, format, reference level and overload were missing.
    """

    IDENTITY = r"^Rohde&Schwarz, ?FS(V|W)"
    LIMITS = FSV
    QUERIES = {
        "centre": ":FREQ:CENT?",
        "span": ":FREQ:SPAN?",
        "rbw": ":BAND:RES?",
        "vbw": ":BAND:VID?",
        "sweep_time": ":SWE:TIME?",
        "points": ":SWE:POIN?",
        "detector": ":DET?",
        "trace_type": ":DISP:TRAC:MODE?",
        "average_count": ":SWE:COUN?",
        "reference_level": ":DISP:TRAC:Y:RLEV?",
        "attenuation": ":INP:ATT?",
        "continuous": ":INIT:CONT?",
    }
    #: *WAI makes the rest of the message wait, also where *OPC? does not.
    DONE = "*WAI;*OPC?;:STAT:QUES:POW:COND?;:SYST:ERR?"
    OVERLOAD = 1 | 4 | 8  # RF overload, IF overload, input disconnected
    TRACE = ":FORM {form};:TRAC? TRACE1"
    FORMATS = {"REAL,32": ("<f4", 1.0), "ASC": ("", 1.0)}

    centre = number(":FREQ:CENT", "centre frequency in Hz", FSV.frequency_hz)
    span = number(":FREQ:SPAN", "span in Hz, 0 for a time trace", FSV.frequency_hz)
    start = number(":FREQ:STAR", "start frequency in Hz", FSV.frequency_hz)
    stop = number(":FREQ:STOP", "stop frequency in Hz", FSV.frequency_hz)
    rbw = number(":BAND:RES", "resolution bandwidth in Hz", FSV.rbw_hz)
    vbw = number(":BAND:VID", "video bandwidth in Hz", FSV.vbw_hz)
    sweep_time = number(":SWE:TIME", "sweep time in s", FSV.sweep_time_s)
    points = number(":SWE:POIN", "number of points", FSV.points, "%d")
    detector = word(":DET", "detector", tuple(_FSV_DETECTORS))
    average_count = number(":SWE:COUN", "number of sweeps of one start", (0, 200000), "%d")
    trace_type = word(":DISP:TRAC:MODE", "trace mode", _FSV_MODES)
    trace_mode = word("DISP:TRAC:MODE", "trace mode", _FSV_MODES)
    reference_level = number(":DISP:TRAC:Y:RLEV", "reference level in dBm", (-170.0, 30.0))
    attenuation = number(":INP:ATT", "input attenuation in dB", (0.0, 79.0))
    continuous = _CONTINUOUS
    overloaded = Instrument.measurement(
        ":STAT:QUES:POW:COND?",
        """Get whether the input is overloaded (bool).""",
        get_process=lambda bits: bool(bits & FsvAnalyser.OVERLOAD),
        cast=int,
    )
    available_channels = Instrument.measurement(
        "INST:LIST?",
        """Get the types of all channels by their names (dict of str).""",
        cast=str,
        get_process_list=lambda parts: {
            name.strip(" '"): kind.strip(" '")
            for kind, name in zip(parts[::2], parts[1::2], strict=True)
        },
    )

    INHERITED = frozenset(
        {"freq_span", "freq_center", "freq_start", "freq_stop", "res_bandwidth", "video_bandwidth"}
        | {"continuous_sweep_enabled", "split_view", "nominal_level"}
    )

    @property
    def average_type(self) -> str:
        """Get what detector and video filter average, RMS for power or SCAL for voltage (str)."""
        return _meaning_of(self.detector)[1]

    @property
    def active_channel(self) -> str:
        """Control the measurement channel by its name (str)."""
        kind = self.ask("INST?").strip(" '\n")
        return {"SAN": "Spectrum", "PNO": "Phase Noise"}.get(kind, kind)

    @active_channel.setter
    def active_channel(self, name: str) -> None:
        self.write(f"INST '{one_of(name, tuple(self.available_channels), 'channel')}'")
        self.check_set_errors()

    activate_channel = active_channel

    def single_sweep(self) -> None:
        """Make the sweeps of one start and return when they are complete."""
        self.single()

    def continue_single_sweep(self) -> None:
        """The same, but go on with the averages or extremes of the trace."""
        self._sweep(":INIT:CONT OFF;:INIT:CONM", None)

    def read_trace(self, n_trace: int = 1) -> Array:
        """Read a trace of the spectrum application as it is now.

        Returns:
            frequency in Hz, or in zero span time in s; and level in dBm.
        """
        with self.transaction():
            axis = self._list(f":FORM ASC;:TRAC:X? TRACE{n_trace}")
            levels = self._list(f":TRAC? TRACE{n_trace}")
        if len(axis) != len(levels):
            raise RequestError(f"{self.name}: the trace was changed while it was read; read again")
        return np.stack([axis, levels])

    def _read_settings(self, names: tuple[str, ...]) -> dict[str, Any]:
        readings = super()._read_settings(names)
        return readings | {"average_type": _meaning_of(readings["detector"])[1]}

    def _zero_span_commands(
        self, values: Mapping[str, str], detector: str, average_type: str
    ) -> Sequence[str]:
        wire = [w for w, meaning in _FSV_DETECTORS.items() if meaning == (detector, average_type)]
        if not wire or detector not in ("AVER", "SAMP"):
            raise RequestError(
                f"{self.name}: an FSV cannot show detector {detector!r} of average type "
                f"{average_type!r}; it has AVER of RMS, AVER of SCAL and SAMP of SCAL"
            )
        return (
            ":INIT:CONT OFF",
            ":INST:SEL SAN",
            ":CALC:UNIT:POW DBM",
            f":FREQ:CENT {values['centre']}",
            ":FREQ:SPAN 0",
            f":BAND:RES {values['rbw']}",
            f":BAND:VID {values['vbw']}",
            f":SWE:POIN {values['points']}",
            f":SWE:TIME {values['sweep_time']}",
            ":SWE:COUN 1",
            f":DET {wire[0]}",
            ":DISP:TRAC:MODE WRIT",
        )

    def _meaning(self, readings: Mapping[str, Any]) -> tuple[str, str, int, bool]:
        wire = readings["detector"]
        return *_meaning_of(wire), max(1, readings["average_count"]), wire != "RMS"


def _meaning_of(detector: str) -> tuple[str, str]:
    """Detector and average type in the words of `SweepSettings`; others, as QPE, as they are."""
    return _FSV_DETECTORS.get(detector, (detector, ""))
