"""Making the instruments of a run safe from outside the run, over connections of one's own."""

from __future__ import annotations

import contextlib
import importlib
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from labctl.bench import Bench
from labctl.benchfile import BenchFile
from labctl.errors import LabError, SafetyError, TransportError
from labctl.run import safety
from labctl.run.folder import RunFolder

#: Seconds within which an instrument must have confirmed; what takes longer counts as unreachable.
LIMIT = 10.0
#: Seconds after which an instrument that cannot be reached is tried once more.
AGAIN_AFTER = 0.25

Report = Callable[[str, str, str], None]


class Rescuer:
    """Makes instruments safe, all at the same time and each over a connection of its own.

    Args:
        file: the bench.
        mode: in which the run opened it.
        names: of real instruments.
    """

    def __init__(self, file: BenchFile, mode: str, names: Iterable[str]) -> None:
        # No interlock must keep an instrument from it, and to import a world takes seconds.
        self._file = replace(file, interlocks=(), world_class="", world={})
        self._mode = mode
        # What an instrument with a single connection was asked first must be over before it is
        # asked again.
        self._turns = {name: threading.Lock() for name in names}

    def prepare(self) -> None:
        """Import what will be needed; nothing is opened."""
        with contextlib.suppress(LabError):
            Bench.rehearse(self._file, self._mode, only=tuple(self._turns))
        addresses = (self._file.instruments[name].address for name in self._turns)
        if any(address.startswith("serial:") for address in addresses):
            import serial  # noqa: F401

    def make_safe(self, names: Iterable[str], report: Report, limit: float = LIMIT) -> list[str]:
        """Tell `report` name, state and detail of each as they come; who is not safe.

        Args:
            names: of the instruments.
            report: called in this thread.
            limit: seconds for all.
        """
        answers: queue.SimpleQueue[tuple[str, str, str]] = queue.SimpleQueue()
        waiting = set(names)
        for name in waiting:
            threading.Thread(target=self._one, args=(name, answers.put), daemon=True).start()
        deadline = time.monotonic() + limit
        bad = []
        while waiting:
            try:
                name, state, detail = answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                name, state = min(waiting), safety.UNREACHABLE
                detail = f"no confirmation within {limit:g} s"
            waiting.discard(name)
            if state != safety.SAFE:
                bad.append(name)
            report(name, state, detail)
        return bad

    def _one(self, name: str, answer: Callable[[tuple[str, str, str]], None]) -> None:
        with self._turns[name]:
            state, detail = one(self._file, self._mode, name)
            if state == safety.UNREACHABLE:  # it may not know yet that the run's connection ended
                time.sleep(AGAIN_AFTER)
                state, detail = one(self._file, self._mode, name)
        answer((name, state, detail))


@contextlib.contextmanager
def quickly() -> Iterator[None]:
    """Let drivers be imported without pandas, which some of pymeasure's import and nothing here
    needs: half of the time until the first instrument is safe. Who looks into it gets it.
    """
    name = "pandas"
    if name in sys.modules:
        yield
        return
    stand_in = ModuleType(name)

    def look(attribute: str) -> Any:
        if attribute in ("__path__", "__file__", "__all__"):  # what an import asks for
            raise AttributeError(attribute)
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        return getattr(importlib.import_module(name), attribute)

    vars(stand_in)["__getattr__"] = look
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]


def one(file: BenchFile, mode: str, name: str) -> tuple[str, str]:
    """Make one instrument safe over a connection of its own; its state and a detail."""
    from labctl.instrument import LabInstrument  # brings pymeasure, which the driver needs anyway

    try:
        bench = Bench.open(file, mode, only=(name,))
        try:
            bench.make_safe()
            instrument = bench.instruments[name]
            if isinstance(instrument, LabInstrument):  # pymeasure's own may be shut for good
                instrument.identify()  # what was only sent has arrived when this is answered
        finally:
            bench.close()
    except TransportError as error:
        return safety.UNREACHABLE, str(error).removeprefix(f"{name}: ")
    except SafetyError as error:
        causes = getattr(error.__cause__, "exceptions", ())
        lost = any(isinstance(cause, TransportError) for cause in causes)
        return safety.UNREACHABLE if lost else safety.FAILED, str(error)
    except LabError as error:
        return safety.FAILED, str(error).removeprefix(f"{name}: ")
    except BaseException as error:  # a broken driver must not keep others from being made safe
        return safety.FAILED, f"{type(error).__name__}: {error}"
    return safety.SAFE, bench.identities[name]


def rescue(
    folder: Path,
    kinds: Mapping[str, str],
    rescuer: Rescuer,
    tell: Callable[[Mapping[str, Any]], None] = lambda line: None,
) -> list[str]:
    """Make the instruments of a run that is over safe, write down what they answer; who is not.

    `tell` takes each line of the account as well.
    """

    def report(name: str, state: str, detail: str) -> None:
        tell(safety.confirm(folder, name, state, detail))

    for name, kind in kinds.items():
        if kind != "real":
            report(name, safety.SAFE, safety.SIMULATED)

    return rescuer.make_safe([n for n, kind in kinds.items() if kind == "real"], report)


def record(
    folder: Path,
    reason: str,
    unsafe: Sequence[str],
    *,
    stopped: bool,
    safe: str = "the watcher made the bench safe",
) -> None:
    """Write into the journal of a run that is over what happened, unless somebody else writes.

    Args:
        folder: of the run.
        reason: why, in words.
        unsafe: instruments that did not confirm.
        stopped: it was ended on purpose, hence aborted; otherwise its process died, and it stays
            interrupted.
        safe: what is said if all did.
    """
    bench = f"NOT SAFE, check by hand: {', '.join(unsafe)}" if unsafe else safe
    reason = f"{reason}; {bench}" if bench else reason
    with contextlib.suppress(LabError, OSError), RunFolder.resume(folder, brief=True) as run:
        if run.stop_entry is not None:
            return
        if stopped:
            run.stop("aborted", reason)
        else:
            run.note(reason, level="warning")
