"""One stretch of a run: open the bench, measure, keep every row, leave the bench safe."""

from __future__ import annotations

import contextlib
import hashlib
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from labctl.bench import Bench, instrument_kinds
from labctl.benchfile import BenchFile
from labctl.clock import Clock, RealClock
from labctl.errors import Aborted, Interrupted, LabError, StorageError
from labctl.procedure import LabProcedure
from labctl.run import safety
from labctl.run.control import Control, Press, interruptible
from labctl.run.folder import RunFolder
from labctl.run.health import HealthLog
from labctl.run.keys import KeySink
from labctl.run.outcome import Event, Listener, Outcome
from labctl.run.remarks import remarked
from labctl.run.results import analyse
from labctl.run.sinks import Enough, Sinks
from labctl.run.watching import Watch


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
        self._health = HealthLog(folder.path)
        self._record = record and file is not None
        self._given = bench  # opened by the caller, who also closes it
        self._bench = bench
        self._watch: Watch | None = None
        self._started = self._made_safe = False
        self._clock: Clock = bench.clock if bench else RealClock()

    def tell(self, kind: str, value: Any = None) -> None:
        """Tell the listener; one that fails is not told any more, but the run goes on."""
        if self.listener is not None:
            try:
                self.listener(Event(kind, value))
            except Exception as failure:
                self.listener = None
                self._unexpected("what watched this run failed: ", failure)

    def run(self) -> Outcome:
        """Measure what is left and end in a recorded, safe state, whatever happens."""
        if isinstance(self.procedure, LabProcedure):
            repeats = {"replay_of", "analysis_of"} & self.folder.start.keys()
            self.procedure.key_sink = KeySink(self.folder, deliver=not repeats)
        before = self.folder.asked_before
        control = Control(self.folder.path, self._clock, self._paused, before)
        with interruptible(control), remarked(self._remark):
            ending = self._guarded(control, self._measure)
            ending = self._leave_safe(ending)
            self._end_watch(control)
            if ending.status == "finished":
                control.press = Press.NOW
                ending = self._guarded(control, self._analyse)
                if ending.status != "finished":
                    how = "failed: " if ending.status == "failed" else "was "
                    reason = f"all data recorded, but the analysis {how}{ending.reason}"
                    ending = replace(ending, reason=reason)
            ending = self._end(ending)
        return replace(ending, stopped=control.stopped)

    def _guarded(self, control: Control, step: Callable[[Control], None]) -> Outcome:
        """Do `step`, and say how it ended; afterwards signals are held back."""
        try:
            ending = self._tried(control, step)
            control.ignore()
        except KeyboardInterrupt:  # raised once at most, but anywhere up to here
            control.ignore()
            ending = self._outcome(
                "aborted", failure=control.aborted or Interrupted("interrupted by Ctrl-C")
            )
        return ending

    def _tried(self, control: Control, step: Callable[[Control], None]) -> Outcome:
        try:
            step(control)
        except Enough:
            return self._outcome("aborted", f"stopped after {self.stop_after} rows")
        except Aborted as failure:
            return self._outcome("aborted", failure=failure)
        except LabError as failure:
            return self._outcome("failed", failure=failure)
        except KeyboardInterrupt:
            raise
        except BaseException as failure:  # somebody's procedure or driver is broken, or exits
            return self._outcome("failed", self._unexpected("", failure), failure)
        return self._outcome("finished")

    def _outcome(
        self, status: str, reason: str = "", failure: BaseException | None = None
    ) -> Outcome:
        return Outcome(self.folder.path, status, reason or str(failure or ""), failure)

    def _unexpected(self, where: str, failure: BaseException) -> str:
        """One line for people; the traceback goes into the journal."""
        with contextlib.suppress(StorageError):  # a full disk may be the reason for all this
            self.folder.note("".join(traceback.format_exception(failure)), level="traceback")
        frame = traceback.extract_tb(failure.__traceback__)[-1:]
        place = f" ({Path(frame[0].filename).name}:{frame[0].lineno})" if frame else ""
        return f"{where}{type(failure).__name__}: {failure}{place}".replace("\n", " ")

    def _remark(self, text: str) -> None:
        with contextlib.suppress(StorageError):  # a warning ends no measurement
            self.folder.note(text, level="warning")
        self.tell("note", text)

    def _measure(self, control: Control) -> None:
        self.tell("opening", self)
        if control.aborted is not None and (self.number == 0 or self._left_safe()):
            raise control.aborted  # while no instrument has been touched
        left = self._points_left()
        if left or not self._left_safe():
            self._open_bench()
        if not left:
            return
        self._clock = control.clock = self._bench.clock if self._bench else self._clock
        control.press = Press.YIELD
        self._wire_up(control)
        if self._watch is not None:
            self._clock.at_yield(self._watch.alive)
        unhook = self._clock.at_yield(control.look)
        try:
            if self._bench is not None:
                self._bench.arm(self._health.note)
            self.tell("start", self)
            control.look()  # what was asked for while the bench was being opened
            self._started = True
            self.procedure.startup()
            if hasattr(self.procedure, "evaluate_metadata"):
                self.procedure.evaluate_metadata()
            self.procedure.execute()
            control.look()  # a plain pymeasure procedure ends early when asked to stop
        finally:
            unhook()

    def _points_left(self) -> bool:
        """Whether anything must be measured; an earlier stretch may only lack its analysis."""
        if self.number == 0 or not isinstance(self.procedure, LabProcedure):
            return True
        return not self.folder.points_done >= set(range(self.procedure.count_points()))

    def _left_safe(self) -> bool:
        """Whether the last stretch made the bench safe: it was not killed, and says so."""
        stop = self.folder.stop_entry
        return stop is not None and "NOT SAFE" not in str(stop.get("reason"))

    def _open_bench(self) -> None:
        if self.file is not None and self._given is None:
            if self._record:
                from labctl.transport.wirelog import WireLog

                self._log = WireLog(self.folder.path / "wire.jsonl", stretch=self.number)
            needed = getattr(self.procedure, "INSTRUMENTS", None)
            only = tuple(needed) if needed is not None else None
            with contextlib.suppress(OSError):  # it may be on show, no more
                safety.outdate(self.folder.path)
            self._be_watched(self.file, only)
            self._bench = Bench.open(
                self.file,
                "replay" if self.replay is not None else self.mode,
                seed=self.seed,
                world=self.world,
                record=self._log,
                replay=self.replay,
                only=only,
                start=self.folder.last_time,
            )
        settings: Mapping[str, Any] = {}
        if self._bench is not None:
            settings = self._bench.snapshot()
        self.folder.opened(
            {
                "t": self._bench.clock.now() if self._bench else self._clock.now(),
                "seed": self.seed,
                "identities": self._bench.identities if self._bench else {},
                "settings": settings,
            }
        )

    def _be_watched(self, file: BenchFile, only: tuple[str, ...] | None) -> None:
        """Have a process stand by that makes the bench safe, should this one not be able to."""
        kinds = instrument_kinds(file, self.mode, only)
        if self.replay is not None or "real" not in kinds.values():
            return
        # Others have no yield points that could be missed, or time that others move.
        judged = isinstance(self.procedure, LabProcedure) and not file.clock
        try:
            self._watch = Watch(
                self.folder.path, kinds, judged, self._remark, self.folder.asked_before
            )
        except OSError as error:  # no process to be had; the run makes its bench safe itself
            self._remark(f"no watcher for this run: {error.strerror or error}")

    def _wire_up(self, control: Control) -> None:
        """Give the procedure what pymeasure's worker would give it, and ours what is ours."""
        procedure = self.procedure
        ours = isinstance(procedure, LabProcedure)
        procedure.emit = Sinks(
            self.folder, self._clock, self.tell, self.listener is not None, self._log,
            self.stop_after, yields=not ours,
        ).emitter()  # fmt: skip
        procedure.should_stop = lambda: control.aborted is not None
        procedure.is_last = lambda: True
        if bench := self._bench:
            procedure.bench = bench
        if ours:
            procedure.rng = np.random.default_rng([self.seed, 1])
            procedure.rows = self.folder.rows
            procedure.finished_points = set(self.folder.points_done)

    def _paused(self, paused: bool, reason: str) -> None:
        if paused:
            self.folder.paused(reason)
        else:
            self.folder.resumed(reason)
        if self._watch is not None:
            self._watch.paused = paused
        kind = "paused" if paused else "resumed"
        self.tell(kind, f"{kind}: {reason}" if reason else kind)

    def _leave_safe(self, ending: Outcome) -> Outcome:
        """Shut the procedure down, make the bench safe and close it, whatever goes wrong."""
        for step in (self._shutdown, self._make_safe, self._close_bench):
            try:
                step()
            except BaseException as failure:  # nothing may keep the next step from being done
                text = (
                    str(failure) if isinstance(failure, LabError)
                    else self._unexpected(f"{step.__name__.strip('_')}: ", failure)
                )  # fmt: skip
                if self.replay is None:  # a recording ends where its run did
                    ending = ending.worsened(text, failure, step == self._make_safe)
        return ending

    def _shutdown(self) -> None:
        if self._started:
            self.procedure.shutdown()

    def _make_safe(self) -> None:
        if self._bench is not None:
            self._bench.make_safe()
        self._made_safe = True

    def _close_bench(self) -> None:
        if self._bench is not None and self._given is None:
            self._bench.close()

    def _end_watch(self, control: Control) -> None:
        """Dismiss the watcher, and see that who asked for STOP is told of each instrument."""
        if self._watch is not None:
            self._watch.end(safe=self._made_safe, stopped=control.stopped)
        elif control.stopped:
            path, names = self.folder.path, self._bench.instruments if self._bench else ()
            with contextlib.suppress(OSError):
                safety.begin(path, str(control.aborted or "STOP"), names)
                for name in names:
                    safety.confirm(path, name, safety.SAFE, safety.SIMULATED)
                order = "ended in order" if self._bench else "had not opened any instrument"
                safety.end(path, f"the run {order}")

    def _analyse(self, control: Control) -> None:
        if (asked := control.aborted) is not None:  # while the bench was being made safe
            raise asked
        self.tell("analysing")
        analyse(self.procedure, self.folder)

    def _end(self, ending: Outcome) -> Outcome:
        """Record how the run ended; without, as on a full disk, it counts as interrupted."""
        if self._log is not None:
            ending = _stored(ending, self._log.close)
        ending = _stored(ending, self._health.close)
        ended = self._clock.now() if self._bench is not None else None
        ending = _stored(ending, partial(self.folder.stop, ending.status, ending.reason, ended))
        ending = _stored(ending, self.folder.close)
        self.tell("stop", (ending.status, ending.reason))
        return ending


def _stored(ending: Outcome, step: Callable[[], None]) -> Outcome:
    try:
        step()
    except (StorageError, OSError) as failure:
        return ending.worsened(str(failure), failure, fails=True)
    return ending
