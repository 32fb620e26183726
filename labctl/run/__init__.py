"""What a run is: its folder on disk, how it is measured, repeated, listed and exported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.bench import Bench
    from labctl.procedure import LabProcedure, Row


def run(
    procedure: LabProcedure, bench: Bench, runs_dir: Path, *, stop_after: int | None = None
) -> list[Row]:
    """Run a procedure on an open bench from a script; returns all rows of the run.

    An unfinished run of the same procedure with the same parameters in `runs_dir` is continued.

    Args:
        procedure: with its parameters set.
        bench: stays open, in a safe state.
        runs_dir: folder of runs.
        stop_after: end the run, resumable, after so many new rows.

    Raises:
        LabError: whatever ended the run early.
    """
    from labctl.run.catalogue import list_runs
    from labctl.run.folder import RunFolder
    from labctl.run.request import Checked, Request, check_instruments, start_entry
    from labctl.run.stretch import Stretch

    request = Request(procedure.name())
    checked = Checked(procedure, bench.file, bench.mode, {})
    check_instruments(procedure, bench.file)
    entry = start_entry(request, checked)
    folder = None
    for known in list_runs(runs_dir, procedure=procedure.name()) if runs_dir.exists() else ():
        if known.status not in ("finished", "running", "paused"):
            start = RunFolder.open(known.path).start
            if start["parameters"] == entry["parameters"]:
                folder = RunFolder.resume(known.path)
                break
    if folder is None:
        folder = RunFolder.create(runs_dir, procedure.name(), entry)
    outcome = Stretch(
        folder, procedure, bench.file, bench.mode, {}, 0, stop_after=stop_after, bench=bench
    ).run()
    if outcome.error is not None:
        raise outcome.error
    rows: list[Any] = list(RunFolder.open(outcome.path).rows)
    return rows
