"""Faults on the wire: replies that are lost, damaged, late or doubled, and connections that break.

A table (in a bench file `[instruments.NAME.faults]`) says which reply suffers what:

    drop = [3]             # the 3rd reply of the instrument never comes
    late = 0.01            # each reply is late with this probability
    late_by = 2.0          # s

Replies are counted from 1 over all connections. With probabilities the seed decides, by the
number of the reply alone, so the same bench has the same faults in any order of polling.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from labctl.transport import Endpoint, hang_up

#: What can happen to a reply, in the order in which they are tried.
KINDS = {
    "drop": "it never comes",
    "garble": "some of its bytes are changed",
    "late": "it comes `late_by` seconds later",
    "double": "it comes twice",
    "truncate": "its second half is missing",
    "split": "it comes byte by byte, `split_by` seconds apart",
    "disconnect": "the connection breaks before it",
    "hang": "neither it nor anything after it comes on this connection",
}
Choice: TypeAlias = frozenset[int] | float

Replies: TypeAlias = list[tuple[float, bytes]]


@dataclass
class FaultPlan:
    """Which replies of one instrument suffer what; counts them over all its connections."""

    faults: dict[str, Choice]
    seed: int = 0
    late_by: float = 1.0  # s
    split_by: float = 0.0  # s
    replies: int = field(default=0, init=False)

    def next_fault(self) -> str:
        """What happens to the next reply; "" if nothing does."""
        self.replies += 1
        for kind, choice in self.faults.items():
            if isinstance(choice, float):
                if self.random(kind).random() < choice:
                    return kind
            elif self.replies in choice:
                return kind
        return ""

    def random(self, purpose: str) -> random.Random:
        """A generator that depends on seed, purpose and number of the reply only."""
        return random.Random(f"{self.seed}/{purpose}/{self.replies}")


def plan(table: Mapping[str, Any], seed: int = 0) -> FaultPlan:
    """Check a table of faults.

    Raises:
        ValueError: in one line, what is wrong with it.
    """
    faults: dict[str, Choice] = {}
    times = {"late_by": 1.0, "split_by": 0.0}
    for key, value in table.items():
        if key in times:
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise ValueError(f"{key} = {value!r} must be a number of seconds")
            times[key] = float(value)
        elif key in KINDS:
            faults[key] = _choice(key, value)
        else:
            known = ", ".join([*KINDS, *times])
            raise ValueError(f"unknown fault {key!r}; there are {known}")
    ordered = {kind: faults[kind] for kind in KINDS if kind in faults}
    return FaultPlan(ordered, seed, **times)


def _choice(kind: str, value: Any) -> Choice:
    numbers = value if isinstance(value, list) else [value]
    if all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in numbers):
        return frozenset(numbers)
    if isinstance(value, float) and 0.0 <= value <= 1.0:
        return value
    raise ValueError(
        f"{kind} = {value!r} must be numbers of replies (1, or [1, 5]) or a probability (0.01)"
    )


def wrap(endpoint: Endpoint, table: Mapping[str, Any] | FaultPlan, seed: int = 0) -> Endpoint:
    """Put faults in front of an endpoint; give all connections of an instrument one `plan`."""
    return FaultyEndpoint(endpoint, table if isinstance(table, FaultPlan) else plan(table, seed))


class FaultyEndpoint:
    """One connection to a simulator, over a bad line."""

    def __init__(self, endpoint: Endpoint, faults: FaultPlan) -> None:
        self._endpoint = endpoint
        self._plan = faults
        self._broken = False
        self._hanging = False

    @property
    def closed(self) -> bool:
        """Whether the far end has hung up."""
        return self._broken or bool(getattr(self._endpoint, "closed", False))

    def close(self) -> None:
        """Pass on that the client is gone."""
        hang_up(self._endpoint)

    def feed(self, data: bytes, now: float) -> Replies:
        """What the endpoint replies, with the plan's faults; it executes every command."""
        if self._broken:
            return []
        replies: Replies = []
        for due, reply in self._endpoint.feed(data, now):
            if self._hanging or self._broken:
                break
            replies += self._suffer(due, reply) if reply else [(due, reply)]
        return replies

    def _suffer(self, due: float, reply: bytes) -> Replies:
        kind = self._plan.next_fault()
        if kind == "disconnect":
            self._broken = True
        elif kind == "hang":
            self._hanging = True
        if kind in ("drop", "disconnect", "hang"):
            return []
        if kind == "garble":
            return [(due, self._garbled(reply))]
        if kind == "late":
            return [(due + self._plan.late_by, reply)]
        if kind == "double":
            return [(due, reply), (due, reply)]
        if kind == "truncate":
            return [(due, reply[: len(reply) // 2])]
        if kind == "split":
            step = self._plan.split_by
            return [(due + i * step, reply[i : i + 1]) for i in range(len(reply))]
        return [(due, reply)]

    def _garbled(self, reply: bytes) -> bytes:
        """Set the highest bit of a third of the bytes, at least of the first; line ends stay."""
        draw = self._plan.random("bytes")
        return bytes(
            byte | 0x80 if byte not in b"\r\n" and (i == 0 or draw.random() < 1 / 3) else byte
            for i, byte in enumerate(reply)
        )
