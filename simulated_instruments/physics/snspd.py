"""Superconducting nanowire detectors: efficiency and dark counts by bias, dead time, latching.

The formulas and numbers are those of a typical 1550 nm device: a sigmoid with a plateau for the
efficiency, dark counts that rise tenfold for each microampere, 40 ns of hard dead time and a
Gaussian jitter. A wire above its switching current latches: it stays normal, gives no pulses, and
recovers only without bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from simulated_instruments.physics.dead_time import alive

Ints = NDArray[np.int64]

PS = 10**12
GRID, SLOW = 1.0, 256.0  # s, grains on which rare latching is decided
RECOVERY = 0.010  # s without bias after which a latched wire is superconducting again
OFF = 2.0  # uA below which the bias counts as absent
MOST_STEPS = 4096  # of the grid that are looked at one by one


@dataclass(frozen=True)
class Wire:
    """One nanowire and its amplifier; defaults are typical."""

    eta_max: float = 0.90
    half_ua: float = 12.0  # bias at half of the efficiency
    width_ua: float = 1.0
    dark_rate: float = 10.0  # 1/s at `dark_ua`
    dark_ua: float = 18.0
    decade_ua: float = 1.0
    stray_rate: float = 20.0  # 1/s of stray photons at full efficiency
    switching_ua: float = 20.0
    mv_per_ua: float = 5.0  # height of a pulse at the comparator
    noise_mv: float = 3.0  # rms at the comparator
    normal_kohm: float = 50.0  # of a latched wire

    def efficiency(self, bias_ua: float) -> float:
        return self.eta_max / (1.0 + math.exp((self.half_ua - bias_ua) / self.width_ua))

    def darks(self, bias_ua: float) -> float:
        """Dark counts in 1/s."""
        own = self.dark_rate * 10.0 ** ((bias_ua - self.dark_ua) / self.decade_ua)
        return own + self.stray_rate * self.efficiency(bias_ua)

    def latching(self, bias_ua: float, rate: float, dead: float) -> float:
        """Probability that a detection latches the wire; `rate` in 1/s, `dead` in s."""
        return 1e-9 * math.exp((bias_ua - self.dark_ua) / 0.25) * (1.0 + rate * dead)

    def crosses(self, bias_ua: float, trigger_mv: float) -> float:
        """Probability that a pulse crosses the comparator's level."""
        return float(ndtr((self.mv_per_ua * bias_ua - trigger_mv) / self.noise_mv))


class _Channel:
    def __init__(self, bias_ua: float) -> None:
        self.bias_ua = bias_ua
        self.trigger_mv = 20.0
        self.latched = False
        self.off_since = math.inf  # s, since when the bias is absent
        self.hazard = 0.0  # spent of `fate`
        self.fate = 0.0
        self.times = 0  # how often it latched


