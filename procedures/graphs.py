"""Pump lines, and the graph of entangled modes that they make: known ones and the user's own."""

from __future__ import annotations

import cmath
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from labctl.errors import RequestError

#: Relative powers of the pump lines, the primary one first (paper: 20 %, and 20 % and 16 %).
PUMPS = {"single": "0:1", "1d": "0:1,-1:0.2", "2d": "-1:1,0:0.2,1:0.16"}
#: Mode minus drive frequency (MHz), pumps included, at which each topology is measured. The user's
#: own pumps start from the value for as many lines.
DETUNING = {"single": -0.619, "1d": -11.85, "2d": -15.86}
#: Weight of the neighbours in the nullifier p_k + weight (x_l + ...), by how many there are
#: (paper: 0.65 and 0.5); beyond, that of a star with weak correlations.
NULLIFIER_WEIGHT = {1: 1.0, 2: 0.65, 3: 0.5}
#: A coupling this strong, relative to the strongest, makes an edge of the graph.
MAJOR = 0.5
#: An element of the covariance of which the pumps explain less (shot noise = 1) is called a zero.
ZERO = 3e-4
LAST_MODE = 35
#: Lines -4..4 are filtered out before the detector; a pump further out would blind it.
PUMP_REACH = 4

#: Half the loaded linewidth (MHz), and by how many of these dispersion detunes mode 35.
GAMMA = 4.8354
OUTERMOST = 0.61
#: Attenuation (dB) at which one pump on resonance reaches threshold, from a calibration.
THRESHOLD_ATTENUATION = 0.818
#: What the amplifier behind the comb gave (mW) at that calibration.
CALIBRATED_OUTPUT = 8.9
#: So much more of it (dB) may be the error of the amplifier's own power meter.
METER_ERROR = 0.3


@dataclass(frozen=True)
class Graph:
    """Pump lines and what follows from them."""

    name: str  # a topology, or the user's text
    lines: tuple[tuple[int, float, float], ...]  # line, relative power, phase (rad)
    sums: tuple[int, ...]  # k + l of the pairs that the pumps connect
    minor: tuple[int, ...]  # k + l of pairs with a weaker coupling, which count as unconnected
    weight: float  # of the neighbours in a nullifier
    detuning: float  # MHz, mode minus drive

    @property
    def modes(self) -> tuple[int, ...]:
        """Mode numbers, ascending, without pumped modes and their neighbours."""
        lines = [line for line, *_ in self.lines]
        first = 6 + 2 * max(0, max(lines) - min(lines) - 1)
        return (*range(-LAST_MODE, -first + 1), *range(first, LAST_MODE + 1))

    @property
    def connected(self) -> tuple[tuple[int, int], ...]:
        """Pairs of modes that the pumps connect, those with the lowest sum first."""
        modes = set(self.modes)
        return tuple(
            (k, total - k)
            for total in self.sums
            for k in self.modes
            if k < total - k and total - k in modes
        )

    def amplitudes(self, attenuation: float) -> dict[int, complex]:
        """Pump amplitudes, 1 at threshold, if the primary line is attenuated by so many dB."""
        power = 10.0 ** ((THRESHOLD_ATTENUATION - attenuation) / 10.0)
        return {
            line: cmath.rect(math.sqrt(share * power), phase) for line, share, phase in self.lines
        }

    def describe(self, attenuation: float, detuning: float, settings: int) -> str:
        """What the pumps make, and how far below threshold, in one line."""
        from labctl.analysis.kerr_ring import couplings

        strength = {s: abs(value) for s, value in couplings(self.amplitudes(1.0)).items()}
        top = max(strength.values())
        edges = ", ".join(f"{s} ({strength[s] / top:.2f})" for s in self.sums)
        minor = ", ".join(f"{s} ({strength[s] / top:.2f})" for s in self.minor)
        return (
            f"pumps {self.name}: {len(self.modes)} modes, {len(self.connected)} edges with k + l = "
            f"{edges}; weaker: {minor or 'none'}; {settings} settings; fastest growth "
            f"{self.growth(attenuation, detuning):+.2f} of half the linewidth, threshold "
            f"{self.headroom(attenuation, detuning):.1f} dB away"
        )

    def growth(self, attenuation: float, detuning: float) -> float:
        """Estimated growth rate (half linewidths) of the fastest fluctuation at a detuning, MHz."""
        from labctl.analysis.kerr_ring import growth_rate

        return growth_rate(self.amplitudes(attenuation), detuning / GAMMA, OUTERMOST)

    def headroom(self, attenuation: float, detuning: float) -> float:
        """By how much (dB, up to 20) all pumps can rise until the estimate reaches threshold.

        Negative above threshold: by how much they must fall, up to 40 dB.
        """
        steps = [0.1 * n for n in range(200)]
        if self.growth(attenuation, detuning) < 0:
            below = (s for s in steps if self.growth(attenuation - s, detuning) >= 0)
            return next(below, 20.0)
        lower = (s for s in (2 * s for s in steps) if self.growth(attenuation + s, detuning) < 0)
        return -next(lower, 40.0)

    def check(self, attenuation: float, detuning: float, excess: str = "") -> None:
        """Refuse pumps above threshold, where there is no stationary quantum state to measure.

        `excess` says why the attenuation counts less than it is set.
        """
        growth = self.growth(attenuation, detuning)
        if growth >= 0:
            need = -self.headroom(attenuation, detuning)
            to = "" if excess else f" to {attenuation + need:.1f} dB or more"
            raise RequestError(
                f"pumps {self.name}: above threshold{excess}, fluctuations grow with {growth:+.2f} "
                f"of half the linewidth; raise pump_attenuation by {need:.1f} dB{to}, or change "
                "detuning_shift"
            )


