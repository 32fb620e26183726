"""What a homodyne detector sees of a ring whose working point drifts: solved once, interpolated.

A covariance sweep asks for hundreds of local oscillators at nearly the same working point. The
ring is therefore solved on a fixed grid of detuning, pump power and analysis frequency, and what
one local oscillator sees of it is interpolated. The grid does not depend on who asks when
or for how many points at once, so neither does the result.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.gaussian import Complex, Real
from simulated_instruments.physics.ring import (
    GUARD,
    NO_CROSSING,
    Crossing,
    RingState,
    ring_output,
)

#: Grid of the detuning (Gamma) and of the logarithm of the pump power. Relative error of a
#: variance: 6e-6 for one pump at 60 % of threshold, less for several; 2e-4 at 90 %.
DETUNING_STEP = 0.01
POWER_STEP = 0.02

#: Grid of the analysis frequency: node j is at 1 MHz x sinh(j x step), so that 0.5 MHz is a node.
#: At other frequencies drift is interpolated linearly, and the relative error is up to 2e-3.
FREQUENCY_UNIT = 1e6  # Hz
FREQUENCY_STEP = float(np.arcsinh(0.5)) / 3.0
BAND = 100e6  # Hz: beyond, the ring adds less than 0.02 dB and is not looked at

REMEMBERED = 200  # ring states, 270 kB each

Selection = NDArray[np.bool_] | slice


@dataclass(frozen=True)
class Pumps:
    """Pump amplitudes by line number at nominal power; one line on resonance oscillates at 1."""

    lines: tuple[tuple[int, complex], ...]
    mismatch: float = 0.0  # mode spacing minus line spacing, Gamma

    @classmethod
    def of(cls, orders: NDArray[np.int64], amplitudes: Complex, mismatch: float = 0.0) -> Pumps:
        """Pumps from all lines of a comb; rounding to 1e-9 makes equal settings equal keys."""
        rounded = np.round(amplitudes, 9)
        lit = np.flatnonzero(rounded)
        lines = tuple((int(orders[i]), complex(rounded[i])) for i in lit)
        return cls(lines, round(mismatch, 9))

    @property
    def primary(self) -> int:
        """The strongest line (the first of equals); 0 when all are dark."""
        return max(self.lines, key=lambda line: abs(line[1]))[0] if self.lines else 0


@dataclass(frozen=True)
class LocalOscillator:
    """Fields on lines -n..n, sum |w|^2 = 1, and what they were found to see of the ring."""

    weights: Complex
    seen: dict[Hashable, tuple[float, complex]] = field(default_factory=dict, compare=False)


class RingTable:
    """Moments <b'b> and <bb> of the mode b that a local oscillator selects, without loss."""

    def __init__(
        self, dispersion: float, gamma_hz: float, crossing: Crossing = NO_CROSSING
    ) -> None:
        self.dispersion = dispersion  # d2, Gamma
        self.crossing = crossing
        self.gamma_hz = gamma_hz  # Gamma / 2 pi
        self._states: OrderedDict[Hashable, RingState] = OrderedDict()
        self._margins: dict[Hashable, float] = {}  # the same at all analysis frequencies

    def state(self, pumps: Pumps, detuning: float, power: float, frequency: float) -> RingState:
        """The state at a detuning (Gamma), power (of nominal) and analysis frequency (Hz)."""
        key = (pumps, detuning, power, frequency)
        state = self._states.get(key)
        if state is not None:
            self._states.move_to_end(key)
            return state
        state = ring_output(
            {line: power**0.5 * amplitude for line, amplitude in pumps.lines},
            detuning,
            self.dispersion,
            pumps.primary,
            frequency / self.gamma_hz,
            self._margins.get(key[:3]),
            self.crossing,
            pumps.mismatch,
        )
        self._margins[key[:3]] = state.margin
        self._states[key] = state
        if len(self._states) > REMEMBERED:
            self._states.popitem(last=False)
        if len(self._margins) > 100 * REMEMBERED:
            self._margins.clear()
        return state

    def exact(
        self, pumps: Pumps, lo: LocalOscillator, detuning: float, power: float, frequency: float
    ) -> tuple[float, complex]:
        """What `lo` sees at one working point, without interpolation."""
        key = (pumps, detuning, power, frequency)
        if key not in lo.seen:
            lit = np.flatnonzero(lo.weights)
            modes = lit + GUARD - (len(lo.weights) - 1) // 2
            moments = self.state(pumps, detuning, power, frequency).moments.only(modes)
            lo.seen[key] = moments.collective(lo.weights[lit])
        return lo.seen[key]

    def drifting(
        self, pumps: Pumps, lo: LocalOscillator, detuning: Real, power: Real, frequency: Real
    ) -> tuple[Real, Complex]:
        """What `lo` sees at many working points: arrays of one length, power above 0."""
        rungs = _rungs(frequency)
        on_grid = rungs == np.floor(rungs)
        in_band = np.abs(frequency) < BAND
        result = np.zeros(detuning.shape), np.zeros(detuning.shape, dtype=complex)
        for chosen, nodes in ((on_grid & in_band, _cubic), (~on_grid & in_band, _linear)):
            if chosen.any():
                axes = (
                    _Axis(detuning / DETUNING_STEP, nodes, lambda j: j * DETUNING_STEP),
                    _Axis(np.log(power) / POWER_STEP, nodes, lambda j: np.exp(j * POWER_STEP)),
                    _Axis(rungs, _cubic, _rung_hz),
                )
                self._blend(pumps, lo, axes, chosen, result)
        return result

    def frozen(
        self, pumps: Pumps, lo: LocalOscillator, detuning: float, power: float, frequency: Real
    ) -> tuple[Real, Complex]:
        """What `lo` sees at one working point and many frequencies."""
        rungs = _rungs(frequency)
        nowhere = np.zeros(frequency.shape)
        result = np.zeros(frequency.shape), np.zeros(frequency.shape, dtype=complex)
        axes = (
            _Axis(nowhere, _linear, lambda _: detuning),
            _Axis(nowhere, _linear, lambda _: power),
            _Axis(rungs, _cubic, _rung_hz),
        )
        self._blend(pumps, lo, axes, np.abs(frequency) < BAND, result)
        return result

    def _blend(
        self,
        pumps: Pumps,
        lo: LocalOscillator,
        axes: tuple[_Axis, _Axis, _Axis],
        chosen: NDArray[np.bool_],
        result: tuple[Real, Complex],
    ) -> None:
        """Add the weighted nodes to the result at the chosen points."""
        number, squeezing = result
        for cell, here in _cells(axes, chosen):
            used = [axis.used(first, here) for axis, first in zip(axes, cell, strict=True)]
            for (e, in_e), (p, in_p), (f, in_f) in itertools.product(*used):
                n, m = self.exact(pumps, lo, e, p, f)
                weight = in_e * in_p * in_f
                number[here] += weight * n
                squeezing[here] += weight * m


