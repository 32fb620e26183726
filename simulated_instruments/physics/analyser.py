"""Spectrum analyser: sweeps in time and the traces that they leave.

A sweep's points appear as time reaches them, each with the source's noise density at its own time
and frequency. The random numbers of a sweep depend on its number only, so neither the trace nor
its statistics depend on how often anyone looks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

from simulated_instruments.physics import analyser_noise as noise
from simulated_instruments.physics.analyser_settings import MIXER_LIMIT_DBM, AnalyserSettings

EMPTY_DBM = -1000.0  # a point that no sweep has reached yet
HOLD_LIMIT = 1000  # sweeps without end whose extremes a trace holds; more would change little
LO_FEEDTHROUGH_DBM = -15.0  # the line that every swept analyser shows at 0 Hz


class NoiseSource(Protocol):
    """What is connected to the input."""

    def psd_w_per_hz(self, frequency_hz: np.ndarray, times_s: np.ndarray) -> np.ndarray:
        """Noise power density at each frequency and time; the arrays broadcast."""


class ThermalSource:
    """A 50 ohm resistor at 290 K."""

    def psd_w_per_hz(self, frequency_hz: np.ndarray, times_s: np.ndarray) -> np.ndarray:
        return np.broadcast_to(noise.THERMAL_W_PER_HZ, np.broadcast(frequency_hz, times_s).shape)


class _Sweep:
    """One pass over the points of a trace."""

    def __init__(self, number: int, start: float, times: np.ndarray, factors: np.ndarray) -> None:
        self.number = number
        self.start = start
        self.times = times
        self.factors = factors  # ln(displayed / mean) of each point
        self.done = 0
        self.before_w = 0.0  # filtered power one point before the next one
        self.overloaded = False
        self.input_w = 0.0  # power at the input of the video filter at the last point done


class AnalyserModel(AnalyserSettings):
    """The analyser without its remote interface; frequencies in Hz, times in s, levels in dBm.

    Args:
        seed_of: gives the seed that belongs to a name (`World.seed_of`).
        name: of the analyser, as its owner names its random numbers.
        source: what is connected to the input; may be replaced at any time.
        danl_dbm_hz: displayed average noise level at 10 dB attenuation, averaged as power.
        level_error_db: standard deviation of the level error that is fixed at power-up.
        retrace_s: time between sweeps.
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str = "analyser",
        source: NoiseSource | None = None,
        *,
        danl_dbm_hz: float = -150.0,
        level_error_db: float = 0.3,
        retrace_s: float = 5e-3,
    ) -> None:
        super().__init__()
        self._seed_of = seed_of
        self._name = name
        self.source: NoiseSource = source or ThermalSource()
        self.danl_dbm_hz = danl_dbm_hz
        self.retrace_s = retrace_s
        error_db = level_error_db * self._rng("level").standard_normal()
        self._gain = 10 ** (error_db / 10)
        self.stale = True  # the trace does not belong to the present settings
        self._now = 0.0
        self._sweep: _Sweep | None = None
        self._sweeps = 0  # started since power-up: names the random numbers of the next one
        self._origin = 0.0  # start of the first sweep of the present series
        self._first = 0  # number of that sweep
        self._series = 0  # sweeps in the series; 0: without end
        self._averaged = 0  # sweeps that the trace holds
        self._overload = False  # in the series (or without end: the last sweep) before this sweep
        self._held_w: float | None = None  # what the video filter saw last; None: nothing yet
        self._level = np.full(0, np.nan)  # the trace in the unit that is averaged
        self._level_type = ""
        self.continuous = False
        self.preset(continuous=False)

    # ------------------------------------------------- settings

    def preset(self, continuous: bool) -> None:
        """Bring all settings to their preset values, and sweep without end or not at all."""
        self.restore()
        self._sweep = None
        self.continuous = continuous
        self.disturbed(tunes=True)
        if continuous:
            self._start(0)

    @property
    def overloaded(self) -> bool:
        """Whether the input was overloaded in this or the last sweep, or earlier in the series."""
        return self._overload or (self._sweep is not None and self._sweep.overloaded)

    # ------------------------------------------------- sweeps

    @property
    def sweeping(self) -> bool:
        """Whether a sweep is under way."""
        return self._sweep is not None

    @property
    def done_at(self) -> float:
        """When the series of single sweeps ends (s); 0 when none is under way."""
        if self._sweep is None or self._series == 0:
            return 0.0
        return float(self._origin + self._series * self._period)

    def initiate(self, sweeps: int | None = None) -> None:
        """Start that many sweeps; by default one, or as many as the trace averages or holds."""
        self._averaged = 0
        self._start(sweeps or (1 if self.trace_type == "WRIT" else self.average_count))

    def set_continuous(self, continuous: bool) -> None:
        """Sweep without end, or stop at once."""
        if continuous != self.continuous:
            self.continuous = continuous
            self.abort()

    def abort(self) -> None:
        """End the sweep; in continuous mode the next one starts at once."""
        self._sweep = None
        if self.continuous:
            self._start(0)

    def clear_average(self) -> None:
        """Start averaging or holding anew."""
        self.disturbed(tunes=False)

    @property
    def _period(self) -> float:
        return float(self.sweep_time_s + self.retrace_s)

    @property
    def _interval(self) -> float:
        return float(self.sweep_time_s / max(1, self.points - 1))

    def disturbed(self, tunes: bool) -> None:
        """Follow a changed setting with a new trace, unsettled filters and a new sweep."""
        self.stale = True
        self._averaged = 0
        level_type = self.sweep_average or self.average_type
        if len(self._level) != self.points or self._level_type != level_type:
            self._level = np.full(self.points, np.nan)
            self._level_type = level_type
        if tunes:
            self._held_w = None
        if self._sweep is not None:
            self._start(self._series)

    def _start(self, series: int) -> None:
        self._origin, self._first, self._series = self._now, self._sweeps, series
        self._overload = False
        self._prepare(0)

    def _prepare(self, index: int) -> None:
        """Set up sweep `index` of the series with all its random numbers."""
        number = self._first + index
        self._sweeps = number + 1
        vbw_hz = noise.OPEN_VIDEO * self.rbw_hz if self.video_bypassed else self.vbw_hz
        self._how = noise.pointwise(
            self.rbw_hz, vbw_hz, self.average_type, self.detector, self._interval
        )
        start = self._origin + index * self._period
        times = start + self._interval * np.arange(self.points)
        factors = noise.log_factors(self._how, self._rng(f"sweep.{number}"), self.points)
        self._sweep = _Sweep(number, start, times, factors)
        self._sweep.before_w = self._floor_w() if self._held_w is None else self._held_w

    def advance(self, now: float) -> None:
        """Fill in the points up to time `now` (s)."""
        self._now = now
        while (sweep := self._sweep) is not None:
            self._fill(sweep, now)
            index = sweep.number - self._first
            if now < self._origin + (index + 1) * self._period:
                return
            self._held_w = sweep.input_w
            self._overload = sweep.overloaded or (self._series > 0 and self._overload)
            self._averaged += 1
            self.stale = False
            if index + 1 == self._series:
                self._sweep = None
                return
            if self._series == 0:
                # Of the sweeps that nobody has seen, the last whole one matters, and to it
                # what the filter saw at the end of the one before; to an average, those that
                # have not been forgotten to the last bit.
                unseen = int((now - self._origin) / self._period) - 4
                if self.trace_type == "AVER":
                    index = max(index, unseen - 40 * self.average_count)
                elif self.trace_type == "WRIT" or self._averaged >= HOLD_LIMIT:
                    index = max(index, unseen)
            self._prepare(index + 1)

    def _fill(self, sweep: _Sweep, now: float) -> None:
        first, last = sweep.done, int(np.searchsorted(sweep.times, now, side="right"))
        if last <= first:
            return
        times = sweep.times[first:last]
        frequencies = np.array([self.centre_hz])
        if self.span_hz:
            frequencies = self.frequencies()[first:last]
        width = noise.NOISE_BANDWIDTH * self.rbw_hz
        psd = np.broadcast_to(self.source.psd_w_per_hz(frequencies, times), times.shape)
        limit_w = 1e-3 * 10 ** ((MIXER_LIMIT_DBM + self.attenuation_db) / 10)
        power, over = noise.overload(psd * width, self._floor_w(), limit_w)
        sweep.overloaded |= over
        sweep.input_w = float(power[-1])
        shown, sweep.before_w = noise.settle(
            power, sweep.before_w, self._how.correlation, self.average_type
        )
        shown = shown * np.exp(sweep.factors[first:last])
        spur_w = 1e-3 * 10 ** (LO_FEEDTHROUGH_DBM / 10)
        shown += spur_w * noise.filter_response(frequencies, self.rbw_hz)
        self._show(first, last, shown * self._gain)
        sweep.done = last

    def _floor_w(self) -> float:
        """Mean power (W) of the analyser's own noise."""
        density = 1e-3 * 10 ** ((self.danl_dbm_hz + self.attenuation_db - 10.0) / 10)
        return float(density * noise.NOISE_BANDWIDTH * self.rbw_hz)

    def _rng(self, purpose: str) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(self._seed_of(f"{self._name}.{purpose}")))

    # ------------------------------------------------- traces

    def _show(self, first: int, last: int, power_w: np.ndarray) -> None:
        """Combine new points with the trace: replace, average, or keep the extreme."""
        if self._level_type == "LOG":
            new = np.log(power_w)
        else:
            new = np.sqrt(power_w) if self._level_type == "SCAL" else power_w
        old = self._level[first:last]
        if self.trace_type != "WRIT" and self._averaged:
            if self.trace_type == "AVER":
                new = old + (new - old) / min(self._averaged + 1, self.average_count)
            elif self._averaged >= HOLD_LIMIT and self._series == 0:
                new = old
            else:
                new = (np.maximum if self.trace_type == "MAXH" else np.minimum)(old, new)
        self._level[first:last] = new

    def trace_dbm(self) -> np.ndarray:
        """The displayed trace; points that were never measured are `EMPTY_DBM`."""
        if self._level_type == "LOG":
            level = self._level * (10 / math.log(10)) + 30.0
        else:
            factor = 20.0 if self._level_type == "SCAL" else 10.0
            level = factor * np.log10(self._level) + 30.0
        return np.where(np.isnan(level), EMPTY_DBM, level)

    def frequencies(self) -> np.ndarray:
        """Frequency of each point (Hz)."""
        return np.linspace(self.start_hz, self.stop_hz, self.points)

    def axis(self) -> np.ndarray:
        """The horizontal axis: Hz, or in zero span seconds since the start of the sweep."""
        return self.frequencies() if self.span_hz else self._interval * np.arange(self.points)
