"""Commands that run something: run, resume, pause, continue, abort, replay, analyse."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from labctl.cli import progress
from labctl.cli.arguments import assignments, print_json, request, runs_dir
from labctl.cli.console import drop_stdout
from labctl.errors import RequestError


def run(arguments: Any) -> int:
    from labctl.run import stopping

    asked = stopping.asked(runs_dir(arguments))  # before the imports, which take long
    from labctl.run import runner

    wanted = request(arguments)
    with progress.watcher(quiet=arguments.json) as listener:
        began = time.monotonic()
        outcome = runner.start(wanted, runs_dir(arguments), listener, asked=asked)
    return report(outcome, time.monotonic() - began, arguments.json)


def resume(arguments: Any) -> int:
    from labctl.run import stopping
    from labctl.run.locate import find_run

    path = find_run(arguments.run, runs_dir(arguments))
    asked = stopping.asked(path.parent)
    from labctl.run import runner

    with progress.watcher(quiet=arguments.json) as listener:
        began = time.monotonic()
        outcome = runner.resume(path, listener, asked=asked)
    return report(outcome, time.monotonic() - began, arguments.json)


def report(outcome: Any, seconds: float, as_json: bool) -> int:
    """Print how a run ended; its exit code."""
    from labctl.run.folder import RunFolder

    folder = RunFolder.open(outcome.path)
    try:
        if as_json:
            print_json(run_document(folder, outcome))
        else:
            progress.summary(folder, outcome, seconds)
    except BrokenPipeError:  # nobody reads any more; how the run ended still matters
        drop_stdout()
    if outcome.exit_code:
        print(f"labctl: {outcome.status}: {outcome.reason}", file=sys.stderr)
    return int(outcome.exit_code)


def run_document(folder: Any, outcome: Any) -> dict[str, Any]:
    return {
        "run": str(folder.path),
        "id": folder.number,
        "procedure": folder.start["procedure"],
        "status": outcome.status,
        "reason": outcome.reason,
        "rows": len(folder.rows),
        "results": folder.result,
    }


def control(arguments: Any) -> int:
    from labctl.run.control import send
    from labctl.run.folder import RunFolder, find_run

    path = find_run(arguments.run, runs_dir(arguments))
    status = RunFolder.open(path).status
    if status not in ("running", "paused"):
        raise RequestError(f"{path}: does not run ({status}), so it cannot {arguments.verb}")
    send(path, {"continue": "resume"}.get(arguments.verb, arguments.verb), arguments.reason)
    print(f"{arguments.verb} requested; it takes effect at the next yield point of {path.name}")
    return 0


def replay(arguments: Any) -> int:
    from labctl.run import replay as replaying
    from labctl.run.folder import find_run

    path = find_run(arguments.run, runs_dir(arguments))
    with progress.watcher(quiet=arguments.json) as listener:
        comparison = replaying.replay(path, arguments.mode, listener)
    if arguments.json:
        print_json(
            {
                "run": str(path),
                "mode": comparison.mode,
                "rows": comparison.rows,
                "compared": comparison.compared,
                "identical": comparison.identical,
                "difference": comparison.difference or None,
            }
        )
    elif comparison.identical:
        print(f"{path.name}: all {comparison.rows} rows identical to the last bit")
    replaying.require_identical(comparison)
    return 0


def analyse(arguments: Any) -> int:
    if arguments.matrix:
        from labctl.cli.matrix import analyse_matrix

        return analyse_matrix(arguments)
    if not arguments.run:
        raise RequestError("analyse what? name a RUN, or a covariance matrix with --matrix FILE")
    from labctl.run.folder import RunFolder, find_run
    from labctl.run.reanalysis import reanalyse

    directory = runs_dir(arguments)
    path = find_run(arguments.run, directory)
    changes = assignments(arguments.parameters, "--set")
    began = time.monotonic()
    new = reanalyse(path, changes, directory)
    folder = RunFolder.open(new)
    outcome = Ended(new, folder.status)
    for note in folder.notes[1:]:  # the first says whose copy it is
        print(f"labctl: {note}", file=sys.stderr)
    if arguments.json:
        print_json(run_document(folder, outcome) | {"analysis_of": str(path)})
    else:
        progress.summary(folder, outcome, time.monotonic() - began)
    return 0


class Ended:
    """A run that is over, as `report` wants it."""

    def __init__(self, path: Path, status: str) -> None:
        self.path = path
        self.status = status
        self.reason = ""
