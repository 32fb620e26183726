"""Commands that look at what is installed: list, describe."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from pathlib import Path
from typing import Any

from labctl.cli.arguments import print_json
from labctl.cli.console import console
from labctl.errors import LabError, RequestError, nearest
from labctl.units import unit_text


def list_things(arguments: Any) -> int:
    kinds = [arguments.what] if arguments.what else ["procedures", "benches", "drivers"]
    found = {kind: {"procedures": procedures, "benches": benches, "drivers": drivers}[kind]()
             for kind in kinds}  # fmt: skip
    if arguments.json:
        print_json(found[arguments.what] if arguments.what else found)
        return 0
    for kind, rows in found.items():
        if len(found) > 1:
            print(f"{kind}:")
        width = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            print(f"{'  ' if len(found) > 1 else ''}{row['name']:<{width}}  {row['summary']}")
    return 0


def first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").split("\n")[0]


def procedures() -> list[dict[str, str]]:
    from labctl.run.loading import all_procedures

    return [
        {"name": name, "summary": cls if isinstance(cls, str) else first_line(cls)}
        for name, cls in all_procedures().items()
    ]


def benches() -> list[dict[str, str]]:
    from labctl import benchfile
    from labctl.bench import shipped_benches

    rows = []
    for name, path in shipped_benches().items():
        try:
            summary = benchfile.load(path).title
        except LabError as error:
            summary = f"broken: {error}"
        rows.append({"name": name, "summary": summary, "path": str(path)})
    return rows


def drivers() -> list[dict[str, str]]:
    """Driver classes of the `drivers` package, as a bench file names them."""
    from labctl.instrument import LabInstrument

    spec = importlib.util.find_spec("drivers")
    rows = []
    for folder in (spec.submodule_search_locations if spec else None) or []:
        for path in sorted(Path(folder).glob("[!_]*.py")):
            module_name = f"drivers.{path.stem}"
            try:
                module = importlib.import_module(module_name)
            except Exception as error:  # a broken driver must not hide the others
                rows.append({"name": module_name, "summary": f"cannot be imported: {error!r}"})
                continue
            rows += [
                {"name": f"{module_name}:{cls.__name__}", "summary": first_line(cls)}
                for cls in vars(module).values()
                if inspect.isclass(cls) and issubclass(cls, LabInstrument)
                and cls.__module__ == module_name
            ]  # fmt: skip
    return rows


def describe(arguments: Any) -> int:
    from labctl.bench import find_bench, shipped_benches
    from labctl.run.loading import load_procedure, procedure_modules

    name = arguments.name
    if name in shipped_benches() or name.endswith(".toml"):
        document = _bench_document(find_bench(name))
        show = _show_bench
    else:
        try:
            cls = load_procedure(name)
        except RequestError:
            known = [*procedure_modules(), *shipped_benches()]
            if ":" in name:
                raise
            raise RequestError(
                f"no procedure or bench {name!r}{nearest(name, known)}; see labctl list"
            ) from None
        document = _procedure_document(cls)
        show = _show_procedure
    if arguments.json:
        print_json(document)
    else:
        show(document)
    return 0


def _procedure_document(cls: Any) -> dict[str, Any]:
    from labctl.procedure import LabProcedure, parameter_table
    from labctl.run.loading import command_name

    procedure = cls()
    results = procedure.result_list() if isinstance(procedure, LabProcedure) else ()
    return {
        "name": command_name(cls),
        "kind": "procedure",
        "summary": first_line(cls),
        "meaning": inspect.getdoc(cls) or "",
        "instruments": list(getattr(cls, "INSTRUMENTS", ())),
        "parameters": parameter_table(procedure),
        "columns": list(procedure.DATA_COLUMNS),
        "traces": list(getattr(cls, "TRACES", ())),
        "results": {r.name: {"unit": r.unit, "meaning": r.meaning} for r in results},
    }


def _bench_document(file: Any) -> dict[str, Any]:
    from labctl.bench import world_parameters

    world = {
        p.name: {
            "value": file.world.get(p.name, p.default), "default": p.default, "unit": p.unit,
            "minimum": p.minimum, "maximum": p.maximum, "meaning": p.meaning, "source": p.source,
        }
        for p in world_parameters(file).values()
    }  # fmt: skip
    return {
        "name": file.name,
        "kind": "bench",
        "title": file.title,
        "path": str(file.path),
        "mode": file.mode or None,
        "instruments": {
            e.name: {
                "driver": e.driver, "address": e.address, "simulator": e.simulator,
                "mode": e.mode or None, "settings": e.settings, "meaning": e.meaning,
            }
            for e in file.instruments.values()
        },
        "world": world,
        "interlocks": [
            {"read": i.read, "min": i.minimum, "max": i.maximum, "unit": i.unit,
             "period": i.period, "meaning": i.meaning}
            for i in file.interlocks
        ],
    }  # fmt: skip


def _table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    from rich.table import Table

    if not rows:
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False,
                  header_style="dim")  # fmt: skip
    for number, column in enumerate(columns):  # names stay whole: people search for them
        table.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    console(one_line_per_row=True).print(table)
    print()


def _limits(entry: dict[str, Any]) -> str:
    if entry.get("choices"):
        return ", ".join(str(c) for c in entry["choices"])
    low, high = entry.get("minimum"), entry.get("maximum")
    finite = [x is not None and abs(x) != float("inf") for x in (low, high)]
    if not any(finite):
        return ""
    return f"{f'{low:g}' if finite[0] else '…'} to {f'{high:g}' if finite[1] else '…'}"


def _show_procedure(document: dict[str, Any]) -> None:
    print(f"{document['name']}: {document['meaning']}\n")
    if document["instruments"]:
        print(f"instruments: {', '.join(document['instruments'])}\n")
    _table(
        "parameters (--set NAME=VALUE)", ["name", "default", "unit", "limits", "meaning"],
        [[n, str(p["default"]), unit_text(p["unit"]), _limits(p), p["meaning"] or p["label"]]
         for n, p in document["parameters"].items()],
    )  # fmt: skip
    print(f"columns: {', '.join(document['columns'] + document['traces'])}\n")
    _table(
        "results", ["name", "unit", "meaning"],
        [[n, unit_text(r["unit"]), r["meaning"]] for n, r in document["results"].items()],
    )  # fmt: skip


def _show_bench(document: dict[str, Any]) -> None:
    print(f"{document['name']}: {document['title']}\n{document['path']}\n")
    _table(
        "instruments", ["name", "driver", "address", "simulator"],
        [[name, one["driver"], one["address"], one["simulator"]]
         for name, one in document["instruments"].items()],
    )  # fmt: skip
    _table(
        "world (--world NAME=VALUE)", ["name", "value", "unit", "limits", "meaning", "source"],
        [[n, str(w["value"]), unit_text(w["unit"]), _limits(w), w["meaning"], w["source"]]
         for n, w in document["world"].items()],
    )  # fmt: skip
    _table(
        "interlocks", ["quantity", "allowed", "every", "meaning"],
        [[one["read"], f"{one['min']:g} to {one['max']:g} {unit_text(one['unit'])}",
          f"{one['period']:g} s", one["meaning"]] for one in document["interlocks"]],
    )  # fmt: skip
