"""Photon pairs from a microring with two pumps: three processes of spontaneous four-wave mixing.

Channels are counted as the ITU does, f(C) = 190 THz + 0.1 THz x C. Two pump photons from channels
p and q make a pair in channels a and b with a + b = p + q, so each channel has three partners: one
for both pumps (rate R), and one for each pump alone (r R at equal powers, ideally r = 1/4, because
two different pumps count twice in the amplitude). Besides there is light in proportion to the
pump power (Raman scattering).

A pump that is off resonance brings less light into the ring, by 1 / (1 + (2 d / linewidth)^2), and
a pair whose photons cannot both be on resonance is generated less often, by
1 / (1 + (d_p + d_q)^2 / linewidth^2): the overlap of two Lorentzian lines.

Source: Fan et al., Light: Science & Applications 14 (2025), doi 10.1038/s41377-025-01805-1
("paper"); the numbers that it does not state are chosen so that its key rates come out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

PUMPS = (34, 46)  # channels
MIXED = PUMPS[0] + PUMPS[1]
#: Sums of the channels of a pair, by process: both pumps, the first alone, the second alone.
SUMS = (MIXED, 2 * PUMPS[0], 2 * PUMPS[1])
#: Channels into which stimulated four-wave mixing puts classical light.
STIMULATED = (2 * PUMPS[0] - PUMPS[1], 2 * PUMPS[1] - PUMPS[0])


def frequency_thz(channel: int) -> float:
    """Centre of an ITU channel in THz."""
    return 190.0 + 0.1 * channel


class Emission(NamedTuple):
    """What the ring emits, floats or arrays over time."""

    pairs: tuple[Any, Any, Any]  # 1/s into each pair of channels, in the order of `SUMS`
    linear: Any  # photons/s into each channel that have no partner


@dataclass(frozen=True)
class PairSource:
    """The ring, with pump powers in mW in front of it and detunings in Hz."""

    pair_rate: float = 0.867e6  # 1/s, two different pumps at the reference power
    degenerate: float = 0.2945  # rate with one pump over that with two
    linear: float = 0.10  # linear photons over those of all pairs, at the reference power
    reference_mw: float = 0.4  # both pumps together
    linewidth_hz: float = 200e6  # full width of a resonance

    def emission(self, power_1: Any, power_2: Any, detuning_1: Any, detuning_2: Any) -> Emission:
        """What comes out for the powers (mW) and detunings (Hz) of both pumps."""
        inside_1 = 2.0 * power_1 / self.reference_mw * self._build_up(detuning_1)
        inside_2 = 2.0 * power_2 / self.reference_mw * self._build_up(detuning_2)
        alone = self.degenerate * self.pair_rate
        pairs = (
            self.pair_rate * inside_1 * inside_2 * self._overlap(detuning_1 + detuning_2),
            alone * inside_1**2 * self._overlap(2.0 * detuning_1),
            alone * inside_2**2 * self._overlap(2.0 * detuning_2),
        )
        scale = self.linear * self.pair_rate * (1.0 + 2.0 * self.degenerate)
        return Emission(pairs, scale * (inside_1 + inside_2) / 2.0)

    def transmission(self, detuning: Any) -> Any:
        """Power behind the ring over power before it, for a ring of critical coupling."""
        return 1.0 - self._build_up(detuning)

    def _build_up(self, detuning: Any) -> Any:
        return 1.0 / (1.0 + (2.0 * detuning / self.linewidth_hz) ** 2)

    def _overlap(self, sum_detuning: Any) -> Any:
        return 1.0 / (1.0 + (sum_detuning / self.linewidth_hz) ** 2)
