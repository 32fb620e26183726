"""Pattern generator with eight digital and two analogue outputs: what it plays, and when.

A pattern is the list of steps that was uploaded, nothing else; worlds take pulse widths, gaps and
levels from there. It begins at once, on a software or on an external trigger, is repeated a number
of times, and leaves the outputs in its final state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

FULL = 0x7FFF  # of an analogue output, which is 1 V
#: How steps are written: duration (ns), levels of the digital outputs as bits, analogue outputs.
STEP = np.dtype([("ns", "<u4"), ("mask", "u1"), ("a0", "<i2"), ("a1", "<i2")])

IMMEDIATE, SOFTWARE, RISING, FALLING, BOTH = range(5)  # what starts a pattern
IDLE, BREAKPOINT, STREAMING, FINISHED, ERROR = range(5)  # states
NOTHING, WAIT_TRIGGER, WAIT_REARM, WAIT_DATA, WAIT_START = range(5)  # what it waits for
STOP, SWITCH, SWITCH_EXPECT, REPEAT = range(4)  # what follows a slot


@dataclass(frozen=True)
class Level:
    """A state of all outputs."""

    mask: int = 0
    a0: int = 0
    a1: int = 0


@dataclass(frozen=True, eq=False)
class Pattern:
    """What was uploaded."""

    steps: NDArray[Any]  # of type STEP
    runs: int = -1  # -1: for ever
    final: Level = Level()
    following: int = STOP  # what a slot is followed by

    @cached_property
    def edges_ns(self) -> Ints:
        """When the steps begin, and when the last one ends, from the beginning of the pattern."""
        ends = np.cumsum(self.steps["ns"], dtype=np.int64)
        return np.concatenate([np.zeros(1, dtype=np.int64), ends])

    @property
    def length_ns(self) -> int:
        """How long one run takes."""
        return int(self.edges_ns[-1])

    def digital(self, channel: int) -> Ints:
        """Level (0 or 1) of a digital output in each step."""
        return (self.steps["mask"].astype(np.int64) >> channel) & 1

    def volts(self, channel: int) -> NDArray[np.float64]:
        """Voltage (V) of an analogue output in each step."""
        return self.steps[("a0", "a1")[channel]].astype(np.float64) / FULL

    def pulses_ns(self, channel: int) -> list[tuple[int, int]]:
        """When a digital output goes high and low again, in one run."""
        high = np.concatenate([[0], self.digital(channel), [0]])
        change = np.diff(high)
        rises, falls = self.edges_ns[change == 1], self.edges_ns[change == -1]
        return list(zip(rises.tolist(), falls.tolist(), strict=True))


class PulseStreamerModel:
    """The outputs. Times are in s; what begins at a time begins there exactly."""

    def __init__(self) -> None:
        self.constant = Level()  # of the outputs while nothing is played
        self.pattern: Pattern | None = None  # that is played, or waits
        self.slots: list[Pattern | None] = [None, None]
        self.slot: int | None = None  # of the pattern; None: it was streamed
        self.slots_left = -1  # that will be played, -1: no limit
        self.trigger_start = IMMEDIATE
        self.manual_rearm = False
        self.begun: float | None = None  # s, when the pattern began; None: it waits, or is over
        self.finished = False
        self.waiting = False  # for what starts the pattern
        self.now = 0.0

    # ---------------------------------------------------------------- what comes out

    @property
    def armed(self) -> bool:
        """Whether an external trigger would start the pattern."""
        self._settle(self.now)
        return self.waiting and self.trigger_start in (RISING, FALLING, BOTH)

    @property
    def state(self) -> tuple[int, int]:
        """State and what it waits for, as the instrument tells them."""
        self._settle(self.now)
        if self.pattern is None:
            return IDLE, NOTHING
        if self.begun is not None:
            return STREAMING, NOTHING
        if not self.waiting:
            return FINISHED, WAIT_REARM if self.manual_rearm else NOTHING
        external = self.trigger_start in (RISING, FALLING, BOTH)
        return STREAMING, WAIT_TRIGGER if external else WAIT_START

    def ends(self) -> float:
        """When the runs that are being played are over (s); infinity if they never are."""
        if self.begun is None or self.pattern is None or self.pattern.runs < 0:
            return math.inf
        return self.begun + 1e-9 * self.pattern.length_ns * self.pattern.runs

    def level(self, t: float) -> Level:
        """The outputs at a time (s), not earlier than the last change."""
        self._settle(t)
        pattern = self.pattern
        if pattern is None or self.begun is None or t < self.begun or not pattern.length_ns:
            return self.constant
        into = round((t - self.begun) * 1e9) % pattern.length_ns
        step = pattern.steps[int(np.searchsorted(pattern.edges_ns, into, side="right")) - 1]
        return Level(int(step["mask"]), int(step["a0"]), int(step["a1"]))

    # ---------------------------------------------------------------- what it is told

    def hold(self, level: Level) -> None:
        """Stop whatever is played, and leave the outputs so."""
        self.pattern, self.begun, self.waiting, self.finished = None, None, False, False
        self.slot = None
        self.slots = [None, None]
        self.constant = level

    def stream(self, pattern: Pattern) -> None:
        """Play a pattern, as soon as what starts it has come."""
        self.slot = None
        self._prepare(pattern)

    def play_slot(self, slot: int, count: int) -> bool:
        """Play what was uploaded to a slot, and `count` slots in all; False: there is nothing."""
        pattern = self.slots[slot]
        if pattern is None:
            return False
        self.slot, self.slots_left = slot, count
        self._prepare(pattern)
        return True

    def set_trigger(self, start: int, manual_rearm: bool) -> None:
        """Choose what starts a pattern, and whether it must be made ready again by hand."""
        self.trigger_start, self.manual_rearm = start, manual_rearm
        if self.waiting and start == IMMEDIATE:
            self._begin(self.now)

    def rearm(self) -> bool:
        """Make a pattern that is over ready for another trigger; whether that was possible."""
        if self.state[0] != FINISHED:
            return False
        self.waiting, self.finished = True, False
        return True

    def start_now(self) -> bool:
        """The software's trigger; whether a pattern waited for it."""
        self._settle(self.now)
        if self.waiting and self.trigger_start == SOFTWARE:
            self._begin(self.now)
            return True
        return False

    def trigger(self, t: float) -> bool:
        """An external trigger comes at a time (s); whether it started the pattern."""
        self._settle(t)
        if self.waiting and self.trigger_start in (RISING, FALLING, BOTH):
            self._begin(t)
            return True
        return False

    def advance(self, now: float) -> None:
        """Come to the end of what is over by `now` (s)."""
        self._settle(now)
        self.now = now

    def _prepare(self, pattern: Pattern) -> None:
        self.pattern, self.begun, self.finished = pattern, None, False
        self.waiting = True
        if self.trigger_start == IMMEDIATE:
            self._begin(self.now)

    def _begin(self, t: float) -> None:
        self.begun, self.waiting = t, False

    def _settle(self, t: float) -> None:
        """End what is over by time `t` (s), and begin what follows it."""
        while (played := self.pattern) is not None and self.begun is not None:
            ended = self.ends()
            if ended > t:
                return
            self.constant = played.final
            following = self._following(played)
            if following is not None and played.length_ns and following.length_ns:
                self.pattern, self.begun = following, ended
                self._skip_rounds(t)
                continue
            self.begun, self.finished = None, True
            self.waiting = (
                self.slot is None and not self.manual_rearm and self.trigger_start >= RISING
            )

    def _skip_rounds(self, t: float) -> None:
        """Leave out whole rounds through the slots that are over by time `t` (s)."""
        pattern, slot, begun = self.pattern, self.slot, self.begun
        if pattern is None or slot is None or begun is None:
            return
        played = [pattern]
        if pattern.following != REPEAT:
            other = self.slots[1 - slot]
            if other is None or other.following not in (SWITCH, SWITCH_EXPECT):
                return
            played.append(other)
        if any(one.runs < 0 for one in played):
            return
        period = 1e-9 * sum(one.length_ns * one.runs for one in played)
        rounds = int((t - begun) / period)
        if self.slots_left > 0:
            rounds = min(rounds, (self.slots_left - 1) // len(played))
            self.slots_left -= rounds * len(played)
        self.begun = begun + rounds * period

    def _following(self, played: Pattern) -> Pattern | None:
        """The slot that is played next."""
        if self.slot is None or played.following == STOP or self.slots_left == 1:
            return None
        if played.following in (SWITCH, SWITCH_EXPECT):
            self.slot = 1 - self.slot
        if self.slots_left > 0:
            self.slots_left -= 1
        return self.slots[self.slot]
