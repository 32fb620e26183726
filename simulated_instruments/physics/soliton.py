"""Which state a pumped, heated microring is in: dark, chaotic, or a number of solitons.

Light heats the ring and shifts its resonances to the red by Theta; an auxiliary laser on the blue
side of another resonance heats it too, less so the more it is shifted, and thereby holds Theta:

    Theta = c [U(zeta - Theta) + A / (1 + (zeta_a - Theta)^2)]

U is the energy of the state, zeta and zeta_a are the lasers' detunings from the cold resonances,
all in half linewidths, red positive. Heat flows in microseconds, so Theta is at rest whenever
anyone looks; which of several solutions it rests at follows from where it comes from. On its way
it passes the edges of states: chaos ends at `CHAOS_ENDS` in a random number of solitons, each
soliton goes at an edge of its own when the detuning is reduced, all go beyond pi^2 f^2 / 8, and
the dark ring lights up again where the lower branch ends. The energies of the states are those
of `lle`, with which tests compare them.

Source: H. Guo et al., Nat. Phys. 13, 94 (2017) for backward switching; S. Zhang et al., Optica 6,
206 (2019) for the auxiliary laser; T. Herr et al., Nat. Photonics 8, 145 (2014) for the edges.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

CHAOS_ENDS = 6.0  # effective detuning
#: Energy and comb power of the chaotic ring by effective detuning: averages over 24 units of time
#: of the Lugiato-Lefever equation with f^2 = 20, d2 = 0.0047.
CHAOS_DETUNING = np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
CHAOS_ENERGY = np.array([1.12, 1.69, 2.04, 2.43, 2.80, 3.22, 3.56, 3.89, 4.02, 3.16])
CHAOS_COMB = np.array([0.0, 0.692, 0.934, 1.196, 1.444, 1.818, 2.126, 2.811, 2.983, 2.610])
#: The same of one soliton: without the background, which it dips into.
SOLITON_DETUNING = np.array([6.0, 8.0, 9.0, 10.0, 12.0, 14.0, 15.0, 16.0, 18.0, 20.0, 22.0, 24.0])
SOLITON_COMB = np.array(
    [0.150, 0.158, 0.165, 0.1676, 0.1731, 0.1796, 0.1831, 0.1865, 0.1933, 0.1998, 0.2060, 0.2111]
)
REFERENCE_PUMP = 20.0  # f^2 for which the tables hold; energies of chaos go with it

MARCH = 0.25  # largest step of Theta when looking for where it rests
CLOSE = 1e-9  # of Theta
NUDGE = 0.05  # largest change of Theta that is followed without looking for edges on the way

MOST_BORN = 12  # solitons; the equation, with heat and auxiliary laser, leaves 8 to 12

DARK, CHAOS, SOLITONS = "dark", "chaos", "solitons"


@dataclass
class RingState:
    """What circulates in the ring."""

    kind: str = CHAOS  # "chaos" includes the weakly pumped ring on the blue side
    edges: list[float] = field(default_factory=list)  # ascending: where each soliton goes
    places: list[float] = field(default_factory=list)  # rad, angle of each soliton
    breathing: bool = False  # born below their edges, and never above them since
    theta: float = 0.0  # thermal shift, half linewidths

    @property
    def solitons(self) -> int:
        """Number of solitons."""
        return len(self.edges)


@dataclass(frozen=True)
class Drive:
    """Both lasers at one moment. Detunings from cold resonances in half linewidths."""

    pump: float  # f^2, pump power over its threshold
    detuning: float  # zeta
    auxiliary: float = 0.0  # f_a^2
    auxiliary_detuning: float = 0.0  # zeta_a


class SolitonRing:
    """The state of the ring as lasers move.

    Args:
        draw: a fresh generator of random numbers for the n-th birth of solitons.
        heating: c, thermal shift per unit of energy. With 12 the solitons alone would hold a ring
            that bore 12 of them; the full equation loses them, as does 15 here.
        dispersion: d2 = D2 / kappa.
        edge: mean effective detuning at which a soliton goes when tuned to the blue.
        edge_spread: rms relative spread of these edges among solitons (mode crossings).
        births: mean and rms number of solitons that chaos leaves behind.
    """

    def __init__(
        self,
        draw: Callable[[int], np.random.Generator],
        *,
        heating: float = 15.0,
        dispersion: float = 0.0047,
        edge: float = 7.5,
        edge_spread: float = 0.04,
        births: tuple[float, float] = (10.0, 1.2),
    ) -> None:
        self.state = RingState()
        self._draw = draw
        self._heating = heating
        self._dispersion = dispersion
        self._edge, self._edge_spread = edge, edge_spread
        self._births = births
        self._born = 0

    def settle(self, drive: Drive) -> None:
        """Let the heat flow until it rests, and the state change on the way."""
        state = self.state
        if drive.pump <= 1e-6:
            self._become(CHAOS)
        if self._follow(drive):
            return
        for _ in range(1000):
            excess = self._excess(drive, state.theta)
            rests = abs(excess) < CLOSE or self._march(drive, math.copysign(1.0, excess))
            low, high = self._edges(drive)
            zeta = drive.detuning - state.theta
            if rests and low <= zeta <= high:
                state.breathing = state.breathing and zeta <= state.edges[-1]
                return
            self._cross(drive, upwards=zeta - low > high - zeta)

    def effective_detuning(self, drive: Drive) -> float:
        """Detuning from the heated resonance, zeta - Theta."""
        return drive.detuning - self.state.theta

    def comb_power(self, drive: Drive) -> float:
        """Light in the ring beside the pump line, in units of the equation."""
        zeta = self.effective_detuning(drive)
        scale = drive.pump / REFERENCE_PUMP
        if self.state.kind == CHAOS:
            return scale * float(np.interp(zeta, CHAOS_DETUNING, CHAOS_COMB, left=0.0))
        if self.state.kind == DARK:
            return 0.0
        return self.state.solitons * float(np.interp(zeta, SOLITON_DETUNING, SOLITON_COMB))

    # ---------------------------------------------------------------- energies

    def energy(self, drive: Drive, zeta: float) -> float:
        """<|psi|^2> of the present state at an effective detuning."""
        if self.state.kind == CHAOS:
            if zeta <= CHAOS_DETUNING[0]:
                return lower_branch(drive.pump, zeta)
            scale = drive.pump / REFERENCE_PUMP
            return scale * float(np.interp(zeta, CHAOS_DETUNING, CHAOS_ENERGY))
        solitons = self.state.solitons * 2.0 / math.pi * math.sqrt(max(zeta, 0) * self._dispersion)
        return lower_branch(drive.pump, zeta) + solitons

    def _excess(self, drive: Drive, theta: float) -> float:
        """By how much heating exceeds what holds Theta."""
        light = self.energy(drive, drive.detuning - theta)
        offset = drive.auxiliary_detuning - theta
        return self._heating * (light + drive.auxiliary / (1.0 + offset * offset)) - theta

    def _march(self, drive: Drive, direction: float) -> bool:
        """Move Theta to where it rests, or to the next edge; True if it rests."""
        theta, step = self.state.theta, 1e-6
        while True:
            ahead = theta + direction * step
            edge = self._next_edge(drive, theta, direction)
            stop = edge is not None and (ahead - edge) * direction >= 0.0
            if stop and edge is not None:
                ahead = edge
            if self._excess(drive, ahead) * direction <= 0.0:
                self.state.theta = self._root(drive, theta, ahead)
                return True
            theta = self.state.theta = ahead
            if stop:
                return False
            step = min(2.0 * step, MARCH)

    def _root(self, drive: Drive, low: float, high: float) -> float:
        for _ in range(60):
            middle = 0.5 * (low + high)
            if abs(high - low) < CLOSE:
                break
            if self._excess(drive, low) * self._excess(drive, middle) <= 0.0:
                high = middle
            else:
                low = middle
        return 0.5 * (low + high)

    def _follow(self, drive: Drive) -> bool:
        """Newton's method for a small change within the present state; False if it is not one."""
        theta = self.state.theta
        for _ in range(6):
            excess = self._excess(drive, theta)
            if abs(excess) < CLOSE:
                break
            slope = (self._excess(drive, theta + 1e-6) - excess) / 1e-6
            if slope > -0.2 or abs(excess) > -slope * NUDGE:
                return False  # near a fold, or far away
            theta -= excess / slope
        else:
            return False
        low, high = self._edges(drive)
        zeta = drive.detuning - theta
        if not low < zeta < high:
            return False
        self.state.theta = theta
        self.state.breathing = self.state.breathing and zeta <= self.state.edges[-1]
        return True

    # ---------------------------------------------------------------- edges of states

    def _edges(self, drive: Drive) -> tuple[float, float]:
        """Effective detunings below and above which the present state cannot be."""
        if self.state.kind == CHAOS:
            return -math.inf, CHAOS_ENDS
        if self.state.kind == DARK:
            return lower_branch_begins(drive.pump), math.inf
        begins = lower_branch_begins(drive.pump)
        return begins if self.state.breathing else self.state.edges[
            -1
        ], math.pi**2 * drive.pump / 8.0

    def _next_edge(self, drive: Drive, theta: float, direction: float) -> float | None:
        """Theta of the edge that lies ahead."""
        low, high = self._edges(drive)
        edge = drive.detuning - (low if direction > 0 else high)
        return edge if math.isfinite(edge) and (edge - theta) * direction >= 0.0 else None

    def _cross(self, drive: Drive, *, upwards: bool) -> None:
        """Change to the state beyond an edge of the present one."""
        state = self.state
        if state.kind == CHAOS:
            self._give_birth(drive)
        elif state.kind == DARK or (state.breathing and not upwards):
            self._become(CHAOS)
        elif upwards or state.solitons == 1:
            self._become(DARK)
        else:
            state.edges.pop()
            state.places.pop()

    def _become(self, kind: str) -> None:
        self.state.kind, self.state.breathing = kind, False
        self.state.edges, self.state.places = [], []

    def _give_birth(self, drive: Drive) -> None:
        """Chaos has ended: solitons remain, if the ring can carry any at this pump power."""
        self._become(DARK)
        if math.pi**2 * drive.pump / 8.0 <= self._edge * (1.0 + 3.0 * self._edge_spread):
            return
        rng = self._draw(self._born)
        self._born += 1
        count = int(np.clip(round(rng.normal(*self._births)), 1, MOST_BORN))
        edges = self._edge * (1.0 + self._edge_spread * rng.standard_normal(count))
        self.state.edges = sorted(edges.tolist())
        slots = rng.permutation(4 * count)[:count]  # at least a quarter of the mean distance apart
        self.state.places = (slots * 2.0 * math.pi / (4 * count)).tolist()
        self.state.kind, self.state.breathing = SOLITONS, True


