"""`labctl stop`: STOP ALL SAFE from the command line, with the answer of each instrument."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from labctl.cli.arguments import runs_dir
from labctl.errors import LabError, RequestError

#: Seconds after which a run whose watcher (or itself, in simulation) has not begun to stop is
#: stopped from here.
UNHEARD = 2.0
#: Seconds after which what has not been confirmed will not be.
LAST = 40.0
#: Seconds between two looks.
LOOK_EVERY = 0.02


def stop(arguments: Any) -> int:
    """Stop one run, or all that go on; 0 if every instrument confirmed that it is safe."""
    from labctl.filelock import is_locked
    from labctl.run.folder import find_run
    from labctl.run.locate import numbered

    directory = runs_dir(arguments)
    if arguments.run and arguments.all:
        raise RequestError("stop a RUN or --all, not both")
    if arguments.run:
        paths = [find_run(arguments.run, directory)]
    else:
        paths = [path for _, path in sorted(numbered(directory)) if is_locked(path / "writer.lock")]
        if not paths:
            raise RequestError(
                f"no run goes on in {directory}; name one that died, to make its bench safe"
            )
    began = time.time()
    running = {path: _ask(path, arguments.reason) for path in paths}
    bad = [name for path in paths for name in _answers(path, running[path], began)]
    if bad:
        print(f"labctl: NOT SAFE, check by hand: {', '.join(bad)}", file=sys.stderr)
    return 1 if bad else 0


def _ask(path: Path, reason: str) -> bool:
    """Ask a run to stop; False for one whose process died.

    Raises:
        RequestError: it has ended, and said how.
    """
    from labctl.run.control import send
    from labctl.run.reading import RunReader

    status = RunReader(path).status
    if status in ("running", "paused"):
        send(path, "stop", reason or "STOP ALL SAFE on the command line")
        return True
    if status != "interrupted":
        raise RequestError(f"{path}: does not run ({status}), so it cannot be stopped")
    return False


def _answers(path: Path, running: bool, began: float) -> list[str]:
    """Print each confirmation as it comes; the instruments that are not safe."""
    from labctl.run import safety

    last: dict[str, str] = {}
    shown = 0
    print(f"{path.name}: STOP ALL SAFE", flush=True)
    while True:
        account = safety.read(path, since=began)
        for entry in account[shown:]:
            if "instrument" in entry:
                last[entry["instrument"]] = entry["state"]
                print(
                    f"{entry['time'] - began:6.2f} s  {entry['instrument']}: {entry['state']}"
                    f" ({entry['detail']})", flush=True,
                )  # fmt: skip
            elif "ended" in entry:
                print(f"{entry['time'] - began:6.2f} s  {entry['ended']}")
                return [name for name, state in last.items() if state != safety.SAFE]
        shown = len(account)
        if time.time() > began + LAST:
            expected = account[0]["expected"] if account else [path.name]
            return [name for name in expected if last.get(name) != safety.SAFE]
        if not account and (not running or time.time() > began + UNHEARD):
            _stop_from_here(path)
        time.sleep(LOOK_EVERY)


def _stop_from_here(path: Path) -> None:
    """End a run that has nobody who does it, and make its bench safe."""
    from labctl import benchfile
    from labctl.filelock import is_locked
    from labctl.run import safety
    from labctl.run.reading import RunReader

    if is_locked(path / "writer.lock"):
        _kill_writer(path)
    run = RunReader(path)
    start, bench = run.start, run.start["bench"]
    opened = [entry for entry in run.events if entry["entry"] == "opened"]
    reason = "STOP ALL SAFE on the command line"
    if bench is None:
        safety.begin(path, reason, ())
        safety.end(path, "its procedure knows no bench: see to its instruments by hand")
        return
    from labctl.bench import instrument_kinds
    from labctl.run import safing

    file = benchfile.parse(bench["text"], Path(bench["path"]))
    names = tuple(opened[-1]["identities"]) if opened else ()
    kinds = instrument_kinds(file, start["mode"], names or None)
    safety.begin(path, reason, kinds)
    unsafe = safing.rescue(path, kinds, safing.Rescuer(file, start["mode"], kinds))
    safing.record(path, reason, unsafe, stopped=True)
    safety.end(path, "made safe from here; the run had ended without")


def _kill_writer(path: Path) -> None:
    """End the process that writes to a run, first politely.

    Raises:
        LabError: it runs on another computer, or does not end.
    """
    from labctl.filelock import is_locked

    lock = path / "writer.lock"
    try:
        holder = json.loads(lock.read_bytes())
        number, host = int(holder["pid"]), holder["host"]
    except (OSError, ValueError, KeyError, TypeError):
        number, host = 0, ""
    if host != socket.gethostname() or number <= 0:
        raise LabError(f"{path}: its process runs on {host or 'another computer'}: stop it there")
    for name, patience in (("SIGTERM", 0.5), ("SIGKILL", 2.0)):
        with contextlib.suppress(OSError):
            os.kill(number, getattr(signal, name, signal.SIGTERM))
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if not is_locked(lock):
                return
            time.sleep(LOOK_EVERY)
    raise LabError(f"{path}: process {number} does not end; switch the instruments off by hand")
