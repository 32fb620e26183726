"""The server: every simulator of a bench on loopback sockets and pseudo-terminals.

One thread and one event loop serve all endpoints of a world, so simulators need no locks. Time
runs at `pace` simulated seconds per real second; at pace 0 only clients of the time port move it
(see `serving.timeport`).
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from labctl.clock import VirtualClock
from labctl.transport import Endpoint
from simulated_instruments import faults as faulty
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.serving.connection import Connect, FreeConnection, SteppedConnection
from simulated_instruments.serving.listening import Listeners, refuse
from simulated_instruments.serving.pace import Now, PacedClock
from simulated_instruments.serving.signals import ending_on_signals
from simulated_instruments.serving.timeport import TimePort
from simulated_instruments.serving.wire import PtyStream, SocketStream

#: Real seconds between two looks at idle instruments that may have something to say unasked.
POLL_EVERY = 0.02
#: Real seconds between two looks at a caller's stop event.
STOP_EVERY = 0.1

#: Clients of all ports together; more would exhaust the process's files.
CLIENT_LIMIT = 200
#: Simulated seconds for which replies still go to a client that has finished sending.
LINGER = 1.0

log = logging.getLogger(__name__)

Address = dict[str, str]


class Server:
    """Listens for all ports of all instruments; `serve_forever` does the work.

    Args:
        instruments: simulators of one world, by name.
        host: address to listen on; simulators ask for no password, so keep to loopback unless
            everybody on the network may operate them.
        pace: simulated seconds per real second; 0: only the time port moves time.
        vendor_ports: listen on the vendors' port numbers where they are known.
        pseudo_terminals: offer serial ports as pseudo-terminals; by default where the system
            has them and time runs by itself. Otherwise they are sockets that pyserial opens
            as "socket://HOST:PORT".
        faults: tables of faults (see `simulated_instruments.faults`) by instrument name.

    Raises:
        ValueError: a wrong pace or fault, or an address that cannot be listened on.
    """

    def __init__(
        self,
        instruments: Mapping[str, SimulatedInstrument],
        *,
        host: str = "127.0.0.1",
        pace: float = 1.0,
        vendor_ports: bool = False,
        pseudo_terminals: bool | None = None,
        faults: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        if not 0 <= pace < math.inf:
            raise ValueError(f"pace {pace!r} must be a finite number of at least 0")
        self._pace = pace
        self._vendor_ports = vendor_ports
        self._ptys = hasattr(os, "openpty") and pace > 0
        if pseudo_terminals is not None:
            self._ptys = pseudo_terminals
        start = max((instrument.world.now for instrument in instruments.values()), default=0.0)
        self._clock: Now = PacedClock(pace, start) if pace else VirtualClock(start)
        self._selector = selectors.DefaultSelector()
        self._listeners = Listeners(self._selector, host)
        self._connections: set[FreeConnection] = set()
        self._open: dict[tuple[str, str], int] = {}
        self._addresses: list[Address] = []
        self._time_port = TimePort(self._clock, pace, self._take_in, self._give_out)
        self._next_poll = 0.0
        self._stopping = False
        self._closed = False
        self._wake, self._woken = socket.socketpair()
        for end in (self._wake, self._woken):
            end.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._wake_up)
        try:
            for name, instrument in instruments.items():
                table = (faults or {}).get(name)
                plan = faulty.plan(table, instrument.world.seed) if table else None
                for role, port in instrument.PORTS.items():
                    self._offer(name, role, port, _connector(instrument, role, plan))
            number = self._listeners.open("clock", None, self._accept_asker)
            self._add("clock", "labctl-time", f"tcp://{self._listeners.at(number)}", "tcp", "time")
        except BaseException:
            self.close()
            raise

    def addresses(self) -> list[Address]:
        """Where to connect: one entry per port, each with instrument, protocol and address."""
        return [dict(address) for address in self._addresses]

    def serve_forever(
        self, stop: threading.Event | None = None, ready: Callable[[], None] | None = None
    ) -> None:
        """Serve until `stop` is set, `stop()` is called, or Ctrl-C or SIGTERM; then close.

        `ready` is called once from now on every one of these ends it cleanly.
        """
        try:
            with ending_on_signals(self.stop, self._wake):
                if ready is not None:
                    ready()
                while not self._stopping and not (stop and stop.is_set()):
                    self._turn(stop is not None)
        finally:
            self.close()

    def stop(self) -> None:
        """Make `serve_forever` return; from any thread or signal handler."""
        self._stopping = True
        with contextlib.suppress(OSError):  # full: it wakes up anyway; closed: it is over
            self._wake.send(b"\0")

    def close(self) -> None:
        """Close everything that is open; may be called twice."""
        if self._closed:
            return
        self._closed = True
        for connection in tuple(self._connections):
            connection.wire.close()
        self._time_port.close()
        self._listeners.close()
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def _offer(self, name: str, role: str, port: Port, connect: Connect) -> None:
        """Open one port of an instrument."""
        if port.transport == "serial" and self._ptys:
            with contextlib.suppress(OSError):  # none left, or not allowed here: use a socket
                stream = PtyStream()
                self._connections.add(
                    FreeConnection(
                        self._selector,
                        stream,
                        connect,
                        self._clock,
                        self._connections.discard,
                        serial=True,
                    )
                )
                visa = {"visa": f"ASRL{stream.path}::INSTR"} if port.protocol == "scpi" else {}
                self._add(name, port.protocol, stream.path, "serial", role, **visa)
                return
        wanted = port.default if self._vendor_ports else None
        accept = functools.partial(self._accept, (name, role), port.connections, connect)
        number = self._listeners.open(f"{name} ({role})", wanted, accept)
        scheme = "tcp"
        if port.transport == "serial":
            scheme = "socket"
        elif port.protocol == "http":
            scheme = "http"
        visa = {}
        if port.protocol == "scpi":
            host = self._listeners.at(number).rpartition(":")[0]
            visa = {"visa": f"TCPIP::{host}::{number}::SOCKET"}
        self._add(
            name, port.protocol, f"{scheme}://{self._listeners.at(number)}", "tcp", role, **visa
        )

    def _add(
        self, instrument: str, protocol: str, address: str, transport: str, port: str, **more: str
    ) -> None:
        entry = {"instrument": instrument, "protocol": protocol, "address": address}
        self._addresses.append({**entry, "transport": transport, "port": port, **more})

    def _accept_asker(self, _: socket.socket, accepted: socket.socket) -> None:
        if len(self._time_port.askers) >= CLIENT_LIMIT:
            refuse(accepted)
            return
        self._time_port.accept(self._selector, SocketStream(accepted))

    def _accept(
        self,
        port: tuple[str, str],
        limit: int,
        connect: Connect,
        listener: socket.socket,
        accepted: socket.socket,
    ) -> None:
        """Serve a new client, unless the instrument has no connection left for it."""
        key = (accepted.getpeername()[1], listener.getsockname()[1])
        announced = self._time_port.claim(key)
        taken = self._open.get(port, 0)
        if (limit and taken >= limit) or sum(self._open.values()) >= CLIENT_LIMIT:
            refuse(accepted)
            return
        stream = SocketStream(accepted)

        if announced and isinstance(self._clock, VirtualClock):

            def gone_stepped(_: SteppedConnection) -> None:
                self._open[port] -= 1
                self._time_port.remove(key)

            stepped = SteppedConnection(self._selector, stream, connect, self._clock, gone_stepped)
            self._time_port.add(key, stepped)
            self._open[port] = taken + 1
            return

        def gone(connection: FreeConnection) -> None:
            self._open[port] -= 1
            self._connections.discard(connection)

        linger = LINGER if self._pace else 0.0
        connection = FreeConnection(
            self._selector, stream, connect, self._clock, gone, linger=linger
        )
        self._connections.add(connection)
        self._open[port] = taken + 1
        connection.poll()  # a greeting need not wait for the next look

    def _turn(self, look: bool) -> None:
        """Wait for the next event and handle everything that is due."""
        timeout = self._timeout()
        if look:
            timeout = STOP_EVERY if timeout is None else min(timeout, STOP_EVERY)
        if timeout is not None and 0 < timeout < 1e-3:
            time.sleep(timeout)  # selectors round up to whole milliseconds
            timeout = 0.0
        for key, mask in self._selector.select(timeout):
            key.data(mask)
        self._time_port.work()
        if self._pace:
            real = time.monotonic()
            if real >= self._next_poll:
                self._next_poll = real + POLL_EVERY
                for connection in tuple(self._connections):
                    connection.poll()
            for connection in tuple(self._connections):
                connection.pump()

    def _timeout(self) -> float | None:
        """Real seconds until something is due; None if only an event can bring work."""
        if not self._pace or not self._connections:
            return None
        soonest = max(0.0, (self._next_due() - self._clock.now()) / self._pace)
        return min(soonest, max(0.0, self._next_poll - time.monotonic()))

    def _take_in(self) -> None:
        """Before time is moved: what free clients have sent by now counts as sent before."""
        self._listeners.take_in()
        for connection in tuple(self._connections):
            connection.wire.take_in()

    def _give_out(self) -> float:
        """After time was moved: send free clients what is due by now; when the next is due."""
        for connection in tuple(self._connections):
            connection.poll()
            connection.pump()
        return self._next_due()

    def _next_due(self) -> float:
        return min((connection.next_due() for connection in self._connections), default=math.inf)

    def _wake_up(self, _: int) -> None:
        with contextlib.suppress(OSError):
            self._woken.recv(4096)


def _connector(
    instrument: SimulatedInstrument, role: str, plan: faulty.FaultPlan | None
) -> Connect:
    def connect() -> Endpoint:
        endpoint = instrument.connect(role)
        return faulty.wrap(endpoint, plan) if plan else endpoint

    return connect


@contextlib.contextmanager
def serving(
    instruments: Mapping[str, SimulatedInstrument], **options: Any
) -> Iterator[list[Address]]:
    """Serve in a background thread while the block runs; gives the addresses.

    Takes the options of `Server`. A fault of the server is raised when the block ends.
    """
    server = Server(instruments, **options)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            server.serve_forever()
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=work, name="simulated instruments", daemon=True)
    thread.start()
    try:
        yield server.addresses()
    finally:
        server.stop()
        thread.join()
    if failures:
        raise failures[0]


def address_of(addresses: list[Address], instrument: str, port: str = "") -> str:
    """The address of an instrument's port (by default its first) in what `serving` gives."""
    for entry in addresses:
        if entry["instrument"] == instrument and port in ("", entry["port"]):
            return entry["address"]
    raise ValueError(f"no address for {instrument!r} {port!r}")
