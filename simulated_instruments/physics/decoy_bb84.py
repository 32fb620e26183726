"""What a gated receiver sees of weak pulses of three intensities: counts, and single detections.

Per gate a detector clicks by a photon with probability s = 1 - exp(-eta lambda), or by noise: dark
counts, light from neighbouring channels, and afterpulses of its own earlier clicks. `Counts` draws
whole blocks from these probabilities; `PulseTrain` follows every click, with its dead time and its
afterpulses, and validates the blocks. Both know the channel only by `Link`.

Source: X. Ma, B. Qi, Y. Zhao and H.-K. Lo, Phys. Rev. A 72, 012326 (2005), section II, for gains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Words = NDArray[np.uint64]

CLOCK = 1_000_000_000  # pulses per second
AFTERPULSE_GATES = 2000.0  # mean delay of an afterpulse behind the dead time
MOST_PENDING = (
    64  # afterpulses to come that are remembered; on average there are much fewer than one
)


@dataclass(frozen=True)
class Link:
    """One transmitter, its channel and its receiver, as they are now.

    Attributes:
        levels: mean photon numbers per pulse of signal and two decoys.
        weights: how often each is sent, whole numbers.
        basis: probability that the transmitter sends X; the receiver's own is `receiver_basis`.
        eta: probability that a photon that was sent makes a click, all losses included.
        dark: noise clicks per gate, all detectors together, without afterpulses.
        afterpulse: probability that a click is followed by a false one.
        misalignment: probability that a photon goes to the wrong detector.
        dead_time: s, of each detector.
        detectors: how many there are.
    """

    levels: tuple[float, float, float]
    weights: tuple[int, int, int] = (29, 2, 1)
    basis: float = 0.5
    receiver_basis: float = 0.5
    eta: float = 1.8e-3
    dark: float = 1e-6
    afterpulse: float = 0.015
    misalignment: float = 0.0195
    dead_time: float = 100e-9
    detectors: int = 1

    @property
    def shares(self) -> Real:
        """Probabilities of the intensities, (3,)."""
        weights = np.array(self.weights, float)
        return weights / weights.sum()

    @property
    def photon_clicks(self) -> Real:
        """Probability of a click by light for each intensity, (3,)."""
        return 1.0 - np.exp(-self.eta * np.array(self.levels))

    @property
    def noise(self) -> float:
        """Noise clicks per gate. An afterpulse has afterpulses too: a geometric series."""
        mean = float(self.shares @ self.photon_clicks)
        return self.dark + self.afterpulse * (self.dark + mean) / (1.0 - self.afterpulse)

    @property
    def gains(self) -> Real:
        """Clicks per gate of a receiver without dead time, (3,)."""
        return self.noise + self.photon_clicks * (1.0 - self.noise)

    @property
    def errors(self) -> Real:
        """Error rates of clicks in the same basis, (3,)."""
        wrong = 0.5 * self.noise + self.misalignment * self.photon_clicks * (1.0 - self.noise)
        return np.asarray(wrong / self.gains)

    @property
    def live(self) -> float:
        """Share of the time in which the detectors are not dead."""
        rate = float(self.shares @ self.gains) * CLOCK
        return 1.0 / (1.0 + rate * self.dead_time / self.detectors)

    @property
    def sifting(self) -> float:
        """Probability that both choose the same basis."""
        return self.basis * self.receiver_basis + (1 - self.basis) * (1 - self.receiver_basis)


@dataclass(frozen=True)
class Counts:
    """What one block gave, by intensity, (3,) each."""

    sent: NDArray[np.int64]  # pulses
    clicks: NDArray[np.int64]
    sifted: NDArray[np.int64]
    wrong: NDArray[np.int64]  # of the sifted ones


def draw_counts(link: Link, pulses: int, rng: np.random.Generator) -> Counts:
    """Counts of a block of `pulses` pulses; pulses in dead times are sent, but never click."""
    sent = rng.multinomial(pulses, link.shares)
    clicks = rng.binomial(sent, np.minimum(link.gains * link.live, 1.0))
    sifted = rng.binomial(clicks, link.sifting)
    wrong = rng.binomial(sifted, link.errors)
    return Counts(sent, clicks, sifted, wrong)


# ---------------------------------------------------------------- pulse by pulse


@dataclass(frozen=True)
class Settings:
    """What was sent in some pulses."""

    intensity: NDArray[np.uint8]  # 0 signal, 1 and 2 decoys
    basis: NDArray[np.uint8]  # 0 X, 1 Y
    bit: NDArray[np.uint8]


def settings_of(seed: int, pulse: Words, link: Link) -> Settings:
    """Settings of numbered pulses: a function of the number, as a board expands a random seed."""
    words = _mix(pulse + np.uint64(seed & 0xFFFFFFFFFFFFFFFF))
    share = np.cumsum(link.shares)
    intensity = np.searchsorted(share[:2], _unit(words), side="right").astype(np.uint8)
    words = _mix(words)
    basis = (_unit(words) >= link.basis).astype(np.uint8)
    bit = (_mix(words) & np.uint64(1)).astype(np.uint8)
    return Settings(intensity, basis, bit)


def _mix(words: Words) -> Words:
    """Steele, Lea and Flood's finaliser (OOPSLA 2014): 64 well-mixed bits."""
    with np.errstate(over="ignore"):
        z = words + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