def graph_of(parameters: Mapping[str, Any]) -> Graph:
    """The graph of a run, from its parameters."""
    return graph(parameters["topology"], parameters.get("pumps") or "")


@cache
def graph(topology: str, pumps: str = "") -> Graph:
    """The graph of a topology, or of the user's own pump lines where they are given."""
    from labctl.analysis.kerr_ring import couplings

    lines = parse_pumps(pumps or PUMPS[topology])
    strength = {
        total: abs(value)
        for total, value in couplings(
            {line: cmath.rect(math.sqrt(power), phase) for line, power, phase in lines}
        ).items()
    }
    top = max(strength.values())
    sums = tuple(total for total, value in strength.items() if value >= MAJOR * top)
    alike = ("single", "1d", "2d")[min(len(lines), 3) - 1] if pumps else topology
    return Graph(
        name=pumps or topology,
        lines=lines,
        sums=sums,
        minor=tuple(s for s, value in strength.items() if s not in sums and value > 1e-3 * top),
        weight=NULLIFIER_WEIGHT.get(len(sums), 1.0 / math.sqrt(len(sums))),
        detuning=DETUNING[alike],
    )


def parse_pumps(text: str) -> tuple[tuple[int, float, float], ...]:
    """Lines, relative powers and phases (rad) from "0:1,-1:0.2@0.5", the strongest first.

    Powers are scaled such that the strongest is 1.
    """
    lines: dict[int, tuple[float, float]] = {}
    for part in text.split(","):
        name, _, rest = part.partition(":")
        power, at, phase = rest.partition("@")
        try:
            line, share, angle = float(name), float(power), float(phase) if at else 0.0
        except ValueError:
            raise RequestError(
                f"pumps: {part.strip()!r} is not line:power or line:power@phase, as in "
                "0:1,-1:0.2@0.5"
            ) from None
        if line != int(line if math.isfinite(line) else 0):
            raise RequestError(
                f"pumps: {name.strip()} is no line of the comb; between its lines, 25 GHz apart, "
                "there is no light, and the shaper could not tell lines closer than 10 GHz apart"
            )
        if abs(line) > PUMP_REACH:
            raise RequestError(
                f"pumps: line {line:g} would reach the detector; pump lines -{PUMP_REACH} to "
                f"{PUMP_REACH} are filtered out"
            )
        if int(line) in lines:
            raise RequestError(f"pumps: line {line:g} is named twice")
        if not (0 < share < math.inf and math.isfinite(angle)):
            raise RequestError(f"pumps: {part.strip()!r} needs a power above 0 and a finite phase")
        lines[int(line)] = (share, angle)
    top = max(share for share, _ in lines.values())
    ordered = sorted(lines.items(), key=lambda item: (-item[1][0], item[0]))
    return tuple((line, share / top, angle) for line, (share, angle) in ordered)
