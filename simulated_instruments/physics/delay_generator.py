"""Digital delay generator: eight delays after each trigger, four pulses between them.

Outputs: T0 begins with the trigger, AB is high from A to B, and so on. A trigger that comes while
delays are still running is ignored, so the true period may be a multiple of the one that is set.
"""

from __future__ import annotations

import math

T0, T1, A, B, C, D, E, F, G, H = range(10)  # what delays count from, or set
INTERNAL, RISING, FALLING, SHOT_RISING, SHOT_FALLING, SHOT, LINE = range(7)  # what triggers
RECOVERY = 100e-9  # s after the last delay (assumed)
LINE_HZ = 50.0


class DelayGeneratorModel:
    """The generator; times in s."""

    def __init__(self) -> None:
        self.source = SHOT
        self.rate = 1000.0  # Hz
        self.level = 1.0  # V, threshold of the trigger input
        self.delays: dict[int, tuple[int, float]] = {}  # channel: what it counts from, how long
        self.amplitudes = dict.fromkeys(range(5), 2.5)  # V, by output: T0, AB, CD, EF, GH
        self.offsets = dict.fromkeys(range(5), 0.0)  # V
        self.positive = dict.fromkeys(range(5), True)
        self.burst = False  # bursts are not simulated: no regular trigger while it is on
        self.now = 0.0
        self._since = 0.0  # when source or rate were set
        self.shots: list[float] = []  # triggers by command
        self.restore()

    def restore(self) -> None:
        """Settings of a reset."""
        self.set_source(SHOT)
        self.set_rate(1000.0)
        self.delays = dict.fromkeys(range(A, H + 1), (T0, 0.0))
        self.burst = False

    def set_source(self, source: int) -> None:
        """Choose what triggers."""
        self.source, self._since = source, self.now

    def set_rate(self, hertz: float) -> None:
        """Rate of the internal trigger."""
        self.rate, self._since = hertz, self.now

    def link(self, channel: int, reference: int, seconds: float) -> None:
        """Let a delay count from another; ValueError if it would count from itself."""
        at: int | None = reference
        while at not in (T0, T1):
            if at == channel:
                raise ValueError("a delay cannot count from itself")
            assert at is not None
            at = self.delays[at][0]
        self.delays[channel] = (reference, seconds)

    def edge(self, channel: int) -> float:
        """When a delay is over, after the trigger (s)."""
        if channel in (T0, T1):
            return 0.0 if channel == T0 else max(self.edge(c) for c in self.delays)
        reference, seconds = self.delays[channel]
        return self.edge(reference) + seconds

    def pulse(self, output: int) -> tuple[float, float]:
        """When an output (1: AB to 4: GH) goes high and low after the trigger (s)."""
        first, second = self.edge(2 * output), self.edge(2 * output + 1)
        return min(first, second), max(first, second)

    @property
    def busy(self) -> float:
        """How long after a trigger another one is ignored (s)."""
        return max(self.edge(channel) for channel in self.delays) + RECOVERY

    @property
    def overrun(self) -> bool:
        """Whether triggers come while delays are still running."""
        return self._interval() < self.busy

    @property
    def period(self) -> float | None:
        """Time between two triggers that count (s); None: there is no regular trigger."""
        interval = self._interval()
        if self.burst or not interval < math.inf:
            return None
        return interval * max(1, math.ceil(self.busy / interval * (1 - 1e-12)))

    @property
    def first(self) -> float | None:
        """When the first of the regular triggers came (s)."""
        return None if self.period is None else self._since

    def _interval(self) -> float:
        """Time between two triggers, whether they count or not (s)."""
        return {INTERNAL: 1.0 / self.rate, LINE: 1.0 / LINE_HZ}.get(self.source, math.inf)

    def shoot(self) -> bool:
        """A trigger by command; whether it counts."""
        if self.source != SHOT or (self.shots and self.now < self.shots[-1] + self.busy):
            return False
        self.shots = [*self.shots[-99:], self.now]
        return True

    def advance(self, now: float) -> None:
        """Note the time (s)."""
        self.now = now
