"""The connection to an instrument, which outlives the transports that it is made of."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from labctl.adapter.turns import Turns
from labctl.clock import Clock
from labctl.errors import ConnectionLost, TransportTimeout
from labctl.transport import Transport, opening
from labctl.transport.framing import Framing

log = logging.getLogger(__name__)

#: From the name of a port and its usual address to a function that connects to it.
PortOpener: TypeAlias = Callable[[str, str], Callable[[], Transport]]

#: Seconds to wait before the first, second, ... attempt to open a lost connection again.
BACK_OFF = (0.0, 0.25, 1.0, 4.0)


class Connection:
    """Opens a transport, and opens another when it is lost.

    Args:
        open_transport: opens a new connection.
        clock: the bench's time.
        name: the instrument's name, which starts every message.
        framing: how messages are delimited.
        address: where the instrument is, for messages and for HTTP's Host header.
        open_port: gives openers of further connections, by name and usual address.
    """

    connection: Transport

    def __init__(
        self,
        open_transport: Callable[[], Transport],
        clock: Clock,
        name: str,
        framing: Framing,
        address: str,
        open_port: PortOpener | None = None,
    ) -> None:
        self.clock = clock
        self._open_port = open_port or (
            lambda _, usual: partial(opening.open_transport, usual, clock)
        )
        self.name = name
        self.address = address
        self.framing = framing
        #: How often a lost connection was opened again.
        self.reconnects = 0
        self._turns = Turns()
        self._broken = True  # the connection must be opened before anything is said
        self._open_transport = open_transport

    @property
    def framing(self) -> Framing:
        """How messages are delimited; may be changed between conversations."""
        return self._framing

    @framing.setter
    def framing(self, framing: Framing) -> None:
        self._framing = framing
        self._end = framing.read + framing.prompt
        #: Silence in s that means that no answer will come.
        self.timeout = framing.timeout

    def _open(self) -> None:
        try:
            self.connection = self._open_transport()
        except ConnectionLost as error:
            raise ConnectionLost(f"{self.name}: {error}") from error
        self._send = self.connection.send
        self._receive = self.connection.receive
        self._arrived = getattr(self.connection, "arrived", None) or (lambda: self._receive(0.0))
        self._broken = False

    def reconnect(self) -> None:
        """Close the connection and open it anew, with growing pauses between the attempts.

        Raises:
            ConnectionLost: no attempt succeeded, or the framing forbids reconnecting.
        """
        with self._turns.lock:
            self.close()
            most = self._framing.reconnect
            failure: Exception | None = None
            for attempt in range(most):
                self.clock.wait(BACK_OFF[min(attempt, len(BACK_OFF) - 1)])
                try:
                    self._open()
                except (ConnectionLost, TransportTimeout) as error:
                    failure = error
                else:
                    self.reconnects += 1
                    log.warning("%s: connected again (attempt %d)", self.name, attempt + 1)
                    return
            if failure is None:
                raise ConnectionLost(f"{self.name}: the connection is lost; open the bench again")
            raise ConnectionLost(f"{failure} (tried {most} times)") from failure

    def close(self) -> None:
        """Release the connection; the next command would open it again."""
        connection = getattr(self, "connection", None)
        if connection is not None:
            self._broken = True
            connection.close()
