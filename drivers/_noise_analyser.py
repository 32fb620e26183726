"""What spectrum analysers of all makers are to a procedure: noise in zero span, with its error.

Procedures use `configure_zero_span`, `single`, `trace` and `zero_span_power`; everything else may
differ from family to family. A family states its words in class attributes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pymeasure.instruments import SCPIMixin

from drivers._properties import integer, within
from drivers._zero_span import Array, SweepSettings, ZeroSpanPower, mean_power, share_of_mean
from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError
from labctl.instrument import LabInstrument

PATIENCE = 5.0  # s beyond the time that sweeps take
NO_LEVEL = 300.0  # dBm, above or below which a level is none
_WORDS = frozenset(("detector", "trace_type", "average_type"))
_INTEGERS = frozenset(("points", "average_count"))


class Limits(NamedTuple):
    """Lowest and highest values that the largest analyser of a family takes."""

    frequency_hz: tuple[float, float]
    rbw_hz: tuple[float, float]
    vbw_hz: tuple[float, float]
    sweep_time_s: tuple[float, float]
    points: tuple[int, int]


class NoiseAnalyser(SCPIMixin, LabInstrument):  # type: ignore[misc]  # pymeasure has no types
    """One analyser. Frequencies are in Hz, times in s, levels in dBm at the input.

    Args:
        adapter: the connection.
        name: the name in the bench file.
    """

    FRAMING = Framing(write=b"\n", read=b"\n", timeout=5.0)
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

    LIMITS: ClassVar[Limits]
    #: Queries of those settings that are read from the instrument.
    QUERIES: ClassVar[dict[str, str]]
    #: Settings that are no property of a sweep.
    ASIDE: ClassVar[frozenset[str]] = frozenset(("reference_level", "attenuation", "continuous"))
    START: ClassVar[str] = ":INIT:CONT OFF;:INIT:IMM"
    #: Asks for 1 at the end of the sweep, for overload bits and for the oldest error.
    DONE: ClassVar[str]
    OVERLOAD: ClassVar[int]
    #: Asks for the trace in a given format.
    TRACE: ClassVar[str]
    #: Numbers per trace point: format to (type on the wire, "" for text; factor to dBm).
    FORMATS: ClassVar[dict[str, tuple[str, float]]]
    #: Trace types that show a mean power.
    MEAN_TRACES: ClassVar[tuple[str, ...]] = ("WRIT",)

    _last = ""  # the last command, for messages

    @abstractmethod
    def _zero_span_commands(
        self, values: Mapping[str, str], detector: str, average_type: str
    ) -> Sequence[str]:
        """The commands of `configure_zero_span`, given numbers as text by name of the setting."""

    @abstractmethod
    def _meaning(self, readings: Mapping[str, Any]) -> tuple[str, str, int, bool]:
        """The fields `detector`, `average_type`, `sweeps` and `filtered` of `SweepSettings`."""

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
        readings = self._read_settings(tuple(self.QUERIES))
        return {name: readings[name] for name in self.SETTINGS}

    # ------------------------------------------------- measurements

    def settings(self) -> SweepSettings:
        """What the analyser has set, read in one exchange."""
        names = tuple(name for name in self.QUERIES if name not in self.ASIDE)
        readings = self._read_settings(names)
        detector, average_type, sweeps, filtered = self._meaning(readings)
        return SweepSettings(
            readings["centre"],
            readings["span"],
            readings["rbw"],
            readings["vbw"],
            readings["sweep_time"],
            readings["points"],
            detector,
            average_type,
            readings["trace_type"],
            readings["average_count"],
            sweeps,
            filtered,
        )

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

        Args:
            centre_hz: the frequency.
            rbw_hz: resolution bandwidth.
            vbw_hz: video bandwidth.
            sweep_time_s: length of the trace.
            points: in the trace.
            detector: "AVER": each point is an average over its interval; "SAMP": a sample.
            average_type: of what; "RMS": power, "SCAL": voltage, "LOG": logarithm of power.

        Returns:
            what the analyser has set, because it rounds bandwidths to its own steps.

        Raises:
            RequestError: no analyser of this family can do that.
            InstrumentError: it refused one of the settings.
        """
        limits = self.LIMITS
        values = {
            "centre": within(centre_hz, limits.frequency_hz, "centre frequency in Hz"),
            "rbw": within(rbw_hz, limits.rbw_hz, "resolution bandwidth in Hz"),
            "vbw": within(vbw_hz, limits.vbw_hz, "video bandwidth in Hz"),
            "sweep_time": within(sweep_time_s, limits.sweep_time_s, "sweep time in s"),
            "points": within(points, limits.points, "number of points"),
        }
        texts = {name: f"{value:.12g}" for name, value in values.items()}
        commands = self._zero_span_commands(texts, detector, average_type)
        with self.transaction():
            self.write(";".join(commands))
            if errors := self.check_errors():
                for command in commands:  # find out which one it refuses
                    self.write(command)
                    self.check_set_errors()
                raise self._refused("all settings at once", errors)
            return self.settings()

    def single(self, duration_s: float | None = None) -> None:
        """Make one sweep (or as many as one start makes) and return when it is complete.

        Waits in the bench's time, so interlocks run and an abort takes effect during the sweep.

        Args:
            duration_s: how long the sweeps take, if known; otherwise the analyser is asked.

        Raises:
            InstrumentError: the analyser cannot sweep now, or its input is overloaded.
        """
        self._sweep(self.START, duration_s)

    def _sweep(self, start: str, duration_s: float | None) -> None:
        if duration_s is None:
            duration_s = self.settings().duration_s
        self.write(start)
        self.clock.sleep(duration_s)
        done, bits, error = self._ask_all(self.DONE, 3, timeout=PATIENCE + 0.5 * duration_s)
        if not error.lstrip("+").startswith("0,"):
            raise self._refused(start, [error, *self.check_errors()])
        if done != "1" or not bits.isdigit():
            raise self._nonsense(self.DONE, f"{done};{bits};{error}", "1 and a number")
        if int(bits) & self.OVERLOAD:
            raise InstrumentError(
                f"{self.name}: the input is overloaded ({self.DONE} gave {bits}); "
                "raise the attenuation or lower the signal"
            )

    def trace(self, form: str = "REAL,32") -> Array:
        """Read the trace as it is now.

        Args:
            form: number format on the wire, one of `FORMATS`.

        Returns:
            level of each point in dBm (float64).
        """
        if form not in self.FORMATS:
            raise RequestError(f"a trace can be read as {', '.join(self.FORMATS)}, not as {form!r}")
        kind, factor = self.FORMATS[form]
        query = self.TRACE.format(form=form)
        if not kind:
            return self._list(query)
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
        filters leave between them. Averages of voltage or logarithm are corrected for what they
        under-read on Gaussian noise (1.05 and 2.51 dB).

        Args:
            discard_s: time at the start of the sweep that is left out, because the filters are
                still settling; by default `SweepSettings.settling_s`.
        """
        settings = self.settings()
        if discard_s is None:
            discard_s = settings.settling_s
        first = math.ceil(discard_s / settings.interval_s - 1e-9)
        used = settings.points - max(0, first)
        averaged = settings.detector == "AVER"
        ratio = settings.interval_s / settings.correlation_time_s
        share = share_of_mean(max(used, 1), ratio, averaged)
        if settings.span_hz != 0:
            raise RequestError(f"{self.name}: the span is not 0; call configure_zero_span first")
        if settings.detector not in ("AVER", "SAMP") or settings.trace_type not in self.MEAN_TRACES:
            raise RequestError(
                f"{self.name}: detector {settings.detector} with trace type {settings.trace_type} "
                f"shows no mean power; use AVER or SAMP, and {' or '.join(self.MEAN_TRACES)}"
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
        mean, error = mean_power(levels, settings.average_type, share)
        return ZeroSpanPower(mean, error, trace)

    # ------------------------------------------------- helpers

    def _ask_all(self, query: str, count: int, **kwargs: Any) -> list[str]:
        """Several queries in one message; the texts of the answers."""
        reply = self.ask(query, **kwargs)
        parts = [part.strip() for part in reply.split(";", count - 1)]
        if len(parts) != count:
            raise self._nonsense(query, reply, f"{count} answers")
        return parts

    def _list(self, query: str) -> Array:
        """A comma-separated list of numbers."""
        reply = self.ask(query)
        try:
            return np.array([float(text) for text in reply.split(",")])
        except ValueError:
            raise self._nonsense(query, reply, "numbers") from None

    def _read_settings(self, names: tuple[str, ...]) -> dict[str, Any]:
        query = ";".join(self.QUERIES[name] for name in names)
        replies = self._ask_all(query, len(names))
        try:
            return {name: _setting(name, reply) for name, reply in zip(names, replies, strict=True)}
        except ValueError:
            raise self._nonsense(query, ";".join(replies), "settings") from None

    def _refused(self, command: str, errors: list[str]) -> InstrumentError:
        shown = command if len(command) <= 100 else f"{command[:100]}..."
        return InstrumentError(
            f"{self.name}: {shown!r} was answered with {' and '.join(errors)}; "
            "read the setting back to see what the analyser uses, and ask for what it can do"
        )


def _setting(name: str, reply: str) -> Any:
    if name in _WORDS:
        return reply
    if name in _INTEGERS:
        return integer(reply)
    return bool(float(reply)) if name == "continuous" else float(reply)
