"""Keysight X-series signal analyser (N9020B MXA, N9010B EXA and relatives) over SCPI.

Made for noise in zero span: one frequency, power against time. The raw socket is TCP port 5025.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from pymeasure.instruments import Instrument, SCPIMixin

from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError
from labctl.instrument import LabInstrument

PATIENCE = 5.0  # s beyond the time that sweeps take
OVERLOAD = 16 | 32  # bits "input overload" and "over range" of STAT:QUES:INT
NO_LEVEL = 300.0  # dBm, above or below which a level is none
#: Numbers per trace point: format to (type on the wire, factor to dBm); byte order NORMal.
FORMATS = {
    "REAL,32": (">f4", 1.0),
    "REAL,64": (">f8", 1.0),
    "INT,32": (">i4", 1e-3),
    "ASC": ("", 1),
}
#: dB by which an average of this type shows Gaussian noise too low (power, voltage, logarithm).
UNDER_READS = {
    "RMS": 0.0,
    "SCAL": -10 * math.log10(math.pi / 4),
    "LOG": 10 / math.log(10) * float(np.euler_gamma),
}

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class SweepSettings:
    """What the analyser has really set; it rounds bandwidths to its own steps."""

    centre_hz: float
    span_hz: float
    rbw_hz: float
    vbw_hz: float
    sweep_time_s: float
    points: int
    detector: str
    average_type: str
    trace_type: str
    average_count: int

    @property
    def duration_s(self) -> float:
        """Time of all sweeps that one start takes, without overhead."""
        return self.sweep_time_s * (1 if self.trace_type == "WRIT" else self.average_count)

    @property
    def interval_s(self) -> float:
        """Time between points in zero span."""
        return self.sweep_time_s / max(1, self.points - 1)


_SETTINGS_QUERY = ";".join(
    (
        ":SENS:FREQ:CENT?",
        ":SENS:FREQ:SPAN?",
        ":SENS:BAND:RES?",
        ":SENS:BAND:VID?",
        ":SENS:SWE:TIME?",
        ":SENS:SWE:POIN?",
        ":SENS:DET:TRAC?",
        ":SENS:AVER:TYPE?",
        ":TRAC:TYPE?",
        ":SENS:AVER:COUN?",
    )
)


class ZeroSpanPower(NamedTuple):
    """Mean noise power of a trace, its standard error, and the whole trace."""

    mean_mw: float
    standard_error_mw: float
    trace_dbm: Array


def _number(command: str, what: str, low: float, high: float, form: str = "%.12g") -> Any:
    """A numeric property with limits; the analyser rounds, so that what is read is what it uses."""

    def validator(value: Any, limits: Iterable[float]) -> float:
        return _within(value, low, high, what)

    return Instrument.control(
        f"{command}?",
        f"{command} {form}",
        f"Control the {what} (float from {low:g} to {high:g}).",
        validator=validator,
        check_set_errors=True,
        cast=float if form == "%.12g" else _integer,
    )


def _integer(text: str) -> int:
    value = float(text)
    if value != round(value):
        raise ValueError(text)
    return round(value)


def _word(command: str, what: str, words: tuple[str, ...]) -> Any:
    """A property that is one of some words of the instrument."""

    def validator(value: Any, allowed: Iterable[str]) -> str:
        return _one_of(value, words, what)

    return Instrument.control(
        f"{command}?",
        f"{command} %s",
        f"Control the {what} ({', '.join(words)}).",
        validator=validator,
        check_set_errors=True,
        cast=str,
    )


def _within(value: Any, low: float, high: float, what: str) -> float:
    if isinstance(value, bool) or not low <= value <= high:  # NaN is refused, too
        raise RequestError(f"the {what} must be from {low:g} to {high:g}, got {value!r}")
    return float(value)


def _one_of(value: Any, words: tuple[str, ...], what: str) -> str:
    if value not in words:
        raise RequestError(f"the {what} must be one of {', '.join(words)}, got {value!r}")
    return str(value)


_DETECTORS = ("AVER", "SAMP", "NORM", "POS", "NEG")
_AVERAGES = ("RMS", "LOG", "SCAL")


class SpectrumAnalyser(SCPIMixin, LabInstrument):  # type: ignore[misc]  # pymeasure has no types
    """One analyser. Frequencies are in Hz, times in s, levels in dBm at the input.

    Args:
        adapter: the connection.
        name: the name in the bench file.
    """

    FRAMING = Framing(write=b"\n", read=b"\n", timeout=5.0)
    IDENTITY = r"^(Keysight|Agilent) Technologies, ?N90\d\d[A-Z]"
    SETTINGS = (
        "centre",
        "span",
        "rbw",
        "vbw",
        "sweep_time",
        "points",
        "detector",
        "average_type",
        "trace_type",
        "average_count",
        "reference_level",
        "attenuation",
        "continuous",
    )

    centre = _number(":SENS:FREQ:CENT", "centre frequency in Hz", 0.0, 50e9)
    span = _number(":SENS:FREQ:SPAN", "span in Hz, 0 for a time trace", 0.0, 50e9)
    start = _number(":SENS:FREQ:STAR", "start frequency in Hz", 0.0, 50e9)
    stop = _number(":SENS:FREQ:STOP", "stop frequency in Hz", 0.0, 50e9)
    rbw = _number(":SENS:BAND:RES", "resolution bandwidth in Hz", 1.0, 8e6)
    vbw = _number(":SENS:BAND:VID", "video bandwidth in Hz", 1.0, 50e6)
    sweep_time = _number(":SENS:SWE:TIME", "sweep time in s", 1e-6, 6000.0)
    points = _number(":SENS:SWE:POIN", "number of points", 1, 20001, "%d")
    detector = _word(":SENS:DET:TRAC", "detector", _DETECTORS)
    average_type = _word(":SENS:AVER:TYPE", "quantity that is averaged", _AVERAGES)
    average_count = _number(":SENS:AVER:COUN", "number of sweeps to average", 1, 10000, "%d")
    trace_type = _word(":TRAC:TYPE", "trace type", ("WRIT", "AVER", "MAXH", "MINH"))
    reference_level = _number(":DISP:WIND:TRAC:Y:RLEV", "reference level in dBm", -170.0, 30.0)
    attenuation = _number(":SENS:POW:ATT", "input attenuation in dB", 0.0, 70.0)
    continuous = Instrument.control(
        ":INIT:CONT?",
        ":INIT:CONT %d",
        """Control whether the analyser sweeps without end (bool).""",
        values={True: 1, False: 0},
        map_values=True,
        check_set_errors=True,
    )
    overloaded = Instrument.measurement(
        ":STAT:QUES:INT:COND?",
        """Get whether the input was overloaded in the last sweep (bool).""",
        get_process=lambda bits: bool(bits & OVERLOAD),
        cast=int,
    )

    _last = ""  # the last command, for messages

    def write(self, command: str, **kwargs: Any) -> None:
        """Send a command, and remember it for the message if it is refused."""
        if command != "SYST:ERR?":
            self._last = command
        super().write(command, **kwargs)

    def check_errors(self) -> list[str]:
        """Read the error queue until it is empty; returns its entries, oldest first."""
        return LabInstrument.check_errors(self)  # SCPIMixin's only logs them

    def check_set_errors(self) -> list[str]:
        """Raise what the analyser complains about; the value it uses instead can be read back."""
        if errors := self.check_errors():
            raise self._refused(self._last, errors)
        return []

    def make_safe(self) -> None:
        """Stop sweeping; nothing here can do harm."""
        self.write(":INIT:CONT OFF;:ABOR")

    def snapshot(self) -> dict[str, Any]:
        """The settings worth keeping with a run, read in one exchange."""
        more = (":DISP:WIND:TRAC:Y:RLEV?", ":SENS:POW:ATT?", ":INIT:CONT?")
        replies = self._ask_all(";".join((_SETTINGS_QUERY, *more)), 13)
        settings = self._settings(replies[:10])
        level, attenuation, continuous = (float(r) for r in replies[10:])
        values = (*vars(settings).values(), level, attenuation, bool(continuous))
        return dict(zip(self.SETTINGS, values, strict=True))

    # ------------------------------------------------- measurements

    def settings(self) -> SweepSettings:
        """What the analyser has set, read in one exchange."""
        return self._settings(self._ask_all(_SETTINGS_QUERY, 10))

    def configure_zero_span(
        self,
        centre_hz: float,
        rbw_hz: float,
        vbw_hz: float,
        sweep_time_s: float,
        points: int = 1001,
        *,
        detector: str = "AVER",
        average_type: str = "RMS",
    ) -> SweepSettings:
        """Set up a time trace of the noise power at one frequency.

        Returns:
            what the analyser has set, because it rounds bandwidths to its own steps.

        Raises:
            InstrumentError: it refused one of them.
        """
        commands = (
            ":INIT:CONT OFF",
            ":INST:SEL SA",
            ":CONF:SAN",
            ":UNIT:POW DBM",
            f":SENS:FREQ:CENT {_within(centre_hz, 0, 50e9, 'centre frequency in Hz'):.12g}",
            ":SENS:FREQ:SPAN 0",
            f":SENS:BAND:RES {_within(rbw_hz, 1, 8e6, 'resolution bandwidth in Hz'):.12g}",
            f":SENS:BAND:VID {_within(vbw_hz, 1, 50e6, 'video bandwidth in Hz'):.12g}",
            f":SENS:SWE:POIN {_within(points, 1, 20001, 'number of points'):.0f}",
            ":SENS:SWE:TIME:AUTO OFF",
            f":SENS:SWE:TIME {_within(sweep_time_s, 1e-6, 6000, 'sweep time in s'):.12g}",
            f":SENS:DET:TRAC {_one_of(detector, _DETECTORS, 'detector')}",
            f":SENS:AVER:TYPE {_one_of(average_type, _AVERAGES, 'average type')}",
            ":TRAC:TYPE WRIT",
        )
        with self.transaction():
            self.write(";".join(commands))
            if errors := self.check_errors():
                for command in commands:  # find out which one it refuses
                    self.write(command)
                    self.check_set_errors()
                raise self._refused("all settings at once", errors)
            return self.settings()

    def single(self, duration_s: float | None = None) -> None:
        """Make one sweep (or as many as the trace averages) and return when it is complete.

        Waits in the bench's time, so interlocks run and an abort takes effect during the sweep.

        Args:
            duration_s: how long the sweeps take, if known; otherwise the analyser is asked.

        Raises:
            InstrumentError: the analyser cannot sweep now, or its input is overloaded.
        """
        if duration_s is None:
            duration_s = self.settings().duration_s
        start = ":INIT:CONT OFF;:INIT:IMM"
        self.write(start)
        self.clock.sleep(duration_s)
        query = "*OPC?;:STAT:QUES:INT:COND?;:SYST:ERR?"
        done, bits, error = self._ask_all(query, 3, timeout=PATIENCE + 0.5 * duration_s)
        if not error.lstrip("+").startswith("0,"):
            raise self._refused(start, [error, *self.check_errors()])
        if done != "1" or not bits.isdigit():
            raise self._nonsense(query, f"{done};{bits};{error}", "1 and a number")
        if int(bits) & OVERLOAD:
            raise InstrumentError(
                f"{self.name}: the input is overloaded (:STAT:QUES:INT:COND? gave {bits}); "
                "raise the attenuation or lower the signal"
            )

    def trace(self, form: str = "REAL,32") -> Array:
        """Read the trace as it is now.

        Args:
            form: number format on the wire: "REAL,32", "REAL,64", "INT,32" (millidBm) or "ASC".

        Returns:
            level of each point in dBm (float64).
        """
        if form not in FORMATS:
            raise RequestError(f"a trace can be read as {', '.join(FORMATS)}, not as {form!r}")
        kind, factor = FORMATS[form]
        query = f":FORM:DATA {form};:FORM:BORD NORM;:TRAC:DATA? TRACE1"
        if not kind:
            reply = self.ask(query)
            try:
                return np.array([float(text) for text in reply.split(",")])
            except ValueError:
                raise self._nonsense(query, reply, "numbers") from None
        with self.transaction():
            self.write(query)
            data = self.adapter.read_block()
        if len(data) % np.dtype(kind).itemsize or not data:
            raise InstrumentError(
                f"{self.name}: {query!r} was answered with {len(data)} bytes, "
                f"no whole number of {form} values; check that nobody else changes the format"
            )
        return np.frombuffer(data, kind).astype(float) * factor

    def zero_span_power(self, discard_s: float | None = None) -> ZeroSpanPower:
        """Sweep once in zero span and average the noise power.

        The standard error comes from the scatter of the points and from the correlation that the
        video filter leaves between them. Averages of voltage or logarithm are corrected for what
        they under-read on Gaussian noise (1.05 and 2.51 dB).

        Args:
            discard_s: time at the start of the sweep that is left out, because the video filter
                is still settling. By default 1/VBW, which is 6.3 of its time constants; half as
                much again if the logarithm is averaged, because that settles in decibels.
        """
        settings = self.settings()
        if discard_s is None:
            discard_s = (1.5 if settings.average_type == "LOG" else 1.0) / settings.vbw_hz
        first = math.ceil(discard_s / settings.interval_s - 1e-9)
        used = settings.points - max(0, first)
        time = 1 / (2 * math.pi * settings.vbw_hz) + 0.332 / settings.rbw_hz
        averaged = settings.detector == "AVER"
        share = _share_of_mean(max(used, 1), settings.interval_s / time, averaged)
        if settings.span_hz != 0:
            raise RequestError(f"{self.name}: the span is not 0; call configure_zero_span first")
        if settings.detector not in ("AVER", "SAMP") or settings.trace_type not in ("WRIT", "AVER"):
            raise RequestError(
                f"{self.name}: detector {settings.detector} with trace type {settings.trace_type} "
                "shows no mean power; use AVER or SAMP, and WRIT or AVER"
            )
        if used < 2 or share > 0.5:
            raise RequestError(
                f"{self.name}: {max(0, used) * settings.interval_s:g} s of trace are left after "
                f"{discard_s:g} s, which is too short for a video bandwidth of "
                f"{settings.vbw_hz:g} Hz; sweep for longer"
            )
        self.single(settings.duration_s)
        trace = self.trace()
        if len(trace) != settings.points:
            raise InstrumentError(
                f"{self.name}: the trace has {len(trace)} points instead of {settings.points}; "
                "check that nobody else uses the analyser"
            )
        levels = trace[-used:]
        if not np.all(np.abs(levels) < NO_LEVEL):  # NaN is refused, too
            raise InstrumentError(
                f"{self.name}: the trace has points of {levels.min():g} to {levels.max():g} dBm, "
                "so it is damaged or not measured; measure again"
            )
        mean, error = _mean(levels, settings.average_type, share)
        return ZeroSpanPower(mean, error, trace)

    # ------------------------------------------------- helpers

    def _ask_all(self, query: str, count: int, **kwargs: Any) -> list[str]:
        """Several queries in one message; the texts of the answers."""
        reply = self.ask(query, **kwargs)
        parts = [part.strip() for part in reply.split(";", count - 1)]
        if len(parts) != count:
            raise self._nonsense(query, reply, f"{count} answers")
        return parts

    def _settings(self, replies: list[str]) -> SweepSettings:
        try:
            centre, span, rbw, vbw, time = (float(reply) for reply in replies[:5])
            points, count = _integer(replies[5]), _integer(replies[9])
        except ValueError:
            raise self._nonsense(_SETTINGS_QUERY, ";".join(replies), "settings") from None
        detector, average, trace = replies[6:9]
        return SweepSettings(centre, span, rbw, vbw, time, points, detector, average, trace, count)

    def _refused(self, command: str, errors: list[str]) -> InstrumentError:
        shown = command if len(command) <= 100 else f"{command[:100]}..."
        return InstrumentError(
            f"{self.name}: {shown!r} was answered with {' and '.join(errors)}; "
            "read the setting back to see what the analyser uses, and ask for what it can do"
        )


@lru_cache(maxsize=64)
def _share_of_mean(points: int, ratio: float, averaged: bool) -> float:
    """Variance of the mean of correlated points, relative to the variance of one point.

    The points are samples of a process with correlation exp(-t/time), or its averages over the
    intervals between them.

    Args:
        points: how many.
        ratio: interval between points over correlation time.
        averaged: whether each point is an average over its interval.
    """
    lags = np.arange(1, points)
    correlation = np.exp(-ratio * lags)
    if averaged and ratio > 1e-3:
        correlation *= math.expm1(-ratio) ** 2 * math.exp(ratio)
        correlation /= 2 * (ratio + math.expm1(-ratio))
    return float(1 + 2 * np.sum((1 - lags / points) * correlation)) / points


def _mean(trace_dbm: Array, average_type: str, share: float) -> tuple[float, float]:
    """Mean power and its standard error in mW, averaging what the analyser averages."""
    if average_type == "LOG":
        values = trace_dbm
    else:
        values = 10 ** (trace_dbm / (20 if average_type == "SCAL" else 10))
    mean = float(values.mean())
    # The scatter about the trace's own mean lacks the part that the mean has taken.
    error = math.sqrt(float(values.var()) * share / (1 - share))
    correction = 10 ** (UNDER_READS[average_type] / 10)
    if average_type == "LOG":
        power = correction * 10 ** (mean / 10)
        return power, power * error * math.log(10) / 10
    if average_type == "SCAL":
        return correction * mean**2, correction * 2 * mean * error
    return mean, error
