"""Programmable optical filter: complex amplitude transfer per port, with finite resolution.

The grid is 1 GHz. Each grid point carries an attenuation, a phase and a port; what a line of light
sees is the grid smoothed by the optics (10 GHz full width at half maximum, Gaussian in amplitude).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

STEP = 0.001  # THz between grid points
RESOLUTION = 0.010  # THz, full width at half maximum in amplitude
REACH = 12  # grid points: the kernel ends here, so that a flat 25 GHz block reads its set value
BLOCKED = 60.0  # dB and more means blocked
SETTLING = 0.1  # s, liquid crystal time constant
SETTLED = 1.0  # s after a load, treated as arrived
CACHED = 64  # sets of lines to remember; lines that drift are new ones each time

Array = np.ndarray[Any, Any]


@dataclass
class _Profile:
    """One loaded profile; `begun` is when the liquid crystal started to turn to it."""

    amplitude: Array  # complex, per grid point
    port: Array
    begun: float = -math.inf
    seen: dict[tuple[int, bytes], Array] = field(default_factory=dict)  # smoothed, at lines


class ShaperModel:
    """Transfer of a filter with `ports` outputs on the grid `start_thz` to `stop_thz`."""

    def __init__(
        self, start_thz: float = 191.25, stop_thz: float = 196.275, ports: int = 4
    ) -> None:
        self.start_thz = start_thz
        self.stop_thz = stop_thz
        self.ports = ports
        self.size = round((stop_thz - start_thz) / STEP) + 1
        self.grid_thz: Array = np.round(start_thz + STEP * np.arange(self.size), 4)
        self.attenuation_db: Array = np.full(self.size, BLOCKED)
        self.phase_rad: Array = np.zeros(self.size)
        self.port: Array = np.zeros(self.size, dtype=np.int64)
        self.version = 0
        self.settle_until = 0.0
        self.now = 0.0
        self._kernels: dict[bytes, tuple[Array, Array]] = {}
        dark = np.zeros(self.size, dtype=complex)
        self._profiles = [_Profile(dark, self.port)]

    def load(self, attenuation_db: Array, phase_rad: Array, port: Array, now: float) -> None:
        """Replace the whole profile at time `now` (s); the crystal turns to it within 1 s."""
        self.attenuation_db, self.phase_rad, self.port = attenuation_db, phase_rad, port
        open_points = (attenuation_db < BLOCKED) & (port > 0)
        amplitude = np.zeros(self.size, dtype=complex)
        attenuation = attenuation_db[open_points]
        amplitude[open_points] = np.exp(
            attenuation * (-math.log(10.0) / 20.0) + 1j * phase_rad[open_points]
        )
        if now >= self._profiles[-1].begun + SETTLED:
            del self._profiles[:-1]
        self._profiles.append(_Profile(amplitude, port, now))
        self.version += 1
        self.settle_until = now + SETTLED

    def transfer(self, port: int, frequency_thz: Array, t: float) -> Array:
        """Complex amplitude transfer to `port` at optical frequencies (THz) at time `t` (s)."""
        shape = np.shape(frequency_thz)
        lines = np.array(frequency_thz, dtype=float).ravel()
        key = lines.tobytes()
        result = self._smoothed(self._profiles[0], port, lines, key)
        ends = [profile.begun for profile in self._profiles[2:]] + [math.inf]
        for profile, end in zip(self._profiles[1:], ends, strict=False):
            age = min(t, end) - profile.begun  # how long the crystal has turned to this one
            if age >= SETTLED:
                result = self._smoothed(profile, port, lines, key)
            elif age > 0:
                new = self._smoothed(profile, port, lines, key)
                result = new + (result - new) * math.exp(-age / SETTLING)
        return result.reshape(shape).copy()

    def advance(self, now: float) -> None:
        """The transfer is a function of time; keeps the time."""
        self.now = now

    def _smoothed(self, profile: _Profile, port: int, lines: Array, key: bytes) -> Array:
        done = profile.seen.get((port, key))
        if done is None:
            index, weight = self._kernel(lines, key)
            routed = np.where(profile.port == port, profile.amplitude, 0.0)
            done = (routed[index] * weight).sum(axis=-1)
            if len(profile.seen) >= CACHED:
                profile.seen.clear()
            profile.seen[(port, key)] = done
        return done

    def _kernel(self, lines: Array, key: bytes) -> tuple[Array, Array]:
        """Grid points around each line and their weights, which add up to 1 inside the band."""
        if key not in self._kernels:
            if len(self._kernels) >= CACHED:
                self._kernels.clear()
            position = (lines - self.start_thz) / STEP
            nearest = np.rint(position).astype(np.int64)[..., None]
            index = nearest + np.arange(-REACH - 1, REACH + 2)
            distance = index - position[..., None]
            width = RESOLUTION / STEP / (2.0 * math.sqrt(2.0 * math.log(2.0)))
            weight = np.exp(-0.5 * (distance / width) ** 2) * (np.abs(distance) <= REACH + 1e-6)
            weight /= weight.sum(axis=-1, keepdims=True)
            weight *= (index >= 0) & (index < self.size)  # outside the band nothing passes
            self._kernels[key] = np.clip(index, 0, self.size - 1), weight
        return self._kernels[key]
