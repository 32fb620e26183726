"""One stretch of a run: open the bench, measure, keep every row, leave the bench safe."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labctl.bench import Bench
from labctl.benchfile import BenchFile
from labctl.clock import Clock, RealClock
from labctl.errors import Aborted, LabError, SafetyError
from labctl.procedure import LabProcedure, Row
from labctl.run.control import Control, interruptible
from labctl.run.folder import RunFolder
from labctl.run.results import analyse


@dataclass(frozen=True)
class Event:
    """What a listener is told: "start", "point", "note", "show", "paused", "resumed", "stop"."""

    kind: str
    value: Any = None


Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    path: Path
    status: str
    reason: str
    error: BaseException | None

    @property
    def exit_code(self) -> int:
        if self.status == "finished":
            return 0
        return self.error.exit_code if isinstance(self.error, LabError) else 1


def stretch_seed(seed: int, stretch: int) -> int:
    """Seed of the n-th stretch: a resumed simulation must not repeat the noise of its start."""
    if stretch == 0:
        return seed
    digest = hashlib.blake2b(f"{seed}/stretch/{stretch}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")


class Stretch:
    """One stretch of a run, from opening the bench to the stop entry."""

    def __init__(
        self,
        folder: RunFolder,
        procedure: Any,
        file: BenchFile | None,
        mode: str,
        world: Mapping[str, Any],
        seed: int,
        record: bool = False,
        listener: Listener | None = None,
        *,
        replay: Any = None,
        stop_after: int | None = None,
        bench: Bench | None = None,
    ) -> None:
        self.folder = folder
        self.procedure = procedure
        self.file = file
        self.mode = mode
        self.world = world
        self.listener = listener
        self.replay = replay
        self.stop_after = stop_after
        self.number = folder.stretches
        self.seed = stretch_seed(seed, self.number)
        self._log: Any = None
        self._record = record and file is not None
        self._given = bench  # opened by the caller, who also closes it
        self._bench = bench
        self._clock: Clock = bench.clock if bench else RealClock()

    def tell(self, kind: str, value: Any = None) -> None:
        if self.listener is not None:
            self.listener(Event(kind, value))

    def run(self) -> Outcome:
        """Measure what is left and end in a recorded, safe state, whatever happens."""
        status, reason = "failed", ""
        error: BaseException | None = None
        control = Control(self.folder.path, self._clock, self._paused)
        with interruptible(control):
            try:
                self._open_bench(control)
                self._measure(control)
                status = "finished"
            except _Enough:
                status, reason = "aborted", f"stopped after {self.stop_after} rows"
            except Aborted as failure:
                status, reason, error = "aborted", str(failure), failure
            except KeyboardInterrupt:
                error = Aborted("interrupted by Ctrl-C")
                status, reason = "aborted", str(error)
            except LabError as failure:
                reason, error = str(failure), failure
            except Exception as failure:  # somebody's procedure or driver is broken
                reason, error = self._unexpected("", failure), failure
            control.ignore()
            for step in (self._shutdown, self._make_safe):
                try:
                    step()
                except Exception as failure:
                    text = str(failure) if isinstance(failure, LabError) else (
                        self._unexpected("shutdown: ", failure)
                    )  # fmt: skip
                    if self.replay is None:
                        status, reason = "failed", f"{reason}; {text}".removeprefix("; ")
                        error = failure if isinstance(failure, LabError) else SafetyError(text)
            if status == "finished":
                status, reason, error = self._analyse()
            self._end(status, reason)
        return Outcome(self.folder.path, status, reason, error)

    def _unexpected(self, where: str, failure: BaseException) -> str:
        """One line for people; the traceback goes into the journal."""
        self.folder.note("".join(traceback.format_exception(failure)), level="traceback")
        frame = traceback.extract_tb(failure.__traceback__)[-1:]
        place = f" ({Path(frame[0].filename).name}:{frame[0].lineno})" if frame else ""
        return f"{where}{type(failure).__name__}: {failure}{place}".replace("\n", " ")

    def _open_bench(self, control: Control) -> None:
        if self.file is not None and self._given is None:
            if self._record:
                from labctl.transport.wirelog import WireLog

                self._log = WireLog(self.folder.path / "wire.jsonl", stretch=self.number)
            needed = getattr(self.procedure, "INSTRUMENTS", None)
            self._bench = Bench.open(
                self.file,
                "replay" if self.replay is not None else self.mode,
                seed=self.seed,
                world=self.world,
                record=self._log,
                replay=self.replay,
                only=tuple(needed) if needed is not None else None,
                start=self.folder.last_time,
            )
        settings: Mapping[str, Any] = {}
        if self._bench is not None:
            self._clock = control._clock = self._bench.clock
            settings = self._bench.snapshot()
        self.folder.opened(
            {
                "t": self._clock.now(),
                "seed": self.seed,
                "identities": self._bench.identities if self._bench else {},
                "settings": settings,
            }
        )

    def _measure(self, control: Control) -> None:
        procedure, bench = self.procedure, self._bench
        self._wire_up(control)
        unhook = self._clock.at_yield(control.look)
        try:
            if bench is not None:
                bench.arm()
            self.tell("start", self)
            procedure.startup()
            if hasattr(procedure, "evaluate_metadata"):
                procedure.evaluate_metadata()
            procedure.execute()
        finally:
            unhook()

    def _wire_up(self, control: Control) -> None:
        """Give the procedure what pymeasure's worker would give it, and ours what is ours."""
        procedure, folder, clock = self.procedure, self.folder, self._clock
        ours = isinstance(procedure, LabProcedure)
        emit_row = self._row_sink()

        def emit(topic: str, value: Any) -> None:
            if topic == "results":
                emit_row(value)
                if not ours:  # ours yield before each point
                    clock.sleep(0.0)
            elif topic == "batch results":
                for values in zip(*value.values(), strict=True):
                    emit_row(dict(zip(value, values, strict=True)))
            elif topic == "note":
                folder.note(str(value))
                self.tell("note", value)
            else:
                self.tell(topic, value)

        procedure.emit = emit
        procedure.should_stop = lambda: control.abort_requested
        procedure.is_last = lambda: True
        if bench := self._bench:
            procedure.bench = bench
        if ours:
            procedure.rng = np.random.default_rng([self.seed, 1])
            procedure.rows = folder.rows
            procedure.finished_points = set(folder.points_done)

    def _row_sink(self) -> Callable[[Row], None]:
        """What takes a row: recorded first, told to others afterwards."""
        now, record, listener = self._clock.now, self.folder.emit, self.listener
        flush = self._log.flush if self._log is not None else None
        left = self.stop_after
        if flush is None and listener is None and left is None:
            return lambda row: record(row, now())

        def emit_row(row: Row) -> None:
            nonlocal left
            if flush is not None:
                flush()  # a row on disk never cites an exchange that is not
            record(row, now())
            if listener is not None:
                listener(Event("point", row))
            if left is not None:
                left -= 1
                if left <= 0:
                    raise _Enough

        return emit_row

    def _paused(self, paused: bool, reason: str) -> None:
        if paused:
            self.folder.paused(reason)
        else:
            self.folder.resumed(reason)
        self.tell("paused" if paused else "resumed", reason)

    def _shutdown(self) -> None:
        if hasattr(self.procedure, "emit") and (self._bench is not None or self.file is None):
            self.procedure.shutdown()

    def _make_safe(self) -> None:
        if self._bench is not None:
            try:
                self._bench.make_safe()
            finally:
                if self._given is None:
                    self._bench.close()

    def _analyse(self) -> tuple[str, str, BaseException | None]:
        self.tell("analysing")
        try:
            analyse(self.procedure, self.folder)
        except Exception as failure:
            text = failure if isinstance(failure, LabError) else self._unexpected("", failure)
            return "failed", f"all data recorded, but the analysis failed: {text}", failure
        return "finished", "", None

    def _end(self, status: str, reason: str) -> None:
        try:
            if self._log is not None:
                self._log.close()
        finally:
            try:
                self.folder.stop(status, reason)
            finally:
                self.folder.close()
        self.tell("stop", (status, reason))


class _Enough(Exception):
    """The asked number of rows is recorded."""
