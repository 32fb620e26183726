"""From the detections of one block to keys: sift, correct, verify, shorten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from labctl.analysis.qkd import Distilled, distil
from procedures import decoy_rates
from procedures.decoy_rates import SIFTED, WRONG, LinkSettings


@dataclass(frozen=True)
class BlockKeys:
    """What came of one block."""

    counts: np.ndarray  #: sent (expected), clicks, sifted, wrong by intensity, (4, 3)
    keys: dict[str, Distilled]  #: "" for an infinite key, "X" and "Y" for the finite ones
    sifted: list[int]  #: bits that went into each

    def mean(self, what: str) -> float:
        """Mean of an attribute of the keys, by their sifted bits; nan without any."""
        values = [getattr(key, what) for key in self.keys.values()]
        return float(np.average(values, weights=self.sifted)) if any(self.sifted) else float("nan")

    @property
    def delivered_bits(self) -> int:
        """Bits of key; of each only whole bytes count."""
        return sum(key.length // 8 * 8 for key in self.keys.values())


def make_keys(
    found: np.ndarray, pulses: int, link: LinkSettings, *, finite: bool, seed: Callable[[], int]
) -> BlockKeys:
    """Keys of one block.

    An infinite key is made of the sifted signal bits of both bases. A finite one is made of all
    intensities of one basis, tested by the other, and another one the other way round.

    Args:
        found: intensity, basis and bit that were sent, basis and bit that were read; (5, n).
        pulses: in the block, detected or not.
        link: what the link was told.
        finite: whether the keys shall be secure as finite ones.
        seed: gives a new seed of public random choices.
    """
    intensity, basis, bit, own_basis, own_bit = found
    same = basis == own_basis
    wrong = same & (bit != own_bit)

    def by_level(chosen: np.ndarray) -> np.ndarray:
        return np.bincount(intensity[chosen], minlength=3)

    clicks = np.bincount(intensity, minlength=3)
    sent = np.rint(link.shares * pulses)
    counts = np.stack([sent, clicks, by_level(same), by_level(wrong)])

    def parts() -> Iterator[tuple[str, np.ndarray, float, float, dict[str, float]]]:
        """Name, bits, unsafe bits among them, phase error of the others, options."""
        if not finite:
            unsafe, e1 = decoy_rates.multi_photon_bits(counts, link)
            yield "", same & (intensity == 0), unsafe, e1, {}
            return
        for own, name in ((0, "X"), (1, "Y")):
            key, test = same & (basis == own), same & (basis != own)
            unsafe, e1 = decoy_rates.finite_unsafe_bits(
                by_level(key), by_level(test), by_level(test & wrong), link
            )
            yield name, key, unsafe, e1, {"margin_bits": decoy_rates.FINITE_MARGIN}

    total = counts[WRONG].sum() if finite else counts[WRONG, 0]
    among = counts[SIFTED].sum() if finite else counts[SIFTED, 0]
    rate = min(max(float(total / max(among, 1)), 1e-4), 0.5)
    keys, sifted = {}, []
    for name, chosen, unsafe, e1, options in parts():
        keys[name] = distil(
            bit[chosen], own_bit[chosen], rate, seed(),
            phase_error=e1, unsafe_bits=unsafe, **options,
        )  # fmt: skip
        sifted.append(int(chosen.sum()))
    return BlockKeys(counts, keys, sifted)