class SnspdModel:
    """Several detectors in one cryostat.

    Args:
        seed_of: seeds by name, for example `World.seed_of`.
        name: of the instrument.
        channels: number of detectors.
        photon_rate: photons per second at detector i (from 0) at time t (s); by default none.
        bias_ua: bias that all detectors begin with.
        wire: properties of the detectors, one for all or one each.
        dead_time_ps: after a click; not extended by photons that it hides.
        jitter_fwhm_ps: of the time of a click.
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str,
        channels: int = 4,
        *,
        photon_rate: Callable[[int, float], float] | None = None,
        bias_ua: float = 16.0,
        wire: Wire | tuple[Wire, ...] = Wire(),
        dead_time_ps: int = 40_000,
        jitter_fwhm_ps: float = 70.0,
    ) -> None:
        self.photon_rate = photon_rate or (lambda i, t: 0.0)
        self.channels = channels
        self.enabled = True
        self.dead_time_ps = dead_time_ps
        self.jitter_ps = jitter_fwhm_ps / (2.0 * math.sqrt(2.0 * math.log(2.0)))
        self.wires = wire if isinstance(wire, tuple) else (wire,) * channels
        self._seed_of, self._name = seed_of, name
        self._channels = [_Channel(bias_ua) for _ in range(channels)]
        for i in range(channels):
            self._draw_fate(i)
        self._now = 0.0

    # ------------------------------------------------- settings

    def bias(self, i: int) -> float:
        """Set point of the bias in uA."""
        return self._channels[i].bias_ua

    def set_bias(self, i: int, bias_ua: float) -> None:
        """Change the bias now; above the switching current the wire latches at once."""
        self._end_recovery(i)
        self._channels[i].bias_ua = bias_ua
        self._bias_changed(i)

    def trigger(self, i: int) -> float:
        """Level of the comparator in mV."""
        return self._channels[i].trigger_mv

    def set_trigger(self, i: int, level_mv: float) -> None:
        self._channels[i].trigger_mv = level_mv

    def enable(self, on: bool) -> None:
        """Switch the bias of all detectors."""
        for i in range(self.channels):
            self._end_recovery(i)
        self.enabled = on
        for i in range(self.channels):
            self._bias_changed(i)

    def flowing(self, i: int) -> float:
        """Bias in uA that is really applied."""
        return self._channels[i].bias_ua if self.enabled else 0.0

    def _bias_changed(self, i: int) -> None:
        channel, flowing = self._channels[i], self.flowing(i)
        if flowing >= OFF:
            channel.off_since = math.inf
        elif channel.off_since == math.inf:
            channel.off_since = self._now
        if flowing > self.wires[i].switching_ua:
            self._latch(i)

    # ------------------------------------------------- state

    def latched(self, i: int) -> bool:
        """Whether the wire is normal and gives no pulses."""
        self._end_recovery(i)
        return self._channels[i].latched

    def _latch(self, i: int) -> None:
        channel = self._channels[i]
        if not channel.latched:
            channel.latched = True
            channel.times += 1
            self._draw_fate(i)

    def _draw_fate(self, i: int) -> None:
        """Integrated hazard at which the wire will latch next: exponential."""
        channel = self._channels[i]
        rng = self._rng(f"latch{i}.{channel.times}")
        channel.hazard, channel.fate = 0.0, float(rng.exponential())

    def _end_recovery(self, i: int) -> None:
        channel = self._channels[i]
        if channel.latched and self._now - channel.off_since >= RECOVERY:
            channel.latched = False

    def efficiency(self, i: int, t: float | None = None) -> float:
        """Clicks per photon (without dead time) now."""
        if self.latched(i):
            return 0.0
        bias = self.flowing(i)
        wire = self.wires[i]
        return wire.efficiency(bias) * wire.crosses(bias, self.trigger(i)) if bias > OFF else 0.0

    def dark_rate(self, i: int, t: float | None = None) -> float:
        """Clicks per second without light, now."""
        bias = self.flowing(i)
        if self.latched(i) or bias <= OFF:
            return 0.0
        return self.wires[i].darks(bias) * self.wires[i].crosses(bias, self.trigger(i))

    def rate(self, i: int, t: float) -> float:
        """Clicks per second that a detector without dead time would give."""
        return self.photon_rate(i, t) * self.efficiency(i) + self.dark_rate(i)

    def voltage(self, i: int) -> float:
        """Dc voltage across the wire in V: only a normal wire has one."""
        return self.flowing(i) * self.wires[i].normal_kohm * 1e-3 if self.latched(i) else 0.0

    def advance(self, now: float) -> None:
        """Let time pass up to `now` (s); a wire may latch on the way."""
        for i in range(self.channels):
            grain = GRID if self._lively(i) else SLOW
            first, last = math.floor(self._now / grain) + 1, math.floor(now / grain)
            stride = max(1, (last - first + 1) // MOST_STEPS)
            for number in range(first, last + 1, stride):
                steps = min(stride, last + 1 - number)
                self._age(i, number * grain, steps * grain)
        self._now = now
        for i in range(self.channels):
            self._end_recovery(i)

    def _lively(self, i: int) -> bool:
        """Whether a wire may latch within `SLOW` with a probability worth a closer look."""
        bias, dead = self.flowing(i), self.dead_time_ps / PS
        most = 1.0 / dead  # clicks per second
        return SLOW * most * self.wires[i].latching(bias, most, dead) > 0.1

    def _age(self, i: int, t: float, span: float) -> None:
        channel, bias = self._channels[i], self.flowing(i)
        if channel.latched or bias <= OFF:
            return
        rate, dead = self.rate(i, t), self.dead_time_ps / PS
        clicks = rate / (1.0 + rate * dead)
        channel.hazard += clicks * span * self.wires[i].latching(bias, rate, dead)
        if channel.hazard > channel.fate:
            self._latch(i)

    # ------------------------------------------------- clicks

    def counts(self, i: int, start: float, span: float, number: int) -> int:
        """Counts in [start, start + span) s, drawn for period `number` of this length."""
        rate, dead = self.rate(i, start + span / 2), self.dead_time_ps / PS
        mean, narrow = rate * span / (1.0 + rate * dead), 1.0 / (1.0 + rate * dead) ** 2
        rng = self._rng(f"counts{i}.{number}")
        if rate * dead < 1e-3:
            return int(rng.poisson(mean))
        return max(0, round(rng.normal(mean, math.sqrt(mean * narrow))))

    def detect(
        self, i: int, arrivals: Ints, start_ps: int, end_ps: int, rng: np.random.Generator
    ) -> Ints:
        """Sorted times (ps) of the clicks for photons that arrive in [start, end) ps (sorted).

        A pure function of the arguments and of the bias now; the dead time does not reach
        across the ends.
        """
        efficiency, dark = self.efficiency(i), self.dark_rate(i)
        seen = arrivals[rng.random(len(arrivals)) < efficiency]
        number = rng.poisson(dark * (end_ps - start_ps) / PS)
        if number:
            darks = rng.integers(start_ps, end_ps, size=number)
            seen = np.sort(np.concatenate((seen, darks)))
        clicks = alive(seen, self.dead_time_ps, start_ps - self.dead_time_ps)
        noise = np.rint(self.jitter_ps * rng.standard_normal(len(clicks))).astype(np.int64)
        noise += clicks
        np.minimum(np.maximum(noise, start_ps, out=noise), end_ps - 1, out=noise)
        noise.sort()
        return noise

    def _rng(self, purpose: str) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(self._seed_of(f"{self._name}.{purpose}")))
