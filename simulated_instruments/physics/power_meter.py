"""Optical power meter: photodiode, ranges, averaging, and the error of each reading.

A reading is the mean of samples 3 ms apart; light that changes meanwhile is seen from its moment
on. Its random error belongs to the number of the reading, so it does not depend on who looks when.
Numbers: shared instrument dynamics, section 6. Responsivity, ranges and dark current are assumed
(typical of an InGaAs diode that takes +13 dBm).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

SAMPLE = 3e-3  # s
RANGE_STEP = 20e-3  # s that the meter needs to change to the next range
ZERO_SAMPLES = 333  # about 1 s
CALIBRATION = 1e-3  # relative standard deviation of the calibration
NOISE_A = 10e-12  # rms of 10 ms
NOISE_RELATIVE = 2e-4  # rms of 10 ms
NOISE_TIME = 10e-3  # s
DARK_A = 20e-12  # standard deviation of the dark current among devices
#: Full scales in photocurrent (A), in steps of 10 dB; nothing measures beyond the first.
FULL_SCALES: tuple[float, ...] = tuple(20e-3 / 10**n for n in range(6))
STEP_DOWN = 0.9  # of the next full scale, below which the meter changes to that range
#: Responsivity (A/W) of the diode at wavelengths (nm).
WAVELENGTHS = (800.0, 900.0, 1000.0, 1100.0, 1200.0, 1310.0, 1450.0, 1550.0, 1600.0, 1650.0, 1700.0)
RESPONSIVITIES = (0.20, 0.40, 0.64, 0.75, 0.83, 0.90, 0.96, 1.00, 1.01, 0.85, 0.30)

Power = Callable[[np.ndarray], Any]


def responsivity(wavelength_nm: float) -> float:
    """Photocurrent over power in A/W."""
    return float(np.interp(wavelength_nm, WAVELENGTHS, RESPONSIVITIES))


def no_light(times_s: np.ndarray) -> np.ndarray:
    return np.zeros(times_s.shape)


class _Acquisition:
    """Samples under way, of a reading or of the dark current."""

    def __init__(self, number: int, start: float, samples: int, zeroing: bool) -> None:
        self.number = number
        self.zeroing = zeroing
        self.times = start + SAMPLE * (np.arange(samples) + 0.5)
        self.end = start + SAMPLE * samples
        self.done = 0
        self.total = 0.0  # A
        self.peak = 0.0  # A


class PowerMeterModel:
    """The meter without its remote interface; powers in W, wavelengths in nm, times in s.

    Args:
        seed_of: gives the seed that belongs to a name (`World.seed_of`).
        name: of the meter, as its owner names its random numbers.
        power_w: power on the sensor at given times; may be replaced at any time.
        light_nm: wavelength of that light.
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str = "power_meter",
        power_w: Power = no_light,
        light_nm: float = 1550.0,
    ) -> None:
        self._seed_of = seed_of
        self._name = name
        self.power_w = power_w
        self.light_nm = light_nm
        device = self._rng("device")
        self._gain = 1 + CALIBRATION * device.standard_normal()
        self._dark = DARK_A * device.standard_normal()
        self.zero_a = 0.0  # what is taken off as dark current
        self.current_a: float | None = None  # last reading; inf: over range; None: none yet
        self._now = 0.0
        self._readings = 0
        self._running: _Acquisition | None = None
        self._scale = len(FULL_SCALES) - 1
        self.restore()

    def restore(self) -> None:
        """Bring all settings to their defaults; the dark current is remembered."""
        self.wavelength_nm = 1550.0
        self.count = 1
        self.auto_range = True
        self.attenuation_db = 0.0
        self.low_pass = False  # the noise above holds for both bandwidths
        self._running = None

    # ------------------------------------------------- settings

    @property
    def watt_per_ampere(self) -> float:
        """What the display makes of a photocurrent."""
        loss = 10 ** (self.attenuation_db / 10)
        return float(loss / responsivity(self.wavelength_nm))

    @property
    def range_w(self) -> float:
        """Largest power of the present range; setting it picks the next larger one, for good."""
        return float(FULL_SCALES[self._scale] * self.watt_per_ampere)

    @range_w.setter
    def range_w(self, power: float) -> None:
        needed = power / self.watt_per_ampere * (1 - 1e-9)
        fitting = [n for n, full in enumerate(FULL_SCALES) if full >= needed]
        self._scale = fitting[-1] if fitting else 0
        self.auto_range = False

    # ------------------------------------------------- readings

    @property
    def busy_until(self) -> float:
        """When the present acquisition ends (s), unless it must change its range; 0: none."""
        return self._running.end if self._running else 0.0

    @property
    def zeroing(self) -> bool:
        return self._running is not None and self._running.zeroing

    @property
    def over_range(self) -> bool:
        """Whether the last reading was too strong for its range."""
        return self.current_a is not None and math.isinf(self.current_a)

    def initiate(self) -> None:
        """Start a reading; in auto range the range is looked for first."""
        start = self._now
        if self.auto_range:
            before = self._scale
            self._find_scale(float(self._currents(np.array([start]))[0]))
            start += RANGE_STEP * abs(self._scale - before)
        self._start(start, self.count, zeroing=False)

    def zero(self) -> None:
        """Start to measure the dark current: whatever is on the sensor now."""
        self._start(self._now, ZERO_SAMPLES, zeroing=True)

    def abort(self) -> None:
        self._running = None

    def _start(self, start: float, samples: int, zeroing: bool) -> None:
        self._running = _Acquisition(self._readings, start, samples, zeroing)
        self._readings += 1

    def advance(self, now: float) -> None:
        """Take the samples up to time `now` (s)."""
        self._now = now
        while (running := self._running) is not None:
            last = int(np.searchsorted(running.times, now, side="right"))
            if last > running.done:
                currents = self._currents(running.times[running.done : last])
                running.total += float(currents.sum())
                running.peak = max(running.peak, float(currents.max()))
                running.done = last
            if now < running.end:
                return
            self._finish(running)

    def _finish(self, running: _Acquisition) -> None:
        self._running = None
        mean = running.total / len(running.times)
        averaged = SAMPLE * len(running.times)
        rms = math.hypot(NOISE_A, NOISE_RELATIVE * mean) / math.sqrt(averaged / NOISE_TIME)
        noisy = mean + rms * self._rng(f"reading.{running.number}").standard_normal()
        if running.zeroing:
            self.zero_a = noisy
        elif running.peak <= FULL_SCALES[self._scale]:
            self.current_a = noisy - self.zero_a
        elif self.auto_range and self._scale:  # the light grew: once more in a wider range
            before = self._scale
            self._find_scale(running.peak)
            start = running.end + RANGE_STEP * (before - self._scale)
            self._start(start, len(running.times), zeroing=False)
        else:
            self.current_a = math.inf

    def _currents(self, times: np.ndarray) -> np.ndarray:
        """Photocurrents (A) at times (s)."""
        power = np.broadcast_to(self.power_w(times), times.shape)
        return np.asarray(power * responsivity(self.light_nm) * self._gain + self._dark)

    def _find_scale(self, current: float) -> None:
        while self._scale and current > FULL_SCALES[self._scale]:
            self._scale -= 1
        smallest = len(FULL_SCALES) - 1
        while self._scale < smallest and current < STEP_DOWN * FULL_SCALES[self._scale + 1]:
            self._scale += 1

    def _rng(self, purpose: str) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(self._seed_of(f"{self._name}.{purpose}")))
