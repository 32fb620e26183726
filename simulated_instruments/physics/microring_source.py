"""A microring that two lasers pump, as a part of a world: its state, spectrum and powers in time.

The state is followed on a grid of times, so it does not depend on when anyone looks; what lasers
do between two ticks is not seen. The spectrum of solitons is that of the relaxed
Lugiato-Lefever equation for one of them, shifted and added; that of chaos is the mean of a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics import lle
from simulated_instruments.physics.soliton import CHAOS, DARK, Drive, SolitonRing

Real = NDArray[np.float64]
Source = Callable[[Any], Any]

TICK = 0.125  # s; a power of two, at which noise is quick to find
CHUNK = 2048  # ticks that are worked on together
FEW = 12  # ticks
RESTLESS = 0.5  # s after something was told, in which each tick is followed
QUIET_TICKS = 16  # from one look to the next later
KEPT = 4096  # ticks of the past that can be looked at

DETUNING_STEP = 0.5  # of the effective detuning for which a soliton is relaxed
RELAXED = 25.0  # units of time
CHAOS_SWEEP, CHAOS_FIELDS, CHAOS_APART = 2500, 24, 125  # steps of the sweep in, fields, steps


@dataclass(frozen=True)
class Lasers:
    """What reaches the ring: optical frequencies in Hz, powers in mW, as functions of time (s)."""

    pump_hz: Source
    pump_mw: Source
    auxiliary_hz: Source
    auxiliary_mw: Source


class MicroringSource:
    """The ring with both lasers.

    Args:
        seed_of: seeds by name.
        lasers: what reaches it.
        resonance_hz: cold resonance of the pumped mode at times (s).
        auxiliary_resonance_hz: that of the other mode.
        ring: its state.
        linewidth_hz: full width of a loaded resonance, kappa / 2 pi.
        threshold_mw: pump power at which f^2 = 1.
        coupling: extinction of the auxiliary laser on resonance, 0 to 1.
        told: what lasers, boosters and temperature control were told; a second after it has
            changed, the ring is looked at every two seconds only. By default at every tick.
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        lasers: Lasers,
        resonance_hz: Source,
        auxiliary_resonance_hz: Source,
        ring: SolitonRing,
        *,
        linewidth_hz: float = 113.33e6,
        threshold_mw: float = 175.0,
        coupling: float = 0.8,
        told: Callable[[], object] | None = None,
    ) -> None:
        self._seed_of = seed_of
        self._lasers = lasers
        self._resonance, self._auxiliary_resonance = resonance_hz, auxiliary_resonance_hz
        self.ring = ring
        self._half = linewidth_hz / 2.0
        self._threshold = threshold_mw
        self._coupling = coupling
        self._next = 0  # tick
        self._first = 0  # tick of the oldest that is kept
        self._comb: list[float] = []
        self._through: list[float] = []
        self._drive = Drive(0.0, 0.0)
        self._told = told or (lambda: None)
        self._told_before, self._told_at = self._told(), 0.0 if told else math.inf
        self._now = 0.0
        self.settled = 0  # how often the state was looked for; it is the same while this is
        self._single: dict[float, NDArray[np.complex128]] = {}
        self._chaos: dict[int, Real] = {}

    # ---------------------------------------------------------------- in time

    def advance(self, now: float) -> None:
        """Follow the lasers up to `now` (s)."""
        last = math.floor(now / TICK)
        told = self._told()
        if told != self._told_before:  # right after the time until which it was followed before
            self._told_before, self._told_at = told, self._now
        self._now = now
        restless = self._told_at + RESTLESS
        quiet = math.ceil(restless / TICK) if restless < math.inf else last + 1
        while self._next <= last:
            if self._next >= quiet and self._next % QUIET_TICKS:
                self._comb.append(self._comb[-1])
                self._through.append(self._through[-1])
                self._next += 1
                continue
            step = QUIET_TICKS if self._next >= quiet else 1
            until = last + 1 if step > 1 else min(last + 1, quiet)
            ticks = np.arange(self._next, until, step)[:CHUNK]
            self._follow(ticks * TICK, step)
            self._next = int(ticks[-1]) + step
            surplus = self._next - 1 - last
            if surplus > 0:  # ticks that have not come yet
                del self._comb[-surplus:], self._through[-surplus:]
                self._next -= surplus
        surplus = len(self._comb) - KEPT
        if surplus > 0:
            del self._comb[:surplus], self._through[:surplus]
            self._first += surplus

    def _follow(self, times: Real, repeat: int) -> None:
        """Settle the ring at each of these times, in order; each stands for some ticks."""
        if times.size <= FEW:  # processes are quicker one time after the other then
            columns = [self._drive_at(t) for t in times.tolist()]
        else:
            arrays = [np.broadcast_to(a, times.shape).tolist() for a in self._drive_at(times)]
            columns = list(zip(*arrays, strict=True))
        for values in columns:
            drive = Drive(*values)
            self.ring.settle(drive)
            self._drive = drive
            self.settled += 1
            self._comb += [self.ring.comb_power(drive)] * repeat
            offset = drive.auxiliary_detuning - self.ring.state.theta
            passing = 1.0 - self._coupling / (1.0 + offset * offset)
            self._through += [drive.auxiliary * self._threshold * passing] * repeat

    def _drive_at(self, t: Any) -> tuple[Any, Any, Any, Any]:
        """Members of `Drive` at times (s)."""
        lasers = self._lasers
        return (
            lasers.pump_mw(t) / self._threshold,
            (self._resonance(t) - lasers.pump_hz(t)) / self._half,
            lasers.auxiliary_mw(t) / self._threshold,
            (self._auxiliary_resonance(t) - lasers.auxiliary_hz(t)) / self._half,
        )

    def _at(self, values: list[float], times_s: Any) -> Any:
        """Recorded values at the last tick before each time."""
        ticks = np.floor(np.asarray(times_s) / TICK).astype(int) - self._first
        found = np.array(values)[np.clip(ticks, 0, len(values) - 1)] if values else 0.0 * ticks
        return found if isinstance(times_s, np.ndarray) else float(found)

    def comb_power(self, times_s: Any) -> Any:
        """Light beside the pump line at times (s) up to now, in units of the equation."""
        return self._at(self._comb, times_s)

    def auxiliary_mw(self, times_s: Any) -> Any:
        """Power (mW) of the auxiliary laser that passes the ring."""
        return self._at(self._through, times_s)

    @property
    def effective_detuning(self) -> float:
        """Of the pump from the heated resonance, now, in half linewidths."""
        return self.ring.effective_detuning(self._drive)

    # ---------------------------------------------------------------- spectrum

    def lines(self) -> tuple[NDArray[np.int64], Real]:
        """Orders of the lines, pump line 0 included, and |psi_mu|^2 of each, now."""
        orders = lle.MODE_NUMBERS
        state, zeta = self.ring.state, self.effective_detuning
        if self._drive.pump <= 1e-6:
            return orders, np.zeros(orders.size)
        if state.kind == DARK or (state.kind == CHAOS and zeta < -3.0):
            return orders, np.where(orders == 0, self.ring.energy(self._drive, zeta), 0.0)
        if state.kind == CHAOS:
            return orders, self._chaotic(zeta)
        rho = lle.background(self._drive.pump, zeta)
        pulse = np.fft.fft(self._soliton(zeta)) / lle.MODES
        turns = np.exp(-1j * np.outer(orders, state.places)).sum(axis=1)
        spectrum = pulse * turns
        spectrum[0] += rho
        return orders, np.asarray(np.abs(spectrum) ** 2)

    def _soliton(self, zeta: float) -> NDArray[np.complex128]:
        """Field of one soliton at angle 0, without the background."""
        cell = round(zeta / DETUNING_STEP) * DETUNING_STEP
        if cell not in self._single:
            start = lle.ansatz(20.0, 0.0047, cell, np.array([0.0]))
            field = lle.Resonator(dt=4e-3).relax(start, cell, RELAXED)
            quiet = field[lle.MODES // 2]  # the background, opposite to the soliton
            field = np.roll(field - quiet, -int(np.argmax(np.abs(field))))
            self._single[cell] = field
        return self._single[cell]

    def _chaotic(self, zeta: float) -> Real:
        cell = round(zeta)
        if cell not in self._chaos:
            rng = np.random.Generator(np.random.PCG64(self._seed_of(f"chaos.{cell}")))
            resonator = lle.Resonator(dt=4e-3, rng=rng)
            psi = np.full(lle.MODES, 0.5 + 0j) + 1e-3 * rng.standard_normal(lle.MODES)
            psi = resonator.run(psi, np.linspace(min(cell, 0.0), cell, CHAOS_SWEEP))
            total = np.zeros(lle.MODES)
            for _ in range(CHAOS_FIELDS):
                psi = resonator.run(psi, np.full(CHAOS_APART, float(cell)))
                total += lle.lines(psi)
            self._chaos[cell] = total / CHAOS_FIELDS
        return self._chaos[cell]
