"""The helper process: it imports and asks procedures, so that a broken one breaks only itself.

`python -m labctl.gui.processes.helper` reads one JSON request per line, `{"id": 1, "do":
"describe", ...}`, and answers each with one line, `{"id": 1, "ok": true, "value": ...}` or `{"ok":
false, "error": one line}`. It touches no instrument.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from labctl.errors import LabError


def benches() -> list[dict[str, Any]]:
    """Shipped benches with their titles."""
    from labctl import benchfile
    from labctl.bench import shipped_benches

    rows = []
    for name, path in shipped_benches().items():
        try:
            rows.append({"name": name, "title": benchfile.load(path).title})
        except LabError as error:
            rows.append({"name": name, "title": f"broken: {error}"})
    return rows


def procedures(bench: str, skip: dict[str, str]) -> dict[str, Any]:
    """What can run on a bench: names with one line each, and what of a bench is broken.

    Which module is about to be imported is said before, in a line `{"at": module}`: should it end
    this process or never come back, the window asks again and has it skipped.
    """
    from labctl.bench import find_bench, world_parameters
    from labctl.run.loading import DEFAULT_PACKAGES, all_procedures

    file = find_bench(bench) if bench else None
    rows = []
    packages = file.procedures if file else DEFAULT_PACKAGES
    found = all_procedures(packages, skip=skip, about_to=lambda module: tell({"at": module}))
    for name, cls in found.items():
        if isinstance(cls, str):
            rows.append({"name": name, "summary": cls, "broken": True})
            continue
        needed = set(getattr(cls, "INSTRUMENTS", ()))
        if file is None or needed <= set(file.instruments):
            rows.append({"name": name, "summary": _first_line(cls), "broken": False})
    world = {
        p.name: {"default": p.default, "unit": p.unit, "meaning": p.meaning}
        for p in (world_parameters(file) if file else {}).values()
    }
    return {"procedures": rows, "world": world}


def describe(procedure: str, bench: str) -> dict[str, Any]:
    """The parameters of a procedure, grouped by the class that brings them."""
    from labctl.procedure import parameter_table
    from labctl.run.loading import command_name

    cls = _load(procedure, bench)
    known = parameter_table(cls())
    table = {name: known[name] for name in sorted(known, key=_as_written(cls))}
    for name, entry in table.items():
        entry["group"] = _group(cls, name)
    return {
        "name": command_name(cls),
        "meaning": " ".join((cls.__doc__ or "").split()),
        "parameters": table,
        "columns": list(cls.DATA_COLUMNS),
        "traces": list(getattr(cls, "TRACES", ())),
        "instruments": list(getattr(cls, "INSTRUMENTS", ())),
    }


def plan(
    procedure: str,
    bench: str,
    mode: str,
    sets: list[Mapping[str, Any]],
    runs_dir: str,
    dry: str,
) -> dict[str, Any]:
    """How many points runs with these sets of parameters would have (None where nobody knows),
    in which mode, and what a point took in an earlier run, or in the dry run in folder `dry`.
    """
    from labctl.bench import find_bench, resolve_mode
    from labctl.procedure import LabProcedure
    from labctl.run.loading import build, command_name
    from labctl.viewing.estimate import Experience

    cls = _load(procedure, bench)
    built = [build(cls, parameters) for parameters in sets]
    mode = resolve_mode(find_bench(bench), mode or None) if bench else "real"
    values = built[0].parameter_values()
    experience = Experience(Path(runs_dir))
    pace = experience.pace(command_name(cls), values, mode, Path(dry) if dry else None)
    sweep = [p.parameter_values() for p in built] if pace else []
    others = dict.fromkeys(name for one in sweep for name in pace.unlike(one)) if pace else {}
    return {
        "points": [p.count_points() if isinstance(p, LabProcedure) else None for p in built],
        "mode": mode,
        "pace": asdict(pace) if pace else None,
        "others": list(others),
    }


def panels(run: str) -> list[dict[str, Any]]:
    """The panels of a recorded run."""
    from labctl.run import request
    from labctl.run.folder import RunFolder

    start = RunFolder.open(run).start
    found = request.panels(start, request.rebuild(start)[0])
    return [{"kind": type(panel).__name__, **asdict(panel)} for panel in found]


def check(requests: list[Mapping[str, Any]]) -> int:
    """Check requests as the queue would; the number of them."""
    from labctl.run.request import Request
    from labctl.run.request import check as check_request

    rehearsed: set[Any] = set()
    for number, request in enumerate(requests, 1):
        try:
            check_request(Request(**request), rehearsed)
        except LabError as error:
            raise LabError(f"run {number}: {error}" if len(requests) > 1 else str(error)) from None
    return len(requests)


def submit(runs_dir: str, requests: list[Mapping[str, Any]], policy: Mapping[str, Any]) -> Any:
    """Queue requests, all or none."""
    from labctl.manager import Manager, Policy
    from labctl.run.request import Request

    manager = Manager(Path(runs_dir))
    return manager.submit_all([Request(**request) for request in requests], Policy(**policy))


def edit(runs_dir: str, item: int, request: Mapping[str, Any], policy: Mapping[str, Any]) -> int:
    """Change a waiting item."""
    from labctl.manager import Manager, Policy
    from labctl.run.request import Request

    Manager(Path(runs_dir)).edit(item, Request(**request), Policy(**policy))
    return item


def figures(run: str, place: str) -> list[str]:
    """Draw a procedure's own figures of a run as PNG files in `place`; their paths."""
    import matplotlib as mpl

    from labctl.run.folder import RunFolder
    from labctl.run.request import rebuild
    from labctl.run.results import run_data
    from labctl.run.traces import file_names

    mpl.use("Agg")
    folder = RunFolder.open(run)
    procedure, _ = rebuild(folder.start)
    if not hasattr(procedure, "figures"):
        return []
    drawn = procedure.figures(run_data(procedure, folder))
    Path(place).mkdir(parents=True, exist_ok=True)
    paths = []
    for number, (name, figure) in enumerate(drawn.items(), 1):
        path = Path(place) / f"{number}-{file_names([name])[name]}.png"
        part = path.with_suffix(".part")
        figure.savefig(part, dpi=140, format="png")
        part.replace(path)
        paths.append(str(path))
    return paths


