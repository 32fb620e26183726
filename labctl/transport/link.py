"""In-process link: hands bytes to a simulator's endpoint and moves the clock to its answers."""

from __future__ import annotations

from collections import deque

from labctl.clock import Clock, VirtualClock
from labctl.errors import ConnectionLost
from labctl.transport import Endpoint


class Link:
    """A transport whose far end is a simulated instrument in the same process."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._replies: deque[tuple[float, bytes]] = deque()
        self._closed = False

    def send(self, data: bytes) -> None:
        if self._closed:
            raise ConnectionLost("the link to the simulator is closed")
        self._replies.extend(self._endpoint.feed(data, self._clock.now()))

    def receive(self, timeout: float) -> bytes:
        """Return everything due; otherwise wait for the next due reply, at most `timeout` s."""
        if self._closed:
            raise ConnectionLost("the link to the simulator is closed")
        now = self._clock.now()
        if not self._replies:
            self._replies.extend(self._endpoint.feed(b"", now))
        if not self._replies or self._replies[0][0] > now:
            due = self._replies[0][0] if self._replies else float("inf")
            if due > now + timeout:
                self._clock.wait(timeout)
                self._replies.extend(self._endpoint.feed(b"", self._clock.now()))
                if not self._replies or self._replies[0][0] > self._clock.now():
                    return b""
            elif isinstance(self._clock, VirtualClock):
                self._clock.move_to(due)  # exact: now + (due - now) may round below due
            else:
                self._clock.wait(due - now)
        now = self._clock.now()
        arrived = [self._replies.popleft()[1]]
        while self._replies and self._replies[0][0] <= now:
            arrived.append(self._replies.popleft()[1])
        return b"".join(arrived)

    def close(self) -> None:
        self._closed = True
        self._replies.clear()
