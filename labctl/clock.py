"""Clocks: the one notion of time that procedures, drivers and simulators share.

`sleep` is a yield point: interlock callbacks run there, and a user's abort or pause takes effect
there. `wait` belongs inside an exchange with an instrument, where nobody else may speak.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from threading import get_ident
from time import perf_counter
from typing import Protocol

from labctl.errors import ClockError

#: Real seconds between two looks at the yield hooks (control files, Ctrl-C flags).
LOOK_EVERY = 0.05

Callback = Callable[[], None]
Cancel = Callable[[], None]


class Clock(Protocol):
    """What drivers and procedures may ask of time. Seconds since the bench was opened."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...

    def wait(self, seconds: float) -> None: ...

    def every(self, period: float, callback: Callback) -> Cancel: ...

    def at_yield(self, callback: Callback) -> Cancel: ...


class _Schedule:
    """Periodic callbacks in order of due time, and hooks that run at yield points.

    They run in the thread that asked for them last, the experiment's: a window that sleeps on the
    same clock must neither read interlocks nor be aborted in place of the experiment.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, float, Callback]] = []
        self._order = itertools.count()
        self._cancelled: set[int] = set()
        self._hooks: list[Callback] = []
        self._next_look = 0.0
        self._busy = False
        self._served = 0  # the thread in which callbacks and hooks run

    def now(self) -> float:
        raise NotImplementedError

    def every(self, period: float, callback: Callback) -> Cancel:
        """Call `callback` from `sleep` every `period` seconds; returns a function that cancels."""
        if not period > 0:
            raise ClockError(f"a period must be positive, got {period!r}")
        self._served = get_ident()
        number = next(self._order)
        heapq.heappush(self._heap, (self.now() + period, number, period, callback))
        return lambda: self._cancelled.add(number)

    def at_yield(self, callback: Callback) -> Cancel:
        """Call `callback` at yield points, at most every 50 ms of real time."""
        self._served = get_ident()
        self._hooks.append(callback)
        self._next_look = 0.0

        def cancel() -> None:
            if callback in self._hooks:
                self._hooks.remove(callback)

        return cancel

    def _look(self) -> None:
        """Run the yield hooks if the last look is long enough ago."""
        real = perf_counter()
        if real >= self._next_look and not self._busy:
            self._next_look = real + LOOK_EVERY
            for hook in tuple(self._hooks):
                hook()

    def _next_due(self) -> float:
        while self._heap and self._heap[0][1] in self._cancelled:
            self._cancelled.discard(heapq.heappop(self._heap)[1])
        return self._heap[0][0] if self._heap else float("inf")

    def _run_due(self) -> None:
        """Run the earliest callback and schedule its next call; late periods are skipped."""
        due, number, period, callback = heapq.heappop(self._heap)
        self._busy = True
        try:
            callback()
        finally:
            self._busy = False
            following = due + period
            if following <= self.now():
                following = self.now() + period
            heapq.heappush(self._heap, (following, number, period, callback))


class RealClock(_Schedule):
    """Wall-clock time, monotonic."""

    def __init__(self) -> None:
        super().__init__()
        self._origin = time.perf_counter()  # time.monotonic has steps of 16 ms on Windows

    def now(self) -> float:
        return time.perf_counter() - self._origin

    def sleep(self, seconds: float) -> None:
        """Sleep, running due callbacks and yield hooks on time."""
        end = self.now() + _checked(seconds)
        if get_ident() != self._served:
            time.sleep(max(0.0, end - self.now()))
            return
        while True:
            self._look()
            if not self._busy:
                while self._next_due() <= self.now():
                    self._run_due()
            left = min(end, self._next_due() if not self._busy else end) - self.now()
            if end <= self.now():
                return
            time.sleep(min(max(left, 0.0), LOOK_EVERY))

    def wait(self, seconds: float) -> None:
        time.sleep(max(0.0, _checked(seconds)))


class VirtualClock(_Schedule):
    """Time that moves only when somebody sleeps or waits; one thread may do so.

    Raises:
        ClockError: a second thread tried to move time while the first one lives.
    """

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self._now = start
        self._owner: threading.Thread | None = None
        self._owner_ident = 0

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move time forward, stopping at each due callback in order."""
        if (  # most yields move nothing: a procedure's loop yields before each point
            seconds == 0.0
            and get_ident() == self._owner_ident
            and perf_counter() < self._next_look
            and (not self._heap or self._heap[0][0] > self._now)
        ):
            return
        self.claim()
        self._look()
        end = self._now + _checked(seconds)
        if not self._busy:
            while self._heap and self._next_due() <= end:
                self.move_to(self._next_due())
                self._run_due()
        self.move_to(end)

    def wait(self, seconds: float) -> None:
        self.move_to(self._now + _checked(seconds))

    def move_to(self, when: float) -> None:
        """Set time to `when`, never backwards; used by links and by replay, to the exact bit."""
        self.claim()
        self._now = max(self._now, when)

    def claim(self) -> None:
        """Be the thread that moves time; raises ClockError if another one does."""
        if get_ident() != self._owner_ident:
            me = threading.current_thread()
            if self._owner is not None and self._owner.is_alive():
                raise ClockError(
                    f"thread {me.name!r} moves a virtual clock that thread "
                    f"{self._owner.name!r} owns; run one experiment per bench"
                )
            self._owner, self._owner_ident = me, get_ident()


def _checked(seconds: float) -> float:
    if not seconds < float("inf"):  # also true for NaN
        raise ClockError(f"cannot sleep for {seconds!r} s")
    return seconds if seconds > 0 else 0.0
