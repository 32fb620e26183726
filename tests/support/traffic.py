"""Traffic that drivers make: recorded once, then played to simulators in any portions."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import simulated_instruments
from labctl.adapter import ByteAdapter
from labctl.benchloading import find_bench, shipped_benches
from labctl.clock import VirtualClock
from labctl.errors import LabError
from labctl.instrument.settings import NamedSettings, properties_of
from labctl.transport.link import Link
from simulated_instruments.instrument import SimulatedInstrument
from simulated_instruments.world import World

SEED = 3
#: Drivers of simulators that no shipped bench has; all others are found in the bench files.
OTHERS = {
    "SimBluefors": "drivers.bluefors:Bluefors",
    "SimFsv": "drivers.spectrum_analyser:FsvAnalyser",
    "SimPicoQuant": "drivers.picoquant_snapi:PicoQuantTagger",
    "SimSantecTsl": "drivers.santec_tsl:SantecTsl",
    "SimSwabian": "drivers.swabian_timetagger:SwabianTimeTagger",
}
#: Bases of simulators, which have no instrument of their own.
BASES = {"SimTagLibrary"}


def simulators() -> dict[str, type[SimulatedInstrument]]:
    """All simulated instruments by name of their class."""
    found = {}
    for module in pkgutil.iter_modules(simulated_instruments.__path__):
        loaded = importlib.import_module(f"simulated_instruments.{module.name}")
        for name, value in vars(loaded).items():
            if (
                inspect.isclass(value)
                and issubclass(value, SimulatedInstrument)
                and value.__module__ == loaded.__name__
                and name.startswith("Sim")
                and name not in BASES
                and not inspect.isabstract(value)
            ):
                found[name] = value
    return dict(sorted(found.items()))


def drivers() -> dict[str, str]:
    """The target of the driver for each class of simulators."""
    found = dict(OTHERS)
    for name in shipped_benches():
        for entry in find_bench(name).instruments.values():
            found[entry.simulator.partition(":")[2]] = entry.driver
    return found


@dataclass(frozen=True)
class Event:
    """Something a client did: opened or closed a connection, or sent bytes."""

    time: float
    connection: int
    port: str = ""
    data: bytes | None = None  # None: the connection was opened


class _Recording(Link):
    """A link that notes what is sent."""

    def __init__(self, simulator: Any, port: str, clock: VirtualClock, events: list[Event]) -> None:
        self._number = sum(event.data is None for event in events)
        self._events, self._time = events, clock
        events.append(Event(clock.now(), self._number, port))
        super().__init__(simulator.connect(port), clock)

    def send(self, data: bytes) -> None:
        self._events.append(Event(self._time.now(), self._number, data=data))
        super().send(data)


def parts_of(instrument: Any) -> Iterator[tuple[str, Any]]:
    """An instrument and its channels, by the prefix of their properties."""
    yield "", instrument
    for name, value in vars(instrument).items():
        if isinstance(value, NamedSettings):
            yield f"{name}.", value


def names_of(instrument: Any) -> list[str]:
    """All properties of an instrument and its channels that may be read."""
    return [
        prefix + name
        for prefix, part in parts_of(instrument)
        for name, prop in properties_of(type(part)).items()
        if not name.startswith("_") and prop.fget is not None and name not in ("clock", "label")
    ]


def read(instrument: Any, name: str) -> Any:
    """A property of an instrument or of a channel; or the error that says why not."""
    part, _, attribute = name.rpartition(".")
    try:
        return getattr(getattr(instrument, part) if part else instrument, attribute)
    except (LabError, NotImplementedError, LookupError, AttributeError) as error:
        return error


def open_driver(simulator: Any, target: str, wire: Callable[[str], Any], clock: Any) -> Any:
    module, _, name = target.partition(":")
    driver = getattr(importlib.import_module(module), name)
    adapter = ByteAdapter(
        lambda: wire(""), clock, name="it", framing=driver.FRAMING, address="tcp://it:1",
        open_port=lambda port, usual: lambda: wire(port),
    )  # fmt: skip
    return driver(adapter, name="it")


def in_front(name: str) -> Any:
    """The driver in front of a simulator of this class, in virtual time."""
    simulator, clock = simulators()[name](World(SEED), "it"), VirtualClock()
    return open_driver(
        simulator, drivers()[name], lambda port: Link(simulator.connect(port), clock), clock
    )


@cache
def readable(name: str) -> tuple[str, ...]:
    """Properties that a simulator of this class answers to."""
    instrument, found = in_front(name), []
    clock = instrument.clock
    for attribute in names_of(instrument):
        before = clock.now()
        value = read(instrument, attribute)
        if not isinstance(value, Exception) and clock.now() < before + 1.0:
            found.append(attribute)
    return tuple(found)


@cache
def recorded(name: str) -> tuple[Event, ...]:
    """What its driver says to a simulator: identity, all readings, all settings set again."""
    simulator = simulators()[name](World(SEED), "it")
    clock, events = VirtualClock(), []
    instrument = open_driver(
        simulator, drivers()[name], lambda port: _Recording(simulator, port, clock, events), clock
    )
    instrument.check_identity()
    for attribute in readable(name):
        value = read(instrument, attribute)
        if attribute in instrument.SETTINGS:
            with contextlib.suppress(LabError, AttributeError, LookupError):
                setattr(instrument, attribute, value)
    instrument.snapshot()
    instrument.make_safe()
    return tuple(events)
