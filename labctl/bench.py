"""A bench: instruments opened from a bench file, on hardware, simulators or a recording."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl import benchfile
from labctl.benchbuilding import Builder
from labctl.benchfile import BenchFile, InstrumentEntry
from labctl.benchloading import (
    build_world,
    find_bench,
    load_target,
    resolve_mode,
    shipped_benches,
    simulators,
    world_parameters,
    world_values,
)
from labctl.clock import Clock, RealClock, VirtualClock
from labctl.errors import LabError, RequestError, SafetyError, nearest
from labctl.interlock import Interlock, Watch

if TYPE_CHECKING:
    from labctl.adapter import ByteAdapter


__all__ = [
    "Bench",
    "build_world",
    "find_bench",
    "instrument_kinds",
    "load_target",
    "resolve_mode",
    "shipped_benches",
    "simulators",
    "world_parameters",
    "world_values",
]


class Bench:
    """Open instruments by name, one clock, one world if any of them is simulated."""

    def __init__(self, file: BenchFile, mode: str, clock: Clock) -> None:
        self.file = file
        self.mode = mode
        self.clock = clock
        self.world: Any = None
        self.simulators: dict[str, Any] = {}
        self.instruments: dict[str, Any] = {}
        self.identities: dict[str, str] = {}
        self._record: Any = None
        self._armed: list[Any] = []

    @classmethod
    def open(
        cls,
        source: str | Path | BenchFile,
        mode: str | None = None,
        *,
        seed: int = 0,
        world: Mapping[str, Any] | None = None,
        record: Any = None,
        replay: Any = None,
        only: tuple[str, ...] | None = None,
        start: float = 0.0,
    ) -> Bench:
        """Open the instruments of a bench file, check who answers, and return them.

        Args:
            source: a bench file, or the name of a shipped bench.
            mode: "real", "sim" or "replay"; by default as the file says.
            seed: of the world, if anything is simulated.
            world: world parameters that override the file's.
            record: a wire log that notes every byte.
            replay: a transcript to answer from, for mode "replay".
            only: open just these instruments and those that interlocks read.
            start: time (s) at which a virtual clock starts, for resumed runs.

        Raises:
            RequestError: the request or the bench file is wrong.
            LabError: an instrument cannot be reached or is another one; all are closed again.
        """
        file = source if isinstance(source, BenchFile) else find_bench(str(source))
        if mode != "replay":
            mode = resolve_mode(file, mode)
        elif replay is None:
            raise RequestError("mode 'replay' needs a recorded run: use labctl replay RUN")
        entries = _wanted(file, only)
        kinds = {name: _kind(entry, mode) for name, entry in entries.items()}
        bench = cls(file, mode, _clock(file, mode, set(kinds.values()), start))
        bench._record = record
        if "sim" in kinds.values():  # on hardware no world is imported, which takes a second
            bench.world = build_world(file, seed, world_values(file, world or {}))
        builder = Builder(file, bench.clock, bench.world, record, replay)
        bench.simulators = builder.simulators
        try:
            for name, entry in entries.items():
                bench.instruments[name] = builder.build(entry, kinds[name])
                bench.identities[name] = bench.instruments[name].check_identity()
        except BaseException:
            bench.close()
            raise
        return bench

    @classmethod
    def rehearse(
        cls,
        file: BenchFile,
        mode: str,
        *,
        world: Mapping[str, Any] | None = None,
        only: tuple[str, ...] | None = None,
    ) -> None:
        """Build a bench without a byte to any instrument, to find what is wrong in its file.

        Raises:
            RequestError: the bench file is wrong.
        """
        entries = _wanted(file, only)
        bench = cls(file, mode, VirtualClock())
        kinds = {name: _kind(entry, mode) for name, entry in entries.items()}
        if "sim" in kinds.values():
            bench.world = build_world(file, 0, world or {})
        builder = Builder(file, bench.clock, bench.world)
        for name, entry in entries.items():
            if (instrument := builder.rehearse(entry, kinds[name])) is not None:
                bench.instruments[name] = instrument
        bench.interlocks()
        bench.close()

    def __getitem__(self, name: str) -> Any:
        try:
            return self.instruments[name]
        except KeyError:
            hint = nearest(name, self.instruments)
            raise RequestError(f"bench {self.file.name} has no instrument {name!r}{hint}") from None

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Settings of every instrument, read from the instruments themselves."""
        settings: dict[str, dict[str, Any]] = {}
        for name, instrument in self.instruments.items():
            try:
                settings[name] = instrument.snapshot()
            except LabError as error:  # a run may start without it; the gap is on record
                settings[name] = {"error": str(error)}
        return settings

    def interlocks(self) -> list[Interlock]:
        """The interlocks of the bench file, bound to the open instruments."""
        bound = []
        for entry in self.file.interlocks:
            instrument, _, quantity = entry.read.partition(".")
            if instrument not in self.instruments:
                continue
            driver = self.instruments[instrument]
            if not hasattr(type(driver), quantity.split(".")[0]):
                hint = nearest(quantity, dir(type(driver)))
                benchfile.Checker(self.file.text, self.file.path).fail(
                    f"interlock: {instrument!r} has no quantity {quantity!r}{hint}",
                    "read",
                    "interlocks",
                )
            bound.append(
                Interlock(
                    entry.read,
                    _reader(driver, quantity),
                    entry.minimum,
                    entry.maximum,
                    entry.period,
                    entry.unit,
                    partial(self._interlock_speaking, driver.adapter),
                    entry.meaning,
                )
            )
        return bound

    def arm(self, watch: Watch | None = None) -> None:
        """Check all interlocks once and then at yield points of this thread.

        A replay leaves them unarmed. `watch` is told every value that is read.
        """
        if self.mode != "replay":
            for interlock in self.interlocks():
                self._armed.append(interlock.arm(self.clock, watch))

    def disarm(self) -> None:
        while self._armed:
            self._armed.pop()()

    @contextlib.contextmanager
    def speaking(self, speaker: str) -> Iterator[None]:
        """Mark what the wire log records meanwhile as said by `speaker`."""
        if self._record is None:
            yield
            return
        before, self._record.speaker = self._record.speaker, speaker
        try:
            yield
        finally:
            self._record.speaker = before

    @contextlib.contextmanager
    def _interlock_speaking(self, adapter: ByteAdapter) -> Iterator[None]:
        """Let an interlock speak between two exchanges of the run.

        A replay leaves interlocks out, so neither may clear away what the other left.
        """
        adapter.settle()
        with self.speaking("interlock"):
            yield
            adapter.settle()

    def make_safe(self) -> None:
        """Make every instrument safe, last opened first; all are tried.

        Raises:
            SafetyError: naming each instrument that could not be made safe.
        """
        self.disarm()
        failed: dict[str, BaseException] = {}
        for _ in range(2):  # what a lost answer or a second Ctrl-C spoilt may work now
            again = failed or self.instruments
            failed = {}
            for name in [name for name in reversed(self.instruments) if name in again]:
                try:
                    self.instruments[name].make_safe()
                except BaseException as error:  # not even Ctrl-C keeps the others from it
                    failed[name] = error
            if not failed:
                break
        if failed:
            text = "; ".join(f"{n}: {str(e).removeprefix(f'{n}: ')}" for n, e in failed.items())
            raise SafetyError(f"NOT SAFE, check by hand: {text}") from BaseExceptionGroup(
                "instruments that could not be made safe", list(failed.values())
            )

    def close(self) -> None:
        """Close all connections, last opened first. Does not change any instrument."""
        self.disarm()
        for instrument in reversed(self.instruments.values()):
            with contextlib.suppress(Exception):
                instrument.adapter.close()
                instrument.adapter.close_ports()
        close_clock = getattr(self.clock, "close", None)
        if close_clock is not None:
            close_clock()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *failure: object) -> None:
        try:
            self.make_safe()
        finally:
            self.close()