def _rungs(frequency: Real) -> Real:
    """Analysis frequencies (Hz) in steps of their grid."""
    return _snapped(np.arcsinh(frequency / FREQUENCY_UNIT) / FREQUENCY_STEP)


def _rung_hz(node: float) -> float:
    return FREQUENCY_UNIT * float(np.sinh(abs(node) * FREQUENCY_STEP))  # spectra are even


Nodes = dict[int, Real]  # weights of the nodes at these distances from the cell


def _cubic(f: Real) -> Nodes:
    """Lagrange weights of four nodes at a fraction `f` of the cell."""
    return {
        -1: -f * (f - 1.0) * (f - 2.0) / 6.0,
        0: (f + 1.0) * (f - 1.0) * (f - 2.0) / 2.0,
        1: -(f + 1.0) * f * (f - 2.0) / 2.0,
        2: (f + 1.0) * f * (f - 1.0) / 6.0,
    }


def _linear(f: Real) -> Nodes:
    return {0: 1.0 - f, 1: f}


def _snapped(position: Real) -> Real:
    """Positions in grid units; those on a node but for rounding are put there."""
    near = np.rint(position)
    return np.where(np.abs(position - near) < 1e-9, near, position)


class _Axis:
    """One grid axis: the cell of each position and the weights of the nodes around it."""

    def __init__(
        self, position: Real, nodes: Callable[[Real], Nodes], value: Callable[[float], float]
    ) -> None:
        position = _snapped(position)
        self.cell = np.floor(position)
        self._weights = nodes(position - self.cell)
        self._value = value  # coordinate of a node

    def used(self, cell: float, here: Selection) -> list[tuple[float, Real]]:
        """Coordinates and weights of the nodes that points in one cell need."""
        picked = [(cell + i, weight[here]) for i, weight in self._weights.items()]
        return [(float(self._value(node)), weight) for node, weight in picked if weight.any()]


def _cells(axes: tuple[_Axis, ...], chosen: NDArray[np.bool_]) -> Iterator[tuple[Real, Selection]]:
    """All cells that contain chosen points, with those points."""
    if not chosen.any():
        return
    cells = np.stack([axis.cell for axis in axes])
    if chosen.all() and (cells == cells[:, :1]).all():  # the common case, much faster
        yield cells[:, 0], slice(None)
        return
    for cell in np.unique(cells[:, chosen], axis=1).T:
        yield cell, chosen & (cells == cell[:, None]).all(axis=0)
