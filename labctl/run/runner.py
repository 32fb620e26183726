"""Starting and resuming runs."""

from __future__ import annotations

from pathlib import Path

from labctl.errors import RequestError
from labctl.procedure import LabProcedure
from labctl.run import loading, stopping
from labctl.run.folder import RunFolder
from labctl.run.outcome import Listener, Outcome
from labctl.run.request import Request, check, rebuild, start_entry
from labctl.run.stretch import Stretch


def start(
    request: Request,
    runs_dir: Path,
    listener: Listener | None = None,
    *,
    asked: int | None = None,
) -> Outcome:
    """Check a request completely, then run it.

    Args:
        request: what to run.
        runs_dir: where.
        listener: is told what happens.
        asked: what `stopping.asked` said before anything was done for this run; if somebody asked
            for STOP since then, it opens no instrument.

    Raises:
        RequestError: the request is wrong; no run folder was made.
    """
    asked = stopping.asked(runs_dir) if asked is None else asked
    checked = check(request)
    procedure = checked.procedure
    entry = start_entry(request, checked)
    name = loading.command_name(type(procedure))
    with RunFolder.create(runs_dir, name, entry, durable_every=request.fsync) as folder:
        stretch = Stretch(
            folder, procedure, checked.file, checked.mode, checked.world, request.seed,
            request.record, listener,
        )  # fmt: skip
        stopping.pass_on(runs_dir, asked, folder.path)
        return stretch.run()


def resume(
    path: Path,
    listener: Listener | None = None,
    *,
    record: bool = True,
    fsync: float | None = None,
    asked: int | None = None,
) -> Outcome:
    """Finish a run that did not: same procedure, parameters and bench text, remaining points.

    `asked` as for `start`.

    Raises:
        RequestError: it is finished already, runs elsewhere, or has no points to resume at.
    """
    asked = stopping.asked(path.parent) if asked is None else asked
    recorded = RunFolder.open(path)
    start = recorded.start
    procedure, file = rebuild(start)
    if not isinstance(procedure, LabProcedure):
        raise RequestError(
            f"{path}: {start['procedure']} is a plain pymeasure procedure without points(), "
            "so it cannot be resumed; run it again"
        )
    _require_unfinished(recorded, procedure)
    with RunFolder.resume(path, durable_every=fsync) as folder:
        _require_unfinished(folder, procedure)  # now that nobody else can finish it
        stretch = Stretch(
            folder, procedure, file, start["mode"], start["world"], start["seed"], record, listener
        )
        stopping.pass_on(path.parent, asked, folder.path)
        return stretch.run()


def _require_unfinished(folder: RunFolder, procedure: LabProcedure) -> None:
    procedure.rows = folder.rows  # which points there are may follow from them
    missing = set(range(procedure.count_points())) - folder.points_done
    if folder.status == "finished" and not missing:  # damage may have cost points
        raise RequestError(f"{folder.path}: is finished; nothing to resume")
