"""Erbium-doped fibre amplifier: saturating gain, its transients, spontaneous emission, interlock.

    ln(G / G0) = -(G - 1) P_in / P_sat          gain, in the steady state
    ASE = (F G - 1) h nu B                      both polarisations, in a bandwidth B

The gain follows the pump with 5 ms and the input with 0.2 ms, while light passes at once: a sudden
input meets the full small-signal gain first. Pump current I sets G0 and P_sat; with
s = (I - threshold) / (maximum - threshold), G0 in dB and P_sat are proportional to s (assumed).
Without pump the fibre absorbs.

What the input is at a time, somebody else knows: `input_mw`. A jump of it happens when a command
switches something, which is when the world was advanced for the last time before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import lambertw

from simulated_instruments.physics.noise import OrnsteinUhlenbeck

Floats = NDArray[np.float64]
Source = Callable[[Any], Any]

H_NU = 6.62607015e-34 * 299_792_458.0 / 1550e-9  # J, photon energy
GAIN_DB, P_SAT = 30.0, 100.0  # dB, mW, at the maximum current
ABSORPTION_DB = 30.0  # of the fibre without pump
NOISE_FIGURE = 10**0.5  # 5 dB
BANDWIDTH = 4e12  # Hz, of the amplifier, for what its power meter sees
PUMP_LAG, INPUT_LAG = 5e-3, 0.2e-3  # s
NOISE, NOISE_TAU = 1e-3, 1.0  # relative rms of the output, s
STARTING = 0.5  # s from activation to pump light
LOSS_TICK = 0.1  # s between looks of the interlock at the input
THRESHOLD_MA, MAXIMUM_MA = 50.0, 500.0
REMEMBERED = 1000  # changes of the pump
FORGOTTEN = 50.0  # time constants after which a transient is over


class Follower:
    """Follows functions of time, one after the other; where they jump, with a lag `tau` (s)."""

    def __init__(self, tau: float, source: Source) -> None:
        self._tau = tau
        self._pieces: list[tuple[float, Source]] = [(0.0, source)]
        self._jumps: list[tuple[float, float]] = []
        self.switches = 0  # how often it was switched

    def switch(self, t: float, source: Source) -> None:
        """From `t` (s) on follow another function."""
        before = self._pieces[-1][1]
        self.switches += 1
        self._pieces = [*self._pieces[-REMEMBERED:], (t, source)]
        self.jump(t, float(before(t)) - float(source(t)))

    def jump(self, t: float, gap: float) -> None:
        """At `t` (s) the function jumped: what it was before, minus what it is now."""
        alive = t - FORGOTTEN * self._tau
        self._jumps = [(when, size) for when, size in self._jumps if when > alive]
        if gap:
            self._jumps.append((t, gap))

    def at(self, t: Any) -> Any:
        """Value at time `t` (s), a float or an array."""
        value = self._pieces[0][1](t)
        for begun, source in self._pieces[1:]:
            value = np.where(np.asarray(t) >= begun, source(t), value)
        for when, gap in self._jumps:
            elapsed = np.asarray(t) - when
            decay = np.exp(-np.maximum(elapsed, 0.0) / self._tau)
            value = value + np.where(elapsed >= 0.0, gap * decay, 0.0)
        return value if isinstance(t, np.ndarray) else float(value)


class EdfaModel:
    """One amplifier with one pump. Powers in mW, currents in mA.

    Args:
        seed_of: seeds by name.
        name: the instrument's name.
        input_mw: power at the input at a time (s), a float or an array; 1 mW by default.
        saturation_mw: P_sat at the maximum current; 2500 mW make a booster of some watts.
        maximum_mw: largest set point for constant power.
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str = "edfa",
        input_mw: Source = lambda t: 1.0 + 0.0 * t,
        saturation_mw: float = P_SAT,
        maximum_mw: float = 200.0,
    ) -> None:
        self.saturation_mw = saturation_mw
        self.maximum_mw = maximum_mw
        self.input_mw = input_mw
        self.now = 0.0
        self.constant_power = False  # False: constant current (ACC), True: output power (APC)
        self.current = 0.0  # mA, set point
        self.power = 0.0  # mW, set point
        self.channel = False
        self.active = False  # pump light, or on the way to it
        self.tripped = False  # by loss of input
        self.loss_dbm = -20.0  # input below which the pump must not run
        self.watch_input = True
        self._starts: float | None = None  # s, when pump light will begin
        self._looked = 0.0  # s, last look of the interlock
        self._waiting = False  # pumped before there was light; the interlock waits for the first
        self._seen: tuple[float, float] | None = None  # time and input of the last look at it
        self._input = Follower(INPUT_LAG, lambda t: np.maximum(self.input_mw(t), 0.0))
        self._pump = Follower(PUMP_LAG, _constant(0.0))
        self._noise = OrnsteinUhlenbeck(seed_of(f"{name}.noise"), NOISE, NOISE_TAU)
        self._case = OrnsteinUhlenbeck(seed_of(f"{name}.case"), 0.3, 1800.0)

    # ---------------------------------------------------------------- what comes out

    def gain(self, t: Any) -> Any:
        """Power gain at time `t` (s)."""
        self._catch_up(t)
        return steady_gain(self._pump.at(t), self._input.at(t), self.saturation_mw)

    def output_mw(self, t: Any) -> Any:
        """Signal (mW) at the output at time `t` (s), without spontaneous emission."""
        gain = self.gain(t)  # first: it notices jumps of the input
        return gain * np.maximum(self.input_mw(t), 0.0) * (1.0 + self._noise.at(t))

    def ase_w_per_hz(self, t: Any) -> Any:
        """Spontaneous emission (W/Hz) at the output, both polarisations."""
        return np.maximum(NOISE_FIGURE * self.gain(t) - 1.0, 0.0) * H_NU

    def total_mw(self, t: Any) -> Any:
        """What a power meter at the output sees (mW): signal and spontaneous emission."""
        return self.output_mw(t) + 1e3 * BANDWIDTH * self.ase_w_per_hz(t)

    def pump_ma(self, t: Any) -> Any:
        """Current (mA) through the pump diode at time `t` (s)."""
        self._catch_up(t)
        return self._pump.at(t)

    def case_celsius(self, t: Any) -> Any:
        """Temperature (degC) of the case, warmer with the pump."""
        return 28.0 + self._case.at(t) + 8.0 * self.pump_ma(t) / MAXIMUM_MA

    def gain_as_told(self, t: Any) -> Any:
        """Gain at time `t` (s), also in the future, if nobody tells it anything until then."""
        return steady_gain(self._pump.at(t), np.maximum(self.input_mw(t), 0.0))

    @property
    def switches(self) -> int:
        """How often the pump was switched or told something."""
        return self._pump.switches

    # ---------------------------------------------------------------- what it is told

    def left_on(self, current_ma: float) -> None:
        """Begin pumped with a constant current (mA), as somebody left it before time 0.

        The loss-of-input interlock is armed by the first light.
        """
        self.current, self.channel, self.active, self._waiting = current_ma, True, True, True
        self._pump = Follower(PUMP_LAG, _constant(current_ma))

    def dark(self, t: float) -> bool:
        """Whether the input is too weak for the pump."""
        return self.watch_input and _dbm(float(self.input_mw(t))) < self.loss_dbm

    def lit(self, t: float) -> bool:
        """Whether pump light has begun."""
        self._catch_up(t)
        return self.active and self._starts is None

    def set_channel(self, on: bool, t: float) -> None:
        """Prepare the pump or take it away; switching off also ends the activation."""
        if not on:
            self.deactivate(t)
            self.tripped = False
        self.channel = on

    def activate(self, t: float) -> None:
        """Begin to pump, if channel, interlock and input allow it."""
        self._catch_up(t)
        if self.channel and not self.active and not self.tripped and not self.dark(t):
            self.active, self._starts, self._looked = True, t + STARTING, t

    def deactivate(self, t: float) -> None:
        """Stop to pump."""
        self._catch_up(t)
        if self.active and self._starts is None:
            self._pump.switch(t, _constant(0.0))
        self.active, self._starts = False, None

    def tell(self, t: float, **changes: Any) -> None:
        """Change `constant_power`, `current` or `power` at time `t` (s)."""
        self._catch_up(t)
        for name, value in changes.items():
            setattr(self, name, value)
        if self.active and self._starts is None:
            self._pump.switch(t, self._drive())

    def advance(self, now: float) -> None:
        """Begin to pump, or lose the input, whatever is due by `now` (s)."""
        self._catch_up(now)
        self.now = now
        self._seen = now, float(np.maximum(self.input_mw(now), 0.0))

    # ---------------------------------------------------------------- how it follows

    def _drive(self) -> Source:
        """Pump current (mA) as a function of time, as set."""
        if not self.constant_power:
            return _constant(self.current)
        wanted = self.power
        return lambda t: current_for(wanted, np.maximum(self.input_mw(t), 0.0), self.saturation_mw)

    def _catch_up(self, t: Any) -> None:
        """Handle what happens by `t` (s), in order of time."""
        until = float(np.max(t)) if isinstance(t, np.ndarray) else float(t)
        if self._seen is not None:  # did the last command make the input jump?
            when, before = self._seen
            gap = before - float(np.maximum(self.input_mw(when), 0.0))
            if gap:
                self._input.jump(when, gap)
                self._seen = when, before - gap
        if not self.active:
            return
        lost = self._lost(until)
        if self._starts is not None and self._starts <= min(until, lost):
            starts, self._starts = self._starts, None
            self._pump.switch(starts, self._drive())
        if lost <= until:
            if self._starts is None:
                self._pump.switch(lost, _constant(0.0))
            self.active, self._starts, self.tripped = False, None, True

    def _lost(self, until: float) -> float:
        """The first look of the interlock, by `until` (s), that finds no input; or infinity."""
        first = math.floor(self._looked / LOSS_TICK) + 1
        last = math.floor(until / LOSS_TICK)
        self._looked = max(self._looked, until)
        if not self.watch_input:
            return math.inf
        least = 10.0 ** (self.loss_dbm / 10.0)
        for begin in range(first, last + 1, 10_000):
            ticks = np.arange(begin, min(begin + 10_000, last + 1)) * LOSS_TICK
            power = np.broadcast_to(self.input_mw(ticks), ticks.shape)
            if self._waiting:
                if not (lit := np.flatnonzero(power >= least)).size:
                    continue
                self._waiting = False
                ticks, power = ticks[lit[0] :], power[lit[0] :]
            found = np.flatnonzero(power < least)
            if found.size:
                return float(ticks[found[0]])
        return math.inf


