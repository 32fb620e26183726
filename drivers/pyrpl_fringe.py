"""Fringe of an interferometer on a Red Pitaya with PyRPL gateware: record it, and fit it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from drivers.pyrpl_registers import ASG, DSP, IN1, OUT1, PER_VOLT, SCOPE, Registers
from labctl.clock import Clock
from labctl.errors import InstrumentError

_ASG0, _ASG1 = 8, 9  # modules; their input selects what the oscilloscope records
_CLOCK = 125e6  # Hz
_POINTS = 16384
_DECIMATION = 64  # one curve is 8.4 ms
_FITTED = 1024  # samples of the curve that are fitted
_RAMP = np.concatenate([np.linspace(-1, 1, _POINTS // 2), np.linspace(1, -1, _POINTS // 2)])


def scan_fringe(
    registers: Registers, clock: Clock, amplitude: float, frequency: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ramp OUT1 by +-`amplitude` (V) at `frequency` (Hz); return volts at OUT1 and at IN1.

    Raises:
        InstrumentError: the oscilloscope does not finish.
    """
    ramp = np.round(_RAMP * (PER_VOLT - 1)).astype(np.int64) & 0x3FFF
    step = round(frequency * 2**30 / _CLOCK)
    registers.write(ASG, 0x40)  # reset
    registers.write(ASG + 0x10000, *ramp.tolist())
    registers.write(ASG + 0x4, round(amplitude * (PER_VOLT - 1)))
    registers.write(ASG + 0x8, 0x3FFFFFFF)
    registers.write(ASG + 0xC, 0)
    registers.write(ASG + 0x10, step)
    registers.write(ASG + 0x18, 0)
    scope_inputs = [int(registers.read(DSP + n * 0x10000)[0]) for n in (_ASG0, _ASG1)]
    registers.write(DSP + _ASG0 * 0x10000, IN1)
    registers.write(DSP + _ASG1 * 0x10000, OUT1)
    registers.write(DSP + _ASG0 * 0x10000 + 0x4, 1)
    registers.write(ASG, 0x11)  # start at once, wrap around
    try:
        registers.write(SCOPE + 0x14, _DECIMATION)
        registers.write(SCOPE + 0x10, _POINTS)
        registers.write(SCOPE, 2)  # reset
        registers.write(SCOPE, 1)  # arm
        registers.write(SCOPE + 0x4, 1)  # trigger now
        duration = _POINTS * _DECIMATION / _CLOCK
        deadline = clock.now() + 10 * duration + 1.0
        clock.sleep(duration)
        while int(registers.read(SCOPE)[0]) & 0b101:
            if clock.now() > deadline:
                raise InstrumentError(
                    f"{registers.name}: the scope did not finish a curve of {duration:.4f} s; "
                    "restart the board"
                )
            clock.sleep(1e-3)
        last = int(registers.read(SCOPE + 0x1C)[0]) + _POINTS
        curves = [registers.read(SCOPE + n * 0x10000, _POINTS) for n in (2, 1)]
    finally:
        registers.write(ASG, 0xC0)  # reset, output off
        registers.write(DSP + _ASG0 * 0x10000 + 0x4, 0)
        for number, word in zip((_ASG0, _ASG1), scope_inputs, strict=True):
            registers.write(DSP + number * 0x10000, word)
    numbers = [(np.roll(c, -(last + 1)).astype(np.int64) ^ 0x2000) - 0x2000 for c in curves]
    return numbers[0] / PER_VOLT, numbers[1] / PER_VOLT


def fit_fringe(
    volts: NDArray[np.float64], signal: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """Fit offset + amplitude sin(pi volts / v_pi + phase); (offset, amplitude, v_pi, noise rms).

    For each fringe density the rest is linear, so the density is searched on a grid, then finer.
    """
    every = max(1, volts.size // _FITTED)
    x, y = volts[::every], signal[::every]
    span = float(np.ptp(x)) or 1.0

    def best(densities: Iterable[float]) -> tuple[float, NDArray[np.float64], float]:
        results = []
        for density in densities:  # fringes per volt
            angle = 2 * math.pi * density * x
            basis = np.stack([np.ones_like(x), np.sin(angle), np.cos(angle)])
            solution = np.linalg.solve(basis @ basis.T, basis @ y)
            rest = y - solution @ basis
            results.append((float(rest @ rest) / y.size, float(density), solution))
        power, density, solution = min(results, key=lambda result: result[0])
        return density, solution, math.sqrt(power)

    coarse = 0.25 / span
    density, _, _ = best(n * coarse for n in range(2, 200))
    for width in (coarse, coarse / 10):
        density, solution, noise = best(density + width * n / 10 for n in range(-10, 11))
    amplitude = math.hypot(solution[1], solution[2])
    return float(solution[0]), amplitude, 0.5 / density, noise
