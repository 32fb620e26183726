"""The runs that entries need: found where they are finished already, made where they are not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl import __version__
from labctl.bench import find_bench, world_values
from labctl.errors import Interrupted, LabError, RequestError, RunLocked
from labctl.manager import Manager
from labctl.reproduction.papers import Entry
from labctl.run import loading
from labctl.run.folder import RunFolder
from labctl.run.locate import numbered
from labctl.run.outcome import Event, Listener
from labctl.run.request import Request, check_instruments

#: Titles of our runs begin with this, and so do our items in the queue.
TITLE = "reproduction: "
#: Processor time of a quick run in s, about; descriptions say it for whole ones.
QUICK_COST = 3.0


@dataclass(frozen=True)
class Job:
    """A run that one or more entries need."""

    key: str  #: procedure, parameters, bench, world, seed and version, as one text
    request: Request
    names: tuple[str, ...]  #: of the entries
    cost: float  #: s of processor time, about


@dataclass(frozen=True)
class Made:
    """What became of a job."""

    path: Path | None
    status: str  #: that of the run, or "not run"
    reason: str = ""
    reused: bool = False


def plan(entries: Iterable[Entry], quick: bool) -> tuple[list[Job], dict[str, str]]:
    """The runs that entries need, each once, and the key of the run of each entry.

    Raises:
        RequestError: an entry names a procedure, parameter or bench that is not there.
    """
    jobs: dict[str, Job] = {}
    keys = {}
    for entry in entries:
        if quick and entry.quick is None:
            continue
        parameters = {**entry.parameters, **(entry.quick or {})} if quick else entry.parameters
        request = Request(
            entry.procedure, dict(parameters), entry.bench, "sim", dict(entry.world), entry.seed,
            title=f"{TITLE}{entry.full_name}", record=False,  # transcripts: more than a gigabyte
        )  # fmt: skip
        try:
            key = _key_of(request)
        except RequestError as error:
            raise RequestError(f"{entry.full_name}: {error}") from None
        known = jobs.get(key, Job(key, request, (), 0.0))
        cost = QUICK_COST if quick else max(known.cost, entry.cost)
        jobs[key] = Job(key, known.request, (*known.names, entry.full_name), cost)
        keys[entry.full_name] = key
    return list(jobs.values()), keys


def _key_of(request: Request) -> str:
    file = find_bench(request.bench)
    procedure = loading.build(
        loading.load_procedure(request.procedure, file.procedures), request.parameters
    )
    check_instruments(procedure, file)
    name = loading.command_name(type(procedure))
    world = world_values(file, request.world)
    return _key(name, procedure.parameter_values(), file.text, world, request.seed, __version__)


def _key(
    procedure: str, parameters: Mapping[str, Any], bench: str, world: Mapping[str, Any], seed: int,
    version: str,
) -> str:  # fmt: skip
    return json.dumps([procedure, parameters, bench, world, seed, version], sort_keys=True)


def known_runs(runs_dir: Path) -> dict[str, tuple[Path, str]]:
    """Folder and status of the simulated runs in a directory by key; the best of several."""
    found: dict[str, tuple[Path, str]] = {}
    for _, path in sorted(numbered(runs_dir)):
        with suppress(LabError, OSError, KeyError, TypeError):  # not ours, or damaged
            folder = RunFolder.open(path)
            start = folder.start
            if start["mode"] != "sim" or {"replay_of", "analysis_of"} & start.keys():
                continue
            key = _key(
                start["procedure"], start["parameters"], start["bench"]["text"], start["world"],
                start["seed"], start["versions"]["labctl"],
            )  # fmt: skip
            if found.get(key, (path, ""))[1] != "finished":
                found[key] = (path, folder.status)
    return found


def make(jobs: list[Job], runs_dir: Path, listener: Listener) -> dict[str, Made]:
    """Run what is not finished yet, one after the other; a failure does not keep others back.

    Raises:
        RunLocked: another process works in this directory.
        Interrupted: the user ended it; what is finished stays.
    """
    manager = Manager(runs_dir)
    if manager.worked_off():
        raise RunLocked(f"{runs_dir}: another process makes runs here; wait, or choose another -o")
    known = known_runs(runs_dir)
    made = {
        job.key: Made(known[job.key][0], "finished", reused=True)
        for job in jobs
        if known.get(job.key, (None, ""))[1] == "finished"
    }
    for item in manager.waiting():  # a reproduction that was killed left them behind
        if str(item.request["title"]).startswith(TITLE):
            manager.remove(item.number)
    wanted = [job for job in jobs if job.key not in made]
    numbers = {}
    try:
        for job in wanted:
            numbers[job.key] = _submit(manager, job, known)
        progress = Progress(wanted, listener)
        manager.subscribe(progress)
        outcomes = manager.work_off()
    finally:
        ended = {item.number: item for item in manager.items()}
        for number in numbers.values():
            if number in ended and ended[number].waits:
                manager.remove(number)
    if any(isinstance(outcome.error, Interrupted) for outcome in outcomes):
        done = len(jobs) - len(wanted) + sum(outcome.status == "finished" for outcome in outcomes)
        raise Interrupted(f"{done} of {len(jobs)} runs are done; the same command goes on there")
    for job in wanted:
        item = ended[numbers[job.key]]
        path = Path(item.run) if item.run else None
        made[job.key] = Made(path, "not run" if item.waits else item.status, item.reason)
    return made


def _submit(manager: Manager, job: Job, known: Mapping[str, tuple[Path, str]]) -> int:
    path, status = known.get(job.key, (None, ""))
    if path is not None and status != "running":
        with suppress(RequestError):  # it cannot be resumed: measure it anew
            return manager.submit_resume(path)
    return manager.submit(job.request)


class Progress:
    """Tells before each run which one it is, and how long all will take."""

    def __init__(
        self, jobs: list[Job], listener: Listener, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._listener = listener
        self._now = now
        self._left = {job.key: job for job in jobs}
        self._count = len(jobs)
        self._begun = 0
        self._current: Job | None = None
        self._began = now()
        self._spent = 0.0

    def __call__(self, event: Event) -> None:
        if event.kind == "opening":
            self._announce(event.value.folder)
        self._listener(event)

    def _announce(self, folder: RunFolder) -> None:
        if self._current is not None:
            self._spent += self._current.cost
        self._begun += 1
        name = str(folder.start["title"]).removeprefix(TITLE)
        self._current = next((job for job in self._left.values() if name in job.names), None)
        if self._current is not None:
            del self._left[self._current.key]
        text = f"run {self._begun} of {self._count}: {name}, about {self._remaining()} left in all"
        self._listener(Event("note", text))

    def _remaining(self) -> str:
        cost = sum(job.cost for job in self._left.values())
        cost += self._current.cost if self._current else 0.0
        pace = (self._now() - self._began) / self._spent if self._spent else 1.0
        seconds = cost * pace
        return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
