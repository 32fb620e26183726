"""From counts of a decoy-state link to error rates, bounds and rates of secret bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from labctl.analysis.qkd import (
    binary_entropy,
    decoy_bounds,
    decoy_key_rate,
    finite_key,
)

SENT, CLICKS, SIFTED, WRONG = range(4)  # rows of a block of counts; columns are intensities
CLOCK = 1e9  # pulses per second
#: Shortening of a finite key beyond its entropy: 6 log2(21 / 1e-10) + log2(2 / 1e-15).
FINITE_MARGIN = 277.0  # bits
LARGEST = 1e15  # sifted bits of a block beyond which nobody waits


@dataclass(frozen=True)
class LinkSettings:
    """What one link was told."""

    intensities: tuple[float, float, float]  #: photons per pulse
    ratio: tuple[int, int, int]  #: how often each is sent
    dead_time: float  #: s, of a detector
    detectors: int
    efficiency: float  #: of error correction, f
    postprocessing: float  #: share of the time that is left for sending

    @property
    def shares(self) -> np.ndarray:
        """Probabilities of the intensities, (3,)."""
        weights = np.array(self.ratio, float)
        return weights / weights.sum()


def gains_and_errors(
    counts: np.ndarray, link: LinkSettings
) -> tuple[np.ndarray, np.ndarray, float]:
    """Gains without dead time, error rates, and the share of time in which detectors are live.

    Args:
        counts: sent, clicks, sifted, wrong by intensity, (4, 3).
        link: its settings; a detector that clicks is dead for `dead_time`, so the share of live
            time is 1 - rate x dead time.
    """
    seconds = counts[SENT].sum() / CLOCK
    rate = counts[CLICKS].sum() / seconds / link.detectors
    live = max(1.0 - rate * link.dead_time, 1e-6)
    gains = counts[CLICKS] / np.maximum(counts[SENT], 1) / live
    return gains, counts[WRONG] / np.maximum(counts[SIFTED], 1), live


def secret_rate(counts: np.ndarray, link: LinkSettings) -> float:
    """Secret bits per second of an infinitely long key, all overheads included."""
    gains, errors, live = gains_and_errors(counts, link)
    sifting = counts[SIFTED, 0] / max(counts[CLICKS, 0], 1)
    per_pulse = decoy_key_rate(
        link.intensities, np.minimum(gains, 1.0), np.minimum(errors, 0.5), link.efficiency, sifting
    )
    return float(per_pulse * link.shares[0] * CLOCK * live * link.postprocessing)


def qber_error(counts: np.ndarray) -> float:
    """Standard error of the error rate of the signal: sqrt(e (1 - e) / n), at least 1 / n."""
    sifted = max(int(counts[SIFTED, 0]), 1)
    rate = int(counts[WRONG, 0]) / sifted
    return float(np.sqrt(max(rate * (1.0 - rate), 1.0 / sifted) / sifted))


def secret_with_error(counts: np.ndarray, link: LinkSettings) -> tuple[float, float]:
    """`secret_rate` of one block and its standard error from counting.

    Of each intensity, clicks that are not sifted, right and wrong bits are counted independently,
    each with the error of a count, sqrt(N) or at least 1.
    """
    counts = np.asarray(counts, float)
    value, squares = secret_rate(counts, link), 0.0
    for level in range(counts.shape[1]):
        clicks, sifted, wrong = counts[CLICKS:, level]
        for number, rows in (
            (clicks - sifted, (CLICKS,)), (sifted - wrong, (CLICKS, SIFTED)),
            (wrong, (CLICKS, SIFTED, WRONG)),
        ):  # fmt: skip
            step = np.sqrt(max(number, 1.0))
            moved = [counts.copy(), counts.copy()]
            moved[0][rows, level] += step
            moved[1][rows, level] -= min(step, number)
            up, down = (secret_rate(one, link) for one in moved)
            squares += ((up - down) * step / (step + min(step, number))) ** 2
    return value, float(np.sqrt(squares))


def summary(counts: np.ndarray, link: LinkSettings) -> dict[str, float]:
    """Everything that a block of counts (4, 3) says, rates in 1/s."""
    gains, errors, _ = gains_and_errors(counts, link)
    seconds = counts[SENT].sum() / CLOCK
    y0, y1, e1 = decoy_bounds(link.intensities, np.minimum(gains, 1.0), np.minimum(errors, 1.0))
    return {
        "qber": 100.0 * float(errors[0]),
        "qber_decoy": 100.0 * float(errors[1]),
        "qber_weak": 100.0 * float(errors[2]),
        "raw_rate": float(counts[CLICKS].sum() / seconds),
        "sifted_rate": float(counts[SIFTED, 0] / seconds),
        "secret_rate": secret_rate(counts, link),
        "y0": y0,
        "y1": y1,
        "e1": 100.0 * e1,
    }


def with_errors(blocks: np.ndarray, link: LinkSettings) -> dict[str, tuple[float, float | None]]:
    """`summary` of all blocks (n, 4, 3) together, with standard errors by leaving out groups.

    Blocks that follow one another share the interferometer's drift, so groups of them are left out.
    """
    total = blocks.sum(axis=0)
    values = summary(total, link)
    groups = min(20, len(blocks))
    if groups < 2:
        return {name: (value, None) for name, value in values.items()}
    parts = np.array_split(np.arange(len(blocks)), groups)
    jackknife = [summary(total - blocks[part].sum(axis=0), link) for part in parts]
    factor = (groups - 1) / groups
    found: dict[str, tuple[float, float | None]] = {}
    for name, value in values.items():
        left_out = np.array([one[name] for one in jackknife])
        spread = factor * np.sum((left_out - left_out.mean()) ** 2)
        found[name] = value, float(np.sqrt(spread))
    return found


def finite(counts: np.ndarray, link: LinkSettings) -> tuple[float, float]:
    """Secret bits per second of one finite block, and sifted bits that a block needs for any.

    Half of the sifted bits (one basis) make a key that the other half tests, and the other way
    round (C. C. W. Lim et al. 2014). The second number is 0 if this block is large enough.
    """
    seconds = counts[SENT].sum() / CLOCK

    def length(factor: float) -> int:
        half = counts[SIFTED] * factor / 2
        wrong = counts[WRONG] * factor / 2
        error = wrong.sum() / max(half.sum(), 1.0)
        leaked = link.efficiency * half.sum() * float(binary_entropy(min(error, 0.5)))
        return finite_key(link.intensities, link.shares, half, half, wrong, leaked).length

    bits = 2 * length(1.0)
    if bits:
        return bits / seconds * link.postprocessing, 0.0
    low, high, size = 1.0, 2.0, float(counts[SIFTED].sum())
    while size * high < LARGEST and not length(high):
        low, high = high, 2 * high
    if size * high >= LARGEST:
        return 0.0, float("inf")
    while high / low > 1.01:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if length(middle) else (middle, high)
    return 0.0, size * high


def multi_photon_bits(counts: np.ndarray, link: LinkSettings) -> tuple[float, float]:
    """Of the sifted signal bits: how many did not come from single photons; and e1 of the others.

    The bits an eavesdropper may know anyway, from the bounds of this block.
    """
    gains, errors, _ = gains_and_errors(counts, link)
    _, y1, e1 = decoy_bounds(link.intensities, np.minimum(gains, 1.0), np.minimum(errors, 1.0))
    mu = link.intensities[0]
    single = y1 * mu * np.exp(-mu) / max(gains[0], 1e-30)
    return float(counts[SIFTED, 0] * (1.0 - min(single, 1.0))), float(e1)


def finite_unsafe_bits(
    key: np.ndarray, test: np.ndarray, wrong: np.ndarray, link: LinkSettings
) -> tuple[float, float]:
    """The same of a finite block, whose bits of one basis are the key and of the other the test.

    Args:
        key, test, wrong: sifted bits of the key's basis, of the other one, and errors among the
            latter, by intensity, (3,).
        link: its settings.
    """
    found = finite_key(link.intensities, link.shares, key, test, wrong, 0.0)
    kept = 1.0 - float(binary_entropy(found.phase_error))
    if kept <= 0.0:
        return float(key.sum()), 0.5
    return float(key.sum()) - found.single - found.vacuum / kept, found.phase_error


def rows_of(data: Any, link: str) -> np.ndarray:
    """Blocks (n, 4, 3) that a run recorded of a link "1" or "2"."""
    return np.stack(
        [
            np.stack([data[f"{what} {level} TR{link}"] for level in ("mu", "nu1", "nu2")], axis=-1)
            for what in ("sent", "clicks", "sifted", "wrong")
        ],
        axis=1,
    )
