"""In-process link: hands bytes to a simulator's endpoint and moves the clock to its answers."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import AbstractContextManager
from typing import Any

from labctl.clock import Clock, VirtualClock
from labctl.errors import ConnectionLost
from labctl.transport import Endpoint, hang_up


class Link:
    """A transport whose far end is a simulated instrument in the same process.

    Args:
        endpoint: the simulator's end.
        clock: the bench's time.
        lock: held by whoever lets a simulator act, if threads share simulators of one world.
    """

    def __init__(
        self, endpoint: Endpoint, clock: Clock, lock: AbstractContextManager[Any] | None = None
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._lock = lock or threading.RLock()
        self._replies: deque[tuple[float, bytes]] = deque()
        self._closed = False

    def send(self, data: bytes) -> None:
        self._check()
        if isinstance(self._clock, VirtualClock):
            self._clock.claim()  # a second thread must not even ask
        self._feed(data)

    def receive(self, timeout: float) -> bytes:
        """Return everything due; otherwise wait for the next due reply, at most `timeout` s."""
        self._check()
        deadline = self._clock.now() + timeout
        while True:
            now = self._clock.now()
            if not self._replies:
                self._feed(b"")
                self._check()
            arrived = []
            while self._replies and self._replies[0][0] <= now:
                arrived.append(self._replies.popleft()[1])
            if data := b"".join(arrived):
                return data
            if arrived:  # the endpoint asked to be fed at this time
                continue
            due = self._replies[0][0] if self._replies else float("inf")
            if due > deadline:
                if now >= deadline:
                    return b""
                self._go_to(deadline)
                self._feed(b"")
            else:
                self._go_to(due)

    def _feed(self, data: bytes) -> None:
        while self._replies and not self._replies[-1][1]:
            self._replies.pop()  # a wish to be fed later is renewed if it still holds
        with self._lock:
            self._replies.extend(self._endpoint.feed(data, self._clock.now()))

    def _go_to(self, when: float) -> None:
        if isinstance(self._clock, VirtualClock) and when < float("inf"):
            self._clock.move_to(when)  # exact: now + (when - now) may round below when
        else:
            self._clock.wait(when - self._clock.now())

    def arrived(self) -> bytes:
        """Return what is due of the replies already known, without asking the simulator."""
        self._check()
        if not self._replies or self._replies[0][0] > self._clock.now():
            return b""
        return self.receive(0.0)

    def _check(self) -> None:
        if self._closed:
            raise ConnectionLost("the link to the simulator is closed")
        if not self._replies and getattr(self._endpoint, "closed", False):
            raise ConnectionLost("the simulator closed the connection")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._replies.clear()
            hang_up(self._endpoint)
