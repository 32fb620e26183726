"""`labctl stop`: STOP ALL SAFE from the command line, with the answer of each instrument."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labctl.cli.arguments import runs_dir
from labctl.errors import LabError, RequestError


def stop(arguments: Any) -> int:
    """Stop one run, or all that go on; 0 if every instrument confirmed that it is safe."""
    from labctl.run import stopping
    from labctl.run.folder import find_run

    directory = runs_dir(arguments)
    reason = arguments.reason or "STOP ALL SAFE on the command line"
    if arguments.run and (arguments.all or arguments.bench):
        raise RequestError("stop a RUN, or --all, or make a --bench safe that no run has")
    if arguments.run:
        paths = [_ask(find_run(arguments.run, directory), reason)]
    else:
        paths = stopping.ask_all(directory, reason)
    if not paths and not arguments.bench:
        raise RequestError(
            f"no run goes on in {directory}; name one that died, or a --bench, to make it safe"
        )
    report = Report(time.time())
    bad = []
    for path in paths:
        print(f"{path.name}: STOP ALL SAFE", flush=True)
        try:
            bad += stopping.see_to_it(path, reason, report.tell)
        except LabError as error:  # the other runs must be stopped whatever this one does
            print(f"labctl: {error}", file=sys.stderr)
            bad.append(path.name)
    if not paths:
        print(f"{arguments.bench}: STOP ALL SAFE", flush=True)
        bad += stopping.make_bench_safe(directory, arguments.bench, arguments.mode, report.tell)
    if bad:
        print(f"labctl: NOT SAFE, check by hand: {', '.join(bad)}", file=sys.stderr)
    return 1 if bad else 0


def _ask(path: Path, reason: str) -> Path:
    """Ask a run to stop, unless its process died.

    Raises:
        RequestError: it has ended, and said how.
    """
    from labctl.run.control import send
    from labctl.run.reading import RunReader

    status = RunReader(path).status
    if status in ("running", "paused"):
        send(path, "stop", reason)
    elif status != "interrupted":
        raise RequestError(f"{path}: does not run ({status}), so it cannot be stopped")
    return path


class Report:
    """Prints what instruments answer, with the seconds since it was asked for."""

    def __init__(self, began: float) -> None:
        self.began = began

    def tell(self, entry: Mapping[str, Any]) -> None:
        seconds = max(0.0, float(entry["time"]) - self.began)
        if "instrument" in entry:
            said = f"{entry['instrument']}: {entry['state']} ({entry['detail']})"
            print(f"{seconds:6.2f} s  {said}", flush=True)
        elif "ended" in entry:
            print(f"{seconds:6.2f} s  {entry['ended']}", flush=True)
