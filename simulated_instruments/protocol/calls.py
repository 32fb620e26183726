"""A simulated vendor library: executes the calls of one client (`labctl.transport.calls`)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labctl.transport.calls import answer
from simulated_instruments.world import World

LATENCY = 1e-5  # s that a call takes if nothing is waited for
LONGEST = 1 << 26  # bytes of one call


@dataclass(frozen=True)
class Until:
    """What a function returns that blocks: it goes on at `time` (s) with `then`."""

    time: float
    then: Callable[[], Any]  # gives the result, or another `Until`


class CallEndpoint:
    """One client of a library.

    Args:
        world: is advanced before each call.
        functions: what can be called, by name; they return the result, or an `Until`.
        latency: seconds from a call to its result.
    """

    def __init__(
        self, world: World, functions: Mapping[str, Callable[..., Any]], latency: float = LATENCY
    ) -> None:
        self._world = world
        self._functions = functions
        self._latency = latency
        self._buffer = bytearray()
        self._lines: deque[bytes] = deque()
        self._blocked: Until | None = None

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        """Take bytes that arrive at `now`; return results as (due time, line), in order."""
        self._world.advance(now)
        *lines, rest = (self._buffer + data).split(b"\n")
        self._buffer = rest[-LONGEST:]
        self._lines += [bytes(line) for line in lines]
        replies: list[tuple[float, bytes]] = []
        while True:
            if self._blocked is not None:
                if self._blocked.time > now:
                    return [*replies, (self._blocked.time, b"")]
                reply = answer(self._go_on, b'["goes on"]')
            elif self._lines:
                reply = answer(self._call, self._lines.popleft())
            else:
                return replies
            if self._blocked is None:
                replies.append((now + self._latency, reply))

    def _call(self, name: str, arguments: list[Any]) -> Any:
        function = self._functions.get(name)
        if function is None:
            raise ValueError(f"the library has no function {name!r}")
        return self._settled(function(*arguments))

    def _go_on(self, _: str, __: list[Any]) -> Any:
        """Go on with the call that blocked."""
        assert self._blocked is not None
        then, self._blocked = self._blocked.then, None
        return self._settled(then())

    def _settled(self, result: Any) -> Any:
        """The result of a call; of one that blocks, nothing yet."""
        if isinstance(result, Until):
            if not result.time < math.inf:
                raise ValueError("it would never return")
            self._blocked, result = result, None
        return result
