"""Transports move bytes between a driver and whatever answers: hardware, simulator, recording."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """A byte pipe to one instrument. It knows nothing of commands, lines or blocks.

    It may also have `arrived() -> bytes`, which is `receive(0.0)` at the least possible cost, and
    `clear()`, which makes instrument and bus forget an answer that is under way.
    """

    def send(self, data: bytes) -> None:
        """Send all of `data`; raises ConnectionLost when the far end is gone."""

    def receive(self, timeout: float) -> bytes:
        """Return what has arrived (at least one byte), or b"" if nothing came in `timeout` s."""

    def close(self) -> None:
        """Release the connection; may be called twice."""


class Endpoint(Protocol):
    """One connection to a simulator, as seen by the simulator. There is no I/O inside.

    An endpoint that hangs up sets its attribute `closed` to True; what it replied before that is
    still delivered. One that wants to know when its client is gone has a method `close()`.
    """

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        """Take bytes that arrive at `now`; return replies as (due time, bytes), in order.

        `feed(b"", now)` collects what the instrument sends unasked (pushed values, time tags).
        An empty reply `(due, b"")`, always the last, asks to be fed again at `due`: the instrument
        is busy until then and will act on what it has already received. Each feed renews it.
        """


def hang_up(endpoint: Endpoint) -> None:
    """Tell an endpoint that wants to know it that its client is gone."""
    close = getattr(endpoint, "close", None)
    if close is not None:
        close()
