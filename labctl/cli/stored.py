"""Commands on recorded runs: runs, show, plot, export."""

from __future__ import annotations

import html
import io
import sys
from functools import partial
from pathlib import Path
from typing import Any

from labctl.cli.arguments import print_json, runs_dir
from labctl.cli.console import console
from labctl.errors import RequestError, cannot_write
from labctl.units import measured, unit_text


def runs(arguments: Any) -> int:
    from labctl.run.catalogue import list_runs

    directory = runs_dir(arguments)
    found = []
    if arguments.runs or directory.exists():  # before the first run there is no folder yet
        found = list_runs(
            directory, procedure=arguments.procedure, since=arguments.since, search=arguments.search
        )
    if arguments.json:
        print_json(
            [
                {
                    "run": str(r.path), "id": r.number, "procedure": r.procedure,
                    "title": r.title, "status": r.status, "started": r.started, "rows": r.rows,
                    "tags": r.tags,
                    "bench": r.bench, "parameters": r.parameters, "results": r.results,
                }
                for r in found
            ]
        )  # fmt: skip
        return 0
    if not found:
        print("no runs")
        return 0
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("run", "started", "procedure", "status", "rows"):
        right = column in ("run", "rows")
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    table.add_column("title", overflow="fold")
    for r in found:
        started = f"{r.started:%Y-%m-%d %H:%M}" if r.started else ""
        table.add_row(str(r.number), started, r.procedure, r.status, str(r.rows), r.title)
    console(one_line_per_row=True).print(table)
    return 0


def _folder(arguments: Any) -> Any:
    from labctl.run.folder import RunFolder, find_run

    return RunFolder.open(find_run(arguments.run, runs_dir(arguments)))


#: Arrays of so many bytes are read and compared with their checksums by `show`; more takes long.
READ_WHOLE = 256 * 2**20


def show(arguments: Any) -> int:
    folder = _folder(arguments)
    start, stop = folder.start, folder.stop_entry or {}
    opened = [event for event in folder.events if event["entry"] == "opened"]
    size = sum(path.stat().st_size for path in folder.path.glob("arrays/*"))
    checked = size <= READ_WHOLE and folder.status not in ("running", "paused")
    document = {
        "run": str(folder.path),
        "id": folder.number,
        "procedure": start["procedure"],
        "title": start.get("title", ""),
        "status": folder.status,
        "reason": stop.get("reason", ""),
        "started": start.get("time"),
        "stopped": stop.get("time"),
        "rows": len(folder.rows),
        "tags": folder.tag_counts(),
        "keys": folder.keys,
        "points": start.get("points"),
        "parameters": start["parameters"],
        "units": start["units"],
        "bench": (start["bench"] or {}).get("name"),
        "mode": start["mode"],
        "world": start["world"],
        "seed": start["seed"],
        "versions": start["versions"],
        "commit": start["commit"],
        "identities": opened[-1]["identities"] if opened else {},
        "settings": opened[-1]["settings"] if opened else {},
        "results": folder.result,
        "meanings": start.get("meanings", {}),
        "notes": folder.notes,
        "damage": folder.verify() if checked else folder.damage,
        "arrays_checked": checked,
    }
    if arguments.json:
        print_json(document)
        return 0
    _print(document)
    return 0


def _print(document: dict[str, Any]) -> None:
    from labctl.cli.looking import _table

    print(f"run {document['id']}: {document['procedure']}  {document['title']}".rstrip())
    reason = f" ({document['reason']})" if document["reason"] else ""
    of = f" of {document['points']}" if document["points"] else ""
    print(
        f"{document['status']}{reason}, {document['rows']}{of} rows, started {document['started']}"
    )
    print(f"bench {document['bench']} ({document['mode']}), seed {document['seed']}")
    print(f"{document['run']}\n")
    _table(
        "parameters", ["name", "value", "unit"],
        [[n, str(v), unit_text(document["units"][n])] for n, v in document["parameters"].items()],
    )  # fmt: skip
    _table(
        "results", ["name", "value", "meaning"],
        [[n, measured(r), document["meanings"].get(n, "")] for n, r in document["results"].items()],
    )  # fmt: skip
    _table(
        "instruments", ["name", "identity", "settings"],
        [[n, i, ", ".join(f"{k} {v}" for k, v in document["settings"].get(n, {}).items())]
         for n, i in document["identities"].items()],
    )  # fmt: skip
    _table(
        "time tags", ["name", "tags"], [[n, f"{count:,}"] for n, count in document["tags"].items()]
    )
    _table(
        "keys", ["link", "label", "bits", "block", "store"],
        [[k["link"], k["label"], str(k["bits"]), k["block"], k["store"] or "not delivered again"]
         for k in document["keys"]],
    )  # fmt: skip
    for note in document["notes"]:
        print(f"note: {note}")
    if not document["arrays_checked"]:
        print("arrays: not compared with their checksums, too large or still being written")
    for damage in document["damage"]:
        print(f"DAMAGE: {damage}")


SUFFIXES = (".png", ".svg", ".pdf", ".html")


def plot(arguments: Any) -> int:
    from labctl.run import drawing
    from labctl.run.exported import output_file

    folder = _folder(arguments)
    output = Path(arguments.output or folder.path / "figures.html")
    if output.suffix.lower() not in SUFFIXES:
        raise RequestError(f"{output}: write to a file that ends in {', '.join(SUFFIXES)}")
    output_file(output)
    if not len(folder.rows):
        raise RequestError(f"{folder.path}: has no rows to draw")
    figures = drawing.figures(folder)
    if not figures:
        raise RequestError(f"{folder.path}: {folder.start['procedure']} defines no figures")
    try:
        written = save(figures, output, f"{folder.path.name}: {folder.start['procedure']}")
    except OSError as error:
        raise cannot_write(output, error, "choose another -o") from error
    for path in written:
        print(path)
    return 0


def save(figures: dict[str, Any], output: Path, title: str) -> list[Path]:
    """Write figures: one HTML page, or one image each, the first under the name asked for."""
    from labctl.run.exported import in_one_step
    from labctl.run.traces import file_names

    kind = output.suffix.lower().removeprefix(".")
    if kind == "html":
        text = page(figures, title)
        return [in_one_step(output, lambda part: part.write_text(text, encoding="utf-8"))]

    paths = []
    names = file_names(figures)
    for number, (name, figure) in enumerate(figures.items()):
        ending = "" if number == 0 else f"-{names[name]}"
        path = output.with_name(f"{output.stem}{ending}{output.suffix}")
        paths.append(in_one_step(path, partial(figure.savefig, format=kind, dpi=150)))
    return paths


def page(figures: dict[str, Any], title: str) -> str:
    """One self-contained HTML page with all figures as SVG."""
    parts = []
    for name, figure in figures.items():
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg")
        svg = buffer.getvalue()
        parts.append(f"<h2>{html.escape(name)}</h2>\n{svg[svg.index('<svg') :]}")
    style = (
        "body{font-family:sans-serif;max-width:70em;margin:2em auto}svg{max-width:100%;height:auto}"
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}'
        f"</title><style>{style}</style></head><body><h1>{html.escape(title)}</h1>\n"
        + "\n".join(parts)
        + "</body></html>\n"
    )


def export(arguments: Any) -> int:
    from labctl.run.export import export as write
    from labctl.run.remarks import remarked

    remarks: list[str] = []
    with remarked(remarks.append):
        written = write(_folder(arguments), arguments.format, Path(arguments.output))
    for remark in remarks:
        print(f"labctl: {remark}", file=sys.stderr)
    for path in written:
        print(path)
    return 0
