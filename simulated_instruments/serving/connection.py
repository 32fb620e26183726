"""Connections: one client of one port of an instrument, in free or in stepped time."""

from __future__ import annotations

import logging
import selectors
from collections import deque
from collections.abc import Callable

from labctl.clock import VirtualClock
from labctl.transport import Endpoint, hang_up
from labctl.transport.link import Link
from simulated_instruments.serving.pace import Now
from simulated_instruments.serving.wire import Stream, Wire

log = logging.getLogger(__name__)

#: Bytes that may wait for a client that does not read; beyond, it is cut off. Ten seconds of a
#: time tagger at a million tags per second are 80 MB, which it should have begun to read.
OUTPUT_LIMIT = 64 << 20
#: A serial line has no more than a driver's buffer; what does not fit is lost.
SERIAL_OUTPUT_LIMIT = 4096
#: Bytes or replies waiting above which a client is not read until it has taken some.
BUSY_BYTES = 1 << 20
BUSY_REPLIES = 1000
#: How often in a row a simulator may ask to be fed again at once.
MOST_TURNS = 1000
#: Bytes that a stepped client may send without naming them.
HELD_LIMIT = 256 << 20

Connect = Callable[[], Endpoint]


class FreeConnection:
    """A client that knows nothing of our clock: fed as bytes arrive, answered when due.

    Args:
        connect: opens an endpoint of the simulator.
        on_gone: called once, after the connection was closed.
        linger: seconds of the clock for which replies outlive the client's end of sending.
        serial: never closes; a failing simulator gets a new endpoint instead.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        stream: Stream,
        connect: Connect,
        clock: Now,
        on_gone: Callable[[FreeConnection], None],
        *,
        linger: float = 0.0,
        serial: bool = False,
    ) -> None:
        self._linger = linger
        self._connect = connect
        self._endpoint = connect()
        self._clock = clock
        self._on_gone = on_gone
        self._serial = serial
        self._due: deque[tuple[float, bytes]] = deque()
        self._ending = False
        limit = SERIAL_OUTPUT_LIMIT if serial else OUTPUT_LIMIT
        self.wire = Wire(selector, stream, self._feed, self._end, limit=limit, lossy=serial)

    def next_due(self) -> float:
        """When the next reply is due (s); infinity without one."""
        return self._due[0][0] if self._due else float("inf")

    def poll(self) -> None:
        """Let an idle instrument say what it sends unasked."""
        if not self._due and not self._ending:
            self._feed(b"")

    def pump(self) -> None:
        """Send what is due."""
        now = self._clock.now()
        turns = 0
        while self._due and self._due[0][0] <= now and self.wire.open and turns < MOST_TURNS:
            reply = self._due.popleft()[1]
            if reply:
                self.wire.write(reply)
            else:  # the instrument was busy until now and goes on with what it has received
                turns += 1
                self._give(b"")
        if self._ending and not self._due and not self.wire.waiting:
            self.wire.close()
        elif not self._ending:
            busy = self.wire.waiting > BUSY_BYTES or len(self._due) > BUSY_REPLIES
            self.wire.listen(not busy)

    def _feed(self, data: bytes) -> None:
        self._give(data)
        self.pump()

    def _give(self, data: bytes) -> None:
        """Hand bytes to the simulator and note its replies."""
        while self._due and not self._due[-1][1]:
            self._due.pop()  # a wish to be fed later is renewed if it still holds
        try:
            self._due.extend(self._endpoint.feed(data, self._clock.now()))
        except Exception:  # a fault of one simulator must not take the others down
            log.exception("a simulator failed on %r", data[:80])
            self._due.clear()
            if self._serial:
                self._endpoint = self._connect()
            else:
                self.wire.close()
        else:
            if getattr(self._endpoint, "closed", False):
                self._ending = True
                self.wire.listen(False)

    def _end(self) -> None:
        """The client has finished sending (it may still want its replies), or is gone."""
        self._ending = True
        if self.wire.open:
            last = self._clock.now() + self._linger
            self._due = deque(reply for reply in self._due if reply[0] <= last)
            self.pump()
        else:
            self._due.clear()
            hang_up(self._endpoint)
            self._on_gone(self)


class SteppedConnection:
    """A client that moves our clock: its bytes are held until it names them.

    What happens then is left to the in-process link, so that both ways give the same results.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        stream: Stream,
        connect: Connect,
        clock: VirtualClock,
        on_gone: Callable[[SteppedConnection], None],
    ) -> None:
        self._endpoint = connect()
        self._link = Link(self._endpoint, clock)
        self._held = bytearray()
        self._on_gone = on_gone
        self.promised = 0
        self.wire = Wire(selector, stream, self._hold, self._end, limit=OUTPUT_LIMIT)

    def holds(self, count: int) -> bool:
        """Whether `count` bytes have arrived that the simulator has not got yet."""
        return len(self._held) >= count

    def consume(self, count: int) -> None:
        """Give the next `count` bytes to the simulator, as one message."""
        data = bytes(self._held[:count])
        del self._held[:count]
        try:
            self._link.send(data)
        except Exception:
            self._fail(f"on {data[:80]!r}")

    def receive(self, timeout: float | None) -> None:
        """Let time pass as the in-process link does, and send what it returns.

        Without a timeout: send what is due of the replies already known.
        """
        try:
            data = self._link.arrived() if timeout is None else self._link.receive(timeout)
        except Exception:
            self._fail("when asked for data")
            return
        self.promised += len(data)
        self.wire.write(data)

    def _fail(self, when: str) -> None:
        """End the connection: the simulator has hung up, or does not work."""
        if not getattr(self._endpoint, "closed", False):
            log.exception("a simulator failed %s", when)
        self.wire.close()

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > HELD_LIMIT:
            log.warning("a stepped client sent %d bytes without naming them", len(self._held))
            self.wire.close()

    def _end(self) -> None:
        if self.wire.open:
            self.wire.close()  # calls here again, once
            return
        if self._held:  # the client died before it could name them; they were sent all the same
            self.consume(len(self._held))
        self._link.close()
        self._on_gone(self)
