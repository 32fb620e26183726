"""Listening sockets: they take clients a few at a time, and hand each to whom it came for."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import struct
from collections.abc import Callable

#: Clients taken at a time; one that calls again and again must not keep the others waiting.
ACCEPTS = 16

log = logging.getLogger(__name__)

#: Takes over a client: the socket it called, and the one it is to be spoken to on.
Accept = Callable[[socket.socket, socket.socket], None]


class Listeners:
    """All listening sockets of a server, on one host."""

    def __init__(self, selector: selectors.BaseSelector, host: str) -> None:
        self._selector = selector
        self._host = host
        self._events: dict[socket.socket, Callable[[int], None]] = {}

    def at(self, number: int) -> str:
        """A port as "host:number"; IPv6 hosts stand in brackets."""
        return f"[{self._host}]:{number}" if ":" in self._host else f"{self._host}:{number}"

    def open(self, what: str, number: int | None, accept: Accept) -> int:
        """Listen on a port, by default one that is free; return its number.

        Raises:
            ValueError: it cannot be listened on.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            listener = socket.create_server((self._host, number or 0), family=family)
        except OSError as error:
            known = error.errno is not None and error.errno > 0  # an unknown host has no errno
            reason = os.strerror(error.errno) if known else str(error.strerror).partition(" (")[0]
            raise ValueError(
                f"cannot listen on {self.at(number or 0)} for {what}: {reason}; "
                "stop what uses it or choose another host or free ports"
            ) from None
        listener.setblocking(False)

        def on_event(_: int) -> None:
            for _ in range(ACCEPTS):
                try:
                    accepted = listener.accept()[0]
                except OSError:  # none waits any more
                    return
                try:
                    accept(listener, accepted)
                except Exception:  # it left again, or its simulator failed
                    log.exception("a client of %s could not be served", what)
                    accepted.close()

        self._events[listener] = on_event
        self._selector.register(listener, selectors.EVENT_READ, on_event)
        return int(listener.getsockname()[1])

    def take_in(self) -> None:
        """Take the clients that wait by now."""
        for on_event in tuple(self._events.values()):
            on_event(selectors.EVENT_READ)

    def close(self) -> None:
        for listener in self._events:
            listener.close()


def refuse(accepted: socket.socket) -> None:
    """Reset a connection: some clients wait for ever for more from one that just ends."""
    linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)  # on, 0 s
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    accepted.close()
