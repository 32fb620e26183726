"""Building the instruments of a bench: each one's driver, and what opens its wires."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from labctl import benchfile
from labctl.benchfile import BenchFile, InstrumentEntry
from labctl.benchloading import load_target
from labctl.clock import Clock
from labctl.errors import RequestError
from labctl.transport.link import Link

if TYPE_CHECKING:
    from labctl.adapter import Framing

#: Given a port and its address, a function that opens a fresh transport.
OpenPort: TypeAlias = Callable[[str, str], Any]


class Builder:
    """Builds instruments that share one clock and, if simulated, one world.

    Args:
        file: the bench file.
        clock: of the bench.
        world: that simulators live in.
        record: a wire log that notes every byte.
        replay: a transcript that answers, for the kind "replay".
    """

    def __init__(
        self,
        file: BenchFile,
        clock: Clock,
        world: Any = None,
        record: Any = None,
        replay: Any = None,
    ) -> None:
        self._file = file
        self._clock = clock
        self._world = world
        self._record = record
        self._replay = replay
        self.simulators: dict[str, Any] = {}
        self._connectors: dict[str, Any] = {}
        self._simulating = threading.RLock()
        self._check = benchfile.Checker(file.text, file.path)

    def build(self, entry: InstrumentEntry, kind: str) -> Any:
        """Return an open instrument that is there as `kind` says: "real", "sim" or "replay".

        Raises:
            BenchFileError: its table is wrong.
            LabError: it cannot be opened.
        """
        return self._build(entry, partial(self._opener, entry, kind))

    def rehearse(self, entry: InstrumentEntry, kind: str) -> Any:
        """Build it without a byte to anybody; None if its driver would have spoken.

        Raises:
            BenchFileError: its table is wrong.
        """
        with contextlib.suppress(_Rehearsed):  # a driver that speaks to what it has not yet
            return self._build(entry, partial(self._opener_to_nowhere, entry, kind))
        return None

    def _build(self, entry: InstrumentEntry, open_port: OpenPort) -> Any:
        from labctl.adapter import ByteAdapter
        from labctl.instrument import LabInstrument, adopt

        where = f"instruments.{entry.name}"
        driver = load_target(entry.driver, "driver", self._file, where)
        if not (isinstance(driver, type) and issubclass(driver, LabInstrument)):
            try:
                driver = adopt(driver)
            except RequestError as error:
                self._check.fail(str(error), "driver", where)
        framing: Framing = driver.FRAMING
        if entry.timeout is not None:
            framing = replace(framing, timeout=entry.timeout)
        open_transport = open_port("", entry.address)
        if open_transport is _NoWire:
            framing = replace(framing, banner=b"")
        adapter = ByteAdapter(
            open_transport,
            self._clock,
            name=entry.name,
            framing=framing,
            address=entry.address,
            open_port=open_port,
        )
        try:
            instrument = driver(adapter, name=entry.name, **entry.settings)
        except (RequestError, TypeError, ValueError) as error:
            adapter.close()
            self._check.fail(
                f"driver {entry.driver} refuses its settings: {error}", "settings", where
            )
        except BaseException:
            adapter.close()
            raise
        if entry.identity:
            instrument.IDENTITY = entry.identity
        return instrument

    def _opener(self, entry: InstrumentEntry, kind: str, port: str, address: str) -> Any:
        """A function that opens a fresh transport; recording wraps whatever it opens.

        Args:
            entry: the instrument's table.
            kind: "real", "sim" or "replay".
            port: which port of the instrument; "" is the one that its address names.
            address: of this port, unless the bench file names another.
        """
        name = f"{entry.name}.{port}" if port else entry.name
        if kind == "replay":
            return lambda: self._replay.transport(name, self._clock)
        if kind == "sim":
            inner = self._link_opener(entry, port)
        else:
            inner = self._real_opener(entry, entry.ports.get(port, address))
        if self._record is None:
            return inner
        from labctl.transport.wirelog import recording

        return recording(inner, self._clock, self._record, name)

    def _link_opener(self, entry: InstrumentEntry, port: str) -> Any:
        if entry.name not in self._connectors:
            self._connectors[entry.name] = self._connector(entry)
        connect = self._connectors[entry.name]
        return lambda: Link(connect(port), self._clock, self._simulating)

    def _connector(self, entry: InstrumentEntry) -> Any:
        """A function that connects to a port of the entry's simulator, over its bad line."""
        where = f"instruments.{entry.name}"
        if not entry.simulator:
            self._check.fail(
                f"instrument {entry.name!r} has no simulator = 'package.module:Class'",
                entry.name, "instruments",
            )  # fmt: skip
        target = load_target(entry.simulator, "simulator", self._file, where)
        simulator = self.simulators[entry.name] = target(self._world, entry.name)
        if not entry.faults:
            return simulator.connect
        plan = load_target("simulated_instruments.faults:plan", "faults", self._file, where)
        wrap = load_target("simulated_instruments.faults:wrap", "faults", self._file, where)
        try:  # one plan for all connections: replies are counted over all of them
            faults = plan(entry.faults, self._world.seed_of(f"{entry.name}.faults"))
        except ValueError as error:
            self._check.fail(str(error), "faults", where)
        return lambda port: wrap(simulator.connect(port), faults)

    def _real_opener(self, entry: InstrumentEntry, address: str) -> Any:
        from labctl.transport.opening import check_address, open_transport
        from labctl.transport.stepped import SteppedClock, open_stepped_transport

        clock = self._clock
        if not address:
            self._check.fail(
                f"instrument {entry.name!r} has no address, so it cannot be opened in real mode",
                entry.name, "instruments",
            )  # fmt: skip
        try:
            if not self._file.clock:  # served simulators have addresses of other forms, too
                check_address(address)
        except RequestError as error:
            self._check.fail(str(error), "address", f"instruments.{entry.name}")
        if isinstance(clock, SteppedClock):
            return lambda: open_stepped_transport(address, clock)
        return lambda: open_transport(address, clock)

    def _opener_to_nowhere(self, entry: InstrumentEntry, kind: str, port: str, address: str) -> Any:
        """A function that opens a wire to nowhere, after the real one could have been opened."""
        self._opener(entry, kind, port, address)
        return _NoWire


class _Rehearsed(Exception):
    """A driver wanted to speak while its bench is only being checked."""


class _NoWire:
    """A transport that leads nowhere."""

    def send(self, data: bytes) -> None:
        raise _Rehearsed

    def receive(self, timeout: float) -> bytes:
        raise _Rehearsed

    def close(self) -> None:
        pass