def _constant(value: float) -> Source:
    return lambda t: value + 0.0 * t


def _dbm(milliwatts: float) -> float:
    return 10.0 * math.log10(milliwatts) if milliwatts > 0 else -math.inf


def steady_gain(current_ma: Any, input_mw: Any, saturation_mw: float = P_SAT) -> Any:
    """Power gain at a pump current (mA) and input (mW) that do not change.

    With x = P_in / P_sat the equation for G reads x G e^(x G) = x G0 e^x: Lambert's function.
    """
    current, power = np.asarray(current_ma, dtype=float), np.asarray(input_mw, dtype=float)
    s = (current - THRESHOLD_MA) / (MAXIMUM_MA - THRESHOLD_MA)
    pumped = s > 0.0
    decibel = np.where(pumped, GAIN_DB * s, ABSORPTION_DB * (current / THRESHOLD_MA - 1.0))
    small = 10.0 ** (decibel / 10.0)
    x = np.where(pumped, power / np.where(pumped, saturation_mw * s, 1.0), 0.0)
    safe = np.where(x > 0.0, x, 1.0)
    saturated = lambertw(safe * small * np.exp(safe)).real / safe
    gain = np.where(x > 0.0, saturated, small)
    return gain if gain.ndim else float(gain)


def current_for(output_mw: float, input_mw: Any, saturation_mw: float = P_SAT) -> Any:
    """Pump current (mA), at most the maximum, for an output (mW): the same equation for s."""
    power = np.maximum(np.asarray(input_mw, dtype=float), 1e-12)
    gain = np.maximum(output_mw / power, 1.0)
    log, most = np.log(gain), math.log(10.0 ** (GAIN_DB / 10.0))
    load = (gain - 1.0) * power / saturation_mw
    s = (log + np.sqrt(log**2 + 4.0 * most * load)) / (2.0 * most)
    current = np.minimum(THRESHOLD_MA + s * (MAXIMUM_MA - THRESHOLD_MA), MAXIMUM_MA)
    return current if current.ndim else float(current)