ACTIONS: dict[str, Callable[..., Any]] = {
    action.__name__: action
    for action in (benches, procedures, describe, plan, panels, check, submit, edit, figures)
}  # fmt: skip


def answer(line: str, actions: Mapping[str, Callable[..., Any]] = ACTIONS) -> dict[str, Any]:
    """Do what one line asks for; whatever goes wrong becomes one line."""
    number = None
    try:
        request = json.loads(line)
        number = request.pop("id", None)
        action = actions[request.pop("do")]
        with contextlib.redirect_stdout(io.StringIO()):  # a module may print when imported
            value = action(**request)
        json.dumps(value)
    except LabError as error:
        return {"id": number, "ok": False, "error": str(error)}
    except BaseException as error:  # sys.exit, too: somebody's procedure is broken
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return {"id": number, "ok": False, "error": text}
    return {"id": number, "ok": True, "value": value}


def serve(actions: Mapping[str, Callable[..., Any]], *, fresh: bool = False) -> None:
    """Answer line by line until standard input ends.

    Args:
        actions: what can be asked for, by name.
        fresh: say so and end when a file was edited since it was imported; who asks starts anew.
    """
    _out.append(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # what a C library prints must not get between the answers
    sources: dict[str, int] = {}
    for line in sys.stdin:
        if fresh and _changed(sources):
            tell({"stale": True})
            return
        tell(answer(line, actions))
        if fresh:
            sources.update(_sources())


#: Where answers go.
_out: list[TextIO] = []


def tell(said: Mapping[str, Any]) -> None:
    """Say something to the window, also before the answer."""
    for out in _out:
        out.write(json.dumps(said, default=str) + "\n")
        out.flush()


def _sources() -> dict[str, int]:
    """The files of procedures and drivers that are imported, and when each was changed."""
    own = Path(__file__).parents[1]
    found = {}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and not file.startswith((sys.prefix, sys.base_prefix, str(own))):
            with contextlib.suppress(OSError):
                found[file] = Path(file).stat().st_mtime_ns
    return found


def _changed(sources: Mapping[str, int]) -> bool:
    """Whether somebody edited a file since it was imported: then only a new process sees it."""
    for file, time in sources.items():
        with contextlib.suppress(OSError):
            if Path(file).stat().st_mtime_ns != time:
                return True
    return False


def _load(procedure: str, bench: str) -> Any:
    from labctl.bench import find_bench
    from labctl.run.loading import DEFAULT_PACKAGES, load_procedure

    return load_procedure(procedure, find_bench(bench).procedures if bench else DEFAULT_PACKAGES)


def _as_written(cls: type) -> Callable[[str], tuple[int, int]]:
    """A key that sorts parameters as their classes declare them; pymeasure has them by name."""
    places = {
        name: (depth, place)
        for depth, owner in reversed(list(enumerate(cls.__mro__)))
        for place, name in enumerate(vars(owner))
    }
    return lambda name: places.get(name, (len(cls.__mro__), 0))


def _group(cls: type, name: str) -> str:
    """The heading of a parameter: the class that brings it, in words; "" for its own."""
    for owner in cls.__mro__:
        if name in vars(owner) or name in vars(owner).get("__annotations__", {}):
            return "" if owner is cls else _words(owner.__name__)
    return ""


def _words(name: str) -> str:
    import re

    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).capitalize()


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().split("\n")[0]


if __name__ == "__main__":
    serve(ACTIONS, fresh=True)