def _wanted(file: BenchFile, only: tuple[str, ...] | None) -> dict[str, InstrumentEntry]:
    if only is None:
        return file.instruments
    for name in only:
        if name not in file.instruments:
            hint = nearest(name, file.instruments)
            raise RequestError(f"{file.path}: the bench has no instrument {name!r}{hint}")
    names = {*only, *(entry.read.partition(".")[0] for entry in file.interlocks)}
    return {name: entry for name, entry in file.instruments.items() if name in names}


def instrument_kinds(
    file: BenchFile, mode: str, only: tuple[str, ...] | None = None
) -> dict[str, str]:
    """How each instrument that `Bench.open` would open is there: "real" or "sim"."""
    return {name: _kind(entry, mode) for name, entry in _wanted(file, only).items()}


def _kind(entry: InstrumentEntry, mode: str) -> str:
    return mode if mode == "replay" else entry.mode or mode


def _clock(file: BenchFile, mode: str, kinds: set[str], start: float) -> Clock:
    if file.clock and mode == "real":
        from labctl.transport.stepped import SteppedClock

        return SteppedClock(file.clock)
    return RealClock() if "real" in kinds else VirtualClock(start)


def _reader(driver: Any, path: str) -> Any:
    def read() -> Any:
        value = driver
        for part in path.split("."):
            value = getattr(value, part)
        return value

    return read
