"""What to run: a request, checked completely before anything is touched, and kept with the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl import benchfile
from labctl.bench import Bench, find_bench, instrument_kinds, resolve_mode, world_values
from labctl.benchfile import BenchFile
from labctl.errors import RequestError, nearest
from labctl.live import Panel
from labctl.procedure import LabProcedure
from labctl.run import loading, provenance

#: The journal's format; a reader refuses newer ones.
FORMAT = 1


@dataclass(frozen=True)
class Request:
    """Everything that says what to run; the start entry of a run keeps it."""

    procedure: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    bench: str = ""  # "" is allowed for plain pymeasure procedures, which open their own
    mode: str | None = None
    world: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    title: str = ""
    fsync: float | None = None  # s between fsyncs; None leaves it to the operating system
    record: bool = True  # keep the wire transcript


@dataclass(frozen=True)
class Checked:
    """A request whose every name and value has been checked."""

    procedure: Any
    file: BenchFile | None
    mode: str
    world: Mapping[str, Any]


def check(request: Request, rehearsed: set[Any] | None = None) -> Checked:
    """Check everything that can be checked without touching an instrument or a file.

    Args:
        request: what is asked for.
        rehearsed: remembers which benches were rehearsed; the runs of a sweep share one.

    Raises:
        RequestError: unknown procedure, bench, parameter or instrument, or an impossible value.
    """
    file = find_bench(request.bench) if request.bench else None
    packages = file.procedures if file else loading.DEFAULT_PACKAGES
    cls = loading.load_procedure(request.procedure, packages)
    procedure = loading.build(cls, request.parameters)
    if file is None:
        if isinstance(procedure, LabProcedure):
            raise RequestError(
                f"{request.procedure} needs a bench: say --bench NAME; see labctl list benches"
            )
        return Checked(procedure, None, "", {})
    check_instruments(procedure, file)
    mode = resolve_mode(file, request.mode)
    needed = getattr(procedure, "INSTRUMENTS", None)
    only = None if needed is None else tuple(needed)
    simulated = "sim" in instrument_kinds(file, mode, only).values()
    world = world_values(file, request.world) if simulated or request.world else {}
    rehearsed = set() if rehearsed is None else rehearsed
    key = (file.path, file.text, mode, repr(sorted(world.items())), only)
    if key not in rehearsed:
        Bench.rehearse(file, mode, world=world, only=only)
        rehearsed.add(key)
    return Checked(procedure, file, mode, world)


def check_instruments(procedure: Any, file: BenchFile) -> None:
    """Refuse a bench that lacks an instrument which the procedure needs."""
    for name in getattr(procedure, "INSTRUMENTS", ()):
        if name not in file.instruments:
            hint = nearest(name, file.instruments)
            raise RequestError(
                f"bench {file.name} has no instrument {name!r} that "
                f"{loading.command_name(type(procedure))} needs{hint}"
            )


def start_entry(request: Request, checked: Checked) -> dict[str, Any]:
    """The first journal entry: all that is needed to understand or repeat the run."""
    procedure, file = checked.procedure, checked.file
    results = procedure.result_list() if isinstance(procedure, LabProcedure) else ()
    return {
        "format": FORMAT,
        "class": f"{type(procedure).__module__}:{type(procedure).__qualname__}",
        "title": request.title,
        **describe_parameters(procedure),
        "columns": list(procedure.DATA_COLUMNS),
        "traces": list(getattr(procedure, "TRACES", ())),
        "meanings": {r.name: r.meaning for r in results},
        "bench": {"name": file.name, "path": str(file.path), "text": file.text} if file else None,
        "mode": checked.mode,
        "world": dict(checked.world),
        "seed": request.seed,
        "points": procedure.count_points() if isinstance(procedure, LabProcedure) else None,
        **provenance.collect(type(procedure)),
    }


def describe_parameters(procedure: Any) -> dict[str, dict[str, Any]]:
    """Values, units and labels of the parameters, as the start entry keeps them."""
    objects = procedure._parameters.items()
    return {
        "parameters": procedure.parameter_values(),
        "units": {name: getattr(p, "units", None) or "" for name, p in objects},
        "labels": {name: p.name for name, p in objects},
    }


def rebuild(start: Mapping[str, Any]) -> tuple[Any, BenchFile | None]:
    """The procedure and the bench of a recorded run, from its start entry alone."""
    bench = start["bench"]
    file = benchfile.parse(bench["text"], Path(bench["path"])) if bench else None
    cls = loading.load_procedure(start["class"])
    return loading.build(cls, start["parameters"]), file


def new_columns(start: Mapping[str, Any], procedure: Any) -> set[str]:
    """Columns that the procedure declares today and did not when the run began."""
    return set(getattr(procedure, "DATA_COLUMNS", ())) - set(start["columns"])


def panels(start: Mapping[str, Any], procedure: Any) -> tuple[Panel, ...]:
    """The procedure's panels, but those of columns that this run cannot have."""
    declared = procedure.panels() if hasattr(procedure, "panels") else ()
    new = new_columns(start, procedure)
    return tuple(panel for panel in declared if panel.value_column not in new)
