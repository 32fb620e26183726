"""STOP ALL SAFE, for whoever asks: runs are asked to stop, and it is seen to that they do.

A run that has a watcher, or comes to a yield point, stops by itself and says what each instrument
answered (`labctl.run.safety`). One that does neither is ended from here, and its bench made safe.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

from labctl.errors import LabError
from labctl.filelock import is_locked
from labctl.run import safety
from labctl.run.control import send
from labctl.run.ongoing import ongoing

#: In the folder of runs: each STOP that was asked of all of them.
FILE = "stop.jsonl"
#: Seconds after which a run whose watcher (or itself, in simulation) has not begun to stop is
#: stopped from here.
UNHEARD = 2.0
#: Seconds without a further answer after which whoever began to stop a run must have died.
STUCK = 15.0
#: Seconds between two looks.
LOOK_EVERY = 0.02

Tell = Callable[[Mapping[str, Any]], None]


def asked(runs_dir: Path) -> int:
    """How much STOP was asked in a folder of runs so far: who begins a run compares it."""
    try:
        return (runs_dir / FILE).stat().st_size
    except OSError:
        return 0


def ask_all(runs_dir: Path, reason: str) -> list[Path]:
    """Ask every run of a folder to stop, also those about to begin; those that go on now."""
    if runs_dir.is_dir():
        line = json.dumps({"reason": reason, "at": time.time()})
        with contextlib.suppress(OSError), (runs_dir / FILE).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    paths = ongoing(runs_dir)  # whoever is not marked yet will see the line
    for path in paths:
        with contextlib.suppress(OSError):  # then it is ended without having been asked
            send(path, "stop", reason)
    return paths


def pass_on(runs_dir: Path, before: int, run: Path) -> None:
    """Ask a run to stop that had no folder yet when it was asked of all; `before`: see `asked`."""
    if asked(runs_dir) != before:
        send(run, "stop", "stopped before it began")


def see_to_it(run: Path, reason: str, tell: Tell) -> list[str]:
    """Wait until a run has stopped, end it if it does not; the instruments that are not safe.

    Args:
        run: its folder; of one whose process died, the bench is made safe.
        reason: recorded if it must be ended from here.
        tell: takes each line of the account as it comes.

    Raises:
        LabError: it can be ended from nowhere but another computer, or not at all.
    """
    lock = run / "writer.lock"
    goes_on = is_locked(lock)
    skip = 0 if goes_on else safety.count(run)  # whatever was said of a dead run is history
    shown, changed = 0, time.monotonic()
    while goes_on:
        account = safety.read(run, skip)
        for entry in account[shown:]:
            tell(entry)
        if len(account) > shown:
            shown, changed = len(account), time.monotonic()
        if safety.is_closed(account):
            return _unsafe(account)
        if time.monotonic() - changed > (STUCK if account else UNHEARD):
            break
        if not account and not is_locked(lock) and _has_ended(run):
            return []  # by itself, before anybody heard
        time.sleep(LOOK_EVERY)
    if is_locked(lock):
        _kill_writer(run)
        reason += f"; did not end within {UNHEARD:g} s and was killed"
    return _make_safe(run, reason, tell)


def make_bench_safe(runs_dir: Path, bench: str, mode: str | None, tell: Tell) -> list[str]:
    """Make every instrument of a bench safe that no run has; those that are not.

    Raises:
        RequestError: there is no such bench.
    """
    from labctl.bench import find_bench, instrument_kinds, resolve_mode
    from labctl.run import safing

    file = find_bench(bench)
    mode = resolve_mode(file, mode or None)
    kinds = instrument_kinds(file, mode)
    place = account_place(runs_dir)
    tell(safety.begin(place, f"STOP ALL SAFE of bench {file.name}", kinds))
    real = {name: kind for name, kind in kinds.items() if kind == "real"}
    for name in kinds.keys() - real.keys():
        tell(safety.confirm(place, name, safety.SAFE, "simulated"))
    with safing.quickly():
        unsafe = safing.rescue(place, real, safing.Rescuer(file, mode, real), tell)
    tell(safety.end(place, "no run had the bench"))
    return unsafe


def account_place(runs_dir: Path) -> Path:
    """Where is kept what a bench answered that no run had: beside the runs, if that can be."""
    with contextlib.suppress(OSError):
        runs_dir.mkdir(parents=True, exist_ok=True)
    if os.access(runs_dir, os.W_OK):
        return runs_dir
    name = f"labctl-{crc32(str(runs_dir.resolve()).encode()):08x}"
    place = Path(tempfile.gettempdir()) / name
    place.mkdir(exist_ok=True)
    return place


def _has_ended(run: Path) -> bool:
    from labctl.run.reading import RunReader

    return RunReader(run).stop_entry is not None


def _unsafe(account: list[dict[str, Any]]) -> list[str]:
    last = {e["instrument"]: e["state"] for e in account if "instrument" in e}
    return [name for name, state in last.items() if state != safety.SAFE]


def _make_safe(run: Path, reason: str, tell: Tell) -> list[str]:
    """Make the bench safe of a run that is over and has nobody who does it."""
    from labctl import benchfile
    from labctl.bench import instrument_kinds
    from labctl.run import safing
    from labctl.run.reading import RunReader

    reader = RunReader(run)
    start, bench = reader.start, reader.start["bench"]
    if bench is None:
        tell(safety.begin(run, reason, ()))
        safing.record(run, reason, (), stopped=True, safe="")
        tell(safety.end(run, "its procedure knows no bench: see to its instruments by hand"))
        return []
    opened = [entry for entry in reader.events if entry["entry"] == "opened"]
    file = benchfile.parse(bench["text"], Path(bench["path"]))
    names = tuple(opened[-1]["identities"]) if opened else ()
    kinds = instrument_kinds(file, start["mode"], names or None)
    tell(safety.begin(run, reason, kinds))
    with safing.quickly():
        unsafe = safing.rescue(run, kinds, safing.Rescuer(file, start["mode"], kinds), tell)
    safing.record(run, reason, unsafe, stopped=True, safe="the bench was made safe afterwards")
    tell(safety.end(run, "made safe from here; the run had ended without"))
    return unsafe


def _kill_writer(run: Path) -> None:
    """End the process that writes to a run, first politely.

    Raises:
        LabError: it runs on another computer, or does not end.
    """
    lock = run / "writer.lock"
    try:
        holder = json.loads(lock.read_bytes())
        number, host = int(holder["pid"]), holder["host"]
    except (OSError, ValueError, KeyError, TypeError):
        number, host = 0, ""
    if host != socket.gethostname() or number <= 0:
        raise LabError(f"{run}: its process runs on {host or 'another computer'}: stop it there")
    for name, patience in (("SIGTERM", 0.5), ("SIGKILL", 2.0)):
        with contextlib.suppress(OSError):
            os.kill(number, getattr(signal, name, signal.SIGTERM))
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if not is_locked(lock):
                return
            time.sleep(LOOK_EVERY)
    raise LabError(f"{run}: process {number} does not end; switch the instruments off by hand")