def _unit(words: Words) -> Real:
    return (words >> np.uint64(11)).astype(float) * 2.0**-53


@dataclass(frozen=True)
class Clicks:
    """Detections of one stretch of pulses, in order."""

    pulse: NDArray[np.int64]  # number within the stretch
    basis: NDArray[np.uint8]  # that the receiver chose
    bit: NDArray[np.uint8]  # that it read


class PulseTrain:
    """A receiver that is followed click by click, stretch after stretch.

    Args:
        seed: of the transmitter's settings.
        draw: a generator for the n-th stretch.
    """

    def __init__(self, seed: int, draw: Callable[[int], np.random.Generator]) -> None:
        self._seed, self._draw = seed, draw
        self._stretch = 0
        self._busy = np.zeros(0)  # first pulse at which each detector is ready again
        self._late_pulse = np.zeros(0, np.int64)  # afterpulses to come
        self._late_detector = np.zeros(0, np.uint8)

    def next(self, link: Link, first: int, pulses: int) -> Clicks:
        """Detections among `pulses` pulses, the first of which has number `first`."""
        rng = self._draw(self._stretch)
        self._stretch += 1
        pulse, basis, bit = self._photons(link, first, pulses, rng)
        dark = np.sort(rng.choice(pulses, rng.binomial(pulses, link.dark), replace=False))
        order = np.argsort(np.concatenate([pulse, dark]), kind="stable")
        pulse = np.concatenate([pulse, dark])[order]
        noise = rng.integers(0, 2, (2, dark.size), dtype=np.uint8)
        noise[0] = rng.random(dark.size) >= link.receiver_basis
        basis = np.concatenate([basis, noise[0]])[order]
        bit = np.concatenate([bit, noise[1]])[order]
        return self._through_detectors(link, Clicks(pulse, basis, bit), pulses, rng)

    def _photons(
        self, link: Link, first: int, pulses: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8]]:
        """Pulses whose light was detected: candidates at the largest rate, then thinned."""
        chance = link.photon_clicks
        most = float(chance.max())
        count = rng.binomial(pulses, most)
        pulse = np.sort(rng.choice(pulses, count, replace=False)) if count else np.zeros(0, int)
        sent = settings_of(self._seed, (pulse + first).astype(np.uint64), link)
        kept = rng.random(count) * most < chance[sent.intensity]
        pulse, sent_basis, sent_bit = pulse[kept], sent.basis[kept], sent.bit[kept]
        basis = (rng.random(pulse.size) >= link.receiver_basis).astype(np.uint8)
        wrong = rng.random(pulse.size) < np.where(basis == sent_basis, link.misalignment, 0.5)
        return pulse, basis, sent_bit ^ wrong.astype(np.uint8)

    def _through_detectors(
        self, link: Link, arriving: Clicks, pulses: int, rng: np.random.Generator
    ) -> Clicks:
        """Dead times and afterpulses: the only part that goes click by click."""
        from simulated_instruments.physics.decoy_kernel import FREE, detect  # compiled on demand

        dead = link.dead_time * CLOCK
        if self._busy.size != link.detectors:
            self._busy = np.zeros(link.detectors)
            self._late_pulse = np.full(MOST_PENDING, FREE)
            self._late_detector = np.zeros(MOST_PENDING, np.uint8)
        chances = 2 * arriving.pulse.size + 64
        false = rng.random(chances) < link.afterpulse
        delay = np.rint(dead + 1.0 + rng.exponential(AFTERPULSE_GATES, chances)).astype(np.int64)
        # One detector sees one output of the interferometer at a time, two see both.
        side = arriving.bit if link.detectors == 2 else np.zeros_like(arriving.bit)
        kept, pulse, detector = detect(
            arriving.pulse, side, false, delay, pulses, dead, self._busy,
            self._late_pulse, self._late_detector,
        )  # fmt: skip
        self._busy = np.maximum(self._busy - pulses, 0.0)
        self._late_pulse[self._late_pulse != FREE] -= pulses
        return _merged(arriving, kept, pulse, detector, link, rng)


def _merged(
    arriving: Clicks,
    kept: NDArray[np.bool_],
    extra: NDArray[np.int64],
    detector: NDArray[np.uint8],
    link: Link,
    rng: np.random.Generator,
) -> Clicks:
    """Clicks that were kept, with the afterpulses, whose basis is that of the receiver then."""
    basis = (rng.random(extra.size) >= link.receiver_basis).astype(np.uint8)
    bit = detector if link.detectors == 2 else rng.integers(0, 2, extra.size, dtype=np.uint8)
    pulse = np.concatenate([arriving.pulse[kept], extra])
    order = np.argsort(pulse, kind="stable")
    return Clicks(
        pulse[order],
        np.concatenate([arriving.basis[kept], basis])[order],
        np.concatenate([arriving.bit[kept], bit])[order],
    )
