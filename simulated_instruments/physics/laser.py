"""Tunable external-cavity laser: frequency and power as functions of time.

Everything between two writes is closed form (lag with slew limit, piezo lag, scheduled mode hops)
or a noise process that is itself a function of time, so nothing depends on who looks when.
Numbers: shared instrument dynamics, section 4; the piezo spans 0 to 140 V around 70 V.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from simulated_instruments.physics.motion import Approach, Sweep
from simulated_instruments.physics.noise import OrnsteinUhlenbeck, Wiener

C = 299_792_458.0  # speed of light, m/s

COARSE_LAG = 0.05  # s
COARSE_SLEW = 10.0  # nm/s
ARRIVED = 1e-5  # nm: the motor reports idle from here on
PIEZO_GAIN = 2e9  # Hz/V
PIEZO_CENTRE = 70.0  # V
PIEZO_RANGE = (0.0, 140.0)  # V
PIEZO_LAG = 1e-3  # s
HYSTERESIS = 0.05  # relative change of the slope on a saturated branch
HYSTERESIS_LENGTH = 70.0  # V of travel after which a branch is saturated
HOP_FREE = 12.5e9  # Hz either side of the last coarse point
HOP = 5e9  # Hz, spacing of the external cavity
HOP_RATE = 1e-6  # 1/s
HOP_DIP = 1e-3  # s during which the power is halved
HEAD_TUNING = -1e9  # Hz/K, assumed
HORIZON = 1e8  # s, as far as random hops are drawn


class CtlLaserModel:
    """One laser head. Wavelengths are vacuum values in nm; the frequency is the optical one."""

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str = "laser",
        *,
        wavelength_nm: float = 1550.12,
        range_nm: tuple[float, float] = (1510.0, 1630.0),
        power_mw: float = 20.0,
        current_ma: float = 300.0,
        threshold_ma: float = 60.0,
        drift_hz: float = 1e6,
        thermal_hz: float = 20e6,
        power_noise: float = 2e-3,
        hop_rate: float = HOP_RATE,
        linewidth_hz: float = 10e3,
    ) -> None:
        self.range_nm = range_nm
        self.nominal_mw = power_mw
        self.nominal_ma = current_ma
        self.threshold_ma = threshold_ma
        self.linewidth_hz = linewidth_hz
        self.interlock_open = False
        self.frontkey_locked = False
        self.button_enabled = True  # the emission button on the front
        self.laser_enabled = True
        self.current_enabled = False  # a laser that was just switched on is dark
        self.current_ma = current_ma
        self.now = 0.0
        self._drift = Wiener(seed_of(f"{name}.drift"), drift_hz)
        self._thermal = OrnsteinUhlenbeck(seed_of(f"{name}.thermal"), thermal_hz, 600.0)
        self._power = OrnsteinUhlenbeck(seed_of(f"{name}.power"), power_noise, 300.0)
        rng = np.random.Generator(np.random.PCG64(seed_of(f"{name}.hops")))
        count = rng.poisson(hop_rate * HORIZON)
        self._hop_times: list[float] = np.sort(rng.uniform(0.0, HORIZON, count)).tolist()
        self._hop_sums: list[float] = np.concatenate(
            ([0.0], np.cumsum(rng.choice((-HOP, HOP), count)))
        ).tolist()
        self._hop_totals = np.array(self._hop_sums)
        self.target_nm = wavelength_nm
        self._coarse: list[Approach | Sweep] = [
            Approach(0.0, wavelength_nm, wavelength_nm, COARSE_LAG, COARSE_SLEW)
        ]
        self.piezo_v = PIEZO_CENTRE
        self._memory = 0.0  # V, hysteresis variable
        self._piezo = Approach(0.0, 0.0, 0.0, PIEZO_LAG)  # V of effective displacement
        self._reference = 0.0  # V, displacement at the last coarse point
        self._random_before = 0.0  # Hz, sum of the random hops before the last coarse point
        self._piezo_hops: list[tuple[float, float]] = []  # (s, Hz), since the last coarse point
        self._scan: Callable[[Any], Any] | None = None  # volts at a time, from a scan generator

    @property
    def emitting(self) -> bool:
        """Whether light leaves the head: key, interlock, button and both enables."""
        return (
            self.current_enabled
            and self.laser_enabled
            and self.button_enabled
            and not self.interlock_open
            and not self.frontkey_locked
        )

    @property
    def settings(self) -> tuple[Any, ...]:
        """What the laser was told: frequency and power are functions of time while it is equal."""
        return self.emitting, self.current_ma, self._coarse, self._piezo, self._scan

    def frequency_hz(self, t: Any) -> Any:
        """True optical frequency (Hz) at time `t` (s), a float or an array of times."""
        return (
            C / (self.coarse_nm(t) * 1e-9)
            + self._displacement(t) * PIEZO_GAIN
            + self._hops(t)
            + self._drift.at(t)
            + self._thermal.at(t)
        )

    def power_mw(self, t: Any) -> Any:
        """Power (mW) at time `t` (s); 0 when dark, halved for 1 ms after a mode hop."""
        over = (self.current_ma - self.threshold_ma) / (self.nominal_ma - self.threshold_ma)
        if not self.emitting or over <= 0 or not np.size(t):
            return np.zeros(t.shape) if isinstance(t, np.ndarray) else 0.0
        power = self.nominal_mw * over * (1.0 + self._power.at(t))
        if isinstance(t, np.ndarray):
            for when in self._hops_between(float(t.min()) - HOP_DIP, float(t.max())):
                power = np.where((t >= when) & (t < when + HOP_DIP), 0.5 * power, power)
        elif self._hops_between(t - HOP_DIP, t):
            power *= 0.5
        return power

    def coarse_nm(self, t: Any) -> Any:
        """Wavelength (nm) that the grating motor stands for, without piezo and drift."""
        piece = self._piece(t)
        if not isinstance(t, np.ndarray) or len(self._coarse) == 1:
            return piece.at(t)
        result = self._coarse[0].at(t)
        for later in self._coarse[1:]:
            result = np.where(t >= later.begun, later.at(t), result)
        return result

    def moving(self, t: float) -> bool:
        """Whether the motor still approaches a set point or a scan's beginning."""
        piece = self._piece(t)
        return isinstance(piece, Approach) and t < piece.reaches(ARRIVED)

    def arrives(self) -> float:
        """When the motor is at its set point or at a scan's beginning (s), or was."""
        first = self._coarse[0]
        return first.reaches(ARRIVED) if isinstance(first, Approach) else first.begun

    @property
    def wide_scan(self) -> Sweep | None:
        """The last wide scan, if the motor got no other order since; it begins after a move."""
        last = self._coarse[-1]
        return last if isinstance(last, Sweep) else None

    def piezo_volts(self, t: float) -> float:
        """Voltage (V) at the piezo at time `t` (s)."""
        return self.piezo_v if self._scan is None else float(self._scan(t))

    def head_celsius(self, t: float) -> float:
        """Temperature (degC) of the head, which the thermal drift of the frequency follows."""
        return 25.0 + float(self._thermal.at(t)) / HEAD_TUNING

    def tune(self, wavelength_nm: float, t: float) -> None:
        """Send the motor to a wavelength; this is a new coarse point for the mode."""
        self.target_nm = wavelength_nm
        here = self.coarse_nm(t)
        self._coarse = [Approach(t, here, wavelength_nm, COARSE_LAG, COARSE_SLEW)]
        self._select_mode(t)

    def sweep(
        self, knots_s: tuple[float, ...], knots_nm: tuple[float, ...], repeat: bool, t: float
    ) -> None:
        """Go to the first knot, then through the others (times relative to the first)."""
        approach = Approach(t, self.coarse_nm(t), knots_nm[0], COARSE_LAG, COARSE_SLEW)
        begin = approach.reaches(ARRIVED)
        self._coarse = [approach, Sweep(begin, knots_s, knots_nm, repeat)]
        self._select_mode(t)

    def halt(self, t: float) -> None:
        """Stop the motor where it is."""
        self.tune(self.coarse_nm(t), t)

    def set_piezo(self, volts: float, t: float) -> None:
        """Apply a piezo voltage (V); the hysteresis memory moves, hops ahead are scheduled."""
        here = self._piezo.at(t)
        step = volts - self.piezo_v
        full = HYSTERESIS * HYSTERESIS_LENGTH * (1.0 if step > 0 else -1.0)
        self._memory = full + (self._memory - full) * math.exp(-abs(step) / HYSTERESIS_LENGTH)
        self.piezo_v = volts
        target = (1.0 + HYSTERESIS) * (volts - PIEZO_CENTRE) - self._memory
        self._piezo = Approach(t, here, target, PIEZO_LAG)
        self._schedule_hops(t)

    def set_scan(self, volts_at: Callable[[Any], Any] | None, t: float) -> None:
        """Let a scan generator drive the piezo (None: the set voltage again).

        The mode is selected afresh, around the set voltage.
        """
        if volts_at is None and self._scan is None:
            return
        if self._scan is not None:
            self._piezo = Approach(t, self._displacement(t), self._piezo.target, PIEZO_LAG)
        self._scan = volts_at
        self._select_mode(t, around=self._piezo.target)

    def advance(self, now: float) -> None:
        """Nothing is in progress that a function of time does not tell; keeps the time."""
        self.now = now

    def _piece(self, t: Any) -> Approach | Sweep:
        pieces = self._coarse
        if len(pieces) > 1 and not isinstance(t, np.ndarray) and t >= pieces[1].begun:
            return pieces[1]
        return pieces[0]

    def _displacement(self, t: Any) -> Any:
        """Effective piezo displacement (V); a scan is followed with the lag, no hysteresis."""
        if self._scan is not None:
            return self._scan(t - PIEZO_LAG) - PIEZO_CENTRE
        return self._piezo.at(t)

    def _hops(self, t: Any) -> Any:
        """Sum (Hz) of the mode hops since the mode was selected."""
        total: Any
        if isinstance(t, np.ndarray):
            index = np.searchsorted(self._hop_times, t, side="right")
            total = self._hop_totals[index] - self._random_before
            for when, jump in self._piezo_hops:
                total = total + np.where(t >= when, jump, 0.0)
        else:
            total = self._hop_sums[bisect.bisect_right(self._hop_times, t)] - self._random_before
            for when, jump in self._piezo_hops:
                if t >= when:
                    total += jump
        if self._scan is not None:  # a scan has no memory: the mode is the one near the piezo
            offset = (self._displacement(t) - self._reference) * PIEZO_GAIN
            count = np.ceil(np.maximum(np.abs(offset) - HOP_FREE, 0.0) / HOP)
            total = total - np.sign(offset) * HOP * count
        return total

    def _hops_between(self, after: float, until: float) -> list[float]:
        """Times (s) of all mode hops in (after, until]."""
        first = bisect.bisect_right(self._hop_times, after)
        last = bisect.bisect_right(self._hop_times, until)
        piezo = [when for when, _ in self._piezo_hops if after < when <= until]
        return self._hop_times[first:last] + piezo

    def _select_mode(self, t: float, around: float | None = None) -> None:
        """Select the mode afresh around a piezo displacement (V); by default the present one."""
        self._reference = self._piezo.at(t) if around is None else around
        self._random_before = self._hop_sums[bisect.bisect_right(self._hop_times, t)]
        self._piezo_hops = []
        self._schedule_hops(t)

    def _schedule_hops(self, t: float) -> None:
        """Find when the piezo, on its way to the target, leaves the mode: closed form."""
        if self._scan is not None:
            return
        self._piezo_hops = [hop for hop in self._piezo_hops if hop[0] <= t]
        jumps = sum(jump for _, jump in self._piezo_hops)
        piezo = self._piezo
        gone = (piezo.target - self._reference) * PIEZO_GAIN + jumps
        while abs(gone) > HOP_FREE:
            side = math.copysign(1.0, gone)
            edge = self._reference + (side * HOP_FREE - jumps) / PIEZO_GAIN  # V
            ratio = (piezo.start - piezo.target) / (edge - piezo.target)
            when = piezo.begun + (piezo.lag * math.log(ratio) if ratio > 1.0 else 0.0)
            self._piezo_hops.append((when, -side * HOP))
            jumps -= side * HOP
            gone -= side * HOP