def lower_branch(pump: float, zeta: float) -> float:
    """Smallest rho with f^2 = rho (1 + (zeta - rho)^2): the light in a ring without a comb."""
    a, b, c, d = 1.0, -2.0 * zeta, 1.0 + zeta * zeta, -pump
    # Depressed cubic, by trigonometry where there are three roots.
    p = (3.0 * a * c - b * b) / (3.0 * a * a)
    q = (2.0 * b**3 - 9.0 * a * b * c + 27.0 * a * a * d) / (27.0 * a**3)
    shift = -b / (3.0 * a)
    discriminant = q * q / 4.0 + p**3 / 27.0
    if discriminant >= 0.0:
        root = math.sqrt(discriminant)
        return shift + math.cbrt(-q / 2.0 + root) + math.cbrt(-q / 2.0 - root)
    radius = 2.0 * math.sqrt(-p / 3.0)
    angle = math.acos(max(-1.0, min(1.0, 3.0 * q / (p * radius)))) / 3.0
    return min(shift + radius * math.cos(angle - 2.0 * math.pi * k / 3.0) for k in range(3))


def lower_branch_begins(pump: float) -> float:
    """Detuning below which the dark ring becomes unstable: rho reaches 1 (Herr et al. 2014)."""
    return 1.0 + math.sqrt(max(pump - 1.0, 0.0))
